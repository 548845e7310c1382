//! The clock of the drill, and waits that end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;

use super::report::Phase;
use super::{DrillError, Progress};
use crate::workload::ledger::Ledger;

/// How often a condition is looked at.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// How often a bucket is listed, or a search tried, while waiting.
pub(super) const SLOW_POLL_INTERVAL: Duration = Duration::from_millis(25);

/// Longest wait for any one thing.
pub(super) const WAIT_TIMEOUT: Duration = Duration::from_secs(120);

/// The clock of the drill. A phase that is begun ends where the next one begins; what others have
/// measured is added.
pub(super) struct Clock<'a> {
    pub(super) ledger: Arc<Ledger>,
    pub(super) phases: Vec<Phase>,
    /// Whether the last phase has not ended.
    running: bool,
    pub(super) progress: &'a Progress,
    /// What the wall clock said when the ledger began.
    epoch_ms: i64,
}

impl<'a> Clock<'a> {
    pub(super) fn new(ledger: Arc<Ledger>, progress: &'a Progress) -> Self {
        let passed = i64::try_from(ledger.now_ms()).unwrap_or_default();
        Self {
            ledger,
            phases: Vec::new(),
            running: false,
            progress,
            epoch_ms: Utc::now().timestamp_millis() - passed,
        }
    }

    pub(super) fn begin(&mut self, name: &'static str, goal: Option<u64>) {
        self.announce(name, goal);
        self.running = true;
        self.phases.push(Phase {
            name,
            start_ms: self.ledger.now_ms(),
            duration_ms: 0,
        });
    }

    /// Ends the phase that runs, and says what comes, of which somebody else keeps the time.
    pub(super) fn announce(&mut self, what: &str, goal: Option<u64>) {
        self.end();
        self.progress.step(what, goal);
    }

    pub(super) fn end(&mut self) {
        let running = std::mem::take(&mut self.running);
        if let Some(last) = self.phases.last_mut().filter(|_| running) {
            last.duration_ms = self.ledger.now_ms().saturating_sub(last.start_ms);
        }
    }

    /// A phase that somebody else has measured, in milliseconds since the drill began.
    pub(super) fn add(&mut self, name: &'static str, start_ms: u64, end_ms: u64) {
        self.end();
        self.phases.push(Phase {
            name,
            start_ms,
            duration_ms: end_ms.saturating_sub(start_ms),
        });
    }

    /// A moment of the wall clock, in milliseconds since the drill began.
    pub(super) fn at(&self, wall_ms: i64) -> u64 {
        u64::try_from(wall_ms - self.epoch_ms).unwrap_or_default()
    }
}

/// Waiting for one thing, with an end.
pub(super) struct Wait {
    what: &'static str,
    since: Instant,
    patience: Duration,
}

impl Wait {
    pub(super) fn new(what: &'static str) -> Self {
        Self::patient(what, WAIT_TIMEOUT)
    }

    pub(super) fn patient(what: &'static str, patience: Duration) -> Self {
        Self {
            what,
            since: Instant::now(),
            patience,
        }
    }

    pub(super) async fn tick(
        &self,
        tick: Duration,
        detail: impl FnOnce() -> String,
    ) -> Result<(), DrillError> {
        if self.since.elapsed() > self.patience {
            return Err(DrillError::Waited {
                what: self.what,
                seconds: self.patience.as_secs(),
                detail: detail(),
            });
        }
        tokio::time::sleep(tick).await;
        Ok(())
    }
}
