//! Probing everything that is to be probed, at its time, with a bounded number of sockets.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::manager::{Manager, WatchId};
use backstay_probe::{Outcome, Prober};
use backstay_traffic_profile::schedule::{Due, JITTER_PERCENT, Schedule};

/// An endpoint, seen from a vantage point.
type Subject = (WatchId, usize);

/// Subjects that were given up are swept out when they are so many more than those that live.
const SWEEP_THRESHOLD: usize = 1024;

/// Probes until it is stopped.
pub(crate) async fn run(manager: Arc<Manager>, prober: Prober, stop: CancellationToken) {
    let start = Instant::now();
    let points = manager.config().vantage_points.clone();
    let most = manager.config().max_probes.max(1);
    let mut random = SmallRng::from_rng(&mut rand::rng());
    let mut schedule: Schedule<Subject> = Schedule::new(JITTER_PERCENT);
    let mut under_way = JoinSet::new();
    loop {
        for (watch, interval) in manager.take_new() {
            for vantage in 0..points.len() {
                schedule.add(start.elapsed(), (watch, vantage), interval, &mut random);
            }
        }
        if schedule.len() > 2 * points.len() * manager.watched() + SWEEP_THRESHOLD {
            schedule.retain(|(watch, _)| manager.spec(watch).is_some());
        }
        // When there is no socket left, what is due waits in the schedule.
        while under_way.len() < most {
            let Some(due) = schedule.pop(start.elapsed()) else {
                break;
            };
            let (watch, vantage) = due.subject;
            let Some(spec) = manager.spec(watch) else {
                continue;
            };
            let source = points.get(vantage).and_then(|it| it.source);
            let prober = prober.clone();
            under_way.spawn(async move {
                // Whatever happens, the subject comes back: no endpoint goes unwatched.
                let probe = AssertUnwindSafe(prober.probe(&spec, source)).catch_unwind();
                let failed = (Outcome::Void("the probe itself failed"), Duration::ZERO);
                (due, probe.await.unwrap_or(failed))
            });
        }
        let count = i64::try_from(under_way.len()).unwrap_or(i64::MAX);
        manager.metrics().probes_under_way.set(count);
        let next = schedule.next().filter(|_| under_way.len() < most);
        tokio::select! {
            () = stop.cancelled() => return,
            () = manager.something_new() => {}
            () = sleep_until(start, next) => {}
            Some(ended) = under_way.join_next() => {
                // A task that catches its panics and is not aborted ends well.
                let Ok(ended) = ended else { continue };
                let (due, (outcome, took)): (Due<Subject>, _) = ended;
                let (watch, vantage) = due.subject;
                count_probe(&manager, &outcome, took);
                manager.probed(watch, vantage, outcome, took);
                if let Some(spec) = manager.spec(watch) {
                    schedule.again(start.elapsed(), due, spec.interval(), &mut random);
                }
            }
        }
    }
}

fn count_probe(manager: &Manager, outcome: &Outcome, took: Duration) {
    match outcome {
        Outcome::Healthy => manager.metrics().probed("healthy", Some(took)),
        Outcome::Failed(_) => manager.metrics().probed("failed", None),
        Outcome::Void(why) => {
            tracing::warn!(why, "a probe says nothing about its endpoint");
            manager.metrics().probed("void", None);
        }
    }
}

async fn sleep_until(start: Instant, at: Option<Duration>) {
    match at {
        Some(at) => tokio::time::sleep_until(start + at).await,
        None => std::future::pending().await,
    }
}
