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

/// One record of a partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Record {
    /// A client's batch.
    Batch {
        /// Id of the repository.
        repository: String,
        /// Under which the batch must be stored once only.
        key: Option<KeyHash>,
        /// The events.
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

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Written by a later version, or no record at all.
    #[error(
        "a record of version {0:?}, this program knows version 1; was it written by a newer one?"
    )]
    Version(Option<u8>),
    /// Not well-formed.
    #[error("not a record: {0}")]
    Malformed(#[from] postcard::Error),
}

fn encode(record: &RecordRef<'_>) -> Result<bytes::Bytes, RecordError> {
    Ok(postcard::to_extend(record, vec![VERSION])?.into())
}

/// A batch as a record.
pub(crate) fn encode_batch(
    repository: &str,
    key: Option<KeyHash>,
    events: &[Event],
) -> Result<bytes::Bytes, RecordError> {
    encode(&RecordRef::Batch {
        repository,
        key,
        events,
    })
}

/// The keys that came with a recovery as a record.
#[cfg(test)]
pub(crate) fn encode_keys(recovery: &str, keys: &[KeyHash]) -> Result<bytes::Bytes, RecordError> {
    encode(&RecordRef::Keys { recovery, keys })
}

/// How many events a record of a partition holds: what `backstay_global::recovery::outside::gained`
/// asks of each.
///
/// # Errors
/// When it is no record that this version knows.
pub fn events_in_record(bytes: &bytes::Bytes) -> Result<Counted, String> {
    match Record::decode(bytes).map_err(|error| error.to_string())? {
        Record::Batch { events, .. } => Ok(Counted {
            events: events.len() as u64,
            bytes: events.iter().map(|event| event.raw.len() as u64).sum(),
        }),
        Record::Keys { .. } => Ok(Counted::default()),
    }
}

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
