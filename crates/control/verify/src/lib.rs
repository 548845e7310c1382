//! Whether the standby is able to take over, found out without touching production.
//!
//! - [`verify`] looks at everything and rehearses a recovery; [`Report`] is its answer, for people,
//!   programs and Prometheus.
//! - [`readiness`] is what a failover asks before it begins, within a second.
//! - [`recoverable`] rehearses alone, in either direction: what must hold before snapshots are deleted.
//! - [`Environment`]: what a region's nodes are told, secrets included, and the buckets that follow
//!   from it.
//!
//! Each check is a pure function from what was seen to a [`Finding`]; what is looked at is read
//! concurrently beforehand. Neither bucket is written to: both are opened by
//! [`backstay_bucket::Bucket::open_to_read`]. No value of a secret is in an answer, error or log.
//!
//! [`alert_chain`] is apart from the rest: it sends a test notification, which the webhook of the watch
//! has to answer.

mod census;
mod chain;
mod checks;
mod clean;
mod contents;
mod environment;
mod fact;
mod finding;
#[cfg(test)]
mod measure;
mod pending;
mod readiness;
mod recoverable;
mod recovery;
mod rehearsal;
mod report;
#[cfg(test)]
mod stage;
mod verification;
mod whole;
mod world;

pub use chain::alert_chain;
pub use environment::{Environment, EnvironmentError, Unresolved, declared, effective};
pub use finding::{Check, Finding, Outcome};
pub use readiness::{keeps_from_failover, readiness};
pub use recoverable::{Seen, recoverable};
pub use report::{Figures, Report};
pub use verification::{Options, verify};
pub use whole::{Whole, whole, whole_of};
pub use world::{NoAccess, POLICY, World, access};
