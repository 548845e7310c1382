//! A partition that this node writes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use backstay_failpoint::hit;
use backstay_journal::{CommitError, Position, Writer};
use bytes::Bytes;
use parking_lot::Mutex;

use super::clock::Uncounted;
use super::dedupe::{Claim, StoreOutcome, Window};
use super::index::{Generation, Index, Since};
use super::known::{KeysUnknown, Known};
use super::publish::Origin;
use super::record::KeyHash;

/// Why a batch was not stored in this partition.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Another writer holds the partition; the batch is not in it.
    Lost,
    /// Too much waits here; the batch was not taken.
    Full {
        /// Bytes of records that are not acknowledged yet.
        backlog_bytes: usize,
    },
    /// As many keys are known here as may be; the batch was not taken.
    KeysFull {
        /// How many keys the partition knows.
        keys: usize,
    },
    /// Longer than a record may be.
    TooLarge {
        /// Length of the record in bytes.
        bytes: usize,
        /// The longest record that is taken, in bytes.
        limit: usize,
    },
    /// Not acknowledged in time; it may be stored yet.
    Unclear {
        /// What the journal said last.
        detail: String,
    },
    /// Whether it is stored is not known, because the keys of this partition are not; the batch was
    /// not taken.
    KeysUnknown {
        /// What is in the way.
        detail: String,
    },
}

impl From<CommitError> for Refused {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Fenced { .. } | CommitError::Closed => Self::Lost,
            CommitError::Full { backlog_bytes, .. } => Self::Full { backlog_bytes },
            CommitError::TooLarge { bytes, limit } => Self::TooLarge { bytes, limit },
            CommitError::Unavailable { .. } => Self::Unclear {
                detail: error.to_string(),
            },
        }
    }
}

/// A partition that this node writes, from its seal on.
pub(crate) struct Owned {
    /// Number of the partition.
    pub(crate) id: u32,
    /// The term that the seal began.
    pub(crate) term: u64,
    /// The slot of that seal.
    pub(crate) seal: u64,
    writer: Writer,
    known: Known,
    /// What the index object that was written last does not say.
    unwritten: AtomicBool,
    /// The next index object's number.
    number: AtomicU64,
    /// The time that is not in the partition's clock yet.
    uncounted: Mutex<Uncounted>,
    /// Entries below were deleted by this owner.
    deleted: AtomicU64,
}

impl Owned {
    /// Its keys are not known yet. After more than `lease` without a heartbeat the process is taken
    /// to have been frozen.
    pub(crate) fn new(id: u32, (term, seal): (u64, u64), writer: Writer, lease: Duration) -> Self {
        Self {
            id,
            term,
            seal,
            writer,
            known: Known::default(),
            unwritten: AtomicBool::new(false),
            number: AtomicU64::new(0),
            uncounted: Mutex::new(Uncounted::new(Instant::now(), lease)),
            deleted: AtomicU64::new(0),
        }
    }

    /// Stores a batch that has no key.
    pub(crate) async fn append(&self, record: Bytes, wait: Duration) -> Result<Position, Refused> {
        match tokio::time::timeout(wait, self.writer.append(record)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(self.unclear(wait)),
        }
    }

    /// Stores a batch once only. `true`: it was stored before.
    ///
    /// The batch's fate is followed to its end even when the client has gone: only so can the
    /// next try under the same key be answered.
    pub(crate) async fn append_once(
        self: &std::sync::Arc<Self>,
        key: KeyHash,
        record: Bytes,
        wait: Duration,
    ) -> Result<bool, Refused> {
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let mut pending = match self.claim(key, deadline).await? {
                Claim::Stored => return Ok(true),
                Claim::New => {
                    let owned = std::sync::Arc::clone(self);
                    let task = tokio::spawn(async move { owned.follow(key, record).await });
                    return match tokio::time::timeout_at(deadline, task).await {
                        Ok(Ok(Ok(_))) => Ok(false),
                        Ok(Ok(Err(refused))) => Err(refused),
                        Ok(Err(_)) | Err(_) => Err(self.unclear(wait)),
                    };
                }
                Claim::Pending(pending) => pending,
                Claim::Full => {
                    let keys = self.keys_known();
                    return Err(Refused::KeysFull { keys });
                }
            };
            let settled = pending.wait_for(|outcome| *outcome != StoreOutcome::Open);
            match tokio::time::timeout_at(deadline, settled).await {
                Ok(Ok(outcome)) if *outcome == StoreOutcome::Stored => return Ok(true),
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return Err(self.unclear(wait)),
            }
        }
    }

    /// Asks for the right to store the batch of `key`, once all keys are known.
    async fn claim(&self, key: KeyHash, deadline: tokio::time::Instant) -> Result<Claim, Refused> {
        let unknown = |why: KeysUnknown| Refused::KeysUnknown {
            detail: why.to_string(),
        };
        self.known.wait(deadline).await.map_err(unknown)?;
        let claim = self.known.get().map(|mut window| window.claim(key));
        claim.ok_or_else(|| unknown(KeysUnknown::UnderWay))
    }

    async fn follow(&self, key: KeyHash, record: Bytes) -> Result<Position, Refused> {
        let answer = self.writer.append(record).await;
        hit("node.ingest.before_window");
        let Some(mut window) = self.known.get() else {
            return Ok(answer?);
        };
        match &answer {
            Ok(_) => window.stored(key),
            // Unclear: the key stays claimed, so that the batch cannot come in twice. The writer
            // waits without limit, so this is its end by abandonment, and the window's too.
            Err(CommitError::Unavailable { .. }) => {}
            Err(_) => window.not_stored(key),
        }
        drop(window);
        Ok(answer?)
    }

    fn unclear(&self, waited: Duration) -> Refused {
        let error = self.writer.health().last_error;
        Refused::Unclear {
            detail: format!(
                "partition {}: nothing heard of it within {waited:?}: {}",
                self.id,
                error.unwrap_or_else(|| "the bucket is slow".to_owned())
            ),
        }
    }

    /// The writer, for its health and its end.
    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Whether all keys of entries below the seal are known.
    pub(crate) fn knows_keys(&self) -> bool {
        self.known.is_done()
    }

    /// All keys are known. What an index object must have of them is durable.
    pub(crate) fn learn(&self, window: Window) {
        self.known.learn(window);
    }

    /// They could not be read; `lasting`: and cannot until somebody helps.
    pub(crate) fn cannot_learn(&self, why: String, lasting: bool) {
        self.known.failed(why, lasting);
    }

    /// Notes that these entries, which hold `keys`, are in published segments as of now, when the
    /// partition's clock in the state says `ran_ms`. Does nothing where they do not follow what was
    /// noted before, see [`Owned::keys_upto`], or the keys before them are not known yet.
    pub(crate) fn cover(&self, entries: Origin, keys: Vec<KeyHash>, ran_ms: u64) {
        let Origin { from, to, .. } = entries;
        let behind = self.uncounted.lock().behind(Instant::now());
        let since = Since::Ran(ran_ms.saturating_add(behind));
        let Some(mut window) = self.known.get() else {
            return;
        };
        if window.upto() == from && to > from {
            window.add(Generation {
                from,
                to,
                since,
                keys,
            });
            window.begin_at(to, entries.below);
            self.unwritten.store(true, Ordering::Release);
        }
    }

    /// Up to where keys of entries in segments are noted, and the highest term begun below, where
    /// it is known. `None` while not all keys are known.
    pub(crate) fn keys_upto(&self) -> Option<(u64, Option<u64>)> {
        let window = self.known.get()?;
        Some((window.upto(), window.term_below()))
    }

    /// How many keys are known.
    pub(crate) fn keys_known(&self) -> usize {
        self.known.get().map_or(0, |window| window.len())
    }

    /// Forgets the keys whose time is over; see [`Window::expire`].
    pub(crate) fn expire(&self, ran_ms: u64, after: Duration, imported: impl Fn(&str) -> bool) {
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let window = self.known.get();
        if window.is_some_and(|mut window| window.expire(ran_ms, after, imported)) {
            self.unwritten.store(true, Ordering::Release);
        }
    }

    /// What the next index object is to hold, if it would say anything new; and the highest term
    /// begun below its reach, where it is known.
    pub(crate) fn index_to_write(&self) -> Option<(Index, Option<u64>)> {
        // Whatever comes after this is new to the object.
        let unwritten = self.unwritten.swap(false, Ordering::AcqRel);
        let window = self.known.get()?;
        unwritten.then(|| (window.index(), window.term_below()))
    }

    /// The object was not written after all.
    pub(crate) fn index_not_written(&self) {
        self.unwritten.store(true, Ordering::Release);
    }

    /// The next index object's number, which nobody else gets.
    pub(crate) fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::AcqRel)
    }

    /// What a heartbeat is to say of this partition, if any of its keys age. None do while they are
    /// not known: who is refused for that long could not come in time.
    pub(crate) fn report_ran(&self) -> Option<(u32, u64)> {
        let ran = self.uncounted.lock().report(Instant::now());
        let ages = self.known.get().is_some_and(|window| window.ages());
        (ran > 0 && ages).then_some((self.id, ran))
    }

    /// That is in the state.
    pub(crate) fn ran_counted(&self) {
        self.uncounted.lock().counted();
    }

    /// Up to where entries have been in segments for the whole window and are settled for the
    /// writer.
    pub(crate) fn trimmable(&self) -> u64 {
        let floor = self.known.get().map_or(0, |window| window.floor());
        floor.min(self.writer.settled_below())
    }

    /// Up to where this owner has deleted.
    pub(crate) fn deleted(&self) -> u64 {
        self.deleted.load(Ordering::Acquire)
    }

    /// Entries below `floor` are deleted.
    pub(crate) fn note_deleted(&self, floor: u64) {
        self.deleted.fetch_max(floor, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
