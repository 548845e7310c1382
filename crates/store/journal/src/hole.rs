//! Telling the end of a stream from a hole in it.
//!
//! A writer keeps several slots on their way, so that an absent slot with entries behind it may be
//! the end: nothing behind it was acknowledged. But every entry says below which slot everything
//! was there when it was made. If that is behind the absent slot, somebody has deleted what was
//! there, and whoever took the slot for the end would lose in silence all that follows.

use crate::entry::StreamId;
use crate::store::StoreError;
use crate::trim::is_trimmed;
use crate::{Journal, MAX_IN_FLIGHT, slot};

impl Journal {
    /// Checks that a reader that found the slot `at` absent has not stopped at a hole: all slots
    /// below `settled` were there when that was said, by `by`. `true`: the slot is there by now,
    /// so read on. One request at the most, and none where the reader has come that far.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when it is a hole.
    pub async fn expect_settled(
        &self,
        stream: StreamId,
        at: u64,
        settled: u64,
        by: impl FnOnce() -> String,
    ) -> Result<bool, StoreError> {
        if at >= settled {
            return Ok(false);
        }
        if self.is_there(stream, at).await? {
            return Ok(true);
        }
        Err(StoreError::Missing {
            object: stream.key(at),
            by: by(),
        })
    }

    /// Whether this slot is there, or was trimmed by the rules of `global`.
    ///
    /// # Errors
    /// When the store does not answer, or what is there is not an entry of that slot.
    pub async fn is_there(&self, stream: StreamId, seq: u64) -> Result<bool, StoreError> {
        let (store, reading) = (&*self.store, &self.reading);
        let header = slot::with_retry(|| slot::read_header(store, reading, stream, seq)).await?;
        let trimmed = || slot::with_retry(|| is_trimmed(store, seq));
        Ok(header.is_some() || (stream == StreamId::Global && trimmed().await?))
    }

    /// Checks that the slot `at`, which was found absent, may be the end of `stream`. One that is
    /// there by now, and trimmed ground of `global`, are fine: whoever reads on finds out.
    ///
    /// Lists the stream; for a start or a takeover, not for every read.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when it is a hole.
    pub async fn expect_end(&self, stream: StreamId, at: u64) -> Result<(), StoreError> {
        self.expect_end_beside(stream, at, false).await
    }

    /// The same; with `damaged`, an entry behind that cannot be read is not an error, but taken to
    /// say that the slot was there: it may.
    pub(crate) async fn expect_end_beside(
        &self,
        stream: StreamId,
        at: u64,
        damaged: bool,
    ) -> Result<(), StoreError> {
        let (store, reading) = (&*self.store, &self.reading);
        let prefix = stream.prefix();
        let keys = slot::with_retry(|| store.list(&prefix)).await?;
        let behind = keys
            .iter()
            .filter_map(|key| stream.seq_of(key))
            .filter(|seq| *seq > at)
            // Of so many, one at least must say so.
            .take(MAX_IN_FLIGHT + 1);
        for seq in behind {
            match slot::with_retry(|| slot::read_header(store, reading, stream, seq)).await {
                Ok(header) if header.as_ref().is_none_or(|it| it.settled <= at) => continue,
                Err(error) if !(damaged && error.is_damage()) => return Err(error),
                Ok(_) | Err(_) => {}
            }
            // It was there when that entry was made, which may have been after we looked.
            match slot::with_retry(|| slot::read_header(store, reading, stream, at)).await {
                Ok(Some(_)) => return Ok(()),
                Err(error) if damaged && error.is_damage() => return Ok(()),
                Err(error) => return Err(error),
                Ok(None) => {}
            }
            if stream == StreamId::Global && slot::with_retry(|| is_trimmed(store, at)).await? {
                return Ok(());
            }
            return Err(StoreError::Missing {
                object: stream.key(at),
                by: stream.key(seq),
            });
        }
        Ok(())
    }
}
