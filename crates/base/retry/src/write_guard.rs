//! Whether something may be changed, asked before each attempt to change it.
//!
//! A process can be frozen at any place and thaw hours later, between its look at a lock and the
//! request that it was about to send. Whoever has taken the lock over meanwhile may have undone, on
//! purpose, what that request would do again. So a client that changes the world asks in the moment
//! before each attempt, also of a repetition, and not only at the beginning of a piece of work.
//!
//! That is one half; it leaves the moment between the answer and the request. The other half is the
//! caller's: what it read *before* it asked is what the request demands to be so still (a version, an
//! ETag, the incarnation of what is deleted). Either the object was not touched since, or the request
//! is refused.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Classify, Verdict};

/// Why a change was not attempted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteRefused {
    /// The change is not authorized any more; the text says who or what prevails.
    #[error("nothing is changed: {0}")]
    Lost(String),
    /// Whether it is authorized could not be found out; the text says why.
    #[error("nothing is changed while it is not known whether it may be: {0}")]
    Unknown(String),
}

impl Classify for WriteRefused {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Lost(_) => Verdict::Final,
            Self::Unknown(_) => Verdict::AGAIN,
        }
    }
}

/// An authority's answer, which may take a request.
pub type Authorization<'a> = Pin<Box<dyn Future<Output = Result<(), WriteRefused>> + Send + 'a>>;

/// Says whether something may be changed: the run lock, a failover on record.
pub trait Authority: fmt::Debug + Send + Sync {
    /// Whether it may be, now.
    fn authorize(&self) -> Authorization<'_>;
}

/// What authorizes a client's changes. What no other process would ever undo needs no authority, and
/// passes [`WriteGuard::unguarded`].
#[derive(Clone, Debug)]
pub struct WriteGuard(Option<Arc<dyn Authority>>);

impl WriteGuard {
    /// Every change is allowed.
    pub const fn unguarded() -> Self {
        Self(None)
    }

    /// Each change must be authorized by `authority`.
    pub fn authorized_by(authority: impl Authority + 'static) -> Self {
        Self(Some(Arc::new(authority)))
    }

    /// Asks the authority, if there is one.
    ///
    /// # Errors
    /// When the change is not authorized, or nobody can say whether it is.
    pub async fn check(&self) -> Result<(), WriteRefused> {
        match &self.0 {
            Some(authority) => authority.authorize().await,
            None => Ok(()),
        }
    }
}
