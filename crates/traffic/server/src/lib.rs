//! The traffic manager: it decides where the global name points.
//!
//! It has the semantics of Azure Traffic Manager and answers its REST API, so that the client
//! which drives Azure drives this one too. Its parts, of which the first three are pure:
//!
//! - [`profile`]: what is configured, in Azure's JSON, checked by Azure's rules;
//! - [`status`], [`monitor`], [`schedule`]: what is known of each endpoint, and when to look again;
//! - [`answer`]: which endpoint the name points to, given both;
//! - `alerts`: what Azure Monitor makes of that, fired and resolved to webhooks;
//! - the servers around them: probes, DNS, the Resource Manager API, metrics and events, kept
//!   together by [`TrafficManager`].
//!
//! Configuration is durable before it is acknowledged. DNS answers come from an immutable picture
//! that is exchanged as a whole when something changes, so that no query waits for anything.

mod alerts;
pub mod answer;
mod arm;
mod config;
pub mod dns;
mod events;
mod manager;
mod metrics;
pub mod monitor;
mod observe;
mod prober;
pub mod profile;
mod resource;
pub mod schedule;
mod server;
mod state;
pub mod status;
mod storage;

pub use backstay_token::TokenError;
pub use config::{ConfigError, Limits, NameServer, TrafficConfig, VantagePoint};
pub use server::{Addresses, TrafficError, TrafficManager};
pub use state::StateError;
pub use storage::StorageError;
