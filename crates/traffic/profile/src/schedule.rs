//! When to probe what: pure, over a clock that the caller holds.
//!
//! Each subject (an endpoint seen from a vantage point) is due once an interval. First probes are
//! spread, and every interval is a little longer or shorter than the configured one: probes of
//! many endpoints do not come in waves, and an endpoint that fails exactly in step with one
//! vantage point's probes is not in step with it for long.
//!
//! Times are durations since the start of a monotonic clock, so that setting the machine's clock
//! changes nothing. When the clock itself has jumped (a suspended machine, a stopped process),
//! what is overdue by more than an interval is spread again instead of being probed all at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::{Rng, RngExt};

/// How much an interval may differ from the configured one, in percent. The mean is the
/// configured one.
pub const JITTER_PERCENT: u32 = 5;

/// First probes are spread over at most so long, so that a new endpoint is known soon.
const MAX_FIRST_DELAY: Duration = Duration::from_secs(1);

/// Something that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due<S> {
    /// What is to be probed.
    pub subject: S,
    /// When it is due, on the scheduler's clock.
    pub at: Duration,
}

/// What is due when. A subject is in it at most once: it is taken out when it is due, and put back
/// when its probe has ended, so that no endpoint is probed twice at a time from one place.
#[derive(Debug)]
pub struct Schedule<S> {
    queue: BinaryHeap<Reverse<(Duration, u64, S)>>,
    count: u64,
    jitter_percent: u32,
}

impl<S: Copy + Ord> Schedule<S> {
    /// An empty one; `jitter_percent` is [`JITTER_PERCENT`] except in tests of exact times.
    pub fn new(jitter_percent: u32) -> Self {
        Self {
            queue: BinaryHeap::new(),
            count: 0,
            jitter_percent,
        }
    }

    /// Puts a new subject in.
    pub fn add(&mut self, now: Duration, subject: S, interval: Duration, random: &mut impl Rng) {
        let spread = if self.jitter_percent == 0 {
            Duration::ZERO
        } else {
            interval.min(MAX_FIRST_DELAY).mul_f64(random.random())
        };
        self.push(now.saturating_add(spread), subject);
    }

    /// Puts a subject back whose probe was due at `due` and has ended.
    pub fn again(&mut self, now: Duration, due: Due<S>, interval: Duration, random: &mut impl Rng) {
        let jitter = f64::from(self.jitter_percent) / 100.0 * (random.random::<f64>() * 2.0 - 1.0);
        let next = due.at.saturating_add(interval.mul_f64(1.0 + jitter));
        // Late by less than an interval is late; by more, the clock has jumped.
        let at = if now.saturating_sub(next) > interval {
            now.saturating_add(interval.mul_f64(random.random()))
        } else {
            next.max(now)
        };
        self.push(at, due.subject);
    }

    /// Takes out the next one that is due by now.
    pub fn pop(&mut self, now: Duration) -> Option<Due<S>> {
        match self.queue.peek() {
            Some(Reverse((at, ..))) if *at <= now => {}
            _ => return None,
        }
        let Reverse((at, _, subject)) = self.queue.pop()?;
        Some(Due { subject, at })
    }

    /// How many subjects are in it.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Leaves only these subjects in it.
    pub fn retain(&mut self, mut wanted: impl FnMut(S) -> bool) {
        self.queue.retain(|Reverse((.., subject))| wanted(*subject));
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Duration> {
        self.queue.peek().map(|Reverse((at, ..))| *at)
    }

    fn push(&mut self, at: Duration, subject: S) {
        self.count = self.count.wrapping_add(1);
        self.queue.push(Reverse((at, self.count, subject)));
    }
}

#[cfg(test)]
mod tests;
