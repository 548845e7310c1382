//! Reading what a recovered cluster left in a partition, piece by piece, each entry once.
//!
//! Where a piece ends is known only when the entry behind it is read. That entry is kept for the next
//! piece: as it was delivered where there is no memory to look through it, otherwise looked through and
//! accounted for.

use std::sync::Arc;

use backstay_journal::{Journal, StreamId, Tail, TailError};

use super::tails::{self, FollowError, LiveEntry, weight};
use super::view::PendingTail;
use crate::memory::{MemoryBudget, MemoryUse};

/// A reader of a tail that is to be imported.
#[derive(Debug)]
pub(crate) struct Pieces {
    tail: Tail,
    /// Looked through, and of no piece yet.
    next: Option<LiveEntry>,
    /// The highest term begun below what is of no piece yet.
    term: u64,
    /// The slot at which the tail ends.
    to: u64,
}

/// Some consecutive entries, which become segments together.
#[derive(Debug)]
pub(crate) struct ImportPiece {
    pub(crate) entries: Vec<Arc<LiveEntry>>,
    /// The position behind them.
    pub(crate) to: u64,
    /// The highest term begun below that.
    pub(crate) below: u64,
}

impl Pieces {
    /// Reads what is left of `tail` in the journal of its source.
    pub(crate) async fn of(source: &Journal, tail: &PendingTail) -> Result<Self, FollowError> {
        let stream = StreamId::Partition(tail.partition);
        let term = tails::term_below(source, stream, tail.imported, tail.below).await?;
        Ok(Self {
            tail: source.tail(stream, tail.imported, term),
            next: None,
            term,
            to: tail.to,
        })
    }

    /// The position behind the last piece.
    pub(crate) fn position(&self) -> u64 {
        let next = self.next.as_ref().map(|entry| entry.seq);
        next.unwrap_or_else(|| self.tail.position())
    }

    /// As many entries as fit into `memory` and have at most `limit` raw bytes; the first one in any
    /// case. After an error, or where the piece is not imported, another reader must begin again.
    pub(crate) async fn next(
        &mut self,
        limit: usize,
        memory: &MemoryBudget,
    ) -> Result<ImportPiece, FollowError> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut to = self.to;
        while let Some(entry) = self.read(entries.is_empty(), memory).await? {
            let entry = match entry {
                Read::Entry(entry) => entry,
                Read::NoRoom(seq) => {
                    to = seq;
                    break;
                }
            };
            if bytes > 0 && bytes + entry.raw_bytes > limit {
                to = entry.seq;
                self.next = Some(entry);
                break;
            }
            bytes += entry.raw_bytes;
            self.term = entry.term;
            entries.push(Arc::new(entry));
        }
        if to == self.to && self.tail.position() < self.to {
            // The seal is at `to`, so everything below exists. Not to find it means that the
            // source is being destroyed under us.
            return Err(FollowError::Tail(TailError::Trimmed {
                stream: self.tail.stream(),
                position: self.tail.position(),
            }));
        }
        Ok(ImportPiece {
            entries,
            to,
            below: self.term,
        })
    }

    /// The next entry below the end. A piece's first one waits for memory.
    async fn read(
        &mut self,
        first: bool,
        memory: &MemoryBudget,
    ) -> Result<Option<Read>, FollowError> {
        if let Some(entry) = self.next.take() {
            return Ok(Some(Read::Entry(entry)));
        }
        let Some(entry) = self.tail.next().await? else {
            return Ok(None);
        };
        if entry.seq >= self.to {
            return Ok(None);
        }
        let needed = weight(&entry);
        let held = match memory.try_take(MemoryUse::Import, needed) {
            Ok(held) => held,
            // Nothing is held here while it waits.
            Err(_) if first => memory.take(MemoryUse::Import, needed).await,
            Err(_) => {
                let seq = entry.seq;
                self.tail.give_back(entry);
                return Ok(Some(Read::NoRoom(seq)));
            }
        };
        Ok(Some(Read::Entry(LiveEntry::decode(&entry, held)?)))
    }
}

/// What reading one entry on has given.
enum Read {
    Entry(LiveEntry),
    /// The entry of this slot, for which there is no memory now.
    NoRoom(u64),
}
