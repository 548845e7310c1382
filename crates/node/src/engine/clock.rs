//! The time that an owner has written its partition and not yet reported so.
//!
//! A partition's clock is `ran_ms` in the state; each heartbeat of its owner moves it on by what
//! has gone by since the one before, on the monotonic clock. It may only ever be too slow: what a
//! crash, or a heartbeat whose fate is unknown, takes along is not counted, nor is a time in which
//! the process was frozen. So the window of keys may last longer by that, and never ends early.

use std::time::{Duration, Instant};

/// What one owner has not reported, or not surely.
#[derive(Debug)]
pub(crate) struct Uncounted {
    since: Instant,
    /// Reported in a heartbeat whose fate is open.
    reported: u64,
    /// More at once is taken for a process that was frozen.
    most: Duration,
}

impl Uncounted {
    /// From `now` on.
    pub(crate) fn new(now: Instant, most: Duration) -> Self {
        Self {
            since: now,
            reported: 0,
            most,
        }
    }

    fn elapsed(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.since).min(self.most);
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }

    /// What a heartbeat is to report. It is reported once only, whatever becomes of that heartbeat.
    pub(crate) fn report(&mut self, now: Instant) -> u64 {
        let elapsed = self.elapsed(now);
        self.since = now;
        self.reported = self.reported.saturating_add(elapsed);
        elapsed
    }

    /// What was reported is in the state.
    pub(crate) fn counted(&mut self) {
        self.reported = 0;
    }

    /// How far the partition's clock may be behind the truth at the most.
    pub(crate) fn behind(&self, now: Instant) -> u64 {
        self.reported.saturating_add(self.elapsed(now))
    }
}

#[cfg(test)]
mod tests;
