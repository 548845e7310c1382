//! Taking in what a recovered cluster had acknowledged but not yet put into a segment.
//!
//! The recovery has sealed the source's partitions, so their tails are final, and the node serves:
//! searches read them where they lie (see `recovered`). In the background their events become
//! segments of this cluster, in its own bucket; how far that has come is in the state, so that a
//! crash, or another node, repeats nothing. Each partition of each recovery is imported by itself,
//! so that one that is damaged, or lies in a bucket that cannot be reached, delays no other. The
//! source's idempotency keys follow when a partition is taken over (see `keys`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use backstay_bucket::Bucket;
use backstay_failpoint::hit;
use backstay_global::{Event, journal_over};
use backstay_journal::{Journal, StreamId, TailError};
use tokio::sync::Semaphore;

use super::cut::{Thresholds, cut};
use super::plan::{importer, next_wait};
use super::publish::{Origin, PublishError};
use super::running::Running;
use super::tails::{self, FollowError, LiveEntry, weight};
use super::view::{self, PendingTail};
use crate::memory::Kind;

/// The step, as troubles name it.
pub(crate) const IMPORT: &str = "import";

/// Pieces of one recovery that are imported at the same time.
pub(crate) const PARALLEL: usize = 4;

/// The wait after the first failure of one that does not succeed; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait for the next try.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl Running {
    /// What is pending and this node's to import.
    pub(crate) fn to_import(&self) -> Vec<PendingTail> {
        let mut pending = self.global.read(view::pending_tails);
        pending.retain(|tail| self.imports(tail.partition));
        pending
    }

    /// Whether what a recovered cluster left in a partition is this node's to import.
    fn imports(&self, partition: u32) -> bool {
        if self.ended.load(Ordering::Acquire) {
            return false;
        }
        let alive = self.alive.read();
        let ingesting = alive.iter().filter(|(_, peer)| peer.ingests);
        let ingesting = ingesting.map(|(host, _)| host.as_str());
        self.global.read(|state| {
            let partition = state.partition(partition);
            let owner = partition.and_then(|it| it.owner.as_deref());
            importer(owner, ingesting) == Some(self.host.as_str())
        })
    }

    /// Imports a tail to its end, piece by piece, or until it is another node's to do. Each piece
    /// takes one of the `turns`, which all of its recovery share: where a bucket answers slowly, it
    /// keeps nobody waiting but those that need it, too.
    pub(crate) async fn import(&self, mut tail: PendingTail, turns: &Semaphore) {
        let mut wait = None;
        loop {
            let result = {
                let Ok(_turn) = turns.acquire().await else {
                    return;
                };
                hit("node.import.before_read");
                self.import_some(&tail).await
            };
            self.note_in(IMPORT, Some(tail.partition), &result);
            match result {
                Ok(()) => wait = None,
                Err(_) => {
                    let now = next_wait(wait, FIRST_WAIT, LONGEST_WAIT);
                    tokio::time::sleep(now).await;
                    wait = Some(now);
                }
            }
            match self.global.read(|state| view::still_pending(state, &tail)) {
                Some(left) if self.imports(left.partition) => tail = left,
                _ => return,
            }
        }
    }

    /// Imports as much of a tail as makes segments of the usual size.
    async fn import_some(&self, tail: &PendingTail) -> Result<(), PublishError> {
        let source = self.journal_in(&self.source_bucket(tail.bucket).await?);
        let stream = StreamId::Partition(tail.partition);
        let term = tails::term_below(&source, stream, tail.imported, tail.below)
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
                // Nothing is held here while it waits.
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
            segment.rest.get_or_insert_default().imported_by = Some(tail.recovery.as_str().into());
        }
        hit("node.import.before_commit");
        let imported = self
            .commit(|_| {
                Ok(vec![Event::TailImported {
                    recovery: tail.recovery.clone(),
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
            self.prune();
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

    /// The journal in another cluster's bucket, read within the bounds of this node.
    pub(crate) fn journal_in(&self, bucket: &Bucket) -> Journal {
        let journal = journal_over(bucket, self.journal.writer_id().clone());
        journal.reading_as(self.journal.reading().clone())
    }

    /// A bucket that the state names.
    pub(crate) async fn source_bucket(&self, id: u32) -> Result<Bucket, FollowError> {
        let entity = self.global.read(|state| state.bucket(id).cloned());
        Ok(self.buckets.open_id(id, entity.as_ref()).await?)
    }
}
