//! When a failed call is made again, and until when.
//!
//! Azure's Resource Manager and the Kubernetes API are retried by one policy, so that a failover
//! behaves the same on both sides: a first pause of a second, doubling to 30 s, ±25 %, never less
//! than the service asks for (`Retry-After`), until a deadline that the caller sets for the whole
//! call, attempts that hang included.
//!
//! - [`Policy`]: how long to pause, a pure function;
//! - [`Classify`]: what an error says about another attempt; [`after_status`] for HTTP's codes;
//! - [`retry`]: attempts until one succeeds, one fails for good, or the [`Deadline`] has passed;
//! - [`WriteGuard`]: what a change is authorized by, asked before each attempt.
//!
//! `backon`, which kube-rs brings along, has neither a deadline that also covers an attempt which
//! hangs, nor jitter in both directions; what would be left of it is the doubling.

mod attempts;
mod deadline;
mod policy;
mod status;
mod write_guard;

pub use attempts::{Ended, Failed, retry};
pub use deadline::Deadline;
pub use policy::Policy;
pub use status::{after_status, retry_after};
pub use write_guard::{Authority, Authorization, WriteGuard, WriteRefused};

use std::time::Duration;

/// What an error says about another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It would fail in the same way.
    Final,
    /// It may succeed.
    Again {
        /// How long the service wants to be left alone, if it says so.
        after: Option<Duration>,
    },
}

impl Verdict {
    /// Another attempt, whenever the policy says.
    pub const AGAIN: Self = Self::Again { after: None };
}

/// An error that knows whether another attempt is worth it.
pub trait Classify {
    /// What it says about another attempt.
    fn verdict(&self) -> Verdict;

    /// Whether another attempt may succeed.
    fn is_retryable(&self) -> bool {
        self.verdict() != Verdict::Final
    }
}

#[cfg(test)]
mod tests;
