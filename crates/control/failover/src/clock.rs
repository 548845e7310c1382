//! Time, such that nobody's skewed clock shortens a wait.
//!
//! Two clocks take part, and the wall clock of an instance is neither of them:
//! - [`Epoch`], the clock of the standby's API server, read in the very answer that carries the
//!   marks (its `Date` header, which a server with a clock must send: RFC 9110, 6.6.1). All
//!   instances read the same clock, so a skew between them cannot matter.
//! - the instance's own monotonic clock, as the [`Duration`] since its process started. It must go
//!   on while the machine is suspended (Linux: `CLOCK_BOOTTIME`, which `Instant` is not), or a look
//!   from before is taken for a new one.
//!
//! [`Aged`] combines them: a mark's age is what the server's clock said when this instance *first*
//! saw the mark, and from then on the instance's own monotonic time. A server's clock that is
//! stepped later changes nothing; a mark dated in the future starts at age zero.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Seconds since 1970 by the clock of the standby's API server.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

impl Epoch {
    /// How much later this is than `earlier`; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    /// This much earlier.
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by.as_secs()))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A mark as one instance has followed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aged {
    value: Epoch,
    first_seen: Duration,
    credit: Duration,
}

impl Aged {
    /// A mark that is seen for the first time: the server's clock says `now`, ours `mono`.
    ///
    /// Both the mark and `now` are whole seconds, cut off: a second is taken away, so that their
    /// difference is never more than what has passed.
    pub fn first_seen(value: Epoch, now: Epoch, mono: Duration) -> Self {
        let credit = now.since(value).saturating_sub(Duration::from_secs(1));
        Self {
            value,
            first_seen: mono,
            credit,
        }
    }

    /// What is in the mark.
    pub fn value(self) -> Epoch {
        self.value
    }

    /// At least so much time has passed since the mark: for waits that must not be cut short.
    pub fn at_least(self, mono: Duration) -> Duration {
        let followed = mono.saturating_sub(self.first_seen);
        self.credit.saturating_add(followed)
    }

    /// At most so much has passed, for gaps that must not be overlooked: the longer of what the
    /// server's clock says now and what we have lived through ourselves.
    pub fn at_most(self, now: Epoch, mono: Duration) -> Duration {
        let followed = mono.saturating_sub(self.first_seen);
        let longer = now.since(self.value).max(followed);
        longer.saturating_add(Duration::from_secs(1))
    }

    /// Follows a mark: keeps its history while it stays the same.
    pub fn follow(held: &mut Option<Self>, mark: Option<Epoch>, now: Epoch, mono: Duration) {
        if held.map(Self::value) != mark {
            *held = mark.map(|value| Self::first_seen(value, now, mono));
        }
    }
}

#[cfg(test)]
mod tests;
