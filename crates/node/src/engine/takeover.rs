//! Taking a partition over: announce, seal, look again, learn what was stored, write.
//!
//! Each step can be the last one of a crashing node; the next node (or the same one, restarted)
//! begins again with a higher term. The order matters: the term comes from `global`, so that no
//! two takers use the same; the seal ends all lower terms; the second look (rule 6 of the journal)
//! catches a taker that stalled in between; and no batch is accepted before the keys of all
//! batches below the seal are known.
//!
//! After a recovery the window must reach back into the source's journal. The first taker of each
//! partition copies the source's keys into the own stream; from then on they are read, kept and
//! trimmed like all others.

use std::collections::BTreeSet;
use std::sync::Arc;

use backstay_failpoint::hit;
use backstay_global::{Event, Reject};
use backstay_journal::{SealError, Sealed, StoreError, StreamId, Writer};

use super::dedupe::Window;
use super::owned::{Owned, Refused};
use super::record::{KeyHash, RecordError, encode_keys};
use super::running::{GlobalError, Running};
use super::tails::{self, FollowError};
use super::view;

/// Keys in one record: some 64 KiB.
const KEYS_A_RECORD: usize = 4096;

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
    /// Its entries cannot be read.
    #[error(transparent)]
    Read(#[from] FollowError),
    /// The keys of a recovered cluster cannot be kept.
    #[error("partition {partition}: the recovered cluster's keys are not stored: {detail}")]
    Keys {
        /// The partition.
        partition: u32,
        /// Why.
        detail: String,
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
        let known = tails::keys(&self.journal, stream, standing.floor, sealed.seq).await?;
        let mut window = Window::default();
        for (seq, key) in known.keys {
            window.stored(key, seq);
        }
        hit("node.takeover.before_writer");
        let seal = sealed.seq;
        let writer = self.journal.writer(stream, sealed, self.commit_options());
        self.adopt_keys(partition, &known.recoveries, &writer, &mut window)
            .await?;
        let owned = Owned::new(partition, term, writer, window);
        owned.note_covered(standing.covered);
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

    /// Copies the keys of a recovered cluster into this partition, unless they are there or their
    /// time is over.
    async fn adopt_keys(
        &self,
        partition: u32,
        adopted: &BTreeSet<String>,
        writer: &Writer,
        window: &mut Window,
    ) -> Result<(), TakeoverError> {
        let Some(record) = self.global.read(view::last_recovery) else {
            return Ok(());
        };
        let age_ms = chrono::Utc::now().timestamp_millis() - record.at_ms;
        let over =
            u128::try_from(age_ms).is_ok_and(|age| age > self.config.tuning.trim_after.as_millis());
        if over || adopted.contains(&record.id) {
            return Ok(());
        }
        let partitions = self.global.read(|state| state.partitions.len() as u32);
        let all = self.source_keys(&record).await?;
        let ours: Vec<KeyHash> = all
            .iter()
            .copied()
            .filter(|key| key.partition(partitions) == partition)
            .collect();
        let failed = |detail: String| TakeoverError::Keys { partition, detail };
        // Even no keys make a record: it says that they were looked for.
        let mut chunks: Vec<&[KeyHash]> = ours.chunks(KEYS_A_RECORD).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        // Only the last record names the recovery: records count in their order, so whoever finds
        // that one finds all.
        let last = chunks.len() - 1;
        let records: Result<Vec<_>, RecordError> = chunks
            .iter()
            .enumerate()
            .map(|(n, keys)| encode_keys(if n == last { &record.id } else { "" }, keys))
            .collect();
        let records = records.map_err(|error| failed(error.to_string()))?;
        let appended = records.into_iter().map(|record| writer.append(record));
        let positions = futures::future::try_join_all(appended)
            .await
            .map_err(|error| match Refused::from(error) {
                Refused::Lost => TakeoverError::Overtaken { partition },
                other => failed(format!("{other:?}")),
            })?;
        hit("node.takeover.after_keys");
        for (keys, position) in chunks.into_iter().zip(positions) {
            for key in keys {
                window.stored(*key, position.seq);
            }
        }
        Ok(())
    }
}
