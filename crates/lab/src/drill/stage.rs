//! What the story is played with: the lines, the two regions, the nodes' settings, the clock, and
//! waits that end.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;

use super::report::Phase;
use super::{DrillError, EVENTS, FEWEST_EVENTS, Options, Progress};
use crate::place::{Claim, Place};
use crate::up::LabOptions;
use crate::up::describe::Times;
use crate::up::store::Wanted;
use crate::workload::ledger::Ledger;
use crate::workload::lines::{Files, Generator, Line, LinesError};

/// Ingest partitions of a lab's clusters.
pub(super) const PARTITIONS: usize = 4;

/// Longest wait for any one thing.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

pub(super) type Lines = Box<dyn Iterator<Item = Result<Line, LinesError>> + Send>;

/// The lines, how many, and where they are from.
pub(super) fn source(options: &Options) -> Result<(Lines, u64, String), DrillError> {
    let (lines, events, source): (Lines, u64, String) = if options.logs.is_empty() {
        let generator = Generator::new(options.seed, Utc::now());
        (
            Box::new(generator.map(Ok)),
            options.events.unwrap_or(EVENTS),
            "generated lines".to_owned(),
        )
    } else {
        let files = Files::find(&options.logs)?;
        if files.skipped() > 0 {
            tracing::warn!(
                lines = files.skipped(),
                "lines longer than 256 KiB are left out"
            );
        }
        let events = options.events.unwrap_or(u64::MAX).min(files.count());
        let names: Vec<String> = options
            .logs
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        (Box::new(files.lines()), events, names.join(", "))
    };
    if events < FEWEST_EVENTS {
        return Err(DrillError::TooFew { events });
    }
    Ok((lines, events, source))
}

/// The lab that the drill is played in: of its own, so that it disturbs none that runs.
pub(super) fn lab_options(
    options: &Options,
    work: &Path,
) -> Result<(LabOptions, Claim), DrillError> {
    let claimed = Place::with_any_block(work.join("lab"));
    let (place, claim) = claimed.map_err(DrillError::Addresses)?;
    let options = LabOptions {
        place,
        program: options.program.clone(),
        node: options.node.clone(),
        store: match &options.azurite {
            None => Wanted::Folder,
            Some(url) => Wanted::Azurite(url.clone()),
        },
        pools: options.node.is_none(),
        times: Times::default(),
    };
    Ok((options, claim))
}

/// The clock of the drill: one phase begins where the last ends.
pub(super) struct Clock<'a> {
    pub(super) ledger: Arc<Ledger>,
    pub(super) phases: Vec<Phase>,
    /// Whether the last phase has not ended.
    running: bool,
    pub(super) progress: &'a Progress,
}

impl<'a> Clock<'a> {
    pub(super) fn new(ledger: Arc<Ledger>, progress: &'a Progress) -> Self {
        Self {
            ledger,
            phases: Vec::new(),
            running: false,
            progress,
        }
    }

    pub(super) fn begin(&mut self, name: &'static str, goal: Option<u64>) {
        self.end();
        self.running = true;
        self.progress.step(name, goal);
        self.phases.push(Phase {
            name,
            start_ms: self.ledger.now_ms(),
            duration_ms: 0,
        });
    }

    pub(super) fn end(&mut self) {
        let running = std::mem::take(&mut self.running);
        if let Some(last) = self.phases.last_mut().filter(|_| running) {
            last.duration_ms = self.ledger.now_ms().saturating_sub(last.start_ms);
        }
    }
}

/// Waiting for one thing, with an end.
pub(super) struct Wait {
    what: &'static str,
    since: Instant,
}

impl Wait {
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            what,
            since: Instant::now(),
        }
    }

    pub(super) async fn tick(
        &self,
        tick: Duration,
        detail: impl FnOnce() -> String,
    ) -> Result<(), DrillError> {
        if self.since.elapsed() > PATIENCE {
            return Err(DrillError::Waited {
                what: self.what,
                seconds: PATIENCE.as_secs(),
                detail: detail(),
            });
        }
        tokio::time::sleep(tick).await;
        Ok(())
    }
}
