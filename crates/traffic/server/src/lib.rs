//! The traffic manager: it decides where the global name points.
//!
//! It has the semantics of Azure Traffic Manager and answers its REST API, so that the client
//! which drives Azure drives this one too. What is decided is decided in `backstay_traffic_profile`,
//! without I/O; the name server, the Resource Manager API, and the alerts that Azure Monitor makes of
//! endpoints' health are crates of their own. Here is what keeps them together: probes, what they have
//! found, the profiles' part of the API, metrics and events, as one process, the [`TrafficManager`].
//!
//! Configuration is durable before it is acknowledged. DNS answers come from an immutable picture
//! that is exchanged as a whole when something changes, so that no query waits for anything.

mod config;
mod events;
mod manager;
mod metrics;
mod observe;
mod prober;
mod profiles;
mod saved;
mod server;

pub use backstay_token::TokenError;
pub use backstay_traffic_arm::Api;
pub use backstay_traffic_profile::MonitorLimits;
pub use backstay_traffic_state::StateError;
pub use config::{ConfigError, NameServer, TrafficConfig, VantagePoint};
pub use server::{Addresses, TrafficError, TrafficManager};
