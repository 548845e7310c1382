//! The values of one metric over a sliding window, in bounded memory: values that come close to
//! each other share a bucket. Pure, over a clock that the caller holds.

use std::collections::VecDeque;
use std::time::Duration;

use super::rule::Aggregation;

/// Buckets a window is divided into.
const BUCKETS_PER_WINDOW: u32 = 60;

/// What came within one stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    from: Duration,
    min: f64,
    max: f64,
    sum: f64,
    count: u32,
}

/// The values of the window.
#[derive(Clone, Debug)]
pub(super) struct Series {
    window: Duration,
    buckets: VecDeque<Bucket>,
}

impl Series {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            buckets: VecDeque::new(),
        }
    }

    /// Takes a value.
    pub(super) fn record(&mut self, now: Duration, value: f64) {
        self.forget(now);
        let width = self.window / BUCKETS_PER_WINDOW;
        match self.buckets.back_mut() {
            Some(last) if now.saturating_sub(last.from) < width || last.from == now => {
                last.min = last.min.min(value);
                last.max = last.max.max(value);
                last.sum += value;
                last.count = last.count.saturating_add(1);
            }
            _ => self.buckets.push_back(Bucket {
                from: now,
                min: value,
                max: value,
                sum: value,
                count: 1,
            }),
        }
    }

    /// What the values of the window come to; nothing if there are none.
    pub(super) fn value(&mut self, now: Duration, aggregation: Aggregation) -> Option<f64> {
        self.forget(now);
        let count: f64 = self.buckets.iter().map(|it| f64::from(it.count)).sum();
        let sum: f64 = self.buckets.iter().map(|it| it.sum).sum();
        if self.buckets.is_empty() {
            return None;
        }
        Some(match aggregation {
            Aggregation::Average => sum / count,
            Aggregation::Count => count,
            Aggregation::Total => sum,
            Aggregation::Minimum => self
                .buckets
                .iter()
                .fold(f64::INFINITY, |a, it| a.min(it.min)),
            Aggregation::Maximum => self
                .buckets
                .iter()
                .fold(f64::NEG_INFINITY, |a, it| a.max(it.max)),
        })
    }

    /// Drops what is older than the window. When the clock has gone back, what was known is of no
    /// time any more.
    fn forget(&mut self, now: Duration) {
        if self.buckets.back().is_some_and(|it| it.from > now) {
            self.buckets.clear();
        }
        while let Some(first) = self.buckets.front()
            && now.saturating_sub(first.from) >= self.window
        {
            self.buckets.pop_front();
        }
    }
}
