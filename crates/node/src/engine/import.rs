//! Taking in what a recovered cluster had acknowledged but not yet put into a segment.
//!
//! The recovery has sealed the source's partitions, so their tails are final. Their events become
//! segments of this cluster, in its own bucket, before it serves; how far that has come is in the
//! state, so that a crash, or another node that helps, repeats nothing. The source's idempotency
//! keys follow when a partition is taken over (see `keys`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay_bucket::Bucket;
use backstay_failpoint::hit;
use backstay_global::{Event, RecoveredTail, RecoveryRecord, journal_over};
use backstay_journal::{Journal, StreamId, TailError};

use super::cut::{Thresholds, cut};
use super::publish::{Origin, PublishError};
use super::running::Running;
use super::tails::{self, FollowError, LiveEntry, weight};
use super::view;
use crate::memory::Kind;

impl Running {
    /// Imports all pending tails.
    pub(crate) async fn import(&self) -> Result<(), PublishError> {
        loop {
            self.global.refresh().await?;
            let pending = self.global.read(view::pending_tails);
            let Some((record, tail)) = pending.into_iter().next() else {
                return Ok(());
            };
            self.import_some(&record, &tail).await?;
        }
    }

    /// Imports as much of a tail as makes segments of the usual size.
    async fn import_some(
        &self,
        record: &RecoveryRecord,
        tail: &RecoveredTail,
    ) -> Result<(), PublishError> {
        let source = self.source_journal(record).await?;
        let stream = StreamId::Partition(tail.partition);
        let known = tail.term_below(tail.imported);
        let term = tails::term_below(&source, stream, tail.imported, known)
            .await
            .map_err(FollowError::from)?;
        let mut reader = source.tail(stream, tail.imported, term);
        let limit = self.config.tuning.segment_bytes;
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut to = tail.to;
        while let Some(entry) = reader.next().await.map_err(FollowError::from)? {
            if entry.seq >= tail.to {
                break;
            }
            // As many as fit; the first one in any case.
            let needed = weight(&entry);
            let held = match self.memory.try_take(Kind::Import, needed) {
                Ok(held) => held,
                Err(_) if entries.is_empty() => self.memory.take(Kind::Import, needed).await,
                Err(_) => {
                    to = entry.seq;
                    break;
                }
            };
            let decoded = LiveEntry::decode(&entry, held)?;
            if bytes > 0 && bytes + decoded.raw_bytes > limit {
                to = entry.seq;
                break;
            }
            bytes += decoded.raw_bytes;
            entries.push(Arc::new(decoded));
        }
        if to == tail.to && reader.position() < tail.to {
            // The seal is at `to`, so everything below exists. Not to find it means that the
            // source is being destroyed under us.
            return Err(FollowError::Tail(TailError::Trimmed {
                stream,
                position: reader.position(),
            })
            .into());
        }
        let everything = Thresholds {
            bytes: usize::MAX,
            memory: usize::MAX,
            age: Duration::ZERO,
        };
        let batches = cut(&entries, to, everything, Instant::now())
            .map(|cut| cut.batches)
            .unwrap_or_default();
        let below = Some(entries.last().map_or(term, |last| last.term));
        drop(entries);
        let count: usize = batches.values().flatten().map(|it| it.events()).sum();
        let origin = Origin {
            partition: tail.partition,
            from: tail.imported,
            to,
            below,
        };
        hit("node.import.before_upload");
        let mut segments = self.upload(batches, origin).await?;
        for segment in &mut segments {
            segment.rest.get_or_insert_default().imported_by = Some(record.id.as_str().into());
        }
        hit("node.import.before_commit");
        let imported = self
            .commit(|_| {
                Ok(vec![Event::TailImported {
                    recovery: record.id.clone(),
                    partition: tail.partition,
                    from: tail.imported,
                    to,
                    segments: segments.clone(),
                    term_below: below,
                }])
            })
            .await?;
        hit("node.import.after_commit");
        if imported {
            tracing::info!(
                partition = tail.partition,
                from = tail.imported,
                to,
                events = count,
                "imported the unread end of the source's partition"
            );
        }
        Ok(())
    }

    async fn source_journal(&self, record: &RecoveryRecord) -> Result<Journal, FollowError> {
        let bucket = self.source_bucket(record.bucket).await?;
        Ok(journal_over(&bucket, self.journal.writer_id().clone()))
    }

    /// A bucket that the state names.
    pub(crate) async fn source_bucket(&self, id: u32) -> Result<Bucket, FollowError> {
        let entity = self.global.read(|state| state.bucket(id).cloned());
        Ok(self.buckets.open_id(id, entity.as_ref()).await?)
    }
}
