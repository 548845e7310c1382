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

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwarranted {
    /// It may not be changed any more.
    #[error("nothing is changed: {0}")]
    Lost(String),
    /// Nobody says whether it may.
    #[error("nothing is changed while it is not known whether it may be: {0}")]
    Unknown(String),
}

impl Classify for Unwarranted {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Lost(_) => Verdict::Final,
            Self::Unknown(_) => Verdict::AGAIN,
        }
    }
}

/// An answer that comes.
pub type Asked<'a> = Pin<Box<dyn Future<Output = Result<(), Unwarranted>> + Send + 'a>>;

/// Who says whether something may be changed.
pub trait Authority: fmt::Debug + Send + Sync {
    /// Whether it may be, now.
    fn ask(&self) -> Asked<'_>;
}

/// By whose leave something is changed. Without an authority, by nobody's: what no other process
/// would ever undo needs none.
#[derive(Clone, Debug)]
pub struct Warrant(Option<Arc<dyn Authority>>);

impl Warrant {
    /// By nobody's leave.
    pub const fn free() -> Self {
        Self(None)
    }

    /// By the leave of this one.
    pub fn of(authority: impl Authority + 'static) -> Self {
        Self(Some(Arc::new(authority)))
    }

    /// Asks, if there is somebody to be asked.
    ///
    /// # Errors
    /// When it may not be, or nobody says.
    pub async fn ask(&self) -> Result<(), Unwarranted> {
        match &self.0 {
            Some(authority) => authority.ask().await,
            None => Ok(()),
        }
    }
}
