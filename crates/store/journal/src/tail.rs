//! Following a stream from a position.
//!
//! A tail reads ahead while it is behind, and one slot at a time when it is not. It delivers what
//! is contiguous from its position; that is durable and will stay in the log, acknowledged or not,
//! because every later seal goes into an absent slot.

use std::collections::VecDeque;

use futures::{StreamExt, stream};

use crate::entry::{Entry, StreamId};
use crate::slot::{self, Slot, Stored};
use crate::store::StoreError;
use crate::trim::is_trimmed;
use crate::{Journal, TRIM_WINDOW_SLOTS};

/// How many slots are read ahead at most; [`Reading`](crate::Reading) bounds what they take.
const READ_AHEAD_SLOTS: usize = 8;

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
    /// Delivered, and given back.
    returned: Option<Entry>,
    buffered: VecDeque<Stored>,
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
        /// The stream that is read.
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
            returned: None,
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
        let returned = self.returned.as_ref().map(|entry| entry.seq);
        let buffered = || self.buffered.front().map(|stored| stored.seq);
        returned.or_else(buffered).unwrap_or(self.position)
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
        self.read_ahead = self.read_ahead.max(entries.min(READ_AHEAD_SLOTS));
    }

    /// Gives back the entry that was delivered last: it will be the next one again, and is kept until
    /// then.
    pub fn give_back(&mut self, entry: Entry) {
        self.returned = Some(entry);
    }

    /// The next live entry, seals included; `None` at the end of the stream as it is now.
    ///
    /// May be dropped and called again without losing an entry.
    ///
    /// # Errors
    /// [`TailError::Trimmed`] when the position was trimmed. Store errors are not retried here,
    /// beyond what the backend does; the call can be repeated.
    pub async fn next(&mut self) -> Result<Option<Entry>, TailError> {
        if let Some(entry) = self.returned.take() {
            return Ok(Some(entry));
        }
        loop {
            while let Some(stored) = self.buffered.pop_front() {
                let seq = stored.seq;
                let decoded = stored.decode(self.stream, &self.journal.reading);
                // It may be whole again when it is asked for the next time.
                let entry = decoded.inspect_err(|_| {
                    self.buffered.clear();
                    self.position = seq;
                })?;
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
        let (store, reading) = (&*self.journal.store, &self.journal.reading);
        let (stream, first) = (self.stream, self.position);
        let end = self.position.saturating_add(self.read_ahead as u64);
        let mut slots = stream::iter(self.position..end)
            .map(|seq| async move {
                if seq > first {
                    return slot::read_ahead(store, reading, stream, seq).await;
                }
                let stored = slot::read_stored(store, reading, stream, seq).await?;
                Ok(stored.map_or(Slot::Absent, Slot::Stored))
            })
            .buffered(READ_AHEAD_SLOTS);
        let mut found = VecDeque::new();
        let mut is_end = false;
        while let Some(slot) = slots.next().await {
            match slot {
                Ok(Slot::Stored(stored)) => found.push_back(stored),
                Ok(Slot::Absent) => {
                    is_end = true;
                    break;
                }
                Ok(Slot::Later(_)) => break,
                // Reading ahead must not keep back what is below a slot that cannot be read: the
                // error is returned when the slot's turn comes.
                Err(_) if !found.is_empty() => break,
                Err(error) => return Err(error.into()),
            }
        }
        drop(slots);
        let next = self.position + found.len() as u64;
        if self.stream == StreamId::Global {
            // Only after the reads, and for every window touched: an entry may be what a straggler
            // wrote into trimmed ground, an absence may be trimming.
            let mut windows: Vec<u64> = vec![self.position, if is_end { next } else { next - 1 }];
            windows.dedup_by_key(|seq| *seq / TRIM_WINDOW_SLOTS);
            for seq in windows {
                if is_trimmed(store, seq).await? {
                    return Err(self.trimmed());
                }
            }
        } else if is_end && next < self.floor {
            return Err(self.trimmed());
        }
        self.read_ahead = if next < end {
            1
        } else {
            (self.read_ahead * 2).min(READ_AHEAD_SLOTS)
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
