//! Kills a node at every numbered point of commit, segment upload, publishing, snapshot, trimming,
//! draining and recovery, and checks that nothing acknowledged is lost or doubled.
//!
//! Which points there are is not written here: nodes that go through all their lives with
//! `BACKSTAY_FAILPOINT_LOG` tell, and how often they pass each. Each run then kills a node at the
//! n-th pass of one point while clients send with retries, and goes on either with the same node
//! again or with a standby that recovers from its bucket. `BACKSTAY_FAULT_RUNS` sets how many runs
//! (each point once if unset, hundreds for a night), `BACKSTAY_FAULT_SEED` repeats a row of them,
//! and `BACKSTAY_FAULT_POINT` keeps to one point.
#![cfg(debug_assertions)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs
)]

#[path = "faults/clients.rs"]
mod clients;
#[path = "faults/plan.rs"]
mod plan;
#[path = "faults/world.rs"]
mod world;

use backstay_report::Cause;
use futures::{StreamExt, stream};
use rand::RngExt;

use plan::{Plan, discover};
use world::World;

/// Runs at the same time. They wait for each other's disk more than for the processor.
const PARALLEL: usize = 4;

/// Points without which the test would not be what it says.
const KNOWN: [&str; 10] = [
    "journal.commit.after_put",
    "journal.seal.after_put",
    "journal.trim.before_mark",
    "journal.trim.before_delete",
    "node.segment.after_upload",
    "node.import.before_commit",
    "node.window.before_delete",
    "node.takeover.after_keys",
    "node.drain.after_flush",
    "recovery.after_recovered",
];

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_point_of_death_loses_or_doubles_an_acknowledged_event() {
    let runs = setting("BACKSTAY_FAULT_RUNS").map(|text| text.parse().unwrap());
    let seed: u64 = setting("BACKSTAY_FAULT_SEED").map_or_else(
        || rand::rng().random_range(0..1 << 32),
        |text| text.parse().unwrap(),
    );
    let folder = tempfile::tempdir().unwrap();
    let old = World::grow_old(folder.path()).await.unwrap();
    let points = discover(&old).await.unwrap();
    for known in KNOWN {
        let passed = points.iter().any(|(name, ..)| name == known);
        assert!(passed, "{known} was not passed, only {points:?}");
    }
    let row = Plan::row(&points, runs, seed);
    let runs = row.len();
    eprintln!(
        "{} points, {runs} runs, BACKSTAY_FAULT_SEED={seed}",
        points.len()
    );
    let ended: Vec<Result<bool, Cause>> = stream::iter(row)
        .map(|plan| {
            let old = &old;
            async move {
                let work = tempfile::tempdir().unwrap();
                match plan.play(work.path(), old).await {
                    Ok(reached) => {
                        eprintln!("{plan}{}", if reached { "" } else { " (not reached)" });
                        Ok(reached)
                    }
                    Err(error) => {
                        let kept = work.keep();
                        eprintln!("{plan} FAILED: {error}");
                        Err(format!("{plan} (seed {seed}, {}): {error}", kept.display()).into())
                    }
                }
            }
        })
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    let failures: Vec<&Cause> = ended.iter().filter_map(|run| run.as_ref().err()).collect();
    assert!(
        failures.is_empty(),
        "{} of {runs} runs failed: {failures:#?}",
        failures.len()
    );
    let reached = ended.iter().filter(|run| matches!(run, Ok(true))).count();
    eprintln!("{reached} of {runs} runs reached their point");
    assert!(
        reached * 4 >= runs * 3,
        "only {reached} of {runs} runs reached their point"
    );
}
