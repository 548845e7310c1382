//! What runs in the background from start to end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::api::{EngineError, Phase};
use super::import::{IMPORT, PARALLEL_IMPORTS};
use super::keeper::{Keeper, RoundError};
use super::owned::Owned;
use super::publish::PUBLISH;
use super::running::{GlobalError, Running};
use super::staging::clean_loop;
use super::status::{BUCKET, REASONS};
use super::tasks::Tasks;
use super::{Engine, Inner, startup, view};
use crate::metrics::ReasonLabel;

/// How often this node's partitions are looked at for segments that are due.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(250);
/// How often the partitions of others are followed, so that a search has little to read.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
/// How often trimming is looked at, at the least.
const TRIM_INTERVAL: Duration = Duration::from_secs(30);
/// How often it is looked whether something is this node's to import.
const IMPORT_INTERVAL: Duration = Duration::from_millis(500);
/// How often the credentials that the variables give are tried until they open their bucket.
const CREDENTIAL_RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// How often it is looked whether something is degraded.
const DEGRADED_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How often the buckets of other clusters are looked into, at the least.
const MAX_BUCKET_CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// The wait after a failed start that may succeed later.
const START_RETRY_DELAY: Duration = Duration::from_secs(1);

impl Engine {
    /// Begins to load the state, in the background; see [`Engine::ready`].
    pub fn start(&self) {
        let engine = self.clone();
        self.spawn(async move { engine.run().await });
    }

    /// Waits until the node serves.
    ///
    /// # Errors
    /// When it cannot start without somebody's help.
    pub async fn ready(&self) -> Result<(), EngineError> {
        let mut phase = self.inner.phase.subscribe();
        let settled = phase.wait_for(|phase| !matches!(phase, Phase::Starting(_)));
        match settled.await.map(|phase| phase.clone()) {
            Ok(Phase::Failed(why)) => Err(EngineError::Start(why)),
            _ => Ok(()),
        }
    }

    /// Resolves with the reason when the node can do nothing more without somebody's help.
    pub async fn failed(&self) -> String {
        let mut phase = self.inner.phase.subscribe();
        let failed = phase.wait_for(|phase| matches!(phase, Phase::Failed(_)));
        match failed.await.map(|phase| phase.clone()) {
            Ok(Phase::Failed(why)) => why,
            _ => std::future::pending().await,
        }
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let stop = self.inner.stop.clone();
        self.inner.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        })
    }

    pub(super) fn enter(&self, phase: Phase) {
        tracing::info!(%phase, "phase");
        if let Phase::Fenced { .. } = phase {
            self.inner.metrics.fenced.set(1);
        }
        self.inner.phase.send_replace(phase);
    }

    async fn run(self) {
        let running = loop {
            let say = |what: String| self.enter(Phase::Starting(what));
            let Inner {
                config,
                metrics,
                memory,
                ..
            } = &*self.inner;
            match startup::start(config, metrics, memory, &say).await {
                Ok(running) => break Arc::new(running),
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, "cannot start yet");
                    say(error.to_string());
                    tokio::time::sleep(START_RETRY_DELAY).await;
                }
                Err(error) if error.fence().is_some() => {
                    tracing::error!(%error, "fenced");
                    if let Some((by, term)) = error.fence() {
                        self.enter(Phase::Fenced {
                            by: by.to_owned(),
                            term,
                        });
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "cannot start");
                    self.enter(Phase::Failed(error.to_string()));
                    return;
                }
            }
        };
        let running = Arc::clone(self.inner.running.get_or_init(|| running));
        let mut keeper = Keeper::new(&running);
        // The first rounds belong to the start: a node that serves owns partitions or knows who
        // does, and its first snapshot is written.
        loop {
            match keeper.round(&running).await {
                Ok(()) => break,
                Err(error) if self.ended_by(&running, &error) => return,
                Err(error) => {
                    self.enter(Phase::Starting(error.to_string()));
                    tokio::time::sleep(START_RETRY_DELAY).await;
                }
            }
        }
        self.enter(Phase::Ready);
        let engine = self.clone();
        let of = Arc::clone(&running);
        self.spawn(async move { engine.publish_loop(&of).await });
        let engine = self.clone();
        let of = Arc::clone(&running);
        self.spawn(async move { engine.import_loop(&of).await });
        let engine = self.clone();
        let of = Arc::clone(&running);
        self.spawn(async move { engine.snapshot_loop(&of).await });
        let of = Arc::clone(&running);
        self.spawn(async move { renew_loop(&of).await });
        let of = Arc::clone(&running);
        self.spawn(async move { clean_loop(&of).await });
        let engine = self.clone();
        self.spawn(async move { engine.report_degraded_loop().await });
        if self.inner.config.roles.searches() {
            let of = Arc::clone(&running);
            self.spawn(async move { check_buckets_loop(&of).await });
            let of = Arc::clone(&running);
            self.spawn(async move { follow_loop(&of).await });
        }
        self.keep(&running, keeper).await;
    }

    /// Whether the node ends with this error: it is fenced, or another process is this host.
    fn ended_by(&self, running: &Running, error: &RoundError) -> bool {
        let phase = match error {
            RoundError::Global(GlobalError::Fenced { by, term }) => Phase::Fenced {
                by: by.clone(),
                term: *term,
            },
            // A new process starts from the newest snapshot.
            RoundError::Superseded { .. }
            | RoundError::Global(GlobalError::Stale { .. } | GlobalError::Contradicted { .. }) => {
                Phase::Failed(error.to_string())
            }
            RoundError::Global(_) => return false,
        };
        self.enter(phase);
        running.owned.write().clear();
        running.take_nothing_more();
        running.metrics.partitions_owned.set(0);
        true
    }

    async fn keep(&self, running: &Arc<Running>, mut keeper: Keeper) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(keeper.rest(running)) => {}
                () = running.look.notified() => {}
            }
            let result = keeper.round(running).await;
            running.note("heartbeat", &result);
            if let Err(error) = &result
                && self.ended_by(running, error)
            {
                return;
            }
        }
    }

    /// Each partition is published and trimmed by a task of its own, so that one that is slow or
    /// damaged delays no other.
    async fn publish_loop(&self, running: &Arc<Running>) {
        let every = PUBLISH_INTERVAL.min(self.inner.config.tuning.segment_age / 4);
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let trim_every = TRIM_INTERVAL.min(self.inner.config.tuning.trim_after / 4);
        let began = Instant::now();
        let mut trimmed: BTreeMap<u32, Instant> = BTreeMap::new();
        let mut under_way = Tasks::new();
        loop {
            ticks.tick().await;
            let failed = |partition: &u32, error| {
                running.note_in(PUBLISH, Some(*partition), &Err::<(), _>(error));
            };
            under_way.forget_ended(failed).await;
            for owned in running.all_owned() {
                running.show_backlog(&owned);
                if under_way.has(&owned.id) {
                    continue;
                }
                let last = trimmed.entry(owned.id).or_insert(began);
                let trims = last.elapsed() >= trim_every;
                if trims {
                    *last = Instant::now();
                }
                let (id, of) = (owned.id, Arc::clone(running));
                let task = self.spawn(async move { of.publish_and_trim(&owned, trims).await });
                under_way.add(id, task);
            }
        }
    }

    /// Each partition of each recovery is imported by a task of its own.
    async fn import_loop(&self, running: &Arc<Running>) {
        let mut ticks = interval(IMPORT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turns: HashMap<String, Arc<Semaphore>> = HashMap::new();
        let mut under_way = Tasks::new();
        loop {
            ticks.tick().await;
            let failed = |(_, partition): &(String, u32), error| {
                running.note_in(IMPORT, Some(*partition), &Err::<(), _>(error));
            };
            under_way.forget_ended(failed).await;
            running.show_pending();
            for tail in running.to_import() {
                let key = (tail.recovery.clone(), tail.partition);
                if under_way.has(&key) {
                    continue;
                }
                let turns = turns
                    .entry(tail.recovery.clone())
                    .or_insert_with(|| Arc::new(Semaphore::new(PARALLEL_IMPORTS)));
                let (of, turns) = (Arc::clone(running), Arc::clone(turns));
                let task = self.spawn(async move { of.import(tail, &turns).await });
                under_way.add(key, task);
            }
        }
    }

    /// Tells when something begins, or ceases, to be degraded.
    async fn report_degraded_loop(&self) {
        let mut reported = BTreeSet::new();
        loop {
            let degraded = self.status().degraded;
            let metric = &self.inner.metrics.degraded;
            for reason in REASONS {
                let count = degraded.iter().filter(|it| it.reason == reason).count();
                let label = ReasonLabel { reason };
                metric.get_or_create(&label).set(count as i64);
            }
            let now: BTreeSet<String> = degraded.iter().map(|it| it.what.clone()).collect();
            for new in degraded.iter().filter(|it| !reported.contains(&it.what)) {
                tracing::warn!(what = new.what, detail = new.detail, "degraded");
            }
            for what in reported.difference(&now) {
                tracing::info!(what, "no longer degraded");
            }
            reported = now;
            tokio::time::sleep(DEGRADED_CHECK_INTERVAL).await;
        }
    }

    async fn snapshot_loop(&self, running: &Running) {
        let every = self.inner.config.tuning.snapshot_interval;
        loop {
            tokio::time::sleep(every).await;
            // One node is enough; which one, all agree on. If two write, they write the same.
            let first = running.alive.read().keys().next().cloned();
            let result = if first.is_none_or(|host| host == running.host) {
                running.snapshot().await
            } else {
                running.mirror().await
            };
            running.note("snapshot", &result);
        }
    }
}

/// Whether the buckets that hold history can be read: searches of it need them, and nobody may
/// have searched since they failed.
async fn check_buckets_loop(running: &Running) {
    let every = MAX_BUCKET_CHECK_INTERVAL.min(running.config.tuning.status_grace / 2);
    loop {
        for (entity, is_needed) in running.global.read(view::foreign_buckets) {
            let looked = if is_needed {
                running.look_into(&entity).await
            } else {
                Ok(())
            };
            running.note_in(BUCKET, Some(entity.id), &looked);
        }
        tokio::time::sleep(every).await;
    }
}

impl Running {
    async fn publish_and_trim(&self, owned: &Owned, trims: bool) {
        let under_way = self.troubles.begin(PUBLISH, owned.id);
        let result = self.publish(owned, false).await;
        drop(under_way);
        self.note_in(PUBLISH, Some(owned.id), &result);
        if trims {
            let _under_way = self.troubles.begin("trim", owned.id);
            let result = self.trim(owned).await;
            self.note_in("trim", Some(owned.id), &result);
        }
    }

    fn show_pending(&self) {
        let entries: u64 = self
            .global
            .read(|state| state.pending_tails().map(|(_, tail)| tail.left()).sum());
        let left = i64::try_from(entries).unwrap_or(i64::MAX);
        self.metrics.recovered_pending_entries.set(left);
    }

    fn show_backlog(&self, owned: &Owned) {
        let label = crate::metrics::PartitionLabel {
            partition: owned.id,
        };
        let waiting = owned.writer().health().backlog_bytes as i64;
        let backlog = &self.metrics.backlog_bytes;
        backlog.get_or_create(&label).set(waiting);
    }
}

async fn follow_loop(running: &Running) {
    let mut ticks = interval(FOLLOW_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for partition in running.global.read(view::partitions) {
            if running.owned(partition).is_none() {
                let result = running.follow(partition).await;
                running.note_in("follow", Some(partition), &result);
            }
        }
        running.prune();
    }
}

/// Until the credentials that the variables give are kept: the other region may be dark for long.
async fn renew_loop(running: &Running) {
    loop {
        let result = running.renew().await;
        running.note("credentials", &result);
        match result {
            Ok(()) => return,
            Err(_) => tokio::time::sleep(CREDENTIAL_RETRY_INTERVAL).await,
        }
    }
}
