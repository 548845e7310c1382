//! What came, counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::inbox::Outcome;
use crate::refusal::RefusalKind;

/// Counters that only grow.
#[derive(Debug, Default)]
pub struct Counters {
    woke: AtomicU64,
    replayed: AtomicU64,
    ignored: AtomicU64,
    tested: AtomicU64,
    timer: AtomicU64,
    refused: [AtomicU64; RefusalKind::ALL.len()],
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Alerts that woke.
    pub woke: u64,
    /// Alerts that had been taken before.
    pub replayed: u64,
    /// Alerts of other rules.
    pub ignored: u64,
    /// Test notifications that came in.
    pub tested: u64,
    /// Calls of the Functions host's timer.
    pub timer: u64,
    /// Refusals, in the order of [`RefusalKind::ALL`].
    pub refused: [u64; RefusalKind::ALL.len()],
}

impl Counts {
    /// Refusals of a kind.
    pub fn refused_as(&self, kind: RefusalKind) -> u64 {
        let all = RefusalKind::ALL.iter().zip(self.refused);
        all.filter(|(it, _)| **it == kind)
            .map(|(_, count)| count)
            .sum()
    }
}

impl Counters {
    /// As they are now.
    pub fn counts(&self) -> Counts {
        Counts {
            woke: self.woke.load(Relaxed),
            replayed: self.replayed.load(Relaxed),
            ignored: self.ignored.load(Relaxed),
            tested: self.tested.load(Relaxed),
            timer: self.timer.load(Relaxed),
            refused: std::array::from_fn(|at| {
                self.refused.get(at).map_or(0, |it| it.load(Relaxed))
            }),
        }
    }

    pub(crate) fn took(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Woke => &self.woke,
            Outcome::Replayed => &self.replayed,
            Outcome::Ignored => &self.ignored,
            Outcome::Test => &self.tested,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn timer(&self) {
        self.timer.fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self, kind: RefusalKind) {
        let all = RefusalKind::ALL.iter().zip(&self.refused);
        for (_, counter) in all.filter(|(it, _)| **it == kind) {
            counter.fetch_add(1, Relaxed);
        }
    }
}
