//! Group commit: the one writer of a partition.
//!
//! Records gather until a batch is cut; batches become slots, several of them on their way at the
//! same time; acknowledgements are given strictly in the order of slots. One task owns all of
//! that. Callers only add to a queue, whose size is bounded by refusing (`Full`), never by making
//! them wait in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Journal;
use crate::backoff::Backoff;
use crate::entry::{
    EntryKind, Header, MAX_PAYLOAD_BYTES, RECORD_FRAME_BYTES, StreamId, frame, pack,
};
use crate::fence::{Fence, Occupied, judge};
use crate::seal::Sealed;
use crate::slot;
use crate::store::{EntryStore, StoreError};

/// The most slots any writer keeps on their way. Part of the protocol, not a matter of taste:
/// within so many slots of its seal, a writer expects late puts of the one before it.
pub const MAX_IN_FLIGHT: usize = 16;

/// The longest record, in bytes.
const MAX_RECORD_BYTES: usize = 64 << 20;

/// From this size on, packing is done where it does not hold up other tasks.
const PACK_ASIDE_BYTES: usize = 64 << 10;

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
    /// The slot.
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
        /// Who.
        by: String,
        /// With which term.
        term: u64,
    },
    /// Too much waits already. The record was not taken.
    #[error("{backlog_bytes} bytes wait for the journal, the limit is {limit}; send again later")]
    Full {
        /// Bytes that wait.
        backlog_bytes: usize,
        /// [`CommitOptions::backlog_bytes`].
        limit: usize,
    },
    /// The record is longer than a record may be. It was not taken.
    #[error("a record of {bytes} bytes is longer than the limit of {limit}; send smaller batches")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
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
                last_ack: Instant::now(),
                last_error: None,
                fenced: None,
                closed: false,
            }),
            wake: Notify::new(),
            ended: CancellationToken::new(),
        });
        let committer = Committer {
            journal: self.clone(),
            stream,
            term: after.term,
            sealed: after.seq,
            next: after.seq + 1,
            shared: Arc::clone(&shared),
            slots: BTreeMap::new(),
            puts: JoinSet::new(),
        };
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

/// The task behind a [`Writer`].
struct Committer {
    journal: Journal,
    stream: StreamId,
    term: u64,
    /// The slot of our seal.
    sealed: u64,
    /// The lowest slot that was never tried.
    next: u64,
    shared: Arc<Shared>,
    /// Slots that are not acknowledged yet, whether settled or not.
    slots: BTreeMap<u64, Slot>,
    puts: JoinSet<(u64, Occupied)>,
}

struct Slot {
    records: Vec<Pending>,
    bytes: usize,
    settled: bool,
}

/// What there is to do when no put has ended.
enum Next {
    Put(Vec<Pending>),
    WaitUntil(Instant),
    Wait,
    Finished,
}

impl Drop for Committer {
    fn drop(&mut self) {
        // However the task ends, nobody may go on waiting for it. Dropped senders answer for
        // themselves.
        let mut queue = self.shared.queue.lock();
        queue.closed = true;
        queue.records.clear();
        queue.bytes = 0;
        queue.backlog_bytes = 0;
        queue.oldest_in_slot = None;
        drop(queue);
        self.shared.ended.cancel();
    }
}

impl Committer {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let deadline = match self.next() {
                Next::Put(records) => {
                    self.put(records);
                    continue;
                }
                Next::WaitUntil(deadline) => Some(deadline),
                Next::Wait => None,
                Next::Finished => return,
            };
            let linger = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(ended) = self.puts.join_next() => match ended {
                    Ok((seq, outcome)) => self.settle(seq, outcome),
                    Err(error) => {
                        // A panic in a put. Nothing can be known of its slot any more, so
                        // nothing above it may ever be acknowledged.
                        tracing::error!(stream = %self.stream, %error, "the journal writer ends");
                        return;
                    }
                },
                () = shared.wake.notified() => {}
                () = linger => {}
            }
        }
    }

    /// Decides without waiting.
    fn next(&self) -> Next {
        let options = &self.shared.options;
        let mut queue = self.shared.queue.lock();
        let Some(first) = queue.records.front() else {
            return if (queue.closed || queue.fenced.is_some()) && self.slots.is_empty() {
                Next::Finished
            } else {
                Next::Wait
            };
        };
        // Counted from the lowest slot that is not acknowledged, settled or not: that is the
        // distance which the writer after us relies on.
        let lowest = self
            .slots
            .first_key_value()
            .map_or(self.next, |(seq, _)| *seq);
        let near_seal = lowest - self.sealed < MAX_IN_FLIGHT as u64;
        let in_flight = if near_seal { 1 } else { options.in_flight };
        if self.slots.len() >= in_flight {
            return Next::Wait;
        }
        let due = first.since + options.linger;
        if queue.bytes < options.max_bytes && !queue.closed && Instant::now() < due {
            return Next::WaitUntil(due);
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(pending) = queue.records.front() {
            if !batch.is_empty() && bytes + pending.bytes() > options.max_bytes {
                break;
            }
            bytes += pending.bytes();
            batch.extend(queue.records.pop_front());
        }
        queue.bytes -= bytes;
        Next::Put(batch)
    }

    /// Sends the records to the next slot.
    fn put(&mut self, records: Vec<Pending>) {
        let seq = self.next;
        self.next += 1;
        let put = Put {
            journal: self.journal.clone(),
            header: Header {
                stream: self.stream,
                seq,
                term: self.term,
                writer: self.journal.writer.clone(),
                nonce: uuid::Uuid::new_v4().as_u128(),
                kind: EntryKind::Data,
            },
            shared: Arc::clone(&self.shared),
        };
        let data: Vec<Bytes> = records
            .iter()
            .map(|pending| pending.record.clone())
            .collect();
        let bytes = records.iter().map(Pending::bytes).sum();
        self.slots.insert(
            seq,
            Slot {
                records,
                bytes,
                settled: false,
            },
        );
        self.note_oldest();
        self.puts
            .spawn(async move { (seq, put.run(data, bytes).await) });
    }

    fn settle(&mut self, seq: u64, outcome: Occupied) {
        match outcome {
            Occupied::Own => {
                if let Some(slot) = self.slots.get_mut(&seq) {
                    slot.settled = true;
                }
                self.acknowledge();
            }
            Occupied::Dead => {
                let fenced = self.shared.queue.lock().fenced.clone();
                if let Some(fence) = fenced {
                    // The slot was ours, was read and trimmed, and a straggler wrote into the void.
                    // What lies above the fence is void too: nothing may be put there.
                    self.fence(seq, fence);
                } else if let Some(slot) = self.slots.remove(&seq) {
                    // Near the seal only, where this was the one slot on its way: order is kept.
                    self.put(slot.records);
                }
            }
            Occupied::Rival => {
                let by = "another writer of our own term".to_owned();
                let term = self.term;
                self.fence(seq, Fence { by, term });
            }
            Occupied::Fenced(fence) => self.fence(seq, fence),
        }
    }

    /// Nothing from `seq` on will ever be acknowledged; what is below may still be settled.
    fn fence(&mut self, seq: u64, fence: Fence) {
        tracing::warn!(stream = %self.stream, seq, %fence, "fenced");
        let mut bytes = 0;
        for slot in self.slots.split_off(&seq).into_values() {
            bytes += slot.bytes;
            answer_fenced(slot.records, &fence);
        }
        self.shared.queue.lock().backlog_bytes -= bytes;
        self.shared.fence(&fence);
        self.note_oldest();
    }

    /// Answers for all slots up to the first that is not settled.
    fn acknowledge(&mut self) {
        while let Some(first) = self.slots.first_entry() {
            if !first.get().settled {
                break;
            }
            crate::failpoint::hit("journal.commit.before_ack");
            let (seq, slot) = first.remove_entry();
            let mut queue = self.shared.queue.lock();
            queue.backlog_bytes -= slot.bytes;
            queue.last_ack = Instant::now();
            drop(queue);
            for (index, pending) in slot.records.into_iter().enumerate() {
                let index = index as u32;
                let _ = pending.done.send(Ok(Position { seq, index }));
            }
            crate::failpoint::hit("journal.commit.after_ack");
        }
        self.note_oldest();
    }

    fn note_oldest(&self) {
        let first = self.slots.first_key_value();
        let oldest = first.and_then(|(_, slot)| slot.records.first());
        self.shared.queue.lock().oldest_in_slot = oldest.map(|pending| pending.since);
    }
}

/// One slot on its way: tried with the same bytes until it is settled, however long that takes.
struct Put {
    journal: Journal,
    header: Header,
    shared: Arc<Shared>,
}

impl Put {
    async fn run(self, records: Vec<Bytes>, bytes: usize) -> Occupied {
        let key = self.header.stream.key(self.header.seq);
        let mut backoff = Backoff::default();
        let encoded = loop {
            match self.encode(&records, bytes).await {
                Ok(encoded) => break encoded,
                Err(source) => self.note(StoreError::Encode {
                    object: key.clone(),
                    source,
                }),
            }
            backoff.wait().await;
        };
        drop(records);
        loop {
            crate::failpoint::hit("journal.commit.before_put");
            match self.attempt(&key, encoded.clone()).await {
                Ok(Some(outcome)) => {
                    crate::failpoint::hit("journal.commit.after_put");
                    self.shared.queue.lock().last_error = None;
                    return outcome;
                }
                // It existed and is gone: asking again answers it.
                Ok(None) => {}
                Err(error) => self.note(error),
            }
            backoff.wait().await;
        }
    }

    async fn attempt(&self, key: &str, encoded: Bytes) -> Result<Option<Occupied>, StoreError> {
        let store: &dyn EntryStore = &*self.journal.store;
        if store.create(key, encoded).await? {
            return Ok(Some(Occupied::Own));
        }
        let found = slot::read_header(store, self.header.stream, self.header.seq).await?;
        Ok(found.map(|found| judge(&found, self.header.term, self.header.nonce)))
    }

    async fn encode(&self, records: &[Bytes], bytes: usize) -> std::io::Result<Bytes> {
        let payload = frame(records.iter(), bytes);
        let raw_len = payload.len();
        let packed = if raw_len < PACK_ASIDE_BYTES {
            pack(&payload)?
        } else {
            tokio::task::spawn_blocking(move || pack(&payload))
                .await
                .map_err(std::io::Error::other)??
        };
        self.header.encode(&packed, raw_len)
    }

    fn note(&self, error: StoreError) {
        tracing::warn!(%error, seq = self.header.seq, "the journal entry is not durable yet");
        self.shared.queue.lock().last_error = Some(error.to_string());
    }
}
