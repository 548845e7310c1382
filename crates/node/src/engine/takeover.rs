//! Taking a partition over: announce, seal, look again, learn what was stored, write.
//!
//! Each step can be the last one of a crashing node; the next node (or the same one, restarted)
//! begins again with a higher term. The order matters: the term comes from `global`, so that no
//! two takers use the same; the seal ends all lower terms; the second look (rule 6 of the journal)
//! catches a taker that stalled in between; and no batch is accepted before the keys of all
//! batches below the seal are known.

use std::sync::Arc;

use backstay_failpoint::hit;
use backstay_global::{CommitError, Event, Reject};
use backstay_journal::{SealError, StreamId};

use super::dedupe::Window;
use super::owned::Owned;
use super::running::Running;
use super::tails::{self, FollowError};
use super::view;

/// Why a partition was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// `global` cannot be written, or somebody else was faster.
    #[error(transparent)]
    Global(#[from] CommitError),
    /// The partition cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Its entries cannot be read.
    #[error(transparent)]
    Read(#[from] FollowError),
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
        hit("node.takeover.before_announce");
        let host = view::host_id(&self.host);
        let term = seen_term + 1;
        self.global
            .commit(|state| {
                if view::term(state, partition) != Some(seen_term) {
                    return Err(Reject::new(format!(
                        "partition {partition} has another term than {seen_term} by now"
                    )));
                }
                Ok(vec![Event::PartitionTaken {
                    partition,
                    host: host.clone(),
                    term,
                }])
            })
            .await?;
        hit("node.takeover.after_announce");
        let stream = StreamId::Partition(partition);
        let standing = self.global.read(|state| view::standing(state, partition));
        let by = self.signature();
        let sealed = self
            .journal
            .seal(stream, standing.covered, term, &by)
            .await?;
        hit("node.takeover.after_seal");
        self.global.refresh().await?;
        let (owner, now, standing) = self.global.read(|state| {
            (
                view::owner(state, partition),
                view::term(state, partition),
                view::standing(state, partition),
            )
        });
        let ours = owner.as_deref() == Some(&self.host) && now == Some(term);
        if !ours || standing.floor > sealed.seq {
            return Err(TakeoverError::Overtaken { partition });
        }
        let mut window = Window::default();
        let keys = tails::keys(&self.journal, stream, standing.floor, sealed.seq).await?;
        for (seq, key) in keys {
            window.stored(key, seq);
        }
        hit("node.takeover.before_writer");
        let seal = sealed.seq;
        let writer = self.journal.writer(stream, sealed, self.commit_options());
        let owned = Owned::new(partition, term, seal, writer, window);
        owned.note_covered(standing.covered);
        let mut all = self.owned.write();
        all.insert(partition, Arc::new(owned));
        self.metrics.takeovers.inc();
        self.metrics.partitions_owned.set(all.len() as i64);
        tracing::info!(partition, term, seal, "took the partition over");
        Ok(())
    }
}
