//! Rebuilding a partition's window of keys, and keeping it durable.
//!
//! The keys that an owner must know are in three places, and [`Running::learn_keys`] reads them all
//! before the first batch with a key is taken:
//! 1. the index object that the state names: keys of entries in segments, with their age;
//! 2. the cluster's own journal, from where the index ends to the seal;
//! 3. for each recovery whose source's keys of this partition are in no index of ours yet: the
//!    source's index and journal. A batch with a key goes to the same partition here as there, so
//!    one partition of the source is all there is to read.
//!
//! What comes from a source is put into an index of ours, and the event that names that index says
//! so: from then on the source is not asked again. Nothing else decides it, no clock in particular,
//! so a node that comes late by weeks still finds every key, and one that crashes between any two
//! steps begins again.
//!
//! Entries are trimmed only below what the named index covers; what is neither there nor in the
//! journal has had its time.
//!
//! While one of these cannot be read (it is damaged, or a source is away), it is unknown which
//! batches are stored: the partition takes batches without a key, and refuses those with one (see
//! [`super::known`]). Nothing is passed over, and no index says more than what was read, unless the
//! operator gives up what no backup has (`BACKSTAY_FORGET_LOST_KEYS`): then what could be read is all.

pub(super) mod scan;

use backstay_bucket::{Bucket, Created};
use backstay_failpoint::hit;
use backstay_global::{Event, RecoveredTail, WindowIndex};
use backstay_journal::{Journal, StoreError, StreamId, TailError};
use futures::TryStreamExt;

use super::dedupe::Window;
use super::index::{self, Generation, Index, IndexError, Since};
use super::owned::Owned;
use super::publish::Origin;
use super::record::KeyHash;
use super::running::{GlobalError, Running};
use super::tails::{self, FollowError};
use super::view;
use scan::Slots;

/// Names that are tried for one object. One is taken only by an earlier try of this very owner whose
/// answer was lost.
const MAX_NAMES_TRIED: u64 = 8;

/// Why keys cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// `global` cannot be written.
    #[error(transparent)]
    Global(#[from] GlobalError),
    /// A journal cannot be read.
    #[error(transparent)]
    Read(#[from] FollowError),
    /// The bucket does not take or give an object.
    #[error(transparent)]
    Bucket(#[from] backstay_bucket::Error),
    /// The index object cannot be used.
    #[error("{object}: {source}; restore the object in container {container} from a backup")]
    Index {
        /// Name of the index object.
        object: String,
        /// The container that it is in.
        container: String,
        /// Why it cannot be decoded.
        #[source]
        source: IndexError,
    },
    /// The index object is gone.
    #[error(
        "{object}: there is no such object in container {container}, and the state says that it has the partition's idempotency keys; restore it from a backup"
    )]
    Missing {
        /// Name of the index object.
        object: String,
        /// The container that it should be in.
        container: String,
    },
    /// Another host has the partition by now.
    #[error("another host has taken the partition over")]
    Overtaken,
    /// Every name that could be the object's is taken.
    #[error("{object}: the name is taken, and so are those before it; what has written there?")]
    Taken {
        /// The last one tried.
        object: String,
    },
}

impl KeysError {
    /// Whether it will not pass without somebody's help.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::Global(_) | Self::Overtaken => false,
            Self::Read(error) => error.is_lasting(),
            Self::Bucket(error) => !error.is_retryable(),
            Self::Index { .. } | Self::Missing { .. } | Self::Taken { .. } => true,
        }
    }

    /// Whether an object is damaged or gone. What is only out of reach is not lost.
    fn is_loss(&self) -> bool {
        match self {
            Self::Index { .. } | Self::Missing { .. } => true,
            Self::Bucket(error) => matches!(error, backstay_bucket::Error::Corrupt { .. }),
            Self::Read(FollowError::Record { .. }) => true,
            Self::Read(FollowError::Tail(TailError::Store(error))) => {
                error.is_damage() || matches!(error, StoreError::Missing { .. })
            }
            Self::Read(_) | Self::Global(_) | Self::Overtaken | Self::Taken { .. } => false,
        }
    }
}

/// Where the keys of a partition are, as the state says.
#[derive(Clone, Debug)]
pub(crate) struct KeySources {
    pub(crate) standing: tails::Standing,
    pub(crate) ran_ms: u64,
    /// The partition's own index object, if one was written.
    pub(crate) own: Option<WindowIndex>,
    /// The first entry whose keys are in no index.
    pub(crate) from: u64,
    /// The highest term begun below that, where the state knows it.
    pub(crate) below: Option<u64>,
    /// Of each recovery that is not adopted yet: its id, the source's bucket, the source's stream.
    pub(crate) pending: Vec<(String, u32, RecoveredTail)>,
}

impl Running {
    /// Reads all keys that the owner of a partition must know, writes down what no index has, and
    /// has it take batches with keys. Does nothing where that is done.
    pub(super) async fn learn_keys(&self, owned: &Owned) -> Result<(), KeysError> {
        if owned.knows_keys() {
            return Ok(());
        }
        let learned = self.read_keys(owned).await;
        match learned {
            Ok(window) => {
                owned.learn(window);
                Ok(())
            }
            Err(error) => {
                owned.cannot_learn(error.to_string(), error.is_lasting());
                Err(error)
            }
        }
    }

    async fn read_keys(&self, owned: &Owned) -> Result<Window, KeysError> {
        let partition = owned.id;
        let sources = self
            .global
            .read(|state| view::key_sources(state, partition));
        let (window, adopted) = self.load_window(owned, sources).await?;
        let unwritten = self.global.read(|state| view::indexed(state, partition)) < window.upto();
        if unwritten || !adopted.is_empty() {
            hit("node.takeover.before_keys");
            let next = || owned.next_number();
            let index = (&window.index(), window.term_below());
            let named = self
                .put_index(partition, owned.term, &next, index, &adopted)
                .await?;
            if named.is_none() {
                return Err(KeysError::Overtaken);
            }
            hit("node.takeover.after_keys");
        }
        Ok(window)
    }

    /// The keys of everything that was stored when the partition was sealed, and the recoveries of
    /// which some are: an index must be durable before a batch with a key is taken when there are
    /// any.
    async fn load_window(
        &self,
        owned: &Owned,
        sources: KeySources,
    ) -> Result<(Window, Vec<String>), KeysError> {
        let partition = owned.id;
        let mut foreign = Vec::new();
        for (recovery, bucket, tail) in &sources.pending {
            let bucket = self.source_bucket(*bucket).await?;
            let journal = self.journal_in(&bucket);
            let index = self.index(&bucket, partition, tail.window.as_ref()).await?;
            let from = tail.floor.max(index.upto);
            let slots = Slots {
                from,
                to: tail.to,
                below: tail.term_below(from),
            };
            let stream = StreamId::Partition(partition);
            // What was not sealed may still be trimmed by its living owner.
            let sealed = scan::is_sealed_at(&journal, stream, tail.to).await;
            let sealed = self.or_forget(partition, sealed)?;
            let found = self.keys_in(&journal, partition, slots, sealed).await?;
            foreign.extend(of_source(recovery, tail, sources.ran_ms, index, found));
        }
        let own = sources.own.as_ref();
        let index = self.index(&self.bucket, partition, own).await?;
        let slots = Slots {
            from: sources.from,
            // What this owner has written until now has no keys, and may be in segments already.
            to: owned.seal.max(sources.standing.covered),
            below: sources.below,
        };
        let journal = &self.journal;
        let found = self.keys_in(journal, partition, slots, true).await?;
        let window = window_of(&sources, foreign, index, found);
        let adopted = sources.pending.into_iter().map(|(id, ..)| id);
        Ok((window, adopted.collect()))
    }

    /// The index that a state names, as far as it can be read; see [`Self::or_forget`].
    async fn index(
        &self,
        bucket: &Bucket,
        partition: u32,
        named: Option<&WindowIndex>,
    ) -> Result<Index, KeysError> {
        self.or_forget(partition, read_index(bucket, partition, named).await)
    }

    /// The keys in a journal, as far as they can be read; see [`scan::keys`], [`Self::or_forget`].
    async fn keys_in(
        &self,
        journal: &Journal,
        partition: u32,
        slots: Slots,
        whole: bool,
    ) -> Result<Vec<(u64, KeyHash)>, KeysError> {
        let mut found = Vec::new();
        let stream = StreamId::Partition(partition);
        let read = scan::keys(journal, stream, slots, whole, &mut found).await;
        self.or_forget(partition, read)?;
        Ok(found)
    }

    /// What was read of a partition's keys. Where that cannot be read, and the operator has said that
    /// no backup has it, nothing: keys that are behind what is damaged in a journal are not looked
    /// for, since one that is not seen may be the seal that ends the writer of those.
    fn or_forget<T: Default, E: Into<KeysError>>(
        &self,
        partition: u32,
        read: Result<T, E>,
    ) -> Result<T, KeysError> {
        let error = match read {
            Ok(read) => return Ok(read),
            Err(error) => error.into(),
        };
        if !self.config.forget_lost_keys || !error.is_loss() {
            return Err(error);
        }
        self.metrics.keys_forgotten.inc();
        tracing::error!(
            partition,
            %error,
            "these idempotency keys are given up, because BACKSTAY_FORGET_LOST_KEYS says so: a batch that \
             was stored under one and is sent again is stored twice"
        );
        Ok(T::default())
    }

    /// Writes an index object and has the state name it; answers with its name, or with `None` when
    /// another host holds the partition. `number` gives another number at each call.
    pub(super) async fn put_index(
        &self,
        partition: u32,
        term: u64,
        number: &(dyn Fn() -> u64 + Sync),
        (index, term_below): (&Index, Option<u64>),
        adopted: &[String],
    ) -> Result<Option<String>, KeysError> {
        let bytes = index.encode().map_err(|source| KeysError::Index {
            object: index::folder(partition),
            container: self.bucket.config().container.clone(),
            source,
        })?;
        let mut tries = 0;
        let (name, number) = loop {
            let number = number();
            let name = index::object(partition, term, number);
            tries += 1;
            hit("node.window.before_put");
            match self.bucket.put_if_absent(&name, bytes.clone()).await? {
                Created::New => break (name, number),
                // Of an earlier try, with what was true then.
                Created::AlreadyExists if tries < MAX_NAMES_TRIED => {}
                Created::AlreadyExists => return Err(KeysError::Taken { object: name }),
            }
        };
        hit("node.window.after_put");
        let committed = self
            .commit(|_| {
                Ok(vec![Event::WindowIndexed {
                    partition,
                    term,
                    number,
                    upto: index.upto,
                    adopted: adopted.to_vec(),
                    term_below,
                }])
            })
            .await?;
        hit("node.window.after_commit");
        Ok(committed.then_some(name))
    }

    /// Ages the keys of a partition, and writes them down if there is anything new.
    pub(super) async fn keep_keys(&self, owned: &Owned) -> Result<(), KeysError> {
        let sources = self.global.read(|state| view::key_sources(state, owned.id));
        let Some((from, below)) = owned.keys_upto() else {
            return Ok(());
        };
        let to = sources.standing.covered;
        if from < to {
            // They were published by a call that ended before it knew.
            let stream = StreamId::Partition(owned.id);
            let slots = Slots { from, to, below };
            let mut found = Vec::new();
            scan::keys(&self.journal, stream, slots, true, &mut found).await?;
            let (keys, _) = split(found, to);
            let entries = Origin {
                partition: owned.id,
                from,
                to,
                below: sources.standing.below,
            };
            owned.cover(entries, keys, sources.ran_ms);
        }
        let imported = |recovery: &str| {
            self.global
                .read(|state| view::is_imported(state, recovery, owned.id))
        };
        owned.expire(sources.ran_ms, self.config.tuning.trim_after, imported);
        let label = crate::metrics::PartitionLabel {
            partition: owned.id,
        };
        let known = owned.keys_known() as i64;
        let gauge = &self.metrics.idempotency_keys;
        gauge.get_or_create(&label).set(known);
        let Some((index, below)) = owned.index_to_write() else {
            return Ok(());
        };
        let (id, term) = (owned.id, owned.term);
        let named = self
            .put_index(id, term, &|| owned.next_number(), (&index, below), &[])
            .await;
        if named.as_ref().ok().is_none_or(Option::is_none) {
            owned.index_not_written();
        }
        if let Some(named) = named? {
            self.delete_older(id, &named).await?;
        }
        Ok(())
    }

    /// Deletes the partition's index objects before the one that the state has just named.
    async fn delete_older(&self, partition: u32, newest: &str) -> Result<(), KeysError> {
        let folder = index::folder(partition);
        let names: Vec<String> = self
            .bucket
            .list(&folder, None)
            .map_ok(|object| object.key)
            .try_collect()
            .await?;
        let old: Vec<String> = names.into_iter().filter(|name| **name < *newest).collect();
        if !old.is_empty() {
            hit("node.window.before_delete");
            self.bucket.delete_all(old).await?;
            hit("node.window.after_delete");
        }
        Ok(())
    }
}

/// The keys below `covered`, and the others.
fn split(found: Vec<(u64, KeyHash)>, covered: u64) -> (Vec<KeyHash>, Vec<KeyHash>) {
    let (old, live): (Vec<_>, Vec<_>) = found.into_iter().partition(|(seq, _)| *seq < covered);
    let keys = |found: Vec<(u64, KeyHash)>| found.into_iter().map(|(_, key)| key).collect();
    (keys(old), keys(live))
}

/// What a source has of a partition: `index`, and `found` in its journal from there on.
fn of_source(
    recovery: &str,
    tail: &RecoveredTail,
    ran_ms: u64,
    index: Index,
    found: Vec<(u64, KeyHash)>,
) -> Vec<Generation> {
    let (old, unread) = split(found, tail.from);
    let generation = |since, keys| Generation {
        from: 0,
        to: 0,
        since,
        keys,
    };
    let known = index.generations.into_iter().map(Generation::of_source);
    known
        .chain([
            generation(Since::Ran(ran_ms), old),
            generation(Since::Import(recovery.to_owned()), unread),
        ])
        .filter(|generation| !generation.keys.is_empty())
        .collect()
}

/// All that a new owner must know: what sources have, the partition's own `index`, and what was `found`
/// in the cluster's own journal from there on.
fn window_of(
    sources: &KeySources,
    foreign: Vec<Generation>,
    index: Index,
    found: Vec<(u64, KeyHash)>,
) -> Window {
    let mut window = Window::default();
    let from = sources.from;
    for generation in foreign.into_iter().chain(index.generations) {
        window.add(generation);
    }
    window.begin_at(from, sources.below);
    let covered = sources.standing.covered;
    let (old, live) = split(found, covered);
    if covered > from {
        window.add(Generation {
            from,
            to: covered,
            since: Since::Ran(sources.ran_ms),
            keys: old,
        });
        window.begin_at(covered, sources.standing.below);
    }
    for key in live {
        window.found(key);
    }
    window
}

/// The index that the state names; an empty one where it names none.
async fn read_index(
    bucket: &Bucket,
    partition: u32,
    named: Option<&WindowIndex>,
) -> Result<Index, KeysError> {
    let Some(named) = named else {
        return Ok(Index::default());
    };
    let object = index::object(partition, named.term, named.number);
    let container = bucket.config().container.clone();
    match bucket.get(&object).await {
        Ok(bytes) => Index::decode(&bytes, named.upto).map_err(|source| KeysError::Index {
            object,
            container,
            source,
        }),
        Err(error) if error.is_missing() => Err(KeysError::Missing { object, container }),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
