//! Taking a partition over: announce, seal, look again, write, learn what was stored.
//!
//! Each step can be the last one of a crashing node; the next node (or the same one, restarted)
//! begins again with a higher term. The order matters: the term comes from `global`, so that no
//! two takers use the same; the seal ends all lower terms; the second look (rule 6 of the journal)
//! catches a taker that stalled in between; and no batch with a key is accepted before the keys of
//! all batches below the seal are known. Until then the partition takes batches without keys.
//!
//! After a recovery the window must reach back into the source's journal: `keys` has how, and when
//! that is done. What it adds to the window is durable in an index object of ours, named by the
//! state, before a batch with a key is accepted.
//!
//! What fails is tried again from where it stood, not from the beginning: a process seals again
//! with the term that it has announced, for as long as the state says so and nobody has written with
//! it; and a partition that is sealed stays so while its keys cannot be read.
//!
//! What must be readable is what no segment has: the seal is looked for from `covered` on, and an
//! entry there that is damaged may be acknowledged events, which nobody reads over. What lies below
//! is needed for its keys only.

use std::sync::Arc;

use backstay_failpoint::hit;
use backstay_global::{Event, Reject};
use backstay_journal::{SealError, Sealed, StoreError, StreamId};

use super::owned::Owned;
use super::running::{GlobalError, Running};
use super::view;

/// So many terms of others, of which `global` knows nothing, are gone past in one take-over.
const MAX_UNKNOWN_TERMS: u64 = 64;

/// Why a partition was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// `global` cannot be written.
    #[error(transparent)]
    Global(#[from] GlobalError),
    /// The partition cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Somebody else took it between the announcement and the second look.
    #[error("partition {partition}: taken by another host meanwhile")]
    Overtaken {
        /// Number of the partition.
        partition: u32,
    },
}

impl TakeoverError {
    /// Whether it will not pass without somebody's help.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::Seal(SealError::Store(error)) => !error.is_retryable(),
            Self::Seal(_) | Self::Global(_) | Self::Overtaken { .. } => false,
        }
    }
}

impl Running {
    /// Takes `partition` over from whoever held it under `seen_term`; its keys are to be learned
    /// then.
    pub(crate) async fn take(
        &self,
        partition: u32,
        seen_term: u64,
    ) -> Result<Arc<Owned>, TakeoverError> {
        let stream = StreamId::Partition(partition);
        let mut term = seen_term;
        let mut is_announced = self.has_announced(partition, seen_term);
        let sealed = loop {
            if !std::mem::take(&mut is_announced) {
                term = self.announce(partition, term).await?;
            }
            match self.seal(partition, term).await {
                // Of our cluster, whoever seals has announced it before, so that the next
                // announcement is refused. That of another cluster which took the stream over
                // before it was taken back is only known from the stream.
                Err(TakeoverError::Seal(SealError::Superseded { .. }))
                    if term < seen_term.saturating_add(MAX_UNKNOWN_TERMS) => {}
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
        // A term that somebody has written with is never taken a second time.
        self.announced.lock().remove(&partition);
        hit("node.takeover.before_writer");
        let seal = sealed.seq;
        let writer = self.journal.writer(stream, sealed, self.commit_options());
        let lease = self.config.tuning.lease;
        let owned = Arc::new(Owned::new(partition, (term, seal), writer, lease));
        let mut all = self.owned.write();
        all.insert(partition, Arc::clone(&owned));
        self.metrics.takeovers.inc();
        self.metrics.partitions_owned.set(all.len() as i64);
        drop(all);
        self.took.notify_waiters();
        tracing::info!(partition, term, seal, "took the partition over");
        Ok(owned)
    }

    /// Whether this process has taken that term, and could not use it yet.
    fn has_announced(&self, partition: u32, term: u64) -> bool {
        self.announced.lock().get(&partition) == Some(&term)
            && self
                .global
                .read(|state| view::holds(state, partition, &self.host, term))
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
        self.announced.lock().insert(partition, term);
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
