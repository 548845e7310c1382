//! A region's API server, and `kubectl` in front of it.

mod region;
mod shell;

pub use region::{NodeAgent, Region, client, client_of};
pub use shell::{HANG_TIMEOUT, Ran, Shell, client_at, no_kubectl, until};
