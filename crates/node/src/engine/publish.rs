//! From the tails of this node's partitions to segments in the bucket, and what may be trimmed then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay_failpoint::hit;
use backstay_global::{Event as GlobalEvent, RepositoryId, Segment, SegmentId};
use backstay_journal::{StoreError, StreamId};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::build::{Built, build};
use super::cut::{Thresholds, cut, pressure};
use super::keys::KeysError;
use super::owned::Owned;
use super::packed::{Chunk, LiveBatch, chunks};
use super::record::KeyHash;
use super::running::{GlobalError, Running};
use super::tails::FollowError;
use super::view;
use crate::memory::MemoryUse;

/// Segments of all partitions that are built at the same time, and of one partition that are on their
/// way to the bucket.
pub(crate) const PARALLEL_BUILDS: usize = 2;

/// Unpacked events take so many times their memory while they are written: they, their columns, and
/// the file.
const MEMORY_FACTOR_OF_WRITING: usize = 3;

/// The step, as troubles name it.
pub(crate) const PUBLISH: &str = "publish";

/// Events take hardly more than so many times their raw bytes unpacked. Only those that do make
/// segments that are smaller than they should be.
const MEMORY_FACTOR_OF_UNPACKING: usize = 16;

/// Events that take less unpacked are never spread over several segments of one cut.
const SMALL_CUT_BYTES: usize = 4 << 20;

/// Why segments were not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The tail cannot be read.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The segment cannot be built.
    #[error("a segment of repository {repository} cannot be built: {detail}")]
    Build {
        /// Id of the repository whose events they are.
        repository: String,
        /// Why the segment cannot be built, in words.
        detail: String,
    },
    /// The segment cannot be uploaded.
    #[error(transparent)]
    Upload(#[from] backstay_bucket::Error),
    /// `global` does not take it.
    #[error(transparent)]
    Global(#[from] GlobalError),
    /// What segments cover could not be trimmed from the journal.
    #[error(transparent)]
    Trim(#[from] StoreError),
    /// The idempotency keys cannot be kept.
    #[error(transparent)]
    Keys(Box<KeysError>),
}

impl From<KeysError> for PublishError {
    fn from(error: KeysError) -> Self {
        Self::Keys(Box::new(error))
    }
}

/// Where the events of new segments come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) partition: u32,
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// The highest term begun below `to`, where it is known.
    pub(crate) below: Option<u64>,
}

impl Running {
    /// Publishes what is due in a partition; with `all`, everything that was acknowledged before
    /// the call.
    pub(crate) async fn publish(&self, owned: &Owned, all: bool) -> Result<(), PublishError> {
        let covered = self
            .global
            .read(|state| view::standing(state, owned.id))
            .covered;
        let follower = self.tails.follower(owned.id);
        let settled = owned.writer().settled_below();
        let behind = || {
            let entries = follower.entries(covered);
            entries.is_none_or(|(_, end)| end < settled)
        };
        let mut full = (behind() || all) && self.follow_or_fill(owned.id).await?;
        if !self.publish_held(owned, all || full).await? {
            return Ok(());
        }
        // A tail that did not fit is read on as it is emptied.
        while full {
            full = self.follow_or_fill(owned.id).await?;
            if !self.publish_held(owned, all || full).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads the tail of one of this node's partitions, `true` when it did not fit.
    async fn follow_or_fill(&self, partition: u32) -> Result<bool, FollowError> {
        match self.follow_as(partition, true).await {
            Ok(()) => Ok(false),
            Err(FollowError::Full { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Publishes what is due of the entries that are held; with `all`, all of them. `false` when
    /// the partition is another host's now.
    async fn publish_held(&self, owned: &Owned, all: bool) -> Result<bool, PublishError> {
        let follower = self.tails.follower(owned.id);
        let tuning = &self.config.tuning;
        let thresholds = Thresholds {
            bytes: tuning.segment_bytes,
            memory: self.pressure(),
            age: if all {
                Duration::ZERO
            } else {
                tuning.segment_age
            },
        };
        loop {
            let from = self
                .global
                .read(|state| view::standing(state, owned.id))
                .covered;
            let Some((entries, end)) = follower.entries(from) else {
                return Ok(true);
            };
            let Some(cut) = cut(&entries, end, thresholds, Instant::now()) else {
                return Ok(true);
            };
            drop(entries);
            let origin = Origin {
                partition: owned.id,
                from,
                to: cut.to,
                below: Some(cut.below),
            };
            let segments = self.upload(cut.batches, origin).await?;
            if !self.publish_cut(owned, origin, segments, cut.keys).await? {
                return Ok(false);
            }
        }
    }

    fn pressure(&self) -> usize {
        let (used, share) = (
            self.memory.used(MemoryUse::Tails),
            self.memory.share(MemoryUse::Tails),
        );
        let partitions = self.global.read(|state| state.partitions.len());
        pressure(used, share, partitions)
    }

    async fn publish_cut(
        &self,
        owned: &Owned,
        origin: Origin,
        segments: Vec<Segment>,
        keys: Vec<KeyHash>,
    ) -> Result<bool, GlobalError> {
        let count = segments.len() as u64;
        hit("node.publish.before_commit");
        let published = self
            .commit(|_| {
                Ok(vec![GlobalEvent::SegmentsPublished {
                    partition: owned.id,
                    term: owned.term,
                    covered_from: origin.from,
                    covered_to: origin.to,
                    segments: segments.clone(),
                    term_below: origin.below,
                }])
            })
            .await?;
        hit("node.publish.after_commit");
        if !published {
            // Another host holds the partition. The objects that were just uploaded belong to
            // nobody; they are not deleted, because that could only ever do harm.
            return Ok(false);
        }
        self.troubles.makes_progress(PUBLISH, owned.id);
        self.metrics.segments_published.inc_by(count);
        let ran = self.global.read(|state| view::ran_ms(state, owned.id));
        owned.cover(origin, keys, ran);
        self.prune();
        Ok(true)
    }

    /// Builds and uploads a segment for each repository; several, where the events of one take too
    /// much memory at once.
    pub(crate) async fn upload(
        &self,
        batches: BTreeMap<Arc<str>, Vec<Arc<LiveBatch>>>,
        origin: Origin,
    ) -> Result<Vec<Segment>, PublishError> {
        let limit =
            self.memory.share(MemoryUse::Segments) / MEMORY_FACTOR_OF_WRITING / PARALLEL_BUILDS;
        let usual = self
            .config
            .tuning
            .segment_bytes
            .saturating_mul(MEMORY_FACTOR_OF_UNPACKING);
        let limit = limit.min(usual.max(SMALL_CUT_BYTES));
        let chunks = batches.into_iter().flat_map(|(repository, batches)| {
            let chunks = chunks(batches, limit).into_iter();
            chunks.map(move |chunk| (Arc::clone(&repository), chunk))
        });
        stream::iter(chunks)
            .map(|(repository, chunk)| self.upload_one(repository, chunk, origin))
            .buffered(PARALLEL_BUILDS)
            .try_collect()
            .await
    }

    async fn upload_one(
        &self,
        repository: Arc<str>,
        chunk: Chunk,
        origin: Origin,
    ) -> Result<Segment, PublishError> {
        let failed = |detail: String| PublishError::Build {
            repository: repository.to_string(),
            detail,
        };
        let leave = self.building.acquire().await;
        let leave = leave.map_err(|error| failed(error.to_string()))?;
        let needed = chunk.memory.saturating_mul(MEMORY_FACTOR_OF_WRITING);
        let mut held = self.memory.take(MemoryUse::Segments, needed).await;
        let write = move || {
            let events = chunk.events()?;
            drop(chunk);
            build(events, backstay_search::segment::write)
        };
        let Built { written, bare } = tokio::task::spawn_blocking(write)
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))?;
        if let Some(why) = bare {
            self.metrics.segments_without_fields.inc();
            tracing::error!(
                %repository,
                events = written.events,
                %why,
                "the fields of these events could not be written to a segment; it has their texts"
            );
        }
        // What is built is small compared with its events, and a bucket that hangs holds up no other build.
        drop(leave);
        let bytes: Bytes = written.bytes;
        // The upload may take long; others can build theirs meanwhile.
        held.shrink_to(bytes.len());
        let size = bytes.len() as u64;
        let segment = Segment {
            id: SegmentId::new(),
            repository: RepositoryId::from(&*repository),
            bucket: self.buckets.own(),
            size,
            raw_bytes: written.raw_bytes,
            events: written.events,
            start_ms: written.start_ms,
            end_ms: written.end_ms,
            partition: origin.partition,
            from_seq: origin.from,
            to_seq: origin.to,
            rest: None,
        };
        hit("node.segment.before_upload");
        self.bucket.put(&segment.key(), bytes).await?;
        hit("node.segment.after_upload");
        self.metrics.segment_bytes.inc_by(size);
        Ok(segment)
    }

    /// Writes the keys of a partition down, then trims it below what has been covered for long
    /// enough: first the floor in `global`, then the entries.
    pub(crate) async fn trim(&self, owned: &Owned) -> Result<(), PublishError> {
        self.keep_keys(owned).await?;
        let own = self.buckets.own();
        let (standing, indexed, needed) = self.global.read(|state| {
            (
                view::standing(state, owned.id),
                view::indexed(state, owned.id),
                view::is_needed(state, owned.id, own),
            )
        });
        let floor = owned.trimmable().min(standing.covered).min(indexed);
        let floor = floor.max(standing.floor);
        // What this cluster's stream held in an earlier life of this cluster may be a source itself.
        if needed || floor <= owned.deleted() {
            return Ok(());
        }
        if floor > standing.floor {
            hit("node.trim.before_floor");
            let advanced = self
                .commit(|_| {
                    Ok(vec![GlobalEvent::FloorAdvanced {
                        partition: owned.id,
                        term: owned.term,
                        floor,
                    }])
                })
                .await?;
            if !advanced {
                return Ok(());
            }
            hit("node.trim.after_floor");
        }
        let trimmed = self
            .journal
            .trim(StreamId::Partition(owned.id), floor)
            .await?;
        owned.note_deleted(floor);
        hit("node.trim.after_trim");
        self.metrics.trimmed.inc_by(trimmed.deleted);
        Ok(())
    }
}
