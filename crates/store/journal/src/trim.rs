//! Deleting what is in snapshots and segments, without ever letting a straggler believe that the
//! deleted ground is the end of the stream.
//!
//! Seals stay for ever (a few bytes for each takeover): they are what a thawed writer runs into.
//! In a partition the dead entries right behind a seal stay as well (at most
//! [`MAX_IN_FLIGHT`](crate::MAX_IN_FLIGHT) for each takeover, hardly ever any): a writer whose put
//! was aimed at such a slot may not know yet that it is taken. A partition needs no more than that. In
//! `global` any node may be a straggler without having been fenced, so every window of
//! [`TRIM_WINDOW_SLOTS`] slots gets a durable mark before the first deletion in it; see rule 5 in the
//! crate's documentation. Marks stay, one small object for each window.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::entry::{EntryKind, Header, StreamId};
use crate::store::{EntryStore, StoreError};
use crate::{Journal, slot};

/// `global` is trimmed by whole windows of so many slots.
pub const TRIM_WINDOW_SLOTS: u64 = 256;

/// So many of the newest slots of `global` stay, whatever the caller says: a node that is a little
/// behind reads on, instead of loading a snapshot.
pub const KEEP_NEWEST_SLOTS: u64 = 512;

/// Headers read at the same time.
const PARALLEL_HEADERS: usize = 8;

/// What a trim did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Entries that were deleted.
    pub deleted: u64,
    /// Seals and dead entries below the floor that were kept.
    pub kept: u64,
}

fn mark(seq: u64) -> String {
    format!("trimmed/global/{:020}", seq / TRIM_WINDOW_SLOTS)
}

/// Whether the slot of `global` lies in a window that is being or has been trimmed. What a reader
/// saw *before* this said `false` was not trimmed ground.
pub(crate) async fn is_trimmed(store: &dyn EntryStore, seq: u64) -> Result<bool, StoreError> {
    Ok(store.read(&mark(seq)).await?.is_some())
}

impl Journal {
    /// Deletes the entries of `stream` below `below`, but no seal and, in a partition, no dead
    /// entry; of `global`, only whole windows and never the newest [`KEEP_NEWEST_SLOTS`] slots. Can be
    /// repeated and interrupted at any time.
    ///
    /// The caller must have published `below` first: for `global` by a durable snapshot with at
    /// least that offset, for a partition as its floor in `global`. A floor may be published only
    /// by the owner, after the second look of rule 6, and must not be above
    /// [`Writer::settled_below`](crate::Writer::settled_below) of its own writer.
    ///
    /// # Errors
    /// When the store does not answer; what was deleted until then stays deleted.
    pub async fn trim(&self, stream: StreamId, below: u64) -> Result<Trimmed, StoreError> {
        let keys = self.store.list(&stream.prefix()).await?;
        let slots: Vec<u64> = keys.iter().filter_map(|key| stream.seq_of(key)).collect();
        let below = match (stream, slots.last()) {
            (_, None) => return Ok(Trimmed::default()),
            (StreamId::Partition(_), _) => below,
            (StreamId::Global, Some(newest)) => {
                let end = below.min(newest.saturating_sub(KEEP_NEWEST_SLOTS - 1));
                end / TRIM_WINDOW_SLOTS * TRIM_WINDOW_SLOTS
            }
        };
        let mut done = Trimmed::default();
        // The highest term of the seals so far: every seal below is still there to tell.
        let mut term = 0;
        let old: Vec<u64> = slots.into_iter().take_while(|seq| *seq < below).collect();
        for window in old.chunk_by(|a, b| a / TRIM_WINDOW_SLOTS == b / TRIM_WINDOW_SLOTS) {
            if let (StreamId::Global, Some(first)) = (stream, window.first()) {
                backstay_failpoint::hit("journal.trim.before_mark");
                // Whether this call or an earlier one made it does not matter, but it must be there.
                let mark = mark(*first);
                let bytes = Bytes::from_static(b"trimmed");
                if !self.store.create(&mark, bytes).await?
                    && self.store.read(&mark).await?.is_none()
                {
                    return Err(StoreError::Unavailable {
                        object: mark,
                        detail: "it answers that the object exists, and that it does not"
                            .to_owned(),
                    });
                }
            }
            let mut keys = Vec::new();
            for (seq, header) in self.headers(stream, window).await? {
                let dead = stream != StreamId::Global && header.term < term;
                if header.kind == EntryKind::Data && !dead {
                    keys.push(stream.key(seq));
                } else {
                    done.kept += 1;
                }
                if header.kind != EntryKind::Data {
                    term = term.max(header.term);
                }
            }
            if !keys.is_empty() {
                done.deleted += keys.len() as u64;
                backstay_failpoint::hit("journal.trim.before_delete");
                self.store.delete(keys).await?;
                backstay_failpoint::hit("journal.trim.after_delete");
            }
        }
        Ok(done)
    }

    /// Who wrote these slots. One that cannot be read is left out, and so is not trimmed.
    async fn headers(
        &self,
        stream: StreamId,
        slots: &[u64],
    ) -> Result<Vec<(u64, Header)>, StoreError> {
        let headers: Vec<Option<(u64, Header)>> = stream::iter(slots.iter().copied())
            .map(|seq| async move {
                match slot::read_header(&*self.store, &self.reading, stream, seq).await {
                    Ok(header) => Ok(header.map(|header| (seq, header))),
                    Err(error) if error.is_damage() => {
                        tracing::warn!(%error, "not trimmed");
                        Ok(None)
                    }
                    Err(error) => Err(error),
                }
            })
            .buffered(PARALLEL_HEADERS)
            .try_collect()
            .await?;
        Ok(headers.into_iter().flatten().collect())
    }
}
