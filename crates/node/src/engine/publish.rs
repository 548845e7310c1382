//! From the tails of the own partitions to segments in the bucket, and what may be trimmed then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay_failpoint::hit;
use backstay_global::{Event as GlobalEvent, RepositoryId, Segment, SegmentId};
use backstay_journal::{StoreError, StreamId};
use backstay_search::Event;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::cut::{Thresholds, cut};
use super::keys::KeysError;
use super::owned::Owned;
use super::record::KeyHash;
use super::running::{GlobalError, Running};
use super::tails::FollowError;
use super::view;

/// Segments of all partitions that are built at the same time, and of one partition that are on their
/// way to the bucket.
pub(crate) const PARALLEL: usize = 2;

/// Why segments were not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The tail cannot be read.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The segment cannot be built.
    #[error("a segment of repository {repository} cannot be built: {detail}")]
    Build {
        /// The repository's id.
        repository: String,
        /// Why.
        detail: String,
    },
    /// The segment cannot be uploaded.
    #[error(transparent)]
    Upload(#[from] backstay_bucket::Error),
    /// `global` does not take it.
    #[error(transparent)]
    Global(#[from] GlobalError),
    /// Trimming failed.
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
        if behind() || all {
            self.follow(owned.id).await?;
        }
        let tuning = &self.config.tuning;
        let thresholds = Thresholds {
            bytes: tuning.segment_bytes,
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
                return Ok(());
            };
            let Some(cut) = cut(&entries, end, thresholds, Instant::now()) else {
                return Ok(());
            };
            drop(entries);
            let origin = Origin {
                partition: owned.id,
                from,
                to: cut.to,
            };
            let segments = self.upload(cut.events, origin).await?;
            if !self.publish_cut(owned, origin, segments, cut.keys).await? {
                return Ok(());
            }
        }
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
                }])
            })
            .await?;
        hit("node.publish.after_commit");
        if !published {
            // Another host holds the partition. The objects that were just uploaded belong to
            // nobody; they are not deleted, because that could only ever do harm.
            return Ok(false);
        }
        self.metrics.segments_published.inc_by(count);
        let ran = self.global.read(|state| view::ran_ms(state, owned.id));
        owned.cover(origin.from, origin.to, keys, ran);
        self.prune();
        Ok(true)
    }

    /// Builds and uploads one segment for each repository.
    pub(crate) async fn upload(
        &self,
        events: BTreeMap<Arc<str>, Vec<Event>>,
        origin: Origin,
    ) -> Result<Vec<Segment>, PublishError> {
        stream::iter(events)
            .map(|(repository, events)| self.upload_one(repository, events, origin))
            .buffered(PARALLEL)
            .try_collect()
            .await
    }

    async fn upload_one(
        &self,
        repository: Arc<str>,
        events: Vec<Event>,
        origin: Origin,
    ) -> Result<Segment, PublishError> {
        let failed = |detail: String| PublishError::Build {
            repository: repository.to_string(),
            detail,
        };
        let leave = self.building.acquire().await;
        let leave = leave.map_err(|error| failed(error.to_string()))?;
        let written = tokio::task::spawn_blocking(move || backstay_search::segment::write(&events))
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))?;
        // What is built is small beside its events, and a bucket that hangs holds up no other build.
        drop(leave);
        let bytes: Bytes = written.bytes;
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
        // What the own stream held in an earlier life of this cluster may be a source itself.
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
