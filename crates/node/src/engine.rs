//! The engine: everything of a node but HTTP.
//!
//! - `startup` loads the state, recovers from another cluster's bucket, and joins the cluster;
//! - `keeper` and `plan` keep the node in it: heartbeats, leases, who owns which partition;
//!   `takeover` takes a partition over;
//! - `ingest`, `parcel`, `owned`, `dedupe` and `record` lead from a batch to an acknowledgement;
//!   `keys`, `index` and `clock` keep what `dedupe` knows over every end of a process;
//! - `tails` follow what any node has acknowledged and keep it as `packed` has it, `publish` and
//!   `cut` turn that into segments, `search` and `sources` find it in both, in all `buckets` that
//!   the state names;
//! - `snapshots` write the state down, `lifecycle` runs all that in the background, `leave` ends it;
//! - `peers` says which other node does what this one does not.
//!
//! The engine asks no other node: what a node needs to know is in the bucket.

mod api;
mod buckets;
mod build;
mod clock;
mod cut;
mod dedupe;
mod folder_lock;
mod import;
mod index;
mod ingest;
mod keeper;
mod keys;
mod known;
mod leave;
mod lifecycle;
mod owned;
mod packed;
pub(crate) mod parcel;
mod peers;
mod pieces;
mod plan;
mod publish;
mod record;
mod recovered;
mod running;
mod search;
mod snapshots;
mod sources;
mod staging;
mod startup;
mod status;
mod tails;
mod takeover;
mod taking;
mod tasks;
mod troubles;
mod turns;
pub(crate) mod view;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use backstay_global::GlobalLog;
use backstay_search::{Event, Limits, Progress, Query, QueryResult, TimeRange};
use backstay_token::FileToken;
use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use api::{
    Accepted, Degraded, EngineError, IdempotencyKey, IngestError, IngestTokenInfo, NotImported,
    Phase, RepositoryName, SearchError, Status, StatusPart,
};
pub use backstay_search::Row;
pub use backstay_token::TokenError;
pub use index::IndexError;
pub use keeper::RoundError;
pub use keys::KeysError;
pub use publish::PublishError;
pub use record::{RecordError, events_in_record};
pub use snapshots::SnapshotError;
pub use startup::StartError;
pub use tails::FollowError;
pub use takeover::TakeoverError;

use crate::config::NodeConfig;
use crate::memory::{MemoryBudget, MemoryUse};
use crate::metrics::Metrics;
use crate::own_log::OwnLogLines;
use api::NotServing;
use folder_lock::FolderLock;
use parcel::Parcel;
use running::Running;
use turns::Turns;

/// The engine of one node. Cheap to clone. It exists from the first moment, in
/// [`Phase::Starting`]; what needs the state answers `NotReady` until it is [`Phase::Ready`].
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    config: Arc<NodeConfig>,
    metrics: Arc<Metrics>,
    memory: MemoryBudget,
    turns: Turns,
    token: FileToken,
    /// The data folder, until this is dropped.
    _folder_lock: FolderLock,
    phase: watch::Sender<Phase>,
    running: OnceLock<Arc<Running>>,
    /// Since when it retires.
    retires: OnceLock<Instant>,
    /// When somebody last asked something that others could not answer for it, if ever.
    asked: Mutex<Option<Instant>>,
    /// Ends the background tasks.
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Engine {
    /// An engine that does nothing yet. Makes the data folder and, at first start, the admin
    /// token.
    ///
    /// # Errors
    /// When the data folder cannot be used.
    pub fn new(config: NodeConfig) -> Result<Self, EngineError> {
        let folder_lock = FolderLock::take(&config.data_dir)?;
        let token = FileToken::at(&config.admin_token_file, "BACKSTAY_ADMIN_TOKEN_FILE")?;
        Ok(Self {
            inner: Arc::new(Inner {
                memory: MemoryBudget::new(config.tuning.memory_bytes),
                turns: Turns::new(config.tuning.searches, config.tuning.search_patience),
                config: Arc::new(config),
                metrics: Arc::new(Metrics::new()),
                token,
                _folder_lock: folder_lock,
                phase: watch::Sender::new(Phase::Starting("starting".to_owned())),
                running: OnceLock::new(),
                retires: OnceLock::new(),
                asked: Mutex::new(None),
                stop: CancellationToken::new(),
                tasks: TaskTracker::new(),
            }),
        })
    }

    /// Stores a batch; returns when it is durable in the bucket.
    ///
    /// # Errors
    /// See [`IngestError`].
    pub async fn ingest(
        &self,
        repository: &RepositoryName,
        events: Vec<Event>,
        key: Option<IdempotencyKey>,
    ) -> Result<Accepted, IngestError> {
        let mut parcel = Parcel::new(events, None, 0);
        self.try_ingest(repository, &mut parcel, key.as_ref()).await
    }

    /// The same for whoever may have to try it again.
    pub(crate) async fn try_ingest(
        &self,
        repository: &RepositoryName,
        parcel: &mut Parcel,
        key: Option<&IdempotencyKey>,
    ) -> Result<Accepted, IngestError> {
        let answer = match self.serving() {
            Ok(running) => running.ingest(repository, parcel, key).await,
            Err(why) => Err(self.refusal(&why, repository, key)),
        };
        if let Err(error) = &answer {
            self.inner.metrics.refused(error.reason());
        }
        answer
    }

    /// Stores what this node has logged.
    pub(crate) async fn keep_own(&self, events: Vec<Event>) -> Result<(), IngestError> {
        let running = self.serving().map_err(|why| IngestError::NotReady {
            reason: why.to_string(),
        })?;
        running.keep_own(events).await
    }

    /// Has the log of this process stored, until the node ends.
    pub(crate) fn store_own_log(&self, lines: OwnLogLines) {
        let engine = self.clone();
        self.spawn(async move { lines.store(engine).await });
    }

    /// Why no events are taken here now. Who drains knows who takes them.
    fn refusal(
        &self,
        why: &NotServing,
        repository: &RepositoryName,
        key: Option<&IdempotencyKey>,
    ) -> IngestError {
        match (self.phase(), self.inner.running.get()) {
            (Phase::Fenced { by, term }, _) => IngestError::Fenced { by, term },
            (Phase::Draining, Some(running)) if !running.peers(|it| it.ingests).is_empty() => {
                running.destination(repository, key)
            }
            _ => IngestError::NotReady {
                reason: why.to_string(),
            },
        }
    }

    /// Has a newer look at who owns what, after a batch was [`IngestError::Unowned`] or whoever
    /// should take it did not.
    pub async fn look_again(&self) {
        if let Some(running) = self.inner.running.get() {
            running.look_again().await;
        }
    }

    /// How long to wait for somebody who does what this node does not, such as a partition's next
    /// owner: as long as a client waits for its acknowledgement.
    pub fn hand_over(&self) -> Duration {
        self.inner.config.tuning.ack_timeout
    }

    /// Whether searches are answered here.
    pub fn searches(&self) -> bool {
        self.searching().is_ok()
    }

    /// URLs of the nodes that search instead of this one, in the order in which to ask them. None
    /// while this node knows nobody, as while it starts.
    pub fn searchers(&self) -> Vec<String> {
        let running = self.inner.running.get();
        running.map(|it| it.searchers()).unwrap_or_default()
    }

    /// Host and start of this node, once it has joined its cluster.
    pub(crate) fn identity(&self) -> Option<(String, String)> {
        let running = self.inner.running.get()?;
        Some((running.host.clone(), running.incarnation.clone()))
    }

    /// URL of the node that answers for what `host` has begun: that one, or when it is gone, one
    /// that all nodes agree upon. `None` when it is this node.
    pub(crate) fn home(&self, host: &str) -> Option<String> {
        self.inner.running.get()?.home(host)
    }

    /// Notes that a client has asked something.
    pub(crate) fn note_request(&self) {
        *self.inner.asked.lock() = Some(Instant::now());
    }

    /// Runs a query over everything that any node has acknowledged until now.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub async fn search(
        &self,
        repository: &RepositoryName,
        query: Query,
        range: TimeRange,
        limits: Limits,
    ) -> Result<QueryResult, SearchError> {
        let unwatched = watch::Sender::new(Progress::default());
        self.search_watched(repository, query, range, limits, unwatched)
            .await
    }

    /// The same, telling how far it is.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub async fn search_watched(
        &self,
        repository: &RepositoryName,
        query: Query,
        range: TimeRange,
        limits: Limits,
        progress: watch::Sender<Progress>,
    ) -> Result<QueryResult, SearchError> {
        let metrics = &self.inner.metrics;
        let begun = Instant::now();
        metrics.searches.inc();
        let answer = async {
            let running = self.searching()?;
            let _turn = self.inner.turns.take(false).await?;
            let limits = self.limited(limits);
            let execution = running.prepare(repository, query, range, limits).await?;
            Ok(execution.run(progress).await?)
        }
        .await;
        metrics
            .search_seconds
            .observe(begun.elapsed().as_secs_f64());
        if let Err(error) = &answer {
            metrics.searches_failed.inc();
            self.note_search(error);
        }
        answer
    }

    /// The same for filter queries, row by row as they are found.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub async fn search_stream(
        &self,
        repository: &RepositoryName,
        query: Query,
        range: TimeRange,
        limits: Limits,
    ) -> Result<BoxStream<'static, Result<Row, SearchError>>, SearchError> {
        self.inner.metrics.searches.inc();
        let prepared = async {
            let running = self.searching()?;
            let turn = self.inner.turns.take(true).await?;
            let limits = self.limited(limits);
            let execution = running.prepare(repository, query, range, limits).await?;
            Ok((execution, turn))
        };
        let (execution, turn) = prepared
            .await
            .inspect_err(|error| self.note_search(error))?;
        let engine = self.clone();
        let rows = execution.stream().map(move |row| {
            // Until the last row is taken, or the client is gone.
            let _turn = &turn;
            row.map_err(SearchError::from)
                .inspect_err(|error| engine.note_search(error))
        });
        Ok(rows.boxed())
    }

    /// What a search may use on this node: no more of the memory than leaves some to others.
    fn limited(&self, limits: Limits) -> Limits {
        let share = self.inner.memory.share(MemoryUse::Searches);
        Limits {
            memory: limits.memory.min(share / 2),
            time: limits.time.min(self.inner.config.tuning.search_time),
            ..limits
        }
    }

    fn note_search(&self, error: &SearchError) {
        if let Some(running) = self.inner.running.get() {
            running.note_search(error);
        }
    }

    /// Resolves when no live node is reached at `url` any more, as this node sees it. For whoever
    /// waits there for an answer: a frozen node keeps its connections open and says nothing.
    pub async fn gone(&self, url: &str) {
        loop {
            let lives = self.inner.running.get().is_some_and(|running| {
                let alive = running.alive.read();
                alive.values().any(|peer| peer.url == url)
            });
            if !lives {
                return;
            }
            tokio::time::sleep(self.inner.config.tuning.heartbeat).await;
        }
    }

    /// What the engine is doing.
    pub fn phase(&self) -> Phase {
        self.inner.phase.borrow().clone()
    }

    /// Whether the node should get traffic.
    pub fn status(&self) -> Status {
        let phase = match self.phase() {
            Phase::Leaving if self.is_in_rotation() => Phase::Ready,
            phase => phase,
        };
        status::status(&phase, self.inner.running.get().map(|r| &**r))
    }

    /// The metadata; `None` until it is loaded.
    pub fn global(&self) -> Option<&GlobalLog> {
        self.inner.running.get().map(|running| &running.global)
    }

    /// Whose token this is, if it is that of somebody who may do everything: the administrator's, the
    /// bootstrap token, or the API token of a user who is root. One that was made on another node is
    /// known here within a heartbeat.
    pub fn administrator(&self, token: &str) -> Option<String> {
        if self.inner.token.matches(token) {
            return Some("admin-token".to_owned());
        }
        let root = self.inner.config.root_token.as_ref();
        if root.is_some_and(|hash| hash.matches(token)) {
            return Some("localroot".to_owned());
        }
        self.global()?.read(|state| view::root_user(state, token))
    }

    /// The same, and reads `global` to its end when the token looks like a user's and is unknown.
    pub async fn look_up_administrator(&self, token: &str) -> Option<String> {
        let known = || self.administrator(token);
        if let Some(name) = known() {
            return Some(name);
        }
        if token.contains(view::API_TOKEN_MARK)
            && let Some(running) = self.inner.running.get()
        {
            running.look_for_token(|| known().is_some()).await;
        }
        known()
    }

    /// Ids of the hosts that live, as this node sees it.
    pub fn living_hosts(&self) -> BTreeSet<String> {
        let running = self.inner.running.get();
        running.map(|it| it.living()).unwrap_or_default()
    }

    /// Has the keeper look at who should own what, without waiting for its next round.
    pub(crate) fn look_soon(&self) {
        if let Some(running) = self.inner.running.get() {
            running.look.notify_one();
        }
    }

    /// What an ingest token allows; `None` when it is unknown or revoked. A token added on another
    /// node is known here within a heartbeat.
    pub fn resolve_ingest_token(&self, token: &str) -> Option<IngestTokenInfo> {
        self.global()?
            .read(|state| view::ingest_token(state, token))
    }

    /// The same, and reads `global` to its end when the token is unknown: it may have been added on
    /// another node a moment ago. Whoever guesses tokens makes a node read once a second at most.
    pub async fn look_up_ingest_token(&self, token: &str) -> Option<IngestTokenInfo> {
        if let Some(known) = self.resolve_ingest_token(token) {
            return Some(known);
        }
        let running = self.inner.running.get()?;
        let known = || self.resolve_ingest_token(token).is_some();
        running.look_for_token(known).await;
        self.resolve_ingest_token(token)
    }

    /// What the node was configured with.
    pub fn config(&self) -> &NodeConfig {
        &self.inner.config
    }

    /// The memory of this node.
    pub fn memory(&self) -> &MemoryBudget {
        &self.inner.memory
    }

    /// What the node counts and measures.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// The loaded node, if it takes requests.
    fn serving(&self) -> Result<&Arc<Running>, NotServing> {
        match &*self.inner.phase.borrow() {
            Phase::Ready | Phase::Leaving => self.inner.running.get().ok_or(NotServing::Starting),
            other => Err(NotServing::Phase(other.clone())),
        }
    }

    fn searching(&self) -> Result<&Arc<Running>, SearchError> {
        let running = self.serving().map_err(|why| SearchError::NotReady {
            reason: why.to_string(),
        })?;
        if self.inner.config.roles.searches() {
            return Ok(running);
        }
        Err(SearchError::NotReady {
            reason: "its role is ingestonly (NODE_ROLES)".to_owned(),
        })
    }
}
