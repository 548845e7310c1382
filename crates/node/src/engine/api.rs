//! What callers of the engine see: names, answers and refusals.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::memory::NoMemory;

/// The name of a repository, as in URLs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(pub Arc<str>);

impl RepositoryName {
    /// A name as it came in.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A client's name for one batch: two batches with the same key, sent to the same repository
/// within the window (`BACKSTAY_TRIM_SECONDS`, at least ten minutes), are stored once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(pub String);

/// A batch is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// It had been stored before, under the same key; nothing was stored now.
    pub duplicate: bool,
}

/// Why a batch was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// Too much waits for the journal. Nothing was taken. (HTTP 429)
    #[error("{backlog_bytes} bytes wait for the bucket; send the batch again in {retry_after:?}")]
    Backlog {
        /// Bytes that wait for the journal.
        backlog_bytes: usize,
        /// When to come back.
        retry_after: Duration,
    },
    /// The partition of the batch's key knows as many keys as it may; older ones must have their
    /// time first. Nothing was taken. (HTTP 429)
    #[error(
        "{keys} idempotency keys are known in this batch's partition, and none may be forgotten yet; send the batch again in {retry_after:?}, or fewer and larger batches"
    )]
    KeysFull {
        /// How many keys are known.
        keys: usize,
        /// When to come back.
        retry_after: Duration,
    },
    /// Not acknowledged in time. It may have been stored all the same: send it again with the same
    /// idempotency key. (HTTP 503)
    #[error("not acknowledged: {detail}; send the batch again with the same idempotency key")]
    Unavailable {
        /// What is in the way.
        detail: String,
    },
    /// Whether a batch with this key is stored already cannot be known now: what has the keys of
    /// its partition, or may have it, is damaged or away. Nothing was taken. (HTTP 503)
    #[error(
        "not taken: whether this batch is stored already is not known, because the idempotency keys of partition {partition} cannot be read: {detail}; send it again later with the same key"
    )]
    KeysUnknown {
        /// Number of the partition.
        partition: u32,
        /// What is in the way.
        detail: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// The node is starting, draining or takes no ingest by its role. (HTTP 503)
    #[error("this node takes no events now: {reason}")]
    NotReady {
        /// Why, as a clause.
        reason: String,
    },
    /// Another cluster holds the bucket's journal. (HTTP 503)
    #[error("fenced: {by} holds this cluster's journal with term {term}; send the events there")]
    Fenced {
        /// The cluster that holds the journal, or one of its nodes.
        by: String,
        /// The term under which it does.
        term: u64,
    },
    /// There is no such repository. (HTTP 404)
    #[error("there is no repository `{name}`; create it or check the ingest token")]
    NoRepository {
        /// The name that was asked for.
        name: String,
    },
    /// Another live node must take the batch: it owns the partition of the key, or this node owns
    /// none. Send the same request to `url`. (HTTP: the request is passed on.)
    #[error("the node at {url} takes this batch")]
    Elsewhere {
        /// Base URL of that node.
        url: String,
    },
    /// The batch's partition is on its way from one node to another, or no live node owns any.
    /// Nothing was taken; that is over in moments. (HTTP 503, when it is not.)
    #[error("not taken: {detail}; send the batch again")]
    Unowned {
        /// What is in the way.
        detail: String,
    },
    /// The batch is longer than a journal record may be. (HTTP 413)
    #[error("the batch has {bytes} bytes, the limit is {limit}; send smaller batches")]
    TooLarge {
        /// Length of the batch as a record, in bytes.
        bytes: usize,
        /// The longest record that is taken, in bytes.
        limit: usize,
    },
    /// There is no memory for it. (HTTP 413 when there never is, else 429)
    #[error(transparent)]
    Memory(#[from] NoMemory),
}

impl IngestError {
    /// Whether the batch is surely not stored, so that another node may take it.
    pub fn is_not_stored(&self) -> bool {
        !matches!(self, Self::Unavailable { .. })
    }

    /// The kind in one word, as the metrics name it.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Backlog { .. } => "backlog",
            Self::KeysFull { .. } => "keys_full",
            Self::Unavailable { .. } => "unavailable",
            Self::KeysUnknown { .. } => "keys_unknown",
            Self::NotReady { .. } => "not_ready",
            Self::Fenced { .. } => "fenced",
            Self::NoRepository { .. } => "no_repository",
            Self::Elsewhere { .. } => "elsewhere",
            Self::Unowned { .. } => "unowned",
            Self::TooLarge { .. } => "too_large",
            Self::Memory(_) => "memory",
        }
    }
}

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// There is no such repository. (HTTP 404)
    #[error("there is no repository or view `{name}`")]
    NoRepository {
        /// The name that was asked for.
        name: String,
    },
    /// A view shows only a part of a repository, and such filters are not applied. (HTTP 400)
    #[error(
        "the view `{view}` shows only what its filter for the repository `{repository}` lets \
         through, and filters of views are not supported; search the repository itself with that \
         filter"
    )]
    Filtered {
        /// Name of the view.
        view: String,
        /// The repository that it filters.
        repository: String,
    },
    /// The node is starting, or does not search by its role. (HTTP 503)
    #[error("this node does not search now: {reason}")]
    NotReady {
        /// Why, as a clause.
        reason: String,
    },
    /// The tails could not be brought to the present, so the answer might miss acknowledged
    /// events. (HTTP 503)
    #[error("the journal cannot be read to its end: {detail}; search again later")]
    Unavailable {
        /// What is in the way.
        detail: String,
    },
    /// As many searches as may run at once do, and none has ended in time. (HTTP 429)
    #[error(
        "{most} {what} run on this node already, as many as may, and none has ended within {waited:?}; try again in a moment, or set BACKSTAY_SEARCHES"
    )]
    Busy {
        /// How many may run.
        most: usize,
        /// The kind of searches that run.
        what: &'static str,
        /// How long this one has waited at the most.
        waited: Duration,
    },
    /// The query itself failed: out of memory, or a segment that cannot be read.
    #[error(transparent)]
    Execution(#[from] backstay_search::SearchError),
}

/// What the engine is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Loading or recovering; what at the moment.
    Starting(String),
    /// Serving: takes events and searches, as its roles say.
    Ready,
    /// Could not start; why.
    Failed(String),
    /// Another cluster holds the journal.
    Fenced {
        /// The cluster that holds the journal, or one of its nodes.
        by: String,
        /// The term under which it does.
        term: u64,
    },
    /// It is to end: others take its work over. It serves on for those who do not know yet.
    Leaving,
    /// On its way down; takes no more events.
    Draining,
}

/// Why a node takes no requests.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotServing {
    /// Nothing is loaded yet.
    #[error("starting")]
    Starting,
    /// It is in another phase.
    #[error("{0}")]
    Phase(Phase),
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting(what) => write!(f, "starting: {what}"),
            Self::Ready => f.write_str("ready"),
            Self::Failed(why) => write!(f, "could not start: {why}"),
            Self::Fenced { by, term } => write!(
                f,
                "fenced: {by} holds this cluster's journal with term {term}"
            ),
            Self::Leaving => f.write_str("draining: others take over"),
            Self::Draining => f.write_str("draining"),
        }
    }
}

/// Why a node cannot run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The admin token cannot be kept.
    #[error(transparent)]
    Token(#[from] backstay_token::TokenError),
    /// The data folder cannot be used.
    #[error("{path}: the data folder cannot be made: {source}; set DIRECTORY to a writable folder")]
    DataDir {
        /// Path of the data folder.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// The state cannot be loaded.
    #[error("{0}")]
    Start(String),
    /// Another process runs with this data folder.
    #[error(
        "{path}: process {holder} runs with this data folder; stop it, or give each node a folder (DIRECTORY) of its own"
    )]
    DataDirInUse {
        /// Path of the data folder.
        path: PathBuf,
        /// Its process id, as far as it is known.
        holder: String,
    },
    /// Another process runs with this host's data folder.
    #[error("{0}")]
    Superseded(String),
}

/// One part of the node, for `?deep=1`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StatusPart {
    /// Name of the part.
    pub name: &'static str,
    /// Whether it works as it should.
    pub ok: bool,
    /// How it is doing, in words.
    pub detail: String,
}

/// Something that is not as it should be, although the node takes events.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Degraded {
    /// The kind, as the metric `backstay_degraded` has it.
    pub reason: &'static str,
    /// The part that is affected, such as a partition or bucket.
    pub what: String,
    /// How, and what to do.
    pub detail: String,
}

/// What lies only in the bucket of a recovered cluster: journal entries that are searched there until
/// they are in segments of this cluster. Until then, that bucket must not be deleted.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotImported {
    /// The cluster that was recovered.
    pub from_cluster: String,
    /// The bucket, as the state names it.
    pub bucket: u32,
    /// Name of the container.
    pub container: String,
    /// Partitions with such entries.
    pub partitions: usize,
    /// How many such entries there are.
    pub entries: u64,
}

/// Whether the node should get traffic.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Status {
    /// Whether it should: answered as HTTP 200 or 503.
    pub ok: bool,
    /// Why it should not; `None` if it should.
    pub reason: Option<String>,
    /// What is not as it should be, whether it should get traffic or not.
    pub degraded: Vec<Degraded>,
    /// What lies only in the buckets of recovered clusters.
    pub not_imported: Vec<NotImported>,
    /// The state of each part.
    pub parts: Vec<StatusPart>,
}

/// What an ingest token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestTokenInfo {
    /// Where its events go.
    pub repository: RepositoryName,
    /// The parser assigned to it, if any.
    pub parser: Option<String>,
}
