//! Group commit: the one writer of a partition.
//!
//! Records gather until a batch is cut; batches become slots, several of them on their way at the
//! same time; acknowledgements are given strictly in the order of slots. One task owns all of
//! that. Callers only add to a queue, whose size is bounded by refusing (`Full`), never by making
//! them wait in memory.

mod commit;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Journal;
use crate::entry::{MAX_PAYLOAD_BYTES, RECORD_FRAME_BYTES, StreamId};
use crate::fence::Fence;
use crate::seal::Sealed;
use commit::Committer;

/// The most slots any writer keeps on their way. Part of the protocol, not a matter of taste:
/// within so many slots of its seal, a writer expects late puts of the one before it.
pub const MAX_IN_FLIGHT: usize = 16;

/// The longest record, in bytes.
const MAX_RECORD_BYTES: usize = 64 << 20;

/// How batches are cut and how much may wait.
#[derive(Clone, Debug)]
pub struct CommitOptions {
    /// A batch is cut when its records come to so many bytes. Default 4 MiB.
    pub max_bytes: usize,
    /// A batch is cut when its first record has waited so long. Default 100 ms.
    pub linger: Duration,
    /// Slots on their way at the same time, from 1 to [`MAX_IN_FLIGHT`]. Default 4.
    pub in_flight: usize,
    /// Bytes of unacknowledged records that are held at most. Default 64 MiB.
    pub backlog_bytes: usize,
    /// How long a caller waits for its acknowledgement before it is told
    /// [`CommitError::Unavailable`]. The writer itself goes on trying. Default 30 s.
    pub give_up: Duration,
}

impl Default for CommitOptions {
    fn default() -> Self {
        Self {
            max_bytes: 4 << 20,
            linger: Duration::from_millis(100),
            in_flight: 4,
            backlog_bytes: 64 << 20,
            give_up: Duration::from_secs(30),
        }
    }
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The slot that the record is in.
    pub seq: u64,
    /// Which record of the slot, from 0.
    pub index: u32,
}

/// Why a record was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Another writer has taken the stream over. Nothing can be acknowledged here any more. The
    /// record is not in the log.
    #[error(
        "fenced: {by} has taken the stream over with term {term}; send the events to the new owner"
    )]
    Fenced {
        /// The sealer or writer that has taken over.
        by: String,
        /// The term that it has begun.
        term: u64,
    },
    /// Too much waits already. The record was not taken.
    #[error("{backlog_bytes} bytes wait for the journal, the limit is {limit}; send again later")]
    Full {
        /// Bytes of records that are not acknowledged yet.
        backlog_bytes: usize,
        /// The limit, from [`CommitOptions::backlog_bytes`].
        limit: usize,
    },
    /// The record is longer than a record may be. It was not taken.
    #[error("a record of {bytes} bytes is longer than the limit of {limit}; send smaller batches")]
    TooLarge {
        /// The record's length in bytes.
        bytes: usize,
        /// The longest record that is taken, in bytes.
        limit: usize,
    },
    /// No acknowledgement in time. The record may still be committed: send it again with the same
    /// idempotency key.
    #[error(
        "not acknowledged within {waited:?}: {detail}; it may still be committed, send it again with the same idempotency key"
    )]
    Unavailable {
        /// How long the caller waited.
        waited: Duration,
        /// What the store said last.
        detail: String,
    },
    /// The writer was closed. The record was not taken.
    #[error("the writer is closed; open the partition again")]
    Closed,
}

/// How a writer is doing.
#[derive(Clone, Debug)]
pub struct WriterHealth {
    /// When something was acknowledged last (at first: when the writer was made).
    pub last_ack: std::time::Instant,
    /// Since when the oldest unacknowledged record waits; `None` when nothing waits. A writer with
    /// nothing to do is healthy however old `last_ack` is.
    pub waiting_since: Option<std::time::Instant>,
    /// Bytes of unacknowledged records.
    pub backlog_bytes: usize,
    /// Who holds the stream instead.
    pub fenced: Option<Fence>,
    /// What the store said last, if the last call failed.
    pub last_error: Option<String>,
}

/// The writer of one partition; clones share it. When the last clone is dropped without
/// [`Writer::close`], what is not acknowledged is abandoned, as in a crash.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
    _task: Arc<AbortOnDrop>,
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Shared {
    options: CommitOptions,
    queue: Mutex<Queue>,
    wake: Notify,
    ended: CancellationToken,
}

struct Queue {
    records: VecDeque<Pending>,
    /// Bytes in `records`.
    bytes: usize,
    /// Bytes in `records` and in slots on their way.
    backlog_bytes: usize,
    /// The oldest record in a slot on its way.
    oldest_in_slot: Option<Instant>,
    /// The lowest slot that is not acknowledged.
    settled_below: u64,
    last_ack: Instant,
    last_error: Option<String>,
    fenced: Option<Fence>,
    closed: bool,
}

struct Pending {
    record: Bytes,
    since: Instant,
    done: oneshot::Sender<Result<Position, CommitError>>,
}

impl Pending {
    fn bytes(&self) -> usize {
        self.record.len() + RECORD_FRAME_BYTES
    }
}

impl Journal {
    /// The writer that follows the seal `after`, which this process has put in its place itself.
    ///
    /// For `global` use [`Journal::try_append`] instead. Must be called within a tokio runtime.
    pub fn writer(&self, stream: StreamId, after: Sealed, options: CommitOptions) -> Writer {
        let options = CommitOptions {
            max_bytes: options.max_bytes.clamp(1, MAX_PAYLOAD_BYTES / 2),
            in_flight: options.in_flight.clamp(1, MAX_IN_FLIGHT),
            ..options
        };
        let shared = Arc::new(Shared {
            options,
            queue: Mutex::new(Queue {
                records: VecDeque::new(),
                bytes: 0,
                backlog_bytes: 0,
                oldest_in_slot: None,
                settled_below: after.seq + 1,
                last_ack: Instant::now(),
                last_error: None,
                fenced: None,
                closed: false,
            }),
            wake: Notify::new(),
            ended: CancellationToken::new(),
        });
        let committer = Committer::new(self.clone(), stream, &after, Arc::clone(&shared));
        let task = tokio::spawn(committer.run());
        Writer {
            shared,
            _task: Arc::new(AbortOnDrop(task.abort_handle())),
        }
    }
}

impl Writer {
    /// Appends a record and waits until it is durable and every lower slot is settled.
    ///
    /// Records are ordered as these futures are first polled. Dropping the future does not take
    /// the record back: it may be committed, unknown to the caller, like one that got
    /// [`CommitError::Unavailable`].
    ///
    /// # Errors
    /// See [`CommitError`]; only `Unavailable` leaves the outcome open.
    pub async fn append(&self, record: Bytes) -> Result<Position, CommitError> {
        let answer = self.enqueue(record)?;
        let give_up = self.shared.options.give_up;
        let detail = match tokio::time::timeout(give_up, answer).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(_)) => "the writer was abandoned".to_owned(),
            Err(_) => {
                let queue = self.shared.queue.lock();
                let error = queue.last_error.clone();
                error.unwrap_or_else(|| "the store is too slow".to_owned())
            }
        };
        Err(CommitError::Unavailable {
            waited: give_up,
            detail,
        })
    }

    fn enqueue(
        &self,
        record: Bytes,
    ) -> Result<oneshot::Receiver<Result<Position, CommitError>>, CommitError> {
        let options = &self.shared.options;
        let (done, answer) = oneshot::channel();
        let pending = Pending {
            record,
            since: Instant::now(),
            done,
        };
        let bytes = pending.bytes();
        let limit = MAX_RECORD_BYTES.min(options.backlog_bytes);
        if bytes > limit {
            return Err(CommitError::TooLarge { bytes, limit });
        }
        let mut queue = self.shared.queue.lock();
        if let Some(Fence { by, term }) = queue.fenced.clone() {
            return Err(CommitError::Fenced { by, term });
        }
        if queue.closed {
            return Err(CommitError::Closed);
        }
        if queue.backlog_bytes + bytes > options.backlog_bytes {
            return Err(CommitError::Full {
                backlog_bytes: queue.backlog_bytes,
                limit: options.backlog_bytes,
            });
        }
        let was_empty = queue.records.is_empty();
        queue.backlog_bytes += bytes;
        queue.bytes += bytes;
        queue.records.push_back(pending);
        // Anything in between is found when the linger of the first record is over.
        if was_empty || queue.bytes >= options.max_bytes {
            self.shared.wake.notify_one();
        }
        Ok(answer)
    }

    /// Takes no more records and waits until all that were taken are settled. For as long as the
    /// store does not answer, this waits too: put a deadline around it.
    ///
    /// # Errors
    /// [`CommitError::Fenced`] when that is how the writer ended.
    pub async fn close(&self) -> Result<(), CommitError> {
        self.shared.queue.lock().closed = true;
        self.shared.wake.notify_one();
        self.shared.ended.cancelled().await;
        match self.shared.queue.lock().fenced.clone() {
            Some(Fence { by, term }) => Err(CommitError::Fenced { by, term }),
            None => Ok(()),
        }
    }

    /// Resolves when the writer has ended: it was closed, or it was fenced and every slot below
    /// the fence is settled.
    pub async fn ended(&self) {
        self.shared.ended.cancelled().await;
    }

    /// All slots below this one are settled. A floor above it must not be published: the writer
    /// may not have learned yet what became of its own slots there.
    pub fn settled_below(&self) -> u64 {
        self.shared.queue.lock().settled_below
    }

    /// How the writer is doing.
    pub fn health(&self) -> WriterHealth {
        let queue = self.shared.queue.lock();
        let oldest_queued = queue.records.front().map(|pending| pending.since);
        WriterHealth {
            last_ack: queue.last_ack.into_std(),
            waiting_since: queue
                .oldest_in_slot
                .or(oldest_queued)
                .map(Instant::into_std),
            backlog_bytes: queue.backlog_bytes,
            fenced: queue.fenced.clone(),
            last_error: queue.last_error.clone(),
        }
    }
}

impl Shared {
    fn fence(&self, fence: &Fence) {
        let mut queue = self.queue.lock();
        if queue.fenced.is_none() {
            queue.fenced = Some(fence.clone());
        }
        let waiting = std::mem::take(&mut queue.records);
        queue.backlog_bytes -= queue.bytes;
        queue.bytes = 0;
        drop(queue);
        answer_fenced(waiting, fence);
    }
}

fn answer_fenced(records: impl IntoIterator<Item = Pending>, fence: &Fence) {
    for pending in records {
        // A caller that no longer waits is fine, here and below.
        let _ = pending.done.send(Err(CommitError::Fenced {
            by: fence.by.clone(),
            term: fence.term,
        }));
    }
}
