//! The state to start from: the cluster's own, or another cluster's, patched.
//!
//! [`choose`] and [`mod@patch`] are pure decisions; [`loader`] reads, seals and writes. The words of
//! the log lines are those of LogScale's `DataSnapshotLoader` (target `DataSnapshotLoader`), in
//! its order: operators and runbooks look for them.

pub mod choose;
mod error;
mod gained;
mod keep;
pub mod loader;
mod loss;
pub mod outside;
pub mod patch;
mod place;
mod probe;
mod take_back;
pub(crate) mod takeover;

use std::fmt;
use std::str::FromStr;

pub use error::LoadError;
pub use loader::{LoadOptions, Loaded, Origin, RecoverFrom, load};
pub use loss::{LossReport, RepositoryLoss};
pub use patch::{PatchInput, Patched, patch};
pub use place::Place;

/// What `…_RECOVER_FROM_REPLACE_REGION` and `…_REPLACE_BUCKET` say: `from/to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replace {
    /// What is replaced, where it is the whole value.
    pub from: String,
    /// The text that takes its place.
    pub to: String,
}

/// Text that is not `from/to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be from/to, such as eastus/westus")]
pub struct NotAReplacement;

impl FromStr for Replace {
    type Err = NotAReplacement;

    fn from_str(text: &str) -> Result<Self, NotAReplacement> {
        match text.split_once('/') {
            Some((from, to)) if !from.is_empty() && !to.is_empty() && !to.contains('/') => {
                Ok(Self {
                    from: from.to_owned(),
                    to: to.to_owned(),
                })
            }
            _ => Err(NotAReplacement),
        }
    }
}

impl fmt::Display for Replace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.from, self.to)
    }
}
