//! A batch on its way into the journal, with the memory that it takes.

use backstay_search::Event;
use bytes::Bytes;

use super::api::IngestError;
use super::record::{KeyHash, encode_batch, longest};
use crate::memory::{MemoryBudget, MemoryPermit, MemoryUse};

/// A record takes so many times its length until it is acknowledged: as itself, in the payload of
/// its entry, and packed.
const COPIES_PER_RECORD: usize = 3;

/// A batch: events at first, a record from the first try to store it on.
#[derive(Debug)]
pub(crate) struct Parcel {
    events: Vec<Event>,
    /// The memory of the events, and of what else the batch came in.
    held: Option<MemoryPermit>,
    /// How much of that is kept when the events are gone.
    keep: usize,
    record: Option<Encoded>,
}

/// A batch as a record.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    repository: String,
    pub(crate) bytes: Bytes,
    pub(crate) key: Option<KeyHash>,
    pub(crate) events: u64,
    pub(crate) raw_bytes: u64,
}

/// The bytes of a record. However long somebody has them, their memory is accounted for.
struct Held {
    bytes: Vec<u8>,
    _memory: MemoryPermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Parcel {
    /// A batch whose memory is `held`; all but `keep` bytes of it are the events'.
    pub(crate) fn new(events: Vec<Event>, held: Option<MemoryPermit>, keep: usize) -> Self {
        Self {
            events,
            held,
            keep,
            record: None,
        }
    }

    /// The batch as a record for a repository.
    pub(super) fn encode(
        &mut self,
        repository: &str,
        key: Option<KeyHash>,
        memory: &MemoryBudget,
    ) -> Result<Encoded, IngestError> {
        if let Some(known) = &self.record {
            if known.repository == repository && known.key == key {
                return Ok(known.clone());
            }
            return Err(IngestError::Unavailable {
                detail: "its repository was replaced by another of the same name".to_owned(),
            });
        }
        let mut held = memory.try_take(MemoryUse::Ingest, longest(repository, &self.events))?;
        let bytes = encode_batch(repository, key, &self.events).map_err(|error| {
            IngestError::Unavailable {
                detail: error.to_string(),
            }
        })?;
        let raw_bytes = self.events.iter().map(|event| event.raw.len() as u64).sum();
        let events = std::mem::take(&mut self.events).len() as u64;
        if let Some(held) = &mut self.held {
            held.shrink_to(self.keep);
        }
        held.shrink_to(bytes.capacity());
        held.grow(bytes.len() * (COPIES_PER_RECORD - 1))?;
        let encoded = Encoded {
            repository: repository.to_owned(),
            bytes: Bytes::from_owner(Held {
                bytes,
                _memory: held,
            }),
            key,
            events,
            raw_bytes,
        };
        self.record = Some(encoded.clone());
        Ok(encoded)
    }
}
