//! Following a stream from a position.
//!
//! A tail reads ahead while it is behind, and one slot at a time when it is not. It delivers what
//! is contiguous from its position; that is durable and will stay in the log, acknowledged or not,
//! because every later seal goes into an absent slot.

use std::collections::VecDeque;

use futures::{StreamExt, stream};

use crate::entry::{Entry, StreamId};
use crate::store::StoreError;
use crate::trim::is_trimmed;
use crate::{Journal, TRIM_WINDOW, slot};

/// How many slots are read ahead at most: of 4 MiB each, that bounds a tail's memory.
const READ_AHEAD: usize = 8;

/// A reader of one stream; see [`Journal::tail`].
#[derive(Debug)]
pub struct Tail {
    journal: Journal,
    stream: StreamId,
    /// The slot that is read next.
    position: u64,
    /// The highest term seen; entries below it are dead.
    term: u64,
    floor: u64,
    buffered: VecDeque<Entry>,
    read_ahead: usize,
}

/// Why a stream cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The entries at the position are gone: what they said is in the newest snapshot.
    #[error(
        "stream {stream}: the entries from {position} on have been trimmed; load the newest snapshot and read on from its position"
    )]
    Trimmed {
        /// The stream.
        stream: StreamId,
        /// The position that was asked for.
        position: u64,
    },
    /// The store did not answer, or a slot cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Journal {
    /// Reads `stream` from the slot `from` on.
    ///
    /// `min_term` is the highest term known to have begun below `from` (0 if none): without it,
    /// a dead entry right behind its seal could not be told from a live one.
    pub fn tail(&self, stream: StreamId, from: u64, min_term: u64) -> Tail {
        Tail {
            journal: self.clone(),
            stream,
            position: from,
            term: min_term,
            floor: 0,
            buffered: VecDeque::new(),
            read_ahead: 1,
        }
    }
}

impl Tail {
    /// The stream that is read.
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// The slot after the last one that [`Tail::next`] has delivered or passed over.
    pub fn position(&self) -> u64 {
        self.buffered
            .front()
            .map_or(self.position, |entry| entry.seq)
    }

    /// The highest term seen.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// Tells that entries below `floor` may have been trimmed, as `global` says of a partition. A
    /// tail that finds an absent slot below it says so, instead of waiting there for ever. (A
    /// tail of `global` finds out by itself.)
    pub fn set_floor(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
    }

    /// Tells how many entries are probably there: so many are read at the same time then. To expect
    /// too many only costs calls.
    pub fn expect(&mut self, entries: usize) {
        self.read_ahead = self.read_ahead.max(entries.min(READ_AHEAD));
    }

    /// The next live entry, seals included; `None` at the end of the stream as it is now.
    ///
    /// May be dropped and called again without losing an entry.
    ///
    /// # Errors
    /// [`TailError::Trimmed`] when the position was trimmed. Store errors are not retried here,
    /// beyond what the backend does; the call can be repeated.
    pub async fn next(&mut self) -> Result<Option<Entry>, TailError> {
        loop {
            while let Some(entry) = self.buffered.pop_front() {
                if entry.term >= self.term {
                    self.term = entry.term;
                    return Ok(Some(entry));
                }
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// Reads ahead; `false` at the end of the stream.
    async fn fill(&mut self) -> Result<bool, TailError> {
        let store = &*self.journal.store;
        let stream = self.stream;
        let end = self.position.saturating_add(self.read_ahead as u64);
        let mut slots = stream::iter(self.position..end)
            .map(|seq| slot::read(store, stream, seq))
            .buffered(READ_AHEAD);
        let mut found = VecDeque::new();
        while let Some(entry) = slots.next().await {
            match entry {
                Ok(Some(entry)) => found.push_back(entry),
                Ok(None) => break,
                // Reading ahead must not keep back what is below a slot that cannot be read: the
                // error is told when the slot's turn comes.
                Err(_) if !found.is_empty() => break,
                Err(error) => return Err(error.into()),
            }
        }
        drop(slots);
        let next = self.position + found.len() as u64;
        let at_end = next < end;
        if self.stream == StreamId::Global {
            // Only after the reads, and for every window touched: an entry may be what a straggler
            // wrote into trimmed ground, an absence may be trimming.
            let mut windows: Vec<u64> = vec![self.position, if at_end { next } else { next - 1 }];
            windows.dedup_by_key(|seq| *seq / TRIM_WINDOW);
            for seq in windows {
                if is_trimmed(store, seq).await? {
                    return Err(self.trimmed());
                }
            }
        } else if at_end && next < self.floor {
            return Err(self.trimmed());
        }
        self.read_ahead = if at_end {
            1
        } else {
            (self.read_ahead * 2).min(READ_AHEAD)
        };
        self.position = next;
        let any = !found.is_empty();
        self.buffered = found;
        Ok(any)
    }

    fn trimmed(&self) -> TailError {
        TailError::Trimmed {
            stream: self.stream,
            position: self.position,
        }
    }
}
