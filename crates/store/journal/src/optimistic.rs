//! Appending to a stream that has many writers: create the slot that one's state says is next, or
//! learn who was faster.

use bytes::Bytes;

use crate::Journal;
use crate::backoff::Backoff;
use crate::entry::{Entry, EntryKind, StreamId};
use crate::fence::{Fence, Occupied, judge};
use crate::slot;
use crate::store::StoreError;
use crate::trim::is_trimmed;

/// What became of an optimistic append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryAppend {
    /// It is in the log, in this slot. The slot is the one asked for, or a later one if dead
    /// entries of a lower term had to be stepped over.
    Appended {
        /// The slot that the entry is in.
        seq: u64,
    },
    /// Another writer was faster: apply this entry, decide again, and try behind it.
    Lost(Entry),
    /// The stream has been taken over.
    Fenced(Fence),
    /// The slot lies in trimmed ground, so the caller's state is older than the newest snapshot.
    /// Load that and read on from there. Whether this append counted is unknown: decide again
    /// against the new state.
    TrimmedBehind,
}

impl Journal {
    /// Appends `payload` to `stream` at `at_seq`, the slot behind the last one that the caller has
    /// applied, under `term`, the highest term that the caller has seen in the stream.
    ///
    /// # Errors
    /// When the store does not answer within some tries. Whether the append took effect, or still
    /// will, is then unknown: read the stream on and decide again.
    pub async fn try_append(
        &self,
        stream: StreamId,
        at_seq: u64,
        term: u64,
        payload: Bytes,
    ) -> Result<TryAppend, StoreError> {
        let store = &*self.store;
        let mut entry = Entry {
            stream,
            seq: at_seq,
            term,
            settled: at_seq,
            writer: self.writer.clone(),
            nonce: uuid::Uuid::new_v4().as_u128(),
            kind: EntryKind::Data,
            payload,
        };
        let mut backoff = Backoff::default();
        loop {
            backstay_failpoint::hit("journal.append.before_put");
            let mut created = slot::create_with_retry(store, &entry).await?;
            backstay_failpoint::hit("journal.append.after_put");
            let mut lost = None;
            if !created {
                let found = slot::read_with_retry(store, &self.reading, stream, entry.seq).await?;
                let Some(occupant) = found else {
                    // It was there and is gone, and only trimming deletes; in `global` it says so
                    // first. Where it has not, the store has answered what is not so: it is asked
                    // again, as by a partition's writer.
                    let gone = stream != StreamId::Global
                        || slot::with_retry(|| is_trimmed(store, entry.seq)).await?;
                    if gone {
                        return Ok(TryAppend::TrimmedBehind);
                    }
                    slot::wait_in_doubt(&mut backoff, stream, entry.seq).await?;
                    continue;
                };
                match judge(&occupant.header(), term, entry.nonce) {
                    Occupied::Own => created = true,
                    Occupied::Dead => {}
                    Occupied::Rival => lost = Some(occupant),
                    // A higher term counts wherever it is met; all else only outside trimmed ground.
                    Occupied::Fenced(fence) => return Ok(TryAppend::Fenced(fence)),
                }
            }
            if stream == StreamId::Global
                && slot::with_retry(|| is_trimmed(store, entry.seq)).await?
            {
                return Ok(TryAppend::TrimmedBehind);
            }
            if created {
                return Ok(TryAppend::Appended { seq: entry.seq });
            }
            if let Some(lost) = lost {
                return Ok(TryAppend::Lost(lost));
            }
            entry.seq += 1;
        }
    }
}
