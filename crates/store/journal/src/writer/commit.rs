//! The task behind a writer: cuts batches and keeps slots on their way, until they are
//! [acknowledged](acknowledge).

mod acknowledge;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{MAX_IN_FLIGHT, Pending, Shared};
use crate::Journal;
use crate::backoff::Backoff;
use crate::entry::{EntryKind, Header, StreamId, frame, pack};
use crate::fence::{Occupied, judge};
use crate::seal::Sealed;
use crate::slot;
use crate::store::{EntryStore, StoreError};

/// From this size on, packing is done where it does not hold up other tasks.
const PACK_ASIDE_BYTES: usize = 64 << 10;

/// The task behind a [`Writer`](super::Writer).
pub(super) struct Committer {
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
    pub(super) fn new(
        journal: Journal,
        stream: StreamId,
        after: &Sealed,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            journal,
            stream,
            term: after.term,
            sealed: after.seq,
            next: after.seq + 1,
            shared,
            slots: BTreeMap::new(),
            puts: JoinSet::new(),
        }
    }

    pub(super) async fn run(mut self) {
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

    /// What to do next, by what is known now.
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
        let lowest = self.slots.first_key_value();
        let settled = lowest.map_or(seq, |(lowest, _)| *lowest);
        let put = Put {
            journal: self.journal.clone(),
            header: Header {
                stream: self.stream,
                seq,
                term: self.term,
                settled,
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
        self.note_lowest();
        self.puts
            .spawn(async move { (seq, put.run(data, bytes).await) });
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
            backstay_failpoint::hit("journal.commit.before_put");
            match self.attempt(&key, encoded.clone()).await {
                Ok(Some(outcome)) => {
                    backstay_failpoint::hit("journal.commit.after_put");
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
        let reading = &self.journal.reading;
        let found = slot::read_header(store, reading, self.header.stream, self.header.seq).await?;
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
