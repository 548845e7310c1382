//! A partition that this node writes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use backstay_failpoint::hit;
use backstay_journal::{CommitError, Position, Writer};
use bytes::Bytes;
use parking_lot::Mutex;

use super::clock::Uncounted;
use super::dedupe::{Claim, Outcome, Window};
use super::index::{Generation, Index, Since};
use super::record::KeyHash;

/// Why a batch was not stored in this partition.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Another writer holds the partition; the batch is not in it.
    Lost,
    /// Too much waits here; the batch was not taken.
    Full {
        /// Bytes that wait.
        backlog_bytes: usize,
    },
    /// As many keys are known here as may be; the batch was not taken.
    KeysFull {
        /// How many.
        keys: usize,
    },
    /// Longer than a record may be.
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Not acknowledged in time; it may be stored yet.
    Unclear {
        /// What the journal said last.
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
    /// The partition.
    pub(crate) id: u32,
    /// The term that the seal began.
    pub(crate) term: u64,
    writer: Writer,
    window: Mutex<Window>,
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
    /// `number` is that of the next index object; after more than `lease` without a heartbeat the
    /// process is taken to have been frozen.
    pub(crate) fn new(
        id: u32,
        term: u64,
        writer: Writer,
        window: Window,
        number: u64,
        lease: Duration,
    ) -> Self {
        Self {
            id,
            term,
            writer,
            window: Mutex::new(window),
            unwritten: AtomicBool::new(false),
            number: AtomicU64::new(number),
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
            let claim = self.window.lock().claim(key);
            let mut pending = match claim {
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
            let settled = pending.wait_for(|outcome| *outcome != Outcome::Open);
            match tokio::time::timeout_at(deadline, settled).await {
                Ok(Ok(outcome)) if *outcome == Outcome::Stored => return Ok(true),
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return Err(self.unclear(wait)),
            }
        }
    }

    async fn follow(&self, key: KeyHash, record: Bytes) -> Result<Position, Refused> {
        let answer = self.writer.append(record).await;
        hit("node.ingest.before_window");
        let mut window = self.window.lock();
        match &answer {
            Ok(_) => window.stored(key),
            // Unclear: the key stays claimed, so that the batch cannot come in twice. The writer
            // waits without limit, so this is its end by abandonment, and the window's too.
            Err(CommitError::Unavailable { .. }) => {}
            Err(_) => window.not_stored(key),
        }
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

    /// Notes that the entries from `from` to `to`, which hold `keys`, are in published segments as
    /// of now, when the partition's clock in the state says `ran_ms`. Does nothing where they do
    /// not follow what was noted before; see [`Owned::keys_upto`].
    pub(crate) fn cover(&self, from: u64, to: u64, keys: Vec<KeyHash>, ran_ms: u64) {
        let behind = self.uncounted.lock().behind(Instant::now());
        let since = Since::Ran(ran_ms.saturating_add(behind));
        let mut window = self.window.lock();
        if window.upto() == from && to > from {
            window.add(Generation {
                from,
                to,
                since,
                keys,
            });
            self.unwritten.store(true, Ordering::Release);
        }
    }

    /// Up to where keys of entries in segments are noted.
    pub(crate) fn keys_upto(&self) -> u64 {
        self.window.lock().upto()
    }

    /// How many keys are known.
    pub(crate) fn keys_known(&self) -> usize {
        self.window.lock().len()
    }

    /// Forgets the keys whose time is over; see [`Window::expire`].
    pub(crate) fn expire(&self, ran_ms: u64, after: Duration, imported: impl Fn(&str) -> bool) {
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        if self.window.lock().expire(ran_ms, after, imported) {
            self.unwritten.store(true, Ordering::Release);
        }
    }

    /// What the next index object is to hold, if it would say anything new.
    pub(crate) fn index_to_write(&self) -> Option<Index> {
        // Whatever comes after this is new to the object.
        let unwritten = self.unwritten.swap(false, Ordering::AcqRel);
        unwritten.then(|| self.window.lock().index())
    }

    /// The object was not written after all.
    pub(crate) fn index_not_written(&self) {
        self.unwritten.store(true, Ordering::Release);
    }

    /// The next index object's number, which nobody else gets.
    pub(crate) fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::AcqRel)
    }

    /// What a heartbeat is to say of this partition, if any of its keys age.
    pub(crate) fn say_ran(&self) -> Option<(u32, u64)> {
        let ran = self.uncounted.lock().say(Instant::now());
        (ran > 0 && self.window.lock().ages()).then_some((self.id, ran))
    }

    /// That is in the state.
    pub(crate) fn ran_counted(&self) {
        self.uncounted.lock().counted();
    }

    /// Up to where entries have been in segments for the whole window and are settled for the
    /// writer.
    pub(crate) fn trimmable(&self) -> u64 {
        let floor = self.window.lock().floor();
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
