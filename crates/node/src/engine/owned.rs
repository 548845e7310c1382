//! A partition that this node writes.

use std::time::{Duration, Instant};

use backstay_failpoint::hit;
use backstay_journal::{CommitError, Position, Writer};
use bytes::Bytes;
use parking_lot::Mutex;

use super::dedupe::{Claim, Outcome, Window};
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
    /// Positions that became covered, with the time: what is trimmed when the time has come.
    covered: Mutex<Vec<(Instant, u64)>>,
}

impl Owned {
    pub(crate) fn new(id: u32, term: u64, writer: Writer, window: Window) -> Self {
        Self {
            id,
            term,
            writer,
            window: Mutex::new(window),
            covered: Mutex::new(Vec::new()),
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
            Ok(position) => window.stored(key, position.seq),
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

    /// Notes that entries below `covered` are in published segments as of now.
    pub(crate) fn note_covered(&self, covered: u64) {
        self.covered.lock().push((Instant::now(), covered));
    }

    /// Up to where entries have been covered for at least `age` and are settled for the writer.
    pub(crate) fn trimmable(&self, age: Duration) -> Option<u64> {
        let old = self
            .covered
            .lock()
            .iter()
            .filter(|(since, _)| since.elapsed() >= age)
            .map(|(_, covered)| *covered)
            .max()?;
        Some(old.min(self.writer.settled_below()))
    }

    /// Forgets what lies below a published floor.
    pub(crate) fn trimmed(&self, floor: u64) {
        self.window.lock().forget_below(floor);
        self.covered.lock().retain(|(_, covered)| *covered > floor);
    }
}

#[cfg(test)]
mod tests;
