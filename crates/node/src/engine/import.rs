//! Taking in what a recovered cluster had acknowledged but not yet put into a segment.
//!
//! The recovery has sealed the source's partitions, so their tails are final, and the node serves:
//! searches read them where they lie (see `recovered`). In the background their events become
//! segments of this cluster, in its own bucket; how far that has come is in the state, so that a
//! crash, or another node, repeats nothing. Each partition of each recovery is imported on its own,
//! so that one that is damaged, or lies in a bucket that cannot be reached, delays no other. The
//! source's idempotency keys follow when a partition is taken over (see `keys`).

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use backstay_bucket::Bucket;
use backstay_failpoint::hit;
use backstay_global::{Event, journal_over};
use backstay_journal::Journal;
use tokio::sync::Semaphore;

use super::cut::{Thresholds, cut};
use super::pieces::{ImportPiece, Pieces};
use super::plan::{importer, next_wait};
use super::publish::{Origin, PublishError};
use super::running::Running;
use super::tails::FollowError;
use super::view::{self, PendingTail};

/// The step, as troubles name it.
pub(crate) const IMPORT: &str = "import";

/// Pieces of one recovery that are imported at the same time.
pub(crate) const PARALLEL_IMPORTS: usize = 4;

/// The wait after the first failure of one that does not succeed; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait for the next try.
const MAX_WAIT: Duration = Duration::from_secs(30);

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

    /// Imports a tail to its end, piece by piece, or until it is another node's to do. It takes one of
    /// the `turns`, which all of its recovery share, and gives it back at the end and after a failure:
    /// where a bucket answers slowly, it keeps nobody waiting but those that need it, too. Only who has
    /// a turn keeps what is read ahead of the next piece.
    pub(crate) async fn import(&self, mut tail: PendingTail, turns: &Semaphore) {
        let mut wait = None;
        let mut turn = None;
        let mut pieces = None;
        loop {
            if turn.is_none() {
                let Ok(next) = turns.acquire().await else {
                    return;
                };
                turn = Some(next);
            }
            hit("node.import.before_read");
            let result = self.import_some(&tail, &mut pieces).await;
            self.note_in(IMPORT, Some(tail.partition), &result);
            match result {
                Ok(()) => wait = None,
                Err(_) => {
                    (turn, pieces) = (None, None);
                    let now = next_wait(wait, FIRST_WAIT, MAX_WAIT);
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

    /// Begins to read what is left of a tail.
    async fn pieces(&self, tail: &PendingTail) -> Result<Pieces, FollowError> {
        let source = self.journal_in(&self.source_bucket(tail.bucket).await?);
        Pieces::of(&source, tail).await
    }

    /// Imports as much of a tail as makes segments of the usual size.
    async fn import_some(
        &self,
        tail: &PendingTail,
        pieces: &mut Option<Pieces>,
    ) -> Result<(), PublishError> {
        let pieces = match pieces {
            Some(pieces) if pieces.position() == tail.imported => pieces,
            // Nothing is read yet, or another node has imported some.
            slot => slot.insert(self.pieces(tail).await?),
        };
        let limit = self.config.tuning.segment_bytes;
        let ImportPiece { entries, to, below } = pieces.next(limit, &self.memory).await?;
        let everything = Thresholds {
            bytes: usize::MAX,
            memory: usize::MAX,
            age: Duration::ZERO,
        };
        let batches = cut(&entries, to, everything, Instant::now())
            .map(|cut| cut.batches)
            .unwrap_or_default();
        drop(entries);
        let count: usize = batches.values().flatten().map(|it| it.events()).sum();
        let origin = Origin {
            partition: tail.partition,
            from: tail.imported,
            to,
            below: Some(below),
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
                    term_below: origin.below,
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
        journal.reading_as(self.memory.source_reading().clone())
    }

    /// A bucket that the state names.
    pub(crate) async fn source_bucket(&self, id: u32) -> Result<Bucket, FollowError> {
        let entity = self.global.read(|state| state.bucket(id).cloned());
        Ok(self.buckets.open_id(id, entity.as_ref()).await?)
    }
}
