//! Everything that exists once the state is loaded; what the parts of the engine share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use backstay_bucket::Bucket;
pub(crate) use backstay_global::CommitError as GlobalError;
use backstay_global::{Event, GlobalLog, Reject, State};
use backstay_journal::{CommitOptions, Journal, StoreError, TailError};
use backstay_search::Resources;
use backstay_search::cache::DiskCache;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, Semaphore};

use super::buckets::Buckets;
use super::owned::Owned;
use super::recovered::RecoveredTails;
use super::tails::{FollowError, Tails, Witness};
use super::troubles::Troubles;
use super::view::{self, HostView};
use crate::config::NodeConfig;
use crate::memory::MemoryBudget;
use crate::metrics::Metrics;

/// Far enough that the writer never gives up by itself: how long a client waits is decided where
/// the client is known, and only the writer can say what became of a batch in the end.
const NO_DEADLINE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Unknown ingest tokens are looked for this often at the most.
const MIN_TOKEN_REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// What a node has once its state is loaded.
pub(crate) struct Running {
    pub(crate) config: Arc<NodeConfig>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) memory: MemoryBudget,
    /// This cluster's own bucket.
    pub(crate) bucket: Bucket,
    /// All buckets that hold segments.
    pub(crate) buckets: Buckets,
    pub(crate) journal: Journal,
    pub(crate) global: GlobalLog,
    /// Stays the same when the process is started again on the same data folder.
    pub(crate) host: String,
    /// Differs at every start.
    pub(crate) incarnation: String,
    pub(crate) tails: Tails,
    /// The memory and threads that searches share.
    pub(crate) resources: Resources,
    /// What recovered clusters have that is not imported yet.
    pub(crate) recovered: RecoveredTails,
    /// Segments on the local disk.
    pub(crate) cache: Option<DiskCache>,
    /// The partitions that this node writes.
    pub(crate) owned: RwLock<BTreeMap<u32, Arc<Owned>>>,
    /// The terms with which this process has announced to take partitions, and has not written yet.
    pub(crate) announced: Mutex<BTreeMap<u32, u64>>,
    /// When something was last shown to be durable.
    pub(crate) proof: Mutex<Instant>,
    /// Hosts held to be alive at the last round, by id: their URL and whether they ingest.
    pub(crate) alive: RwLock<BTreeMap<String, Peer>>,
    /// Hosts held to be dead at the last round which the state still names.
    pub(crate) dead: RwLock<BTreeSet<String>>,
    /// When `global` was last read for an unknown ingest token.
    pub(crate) looked_for_tokens: tokio::sync::Mutex<Option<Instant>>,
    /// Tells that a partition was taken over, or that none will be any more.
    pub(crate) took: Notify,
    /// The node is fenced, another process is this host, or it ends: it takes nothing over any more.
    pub(crate) ended: AtomicBool,
    /// Asks for a round of the keeper now: a partition was lost, or has no owner.
    pub(crate) look: Notify,
    /// When that was last asked for because of a partition without an owner.
    pub(crate) asked_to_look: Mutex<Option<Instant>>,
    /// When this process started, by its own clock; for people.
    pub(crate) started_ms: i64,
    /// What does not succeed now.
    pub(crate) troubles: Troubles,
    /// Which partition a batch without a key is offered first, so that they spread over all.
    pub(crate) next_partition: Rotation,
    /// Which of the other nodes is asked first, so that all get their share.
    pub(crate) next_peer: Rotation,
    /// Leave to build a segment: each holds the events of its cut in memory.
    pub(crate) building: Semaphore,
}

/// Takes one after the other, and begins again.
#[derive(Debug, Default)]
pub(crate) struct Rotation(AtomicUsize);

impl Rotation {
    /// The next of so many; 0 where there is none.
    pub(crate) fn next(&self, of: usize) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed) % of.max(1)
    }
}

/// The name that a start of a host writes entries and signs seals with.
pub(crate) fn signature(host: &str, incarnation: &str) -> String {
    format!("{host}/{incarnation}")
}

/// Another host, as far as it matters who does what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) url: String,
    pub(crate) ingests: bool,
    /// It is not to go, so it takes partitions if it ingests.
    pub(crate) stays: bool,
    pub(crate) searches: bool,
}

impl From<HostView> for Peer {
    fn from(host: HostView) -> Self {
        Self {
            url: host.url,
            ingests: host.ingests,
            stays: host.stays,
            searches: host.searches,
        }
    }
}

impl Running {
    /// The name that this process start signs its seals with.
    pub(crate) fn signature(&self) -> String {
        signature(&self.host, &self.incarnation)
    }

    pub(crate) fn commit_options(&self) -> CommitOptions {
        let tuning = &self.config.tuning;
        CommitOptions {
            max_bytes: tuning.commit_bytes,
            linger: tuning.commit_linger,
            backlog_bytes: tuning.backlog_bytes,
            give_up: NO_DEADLINE,
            ..CommitOptions::default()
        }
    }

    /// Commits to `global`; `false` when the newest state rejects it.
    pub(crate) async fn commit<D>(&self, decide: D) -> Result<bool, GlobalError>
    where
        D: Fn(&State) -> Result<Vec<Event>, Reject>,
    {
        let committed = match self.global.commit(decide).await {
            Ok(_) => true,
            Err(GlobalError::Rejected(reason)) => {
                tracing::debug!(%reason, "rejected");
                false
            }
            Err(error) => return Err(error),
        };
        self.prove();
        Ok(committed)
    }

    /// A partition that this node writes.
    pub(crate) fn owned(&self, partition: u32) -> Option<Arc<Owned>> {
        self.owned.read().get(&partition).cloned()
    }

    /// All partitions that this node writes.
    pub(crate) fn all_owned(&self) -> Vec<Arc<Owned>> {
        self.owned.read().values().cloned().collect()
    }

    /// Drops a partition that another host holds now, unless it has been taken again meanwhile.
    pub(crate) fn drop_owned(&self, lost: &Owned) {
        let mut owned = self.owned.write();
        if owned.get(&lost.id).is_some_and(|now| now.term == lost.term) {
            owned.remove(&lost.id);
            self.metrics.partitions_lost.inc();
            self.metrics.partitions_owned.set(owned.len() as i64);
            tracing::warn!(
                partition = lost.id,
                term = lost.term,
                "another host holds this partition now; dropped"
            );
        }
        drop(owned);
        // Perhaps the whole node is fenced: that is in `global`.
        self.look.notify_one();
        if !self.config.roles.searches() {
            self.tails.forget(lost.id);
        }
    }

    /// Reads `global` once more because of an ingest token that is unknown, unless `known` says by
    /// then that it is not. Requests that come while somebody reads wait for it and share it; so
    /// unknown tokens, however many, have it read no more often than every [`MIN_TOKEN_REFRESH_INTERVAL`].
    pub(crate) async fn look_for_token(&self, known: impl Fn() -> bool) {
        let came = Instant::now();
        let mut last = self.looked_for_tokens.lock().await;
        if known() || last.is_some_and(|began| began >= came) {
            return;
        }
        if let Some(began) = *last {
            tokio::time::sleep_until((began + MIN_TOKEN_REFRESH_INTERVAL).into()).await;
        }
        *last = Some(Instant::now());
        if let Err(error) = self.global.refresh().await {
            tracing::debug!(%error, "an unknown ingest token could not be looked for");
        }
    }

    /// Something was shown to be durable just now.
    pub(crate) fn prove(&self) {
        *self.proof.lock() = Instant::now();
    }

    /// When something was last shown to be durable.
    pub(crate) fn last_proof(&self) -> Instant {
        self.all_owned()
            .iter()
            .map(|owned| owned.writer().health().last_ack)
            .fold(*self.proof.lock(), Instant::max)
    }

    /// Brings the tail of a partition to the present.
    pub(crate) async fn follow(&self, partition: u32) -> Result<(), FollowError> {
        self.follow_as(partition, false).await
    }

    /// The same; the owner of the partition gets on when all tails are full.
    pub(crate) async fn follow_as(&self, partition: u32, owner: bool) -> Result<(), FollowError> {
        let standing = || self.global.read(|state| view::standing(state, partition));
        let witness = || self.witness(partition);
        let follower = self.tails.follower(partition);
        let refresh = async || {
            if owner {
                follower.refresh_owned(&standing, &witness).await
            } else {
                follower.refresh(&standing, &witness).await
            }
        };
        let before = standing();
        match refresh().await {
            // To a node whose state is old, trimmed ground looks like a hole.
            Err(FollowError::Tail(TailError::Store(StoreError::Missing { object, by }))) => {
                if self.global.refresh().await.is_ok() && standing() != before {
                    return refresh().await;
                }
                Err(StoreError::Missing { object, by }.into())
            }
            done => done,
        }
    }

    /// Below which slot of a partition everything must be in the journal.
    fn witness(&self, partition: u32) -> Witness {
        // The numbers of one that is fenced mean nothing any more.
        let writes = |owned: &Arc<Owned>| owned.writer().health().fenced.is_none();
        if let Some(owned) = self.owned(partition).filter(writes) {
            return Witness::Says {
                settled: owned.writer().settled_below(),
                by: format!("its writer, this node ({})", self.host),
            };
        }
        match self.global.read(|state| view::settled(state, partition)) {
            Some((host, settled)) if host != self.host => Witness::Says {
                settled,
                by: format!("its writer, host {host}"),
            },
            _ => Witness::Nobody,
        }
    }

    /// What this node has written of its partitions, as its heartbeat tells the others.
    pub(crate) fn settled(&self) -> Vec<(u32, u64)> {
        let owned = self.all_owned();
        let writing = owned
            .iter()
            .filter(|it| it.writer().health().fenced.is_none());
        writing
            .map(|it| (it.id, it.writer().settled_below()))
            .collect()
    }

    /// Throws away of the tails what segments have by now.
    pub(crate) fn prune(&self) {
        let state = self.global.state();
        self.tails.prune(&view::covered(&state));
        self.recovered.prune(&view::pending_tails(&state));
        self.metrics.segments.set(state.segments.len() as i64);
        self.metrics.global_offset.set(state.offset as i64);
        let (own, recovered) = (self.tails.totals(), self.recovered.totals());
        self.metrics.live_events.set((own.0 + recovered.0) as i64);
        self.metrics.live_bytes.set((own.1 + recovered.1) as i64);
    }
}
