//! How much a cluster has taken in since it recovered: what would be lost were its source given
//! its journal back.

use std::collections::BTreeMap;

use backstay_bucket::Bucket;
use backstay_journal::{Journal, StreamId};
use backstay_report::Cause;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::entity::Partition;
use crate::identity;
use crate::recovery::error::LoadError;
use crate::recovery::outside::writer;
use crate::recovery::probe;
use crate::recovery::take_back::state_at_end;
use crate::state::State;
use crate::store::journal_over;

/// Partitions read at the same time.
const PARALLEL_PARTITIONS: usize = 8;

/// What a cluster has taken in since its last recovery (or its creation).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gained {
    /// Segments of it in its own bucket.
    pub segments: u64,
    /// Its events, in segments or not yet.
    pub events: u64,
    /// The raw bytes of those events.
    pub bytes: u64,
    /// Journal entries with events that are in no segment yet.
    pub unread_entries: u64,
}

/// What one record of a partition holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Number of events.
    pub events: u64,
    /// Bytes of the events' raw text.
    pub bytes: u64,
}

impl Gained {
    /// Whether nothing would be lost.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    fn and(self, other: Self) -> Self {
        Self {
            segments: self.segments + other.segments,
            events: self.events + other.events,
            bytes: self.bytes + other.bytes,
            unread_entries: self.unread_entries + other.unread_entries,
        }
    }
}

/// How much the cluster whose bucket `source` is has taken in since its last recovery. `count` says
/// what a record of a partition holds, which only the node knows. Nothing is written, and what is
/// read is the newest snapshot and the journal behind it.
///
/// # Errors
/// See [`LoadError`].
pub async fn gained<E: Into<Cause>>(
    source: &Bucket,
    count: impl Fn(&Bytes) -> Result<Counted, E> + Sync,
) -> Result<Gained, LoadError> {
    let Some(cluster_id) = identity::read(source).await? else {
        return Ok(Gained::default());
    };
    let journal = journal_over(source, writer());
    let Some(state) = state_at_end(source, &journal, &cluster_id).await? else {
        // A recovery without a snapshot has taken nothing in: no partition has an owner yet.
        let found = probe::probe(&journal, &cluster_id).await?;
        if found.recovered_last || !found.has_data {
            return Ok(Gained::default());
        }
        return Err(LoadError::SnapshotsGone {
            container: source.config().container.clone(),
            cluster_id,
        });
    };
    stream::iter(&state.partitions)
        .map(|partition| unread(&journal, partition, &count))
        .buffered(PARALLEL_PARTITIONS)
        .try_fold(in_segments(&state), async |all, more| Ok(all.and(more)))
        .await
}

/// The segments in the cluster's own bucket that neither an earlier life nor the recovery has made.
fn in_segments(state: &State) -> Gained {
    let own = state.writable_bucket().map(|bucket| bucket.id);
    let recovery = state.recoveries.last();
    let begins: BTreeMap<u32, u64> = recovery
        .iter()
        .flat_map(|recovery| &recovery.tails)
        .map(|tail| (tail.partition, tail.begins))
        .collect();
    let gained = state.segments.iter().filter(|segment| {
        let imported = segment.rest.as_ref().and_then(|it| it.imported_by.as_ref());
        let begins = begins.get(&segment.partition).copied().unwrap_or(0);
        Some(segment.bucket) == own && imported.is_none() && segment.from_seq >= begins
    });
    gained.fold(Gained::default(), |all, segment| {
        all.and(Gained {
            segments: 1,
            events: segment.events,
            bytes: segment.raw_bytes,
            unread_entries: 0,
        })
    })
}

/// What a partition's journal holds beyond segments.
async fn unread<E: Into<Cause>>(
    journal: &Journal,
    partition: &Partition,
    count: &(impl Fn(&Bytes) -> Result<Counted, E> + Sync),
) -> Result<Gained, LoadError> {
    let stream = StreamId::Partition(partition.id);
    let term = probe::term_before(journal, stream, partition.covered).await?;
    let mut tail = journal.tail(stream, partition.covered, term);
    tail.set_floor(partition.floor);
    let mut all = Gained::default();
    while let Some(entry) = tail.next().await? {
        let mut held = Counted::default();
        for record in entry.records() {
            let of = count(&record).map_err(|error| LoadError::Record {
                object: stream.key(entry.seq),
                source: error.into(),
            })?;
            held.events += of.events;
            held.bytes += of.bytes;
        }
        all = all.and(Gained {
            segments: 0,
            events: held.events,
            bytes: held.bytes,
            unread_entries: u64::from(held.events > 0),
        });
    }
    Ok(all)
}
