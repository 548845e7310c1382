//! A health probe as Azure Traffic Manager makes it.
//!
//! The traffic manager probes its endpoints with it, and whoever decides about a region looks with the
//! same eyes from where it runs.

mod monitor;
mod probe;
mod tls;

pub use monitor::{Header, MonitorConfig, Protocol, StatusRange, Target};
pub use probe::{Outcome, ProbeError, Prober, Spec};
