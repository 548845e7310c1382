//! Deleting what is in snapshots and segments, without ever letting a straggler believe that the
//! deleted ground is the end of the stream.
//!
//! Seals stay for ever (a few bytes for each takeover): they are what a thawed writer runs into.
//! A partition needs no more than that, because its one writer is always at or below its seal. In
//! `global` any node may be a straggler without having been fenced, so every window of
//! [`TRIM_WINDOW`] slots gets a durable mark before the first deletion in it; see rule 5 in the
//! crate's documentation. Marks stay, one small object for each window.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::entry::{EntryKind, StreamId};
use crate::store::{EntryStore, StoreError};
use crate::{Journal, slot};

/// `global` is trimmed by whole windows of so many slots.
pub const TRIM_WINDOW: u64 = 256;

/// So many of the newest slots of `global` stay, whatever the caller says: a node that is a little
/// behind reads on, instead of loading a snapshot.
pub const KEEP_NEWEST: u64 = 512;

/// Headers read, and windows of a partition deleted, at the same time.
const PARALLEL: usize = 8;

/// Objects named in one call to the store.
const DELETE_AT_ONCE: usize = 256;

/// What a trim did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Entries that were deleted.
    pub deleted: u64,
    /// Seals below the floor that were kept.
    pub seals: u64,
}

fn mark(seq: u64) -> String {
    format!("trimmed/global/{:020}", seq / TRIM_WINDOW)
}

/// Whether the slot of `global` lies in a window that is being or has been trimmed. What a reader
/// saw *before* this said `false` was not trimmed ground.
pub(crate) async fn is_trimmed(store: &dyn EntryStore, seq: u64) -> Result<bool, StoreError> {
    Ok(store.read(&mark(seq)).await?.is_some())
}

impl Journal {
    /// Deletes the entries of `stream` below `below`, but no seal; of `global`, only whole windows
    /// and never the newest [`KEEP_NEWEST`] slots. Can be repeated and interrupted at any time.
    ///
    /// The caller must have published `below` first: a partition's floor in `global`, the offset
    /// of a durable snapshot for `global` itself.
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
                let end = below.min(newest.saturating_sub(KEEP_NEWEST - 1));
                end / TRIM_WINDOW * TRIM_WINDOW
            }
        };
        let mut done = Trimmed::default();
        let old: Vec<u64> = slots.into_iter().take_while(|seq| *seq < below).collect();
        for window in old.chunk_by(|a, b| a / TRIM_WINDOW == b / TRIM_WINDOW) {
            if let (StreamId::Global, Some(first)) = (stream, window.first()) {
                crate::failpoint::hit("journal.trim.before_mark");
                // Whether this call or an earlier one made it does not matter.
                self.store
                    .create(&mark(*first), Bytes::from_static(b"trimmed"))
                    .await?;
            }
            let data = self.data_slots(stream, window).await?;
            done.seals += (window.len() - data.len()) as u64;
            for part in data.chunks(DELETE_AT_ONCE) {
                crate::failpoint::hit("journal.trim.before_delete");
                let keys = part.iter().map(|seq| stream.key(*seq)).collect();
                self.store.delete(keys).await?;
                crate::failpoint::hit("journal.trim.after_delete");
                done.deleted += part.len() as u64;
            }
        }
        Ok(done)
    }

    /// Those of the slots that are not seals. One whose header cannot be read is kept.
    async fn data_slots(&self, stream: StreamId, slots: &[u64]) -> Result<Vec<u64>, StoreError> {
        let data: Vec<Option<u64>> = stream::iter(slots.iter().copied())
            .map(|seq| async move {
                match slot::read_header(&*self.store, stream, seq).await {
                    Ok(Some(header)) => Ok((header.kind == EntryKind::Data).then_some(seq)),
                    Ok(None) => Ok(None),
                    Err(error @ StoreError::Unreadable { .. }) => {
                        tracing::warn!(%error, "not trimmed");
                        Ok(None)
                    }
                    Err(error) => Err(error),
                }
            })
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        Ok(data.into_iter().flatten().collect())
    }
}
