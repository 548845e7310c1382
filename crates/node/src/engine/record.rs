//! What the engine puts into a partition's journal: one record is one batch of a client.

use backstay_global::recovery::outside::Counted;
use backstay_search::Event;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// First byte of every record, so that a later form can be told apart.
const VERSION: u8 = 1;

/// An idempotency key as the journal and the window hold it: the first half of a SHA-256 over the
/// repository and the client's key. Sixteen bytes however long a client's key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct KeyHash([u8; 16]);

impl KeyHash {
    /// The hash of a client's `key` for a repository, by its id (names can change).
    pub(crate) fn new(repository: &str, key: &str) -> Self {
        let mut text = Vec::with_capacity(repository.len() + 1 + key.len());
        text.extend_from_slice(repository.as_bytes());
        text.push(0);
        text.extend_from_slice(key.as_bytes());
        let mut half = [0; 16];
        for (to, from) in half.iter_mut().zip(digest(&SHA256, &text).as_ref()) {
            *to = *from;
        }
        Self(half)
    }

    /// The partition whose writer judges this key.
    pub(crate) fn partition(self, partitions: u32) -> u32 {
        (u128::from_le_bytes(self.0) % u128::from(partitions.max(1))) as u32
    }
}

/// One record of a partition, as a whole; the program itself reads it as [`Opened`].
#[cfg(test)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Record {
    /// A batch as a client sent it.
    Batch {
        /// Id of the repository.
        repository: String,
        /// Under which the batch must be stored once only.
        key: Option<KeyHash>,
        /// Its events, in the order that they were sent in.
        events: Vec<Event>,
    },
    /// Keys of batches that a recovered cluster had stored, as earlier versions wrote them; now
    /// they are in the index object.
    Keys {
        /// Id of the recovery.
        recovery: String,
        /// Those that belong to this partition.
        keys: Vec<KeyHash>,
    },
}

/// The same, borrowed, so that a batch is not copied to be encoded.
#[derive(Serialize)]
enum RecordRef<'a> {
    Batch {
        repository: &'a str,
        key: Option<KeyHash>,
        events: &'a [Event],
    },
    #[cfg(test)]
    Keys {
        recovery: &'a str,
        keys: &'a [KeyHash],
    },
}

/// The same up to the events, which follow one by one: so a record is read without holding all of
/// them, and its count of events alone takes no memory.
#[derive(Deserialize)]
enum Head {
    Batch {
        repository: String,
        key: Option<KeyHash>,
        events: u64,
    },
    Keys {
        #[serde(rename = "recovery")]
        _recovery: String,
        keys: Vec<KeyHash>,
    },
}

/// One event where it lies in its record.
#[derive(Deserialize)]
pub(crate) struct EventRef<'a> {
    pub(crate) timestamp_ms: i64,
    pub(crate) raw: &'a str,
    pub(crate) id: &'a str,
    #[serde(borrow)]
    pub(crate) tags: Vec<(&'a str, &'a str)>,
    #[serde(borrow)]
    pub(crate) fields: Vec<(&'a str, &'a str)>,
}

/// A record whose events are not unpacked yet.
pub(crate) enum Opened {
    /// A batch as a client sent it.
    Batch {
        repository: String,
        key: Option<KeyHash>,
        /// How many events there are.
        count: u64,
        /// The events, one after the other; see [`first_event`].
        events: bytes::Bytes,
    },
    /// Keys that came with a recovery.
    Keys { keys: Vec<KeyHash> },
}

/// The first of some packed events, and what follows it.
pub(crate) fn first_event<'a, T: Deserialize<'a>>(
    packed: &'a [u8],
) -> Result<(T, &'a [u8]), RecordError> {
    Ok(postcard::take_from_bytes(packed)?)
}

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Written by a later version, or no record at all.
    #[error(
        "a record of version {0:?}, this program knows version 1; was it written by a newer one?"
    )]
    Version(Option<u8>),
    /// It cannot be decoded.
    #[error("not a record: {0}")]
    Malformed(#[from] postcard::Error),
    /// Something follows the events.
    #[error("not a record: {0} bytes follow its events")]
    Longer(usize),
}

fn encode(record: &RecordRef<'_>, capacity: usize) -> Result<Vec<u8>, RecordError> {
    let mut bytes = Vec::with_capacity(capacity);
    bytes.push(VERSION);
    Ok(postcard::to_extend(record, bytes)?)
}

/// What a batch takes as a record, at the most.
pub(crate) fn longest(repository: &str, events: &[Event]) -> usize {
    // A number, and the length of a text or list, has ten bytes at the most.
    let pair = |(name, value): &(String, String)| name.len() + value.len() + 2 * 5;
    let event = |event: &Event| {
        let pairs = event.tags.iter().chain(&event.fields);
        event.raw.len() + event.id.len() + 10 + 4 * 5 + pairs.map(pair).sum::<usize>()
    };
    repository.len() + 64 + events.iter().map(event).sum::<usize>()
}

/// A batch as a record.
pub(crate) fn encode_batch(
    repository: &str,
    key: Option<KeyHash>,
    events: &[Event],
) -> Result<Vec<u8>, RecordError> {
    let record = RecordRef::Batch {
        repository,
        key,
        events,
    };
    encode(&record, longest(repository, events))
}

/// The keys that came with a recovery as a record.
#[cfg(test)]
pub(crate) fn encode_keys(recovery: &str, keys: &[KeyHash]) -> Result<bytes::Bytes, RecordError> {
    Ok(encode(&RecordRef::Keys { recovery, keys }, 64 + keys.len() * 16)?.into())
}

/// How many events a record of a partition holds: what `backstay_global::recovery::outside::gained`
/// asks of each.
///
/// # Errors
/// When it is no record that this version knows.
pub fn events_in_record(bytes: &bytes::Bytes) -> Result<Counted, RecordError> {
    match Opened::open(bytes)? {
        Opened::Batch { count, events, .. } => {
            let mut raw_bytes = 0;
            each_event(count, &events, |event| {
                raw_bytes += event.raw.len() as u64;
            })?;
            Ok(Counted {
                events: count,
                bytes: raw_bytes,
            })
        }
        Opened::Keys { .. } => Ok(Counted::default()),
    }
}

/// Shows `count` packed events one by one.
pub(crate) fn each_event<'a>(
    count: u64,
    packed: &'a [u8],
    mut see: impl FnMut(EventRef<'a>),
) -> Result<(), RecordError> {
    let mut rest = packed;
    for _ in 0..count {
        let (event, after) = first_event(rest)?;
        rest = after;
        see(event);
    }
    match rest.len() {
        0 => Ok(()),
        more => Err(RecordError::Longer(more)),
    }
}

impl Opened {
    /// Opens a record. Never panics, and takes memory only for what is there.
    pub(crate) fn open(bytes: &bytes::Bytes) -> Result<Self, RecordError> {
        let Some((&VERSION, rest)) = bytes.split_first() else {
            return Err(RecordError::Version(bytes.first().copied()));
        };
        let (head, events) = postcard::take_from_bytes(rest)?;
        Ok(match head {
            Head::Batch {
                repository,
                key,
                events: count,
            } => Self::Batch {
                repository,
                key,
                count,
                events: bytes.slice_ref(events),
            },
            Head::Keys { keys, .. } => Self::Keys { keys },
        })
    }
}

#[cfg(test)]
impl Record {
    /// Reads a record. Never panics.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => Ok(postcard::from_bytes(rest)?),
            other => Err(RecordError::Version(other.map(|(version, _)| *version))),
        }
    }
}

#[cfg(test)]
mod tests;
