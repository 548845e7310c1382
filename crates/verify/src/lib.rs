//! Whether the standby is able to take over, found out without touching production.
//!
//! - [`Environment`]: what a region's nodes are told, secrets included, and the buckets that follow
//!   from it.

mod environment;

pub use environment::{Environment, EnvironmentError, Unresolved, declared};
