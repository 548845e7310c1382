//! Taking a stream over: the seal is the first absent slot, made by the new owner.
//!
//! Why the first absent slot is enough: an old writer acknowledges slot *n* only when *n* and all
//! below it exist. The sealer found its slot absent and then made it, so every acknowledged slot
//! lies below; and the old writer can never again settle the sealed slot, nor anything above it.

use std::collections::BTreeSet;
use std::pin::pin;

use futures::StreamExt;

use crate::backoff::Backoff;
use crate::entry::{Entry, EntryKind, StreamId};
use crate::fence::Fence;
use crate::store::StoreError;
use crate::trim::is_trimmed;
use crate::{Journal, slot};

/// How many slots are read ahead while looking for the end of a stream.
const READ_AHEAD_SLOTS: usize = 8;

/// A seal that is in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The sealed stream.
    pub stream: StreamId,
    /// The slot of the seal. Everything acknowledged under lower terms is below it.
    pub seq: u64,
    /// The term that begins here.
    pub term: u64,
    /// The highest term met below the seal, if any entry was met.
    pub previous: Option<Previous>,
}

/// Who held the stream before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    /// The term under which it held the stream.
    pub term: u64,
    /// The writer of the last live entry below the seal.
    pub writer: String,
    /// The slot of that entry.
    pub seq: u64,
}

/// Why a stream was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Somebody holds the stream with the same or a higher term.
    #[error(
        "stream {stream}: not sealed, because {by} holds it with term {term}; take it over again with a higher term if {by} is dead"
    )]
    Superseded {
        /// The stream that was to be sealed.
        stream: StreamId,
        /// The sealer or writer that holds it.
        by: String,
        /// The term under which it is held.
        term: u64,
    },
    /// The seal went into ground that was trimmed: `from` came from an old state.
    #[error(
        "stream {stream}: sealed at {seq}, which has been trimmed already; load the newest snapshot and seal again from its position"
    )]
    TrimmedBehind {
        /// The stream that was to be sealed.
        stream: StreamId,
        /// The slot that was tried.
        seq: u64,
    },
    /// The store did not answer. The seal may be in its place all the same.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Journal {
    /// Ends all lower terms: puts a seal of `term` in the first absent slot at or above `from`.
    ///
    /// `from` must not be above the end of the stream nor below its floor, and `term` must be
    /// higher than every term handed out before (both come from `global`). A seal of the same
    /// term and `by` that is already there counts as this one, so that a crashed sealer can be
    /// asked again; `by` must therefore name one process start if a writer is to follow the seal.
    /// It counts only while no higher term has begun above it: a stream that was taken back since
    /// is not ended by a seal of long ago.
    ///
    /// # Errors
    /// [`SealError::Superseded`] when an entry of `term` or higher is met, and
    /// [`StoreError::Missing`] when the first absent slot is a hole. Store errors are
    /// returned at once when they are not retryable, otherwise after ten tries.
    pub async fn seal(
        &self,
        stream: StreamId,
        from: u64,
        term: u64,
        by: &str,
    ) -> Result<Sealed, SealError> {
        self.seal_beside(stream, from, term, by, None).await
    }

    /// The same where entries are damaged or gone: they are passed over in looking for the end, and
    /// named in the answer. The seal is behind all that is there, so it ends the stream as any other,
    /// and whoever reads up to it meets what was passed over: nobody may take that for read.
    ///
    /// The term of an entry that cannot be read is not seen. So this is only for a stream in which
    /// nobody writes with `term` or a higher one: a partition of which every owner is known, because
    /// its `global` is sealed already.
    ///
    /// # Errors
    /// As [`Journal::seal`], but not for damage and holes.
    pub async fn seal_past_damage(
        &self,
        stream: StreamId,
        from: u64,
        term: u64,
        by: &str,
    ) -> Result<(Sealed, Vec<String>), SealError> {
        let mut past = BTreeSet::new();
        let sealed = self.seal_beside(stream, from, term, by, Some(&mut past));
        let sealed = sealed.await?;
        Ok((
            sealed,
            past.into_iter().map(|seq| stream.key(seq)).collect(),
        ))
    }

    /// Where [`Journal::seal_past_damage`] would put its seal, without one: of a stream that this
    /// cluster may not write to. Whoever still writes there may do so behind it.
    ///
    /// # Errors
    /// [`SealError::Store`] only.
    pub async fn end_past_damage(
        &self,
        stream: StreamId,
        from: u64,
    ) -> Result<(u64, Vec<String>), SealError> {
        let mut past = BTreeSet::new();
        let mut see = |_| Ok(());
        let end = self.find_end(stream, from, Some(&mut past), &mut see);
        let end = end.await?;
        Ok((end, past.into_iter().map(|seq| stream.key(seq)).collect()))
    }

    /// `past`: the slots that were passed over, where that is allowed.
    async fn seal_beside(
        &self,
        stream: StreamId,
        from: u64,
        term: u64,
        by: &str,
        mut past: Option<&mut BTreeSet<u64>>,
    ) -> Result<Sealed, SealError> {
        let mut previous: Option<Previous> = None;
        let mut next = from;
        // The slot of this very seal, made by an earlier call or by an unclear try of this one.
        let mut own: Option<u64> = None;
        // The slot that was called occupied last.
        let mut occupied: Option<u64> = None;
        let mut backoff = Backoff::default();
        loop {
            // The end of the stream as far as it is known; another entry may still get there first.
            let mut see = |entry: Entry| {
                let known = own.is_some();
                if !known && entry.term == term && entry.is_seal() && entry.by() == by {
                    own = Some(entry.seq);
                    return Ok(());
                }
                // Above our own seal its term is the writers' that follow it.
                if entry.term > term || (entry.term == term && !known) {
                    return Err(SealError::Superseded {
                        stream,
                        by: entry.by().to_owned(),
                        term: entry.term,
                    });
                }
                if !known && previous.as_ref().is_none_or(|p| p.term <= entry.term) {
                    previous = Some(Previous {
                        term: entry.term,
                        writer: entry.writer.0,
                        seq: entry.seq,
                    });
                }
                Ok(())
            };
            next = self
                .find_end(stream, next, past.as_deref_mut(), &mut see)
                .await?;
            if let Some(seq) = own {
                return self.checked(stream, seq, term, previous).await;
            }
            if occupied == Some(next) {
                slot::wait_in_doubt(&mut backoff, stream, next).await?;
            }
            let seal = Entry {
                stream,
                seq: next,
                term,
                settled: next,
                writer: self.writer.clone(),
                nonce: uuid::Uuid::new_v4().as_u128(),
                kind: EntryKind::Seal { by: by.into() },
                payload: bytes::Bytes::new(),
            };
            backstay_failpoint::hit("journal.seal.before_put");
            if slot::create_with_retry(&*self.store, &seal).await? {
                backstay_failpoint::hit("journal.seal.after_put");
                tracing::info!(%stream, seq = next, term, by, "sealed");
                return self.checked(stream, next, term, previous).await;
            }
            occupied = Some(next);
            // Occupied meanwhile, by whomever: the next round reads and judges it, this very seal
            // included if an unclear first try made it.
        }
    }

    /// The first absent slot from `next` on that may be the end; `see` is shown each entry before it.
    async fn find_end(
        &self,
        stream: StreamId,
        mut next: u64,
        mut past: Option<&mut BTreeSet<u64>>,
        see: &mut (dyn FnMut(Entry) -> Result<(), SealError> + Send),
    ) -> Result<u64, SealError> {
        loop {
            // Within the bound of all readers: whoever recovers looks for many ends at once.
            let mut entries = pin!(self.slots_from(stream, next, READ_AHEAD_SLOTS));
            while let Some(entry) = entries.next().await {
                match (entry, &mut past) {
                    (Ok(Some(entry)), _) => see(entry)?,
                    (Ok(None), _) => break,
                    (Err(error), Some(past)) if error.is_damage() => {
                        past.insert(next);
                    }
                    (Err(error), _) => return Err(error.into()),
                }
                next += 1;
            }
            let looked = self.expect_end_beside(stream, next, past.is_some()).await;
            match (looked, &mut past) {
                (Ok(()), _) => return Ok(next),
                // What lay there was acknowledged, and what lies behind may be too.
                (Err(StoreError::Missing { .. }), Some(past)) => {
                    past.insert(next);
                    next += 1;
                }
                (Err(error), _) => return Err(error.into()),
            }
        }
    }

    async fn checked(
        &self,
        stream: StreamId,
        seq: u64,
        term: u64,
        previous: Option<Previous>,
    ) -> Result<Sealed, SealError> {
        let store = &*self.store;
        if stream == StreamId::Global && slot::with_retry(|| is_trimmed(store, seq)).await? {
            return Err(SealError::TrimmedBehind { stream, seq });
        }
        Ok(Sealed {
            stream,
            seq,
            term,
            previous,
        })
    }
}

impl SealError {
    /// The holder, when that is why.
    pub fn fence(&self) -> Option<Fence> {
        match self {
            Self::Superseded { by, term, .. } => Some(Fence {
                by: by.clone(),
                term: *term,
            }),
            Self::TrimmedBehind { .. } | Self::Store(_) => None,
        }
    }
}
