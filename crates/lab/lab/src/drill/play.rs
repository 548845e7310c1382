//! The order of the acts, and what is left when they are over.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use tempfile::TempDir;

use super::acts::provision::provision;
use super::against::Clusters;
use super::clock::Clock;
use super::report::{self, Measured, Report};
use super::scene::Scene;
use super::stage::{Lines, batch, lab_options, source};
use super::{Act, DrillError, Failure, Options, Progress};
use crate::place::Claim;
use crate::up::Lab;
use crate::up::sweep::sweep;
use crate::workload::RunName;
use crate::workload::ledger::Ledger;
use crate::workload::verdict::Verdict;

/// Interval of the report's rate.
const RATE_INTERVAL_MS: u64 = 50;

/// Runs a drill. `stop` ends it early.
///
/// # Errors
/// When it comes to no verdict. A verdict that is bad is a [`Report`] with `ok` false.
pub async fn run(
    options: &Options,
    progress: &Progress,
    stop: impl Future<Output = ()>,
) -> Result<Report, Failure> {
    let failure = |error| Failure {
        error,
        work_dir: None,
        standing: false,
    };
    let folder = std::env::temp_dir();
    let work = tempfile::Builder::new()
        .prefix("backstay-drill-")
        .tempdir_in(&folder)
        .map_err(|source| {
            failure(DrillError::Folder {
                path: folder,
                source,
            })
        })?;
    let ended = play(options, progress, work.path(), stop).await;
    progress.end();
    // The lab went with the play; what ended in the middle of starting one is swept up.
    sweep(&work.path().canonicalize().unwrap_or_default().join("lab"));
    // One that was not begun, or was ended by a person, has nothing to be looked into.
    let begun = !matches!(ended, Err(DrillError::NotAble(_)));
    let interrupted = matches!(ended, Err(DrillError::Interrupted));
    let failed = begun && !interrupted && !matches!(&ended, Ok(report) if report.ok);
    let keep = options.keep || failed;
    let work_dir = leave(work, keep);
    match ended {
        Ok(mut report) => {
            report.work_dir = work_dir;
            Ok(report)
        }
        Err(error) => Err(Failure {
            error,
            work_dir,
            standing: begun && options.against.is_some(),
        }),
    }
}

fn leave(work: TempDir, keep: bool) -> Option<PathBuf> {
    if keep {
        return Some(work.keep());
    }
    let path = work.path().to_owned();
    if let Err(error) = work.close() {
        tracing::warn!(%error, path = %path.display(), "the working folder was left behind");
    }
    None
}

async fn play(
    options: &Options,
    progress: &Progress,
    work: &Path,
    stop: impl Future<Output = ()>,
) -> Result<Report, DrillError> {
    tokio::pin!(stop);
    let (lines, events, source) = source(options)?;
    let run = RunName::new(options.seed, Utc::now().timestamp_millis());
    let ledger = Arc::new(Ledger::new(Instant::now(), events, batch(events)));
    let mut clock = Clock::new(ledger.clone(), progress);

    clock.begin(
        match options.against {
            None => "start both regions",
            Some(_) => "ask both regions",
        },
        None,
    );
    let (scene, _claim) = tokio::select! {
        scene = scene(options, progress, work) => scene?,
        () = &mut stop => return Err(DrillError::Interrupted),
    };
    let played = tokio::select! {
        played = story(options, &scene, run, clock, lines) => played,
        () = &mut stop => Err(DrillError::Interrupted),
    };
    let remove = !options.keep
        && matches!(&played, Ok((measured, verdict)) if report::judge(measured.clone(), verdict.clone()).ok);
    scene.end(remove).await;
    let (measured, verdict) = played?;
    let measured = Measured {
        duration_ms: ledger.now_ms(),
        seed: options.seed,
        source,
        ..measured
    };
    Ok(report::judge(measured, verdict))
}

/// The lab that is started, with its claim on addresses; or the pair that is there.
async fn scene(
    options: &Options,
    progress: &Progress,
    work: &Path,
) -> Result<(Scene, Option<Claim>), DrillError> {
    if let Some(against) = &options.against {
        let clusters = Clusters::connect(against).await?;
        return Ok((Scene::of_pair(options, clusters, work), None));
    }
    let (lab_options, claim) = lab_options(options, work)?;
    let lab = Lab::start(&lab_options, &|what| progress.note(what)).await?;
    Ok((Scene::of_lab(options, lab), Some(claim)))
}

/// The story itself.
async fn story(
    options: &Options,
    scene: &Scene,
    run: RunName,
    clock: Clock<'_>,
    lines: Lines,
) -> Result<(Measured, Verdict), DrillError> {
    let mut play = provision(options, scene, run, clock, lines).await?;
    play.history().await?;
    play.disaster().await?;
    play.failover().await?;
    play.old_primary().await?;
    if options.until >= Act::Promotion {
        play.promotion().await?;
    }
    if options.until >= Act::Failback {
        play.failback().await?;
    }
    play.rest().await?;
    let verdict = play.search().await?;
    if options.until >= Act::Cleaning {
        play.cleaning().await?;
    }

    let ledger = play.clients.ledger.clone();
    let (requests, failed_requests) = ledger.requests();
    let mut phases = play.clock.phases;
    phases.sort_by_key(|it| it.start_ms);
    let measured = Measured {
        sent: ledger.sent_events(),
        planned: ledger.events(),
        requests,
        failed_requests,
        phases,
        rate: ledger.rate(RATE_INTERVAL_MS),
        rate_interval_ms: RATE_INTERVAL_MS,
        store: scene.store(),
        ..play.measured
    };
    Ok((measured, verdict))
}
