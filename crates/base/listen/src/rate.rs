//! How long is still waited for a body.

use std::time::{Duration, Instant};

use crate::LeastRate;

/// What a body has left of its time.
///
/// An average since the beginning would let a client that has sent much at once trickle for hours;
/// so what it can save up is bounded.
#[derive(Debug)]
pub(crate) struct Allowance {
    rate: LeastRate,
    left: Duration,
    waiting_since: Option<Instant>,
}

impl Allowance {
    pub(crate) fn new(rate: LeastRate) -> Self {
        Self {
            rate,
            left: rate.pause,
            waiting_since: None,
        }
    }

    /// The server waits. Answers until when, unless something comes.
    pub(crate) fn wait(&mut self, now: Instant) -> Instant {
        *self.waiting_since.get_or_insert(now) + self.left
    }

    /// Something has come. Time for which nobody waited does not count.
    pub(crate) fn came(&mut self, now: Instant, bytes: usize) {
        if let Some(since) = self.waiting_since.take() {
            let waited = now.saturating_duration_since(since);
            self.left = self.left.saturating_sub(waited);
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(1) * bytes / self.rate.bytes_per_second.max(1);
        self.left = self.left.saturating_add(earned).min(self.rate.pause);
    }
}

#[cfg(test)]
mod tests;
