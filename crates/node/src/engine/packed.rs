//! The events of a batch as they are kept while no segment has them: packed, as in the journal.
//!
//! A small event takes many times its packed size once it is unpacked, so what waits for its
//! segment is left as it is and unpacked piece by piece where it is needed.

use std::sync::Arc;

use backstay_search::{Event, LiveEvents, SearchError, allocated};
use bytes::Bytes;

use super::record::{EventRef, RecordError, first_event};
use crate::memory::MemoryPermit;

/// What a tag or a field takes in the list of an event, in bytes.
const PAIR_BYTES: usize = size_of::<(String, String)>();
/// A piece has hardly more events than this …
const PIECE_EVENTS: u64 = 8192;
/// … and hardly takes more memory once it is unpacked.
const PIECE_BYTES: usize = 4 << 20;

/// The events of one batch in the journal.
#[derive(Clone, Debug)]
pub(crate) struct LiveBatch {
    /// Id of the repository.
    pub(crate) repository: Arc<str>,
    events: Bytes,
    pieces: Vec<EventRun>,
    /// The memory of `events` is accounted for as long as somebody has them.
    _held: Option<Arc<MemoryPermit>>,
}

#[derive(Clone, Copy, Debug)]
struct EventRun {
    /// Behind its last byte.
    end: usize,
    events: u64,
    raw_bytes: usize,
    /// What it takes unpacked.
    memory: usize,
    first_ms: i64,
    last_ms: i64,
}

/// What an event takes unpacked.
fn unpacked(event: &EventRef<'_>) -> usize {
    let pairs = event.tags.iter().chain(&event.fields);
    let texts: usize = pairs
        .map(|(name, value)| allocated(name.len()) + allocated(value.len()))
        .sum();
    size_of::<Event>()
        + allocated(event.raw.len())
        + allocated(event.id.len())
        + allocated(event.tags.len() * PAIR_BYTES)
        + allocated(event.fields.len() * PAIR_BYTES)
        + texts
}

impl LiveBatch {
    /// Looks through `count` packed events, so that unpacking them later cannot fail.
    pub(crate) fn new(
        repository: Arc<str>,
        count: u64,
        events: Bytes,
        held: Option<Arc<MemoryPermit>>,
    ) -> Result<Self, RecordError> {
        let mut pieces: Vec<EventRun> = Vec::new();
        let mut rest: &[u8] = &events;
        for _ in 0..count {
            let (event, after) = first_event::<EventRef<'_>>(rest)?;
            rest = after;
            let end = events.len() - rest.len();
            let (at, memory) = (event.timestamp_ms, unpacked(&event));
            match pieces.last_mut() {
                Some(piece)
                    if piece.events < PIECE_EVENTS && piece.memory + memory <= PIECE_BYTES =>
                {
                    piece.end = end;
                    piece.events += 1;
                    piece.raw_bytes += event.raw.len();
                    piece.memory += memory;
                    piece.first_ms = piece.first_ms.min(at);
                    piece.last_ms = piece.last_ms.max(at);
                }
                _ => pieces.push(EventRun {
                    end,
                    events: 1,
                    raw_bytes: event.raw.len(),
                    memory,
                    first_ms: at,
                    last_ms: at,
                }),
            }
        }
        if !rest.is_empty() {
            return Err(RecordError::Longer(rest.len()));
        }
        pieces.shrink_to_fit();
        Ok(Self {
            repository,
            events,
            pieces,
            _held: held,
        })
    }

    /// How many events there are.
    pub(crate) fn events(&self) -> usize {
        self.pieces.iter().map(|piece| piece.events as usize).sum()
    }

    /// Raw bytes of the events.
    pub(crate) fn raw_bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.raw_bytes).sum()
    }

    /// What this takes in addition to the packed events, in bytes.
    pub(crate) fn overhead(&self) -> usize {
        allocated(size_of::<Self>() + 16)
            + allocated(self.repository.len() + 16)
            + allocated(self.pieces.capacity() * size_of::<EventRun>())
    }

    /// Shows the events of a piece.
    fn each<E: From<RecordError>>(
        &self,
        piece: usize,
        mut see: impl FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(about) = self.pieces.get(piece) else {
            return Ok(());
        };
        let before = piece.checked_sub(1).and_then(|it| self.pieces.get(it));
        let from = before.map_or(0, |it| it.end);
        let mut rest = self.events.get(from..about.end).unwrap_or_default();
        while !rest.is_empty() {
            let (event, after) = first_event(rest)?;
            rest = after;
            see(event)?;
        }
        Ok(())
    }
}

/// Why a search cannot see an event.
struct Unseen(SearchError);

impl From<RecordError> for Unseen {
    fn from(error: RecordError) -> Self {
        Self(SearchError::Stopped {
            detail: error.to_string(),
        })
    }
}

impl LiveEvents for LiveBatch {
    fn pieces(&self) -> usize {
        self.pieces.len()
    }

    fn extent(&self, piece: usize) -> Option<(i64, i64)> {
        let piece = self.pieces.get(piece)?;
        Some((piece.first_ms, piece.last_ms))
    }

    fn memory(&self, piece: usize) -> usize {
        self.pieces.get(piece).map_or(0, |piece| piece.memory)
    }

    fn look(
        &self,
        piece: usize,
        see: &mut dyn FnMut(&Event) -> Result<(), SearchError>,
    ) -> Result<(), SearchError> {
        self.each(piece, |event| see(&event).map_err(Unseen))
            .map_err(|Unseen(error)| error)
    }
}

/// Some pieces of batches of one repository, which make one segment.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pieces: Vec<(Arc<LiveBatch>, usize)>,
    /// What their events take unpacked.
    pub(crate) memory: usize,
}

impl Chunk {
    /// Unpacks the events.
    pub(crate) fn events(&self) -> Result<Vec<Event>, RecordError> {
        let about = self
            .pieces
            .iter()
            .filter_map(|(batch, at)| batch.pieces.get(*at));
        let count: usize = about.map(|piece| piece.events as usize).sum();
        let mut events = Vec::with_capacity(count);
        for (batch, piece) in &self.pieces {
            batch.each(*piece, |event| {
                events.push(event);
                Ok::<(), RecordError>(())
            })?;
        }
        Ok(events)
    }
}

/// Batches in chunks that hardly take more than `limit` bytes unpacked: one chunk, unless the
/// events are uncommonly small.
pub(crate) fn chunks(batches: Vec<Arc<LiveBatch>>, limit: usize) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for batch in batches {
        for (at, piece) in batch.pieces.iter().enumerate() {
            let full = chunks
                .last()
                .is_none_or(|chunk| chunk.memory + piece.memory > limit);
            if full {
                chunks.push(Chunk::default());
            }
            if let Some(chunk) = chunks.last_mut() {
                chunk.pieces.push((Arc::clone(&batch), at));
                chunk.memory += piece.memory;
            }
        }
    }
    chunks
}

#[cfg(test)]
mod tests;
