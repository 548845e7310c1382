//! Taking a partition over: announce, seal, look again, learn what was stored, write.
//!
//! Each step can be the last one of a crashing node; the next node (or the same one, restarted)
//! begins again with a higher term. The order matters: the term comes from `global`, so that no
//! two takers use the same; the seal ends all lower terms; the second look (rule 6 of the journal)
//! catches a taker that stalled in between; and no batch is accepted before the keys of all
//! batches below the seal are known.
//!
//! After a recovery the window must reach back into the source's journal: `keys` has how, and when
//! that is done. What it adds to the window is durable in an index object of ours, named by the
//! state, before a batch is accepted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backstay_failpoint::hit;
use backstay_global::{Event, Reject};
use backstay_journal::{SealError, Sealed, StoreError, StreamId};

use super::keys::KeysError;
use super::owned::Owned;
use super::running::{GlobalError, Running};
use super::view;

/// So many terms of others, of which `global` knows nothing, are gone past in one take-over.
const TERMS: u64 = 64;

/// Why a partition was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// `global` cannot be written.
    #[error(transparent)]
    Global(#[from] GlobalError),
    /// The partition cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Which batches are stored already cannot be found out or written down.
    #[error("partition {partition}: the idempotency keys: {source}")]
    Keys {
        /// The partition.
        partition: u32,
        /// Why.
        #[source]
        source: KeysError,
    },
    /// Somebody else took it between the announcement and the second look.
    #[error("partition {partition}: taken by another host meanwhile")]
    Overtaken {
        /// The partition.
        partition: u32,
    },
}

impl Running {
    /// Takes `partition` over from whoever held it under `seen_term`.
    pub(crate) async fn take(&self, partition: u32, seen_term: u64) -> Result<(), TakeoverError> {
        let stream = StreamId::Partition(partition);
        let mut term = seen_term;
        let sealed = loop {
            term = self.announce(partition, term).await?;
            match self.seal(partition, term).await {
                // Of our cluster, whoever seals has announced it before, so that the next
                // announcement is refused. That of another cluster which took the stream over
                // before it was taken back is only known from the stream.
                Err(TakeoverError::Seal(SealError::Superseded { .. }))
                    if term < seen_term.saturating_add(TERMS) => {}
                done => break done?,
            }
        };
        hit("node.takeover.after_seal");
        self.global.refresh().await?;
        let (ours, standing) = self.global.read(|state| {
            (
                view::holds(state, partition, &self.host, term),
                view::standing(state, partition),
            )
        });
        if !ours || standing.floor > sealed.seq {
            return Err(TakeoverError::Overtaken { partition });
        }
        let keys = |source| TakeoverError::Keys { partition, source };
        let (window, adopted) = self
            .load_window(partition, sealed.seq)
            .await
            .map_err(keys)?;
        let number = AtomicU64::new(0);
        let next = || number.fetch_add(1, Ordering::AcqRel);
        let unwritten = self.global.read(|state| view::indexed(state, partition)) < window.upto();
        if unwritten || !adopted.is_empty() {
            hit("node.takeover.before_keys");
            let index = window.index();
            let named = self
                .put_index(partition, term, &next, &index, &adopted)
                .await
                .map_err(keys)?;
            if named.is_none() {
                return Err(TakeoverError::Overtaken { partition });
            }
            hit("node.takeover.after_keys");
        }
        hit("node.takeover.before_writer");
        let seal = sealed.seq;
        let writer = self.journal.writer(stream, sealed, self.commit_options());
        let lease = self.config.tuning.lease;
        let owned = Owned::new(partition, term, writer, window, next(), lease);
        let mut all = self.owned.write();
        all.insert(partition, Arc::new(owned));
        self.metrics.takeovers.inc();
        self.metrics.partitions_owned.set(all.len() as i64);
        drop(all);
        self.took.notify_waiters();
        tracing::info!(partition, term, seal, "took the partition over");
        Ok(())
    }

    /// Says that this host takes the partition with the term after `seen_term`, which it answers
    /// with.
    async fn announce(&self, partition: u32, seen_term: u64) -> Result<u64, TakeoverError> {
        hit("node.takeover.before_announce");
        let term = seen_term + 1;
        let announced = self
            .commit(|state| {
                if state.partition(partition).map(|it| it.term) != Some(seen_term) {
                    return Err(Reject::new("another host was faster"));
                }
                Ok(vec![Event::PartitionTaken {
                    partition,
                    host: self.host.clone(),
                    term,
                }])
            })
            .await?;
        if !announced {
            return Err(TakeoverError::Overtaken { partition });
        }
        hit("node.takeover.after_announce");
        Ok(term)
    }

    /// Seals the stream with the term that was announced.
    async fn seal(&self, partition: u32, term: u64) -> Result<Sealed, TakeoverError> {
        let stream = StreamId::Partition(partition);
        let standing = self.global.read(|state| view::standing(state, partition));
        let by = self.signature();
        match self.journal.seal(stream, standing.covered, term, &by).await {
            // To a taker that has stalled, trimmed ground looks like a hole.
            Err(error @ SealError::Store(StoreError::Missing { .. })) => {
                self.global.refresh().await?;
                if !self
                    .global
                    .read(|state| view::holds(state, partition, &self.host, term))
                {
                    return Err(TakeoverError::Overtaken { partition });
                }
                Err(error.into())
            }
            done => Ok(done?),
        }
    }
}
