//! The documents: one writer, durable before visible, and a history that watches read.
//!
//! All operations go through one thread. It takes what is waiting as a batch, lets each operation
//! change its own copy of the world, writes all changes in one transaction of an embedded database
//! (redb: checksummed pages, fsync at commit), and only then lets readers see them and answers the
//! senders. So an answer means durable; what is seen can never be unseen by a crash; a hundred
//! writers share one fsync; and an operation over many documents (a cascade) is one step.
//!
//! The database holds the newest state. The history of changes is in memory, bounded by count and
//! size, and starts empty: whoever asks for older versions is told `Expired` and lists again.

mod disk;
mod history;
mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::{oneshot, watch};

use disk::Disk;
pub use disk::StoreError;
use history::History;
pub(crate) use history::{Change, ChangeKind};
use world::Documents;
pub(crate) use world::{Document, Key, Transaction};

use crate::definition::definitions;
use crate::kind::{Kind, Served};
use crate::selector::Selector;
use crate::status::{ApiError, ApiResult};

/// Operations made durable together at most.
const MAX_BATCH: usize = 256;
/// Operations that wait at most; more wait to be let in.
const MAX_QUEUED: usize = 1024;

/// Bounds of memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// All documents, as JSON bytes.
    pub bytes: u64,
    /// Remembered changes of each kind.
    pub changes: usize,
}

type Answer = Box<dyn FnOnce(ApiResult<()>) + Send>;
type Operation = Box<dyn FnOnce(&mut Transaction) -> Answer + Send>;

struct Published {
    documents: Documents,
    histories: BTreeMap<usize, History>,
    /// Of what has not changed since the database was opened.
    unchanged: History,
    kinds: Served,
    version: u64,
}

impl Published {
    fn history(&self, kind: &Kind) -> &History {
        self.histories.get(&kind.index()).unwrap_or(&self.unchanged)
    }
}

/// The kinds that the definitions among these documents make, and the built-in ones.
fn served(documents: &Documents) -> Served {
    let index = definitions().map_or(usize::MAX, Kind::index);
    Served::with(documents.of(index).values().map(AsRef::as_ref))
}

/// A list, and the version that it is of.
pub(crate) struct Listed {
    pub version: u64,
    pub documents: Vec<Document>,
    /// Where the next page begins, and how many documents there are from there on.
    pub rest: Option<(String, String, usize)>,
}

/// What a list asks for.
pub(crate) struct ListQuery<'a> {
    pub kind: &'static Kind,
    /// Empty for all.
    pub namespace: &'a str,
    pub selector: &'a Selector,
    /// Zero for no limit.
    pub limit: usize,
    /// Namespace and name of the first document of this page.
    pub from: Option<(&'a str, &'a str)>,
    /// The version to show, or the newest.
    pub at: Option<u64>,
}

/// The documents of one API server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    published: Arc<RwLock<Published>>,
    operations: tokio::sync::mpsc::Sender<Operation>,
    version: watch::Receiver<u64>,
}

impl Store {
    /// Opens the database in `folder`, or makes one.
    pub(crate) fn open(folder: &Path, limits: Limits) -> Result<Self, StoreError> {
        let (disk, documents, version) = Disk::open(folder)?;
        let transaction = Transaction::new(documents.clone(), version, limits.bytes);
        let published = Arc::new(RwLock::new(Published {
            kinds: served(&documents),
            documents,
            histories: BTreeMap::new(),
            unchanged: History::new(version, limits.changes),
            version,
        }));
        let (operations, waiting) = tokio::sync::mpsc::channel(MAX_QUEUED);
        let (announce, announced) = watch::channel(version);
        let writer = Writer {
            disk,
            transaction,
            published: published.clone(),
            announce,
            opened_at: version,
            max_changes: limits.changes,
        };
        std::thread::Builder::new()
            .name("kubeapi-store".to_owned())
            .spawn(move || writer.run(waiting))
            .map_err(StoreError::Thread)?;
        Ok(Self {
            published,
            operations,
            version: announced,
        })
    }

    /// Runs an operation: all of it, durable, or nothing of it. With `dry_run` its outcome is
    /// answered and nothing of it is kept.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        dry_run: bool,
        operation: impl FnOnce(&mut Transaction) -> ApiResult<T> + Send + 'static,
    ) -> ApiResult<T> {
        let (answer, answered) = oneshot::channel();
        let operation: Operation = Box::new(move |transaction| {
            let mark = transaction.mark();
            let mut outcome = operation(transaction);
            if outcome.is_ok() && !dry_run {
                outcome = transaction.fits(mark).and(outcome);
            }
            if outcome.is_err() || dry_run {
                transaction.undo_to(mark);
            }
            Box::new(move |committed| {
                let _ = answer.send(committed.and(outcome));
            })
        });
        let stopped = || ApiError::unavailable("the store has stopped");
        self.operations
            .send(operation)
            .await
            .map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    /// One document.
    pub(crate) fn get(&self, key: &Key) -> Option<Document> {
        self.published.read().documents.get(key).cloned()
    }

    /// The kinds that there are now.
    pub(crate) fn kinds(&self) -> Served {
        self.published.read().kinds.clone()
    }

    /// The newest version.
    pub(crate) fn version(&self) -> u64 {
        self.published.read().version
    }

    /// Tells of new versions.
    pub(crate) fn announcements(&self) -> watch::Receiver<u64> {
        self.version.clone()
    }

    /// Documents in the order of their namespaces and names, all of one version.
    pub(crate) fn list(&self, query: &ListQuery<'_>) -> ApiResult<Listed> {
        let published = self.published.read();
        let version = query.at.unwrap_or(published.version);
        if version > published.version {
            return Err(ApiError::version_in_future(version, published.version));
        }
        let index = query.kind.index();
        let current = published.documents.of(index);
        let undone;
        let documents = if version == published.version {
            current
        } else {
            undone = published.history(query.kind).back_to(version, current).ok_or_else(|| {
                ApiError::expired(
                    "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.",
                )
            })?;
            &undone
        };
        let matching = documents.iter().filter(|((namespace, name), document)| {
            (query.namespace.is_empty() || namespace == query.namespace)
                && query
                    .from
                    .is_none_or(|from| (namespace.as_str(), name.as_str()) >= from)
                && query.selector.matches(document)
        });
        let limit = match query.limit {
            0 => usize::MAX,
            limit => limit,
        };
        let mut page = Vec::new();
        let mut rest = None;
        for ((namespace, name), document) in matching {
            if page.len() < limit {
                page.push(document.clone());
            } else {
                let (_, _, count) =
                    rest.get_or_insert_with(|| (namespace.clone(), name.clone(), 0));
                *count += 1;
            }
        }
        Ok(Listed {
            version,
            documents: page,
            rest,
        })
    }

    /// At most `limit` changes of a kind after `version`, and the version up to which that is all.
    pub(crate) fn changes(
        &self,
        kind: &Kind,
        version: u64,
        limit: usize,
    ) -> ApiResult<(Vec<Arc<Change>>, u64)> {
        let published = self.published.read();
        let history = published.history(kind);
        let changes = history.after(version, limit).ok_or_else(|| {
            ApiError::expired(format!(
                "too old resource version: {version} ({})",
                history.floor()
            ))
        })?;
        let upto = match changes.last() {
            Some(last) if changes.len() == limit => last.version,
            _ => published.version.max(version),
        };
        Ok((changes, upto))
    }
}

struct Writer {
    disk: Disk,
    transaction: Transaction,
    published: Arc<RwLock<Published>>,
    announce: watch::Sender<u64>,
    /// The version that was opened: nothing has changed before it, as far as watches go.
    opened_at: u64,
    max_changes: usize,
}

impl Writer {
    fn run(mut self, mut waiting: tokio::sync::mpsc::Receiver<Operation>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut answers = vec![first(&mut self.transaction)];
            while answers.len() < MAX_BATCH
                && let Ok(next) = waiting.try_recv()
            {
                answers.push(next(&mut self.transaction));
            }
            let committed = self.commit();
            for answer in answers {
                answer(committed.clone());
            }
        }
    }

    fn commit(&mut self) -> ApiResult<()> {
        if self.transaction.changes().is_empty() {
            return Ok(());
        }
        let version = self.transaction.version();
        if let Err(error) = self.disk.commit(self.transaction.changes(), version) {
            tracing::error!(%error, "cannot write the Kubernetes objects");
            self.transaction.undo_to(0);
            return Err(ApiError::internal(format!(
                "the write is not durable, so it was undone: {error}"
            )));
        }
        let mut published = self.published.write();
        let mut defines = false;
        for change in self.transaction.take_changes() {
            defines |= change.key.kind.defines();
            published.documents.set(&change);
            let (opened_at, limit) = (self.opened_at, self.max_changes);
            published
                .histories
                .entry(change.key.kind.index())
                .or_insert_with(|| History::new(opened_at, limit))
                .push(change);
        }
        if defines {
            published.kinds = served(&published.documents);
        }
        published.version = version;
        drop(published);
        self.announce.send_replace(version);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
