//! What is sent in a drill, and the lab that it is played in.

use std::path::Path;

use chrono::Utc;

use super::{DEFAULT_EVENTS, DrillError, MIN_EVENTS, Options};
use crate::place::{Claim, Place};
use crate::up::LabOptions;
use crate::up::describe::Times;
use crate::up::store::Wanted;
use crate::workload::lines::{Files, Generator, Line, LinesError};

/// Ingest partitions of a lab's clusters.
pub(super) const PARTITIONS: usize = 4;

/// The holdoff of a drill's lab, in seconds: long enough to be seen, and no longer.
const HOLDOFF_SECONDS: u32 = 3;

pub(super) type Lines = Box<dyn Iterator<Item = Result<Line, LinesError>> + Send>;

/// How many events are sent with one request: few enough that there are requests for every act.
pub(super) fn batch(events: u64) -> u64 {
    (events / 1_000).clamp(1, 500)
}

/// The lines, how many, and where they are from.
pub(super) fn source(options: &Options) -> Result<(Lines, u64, String), DrillError> {
    let (lines, events, source): (Lines, u64, String) = if options.logs.is_empty() {
        let generator = Generator::new(options.seed, Utc::now());
        (
            Box::new(generator.map(Ok)),
            options.events.unwrap_or(DEFAULT_EVENTS),
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
    if events < MIN_EVENTS {
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
        pools: true,
        memory: options.memory,
        times: Times {
            holdoff: HOLDOFF_SECONDS,
            ..Times::default()
        },
    };
    Ok((options, claim))
}
