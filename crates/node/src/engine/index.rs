//! The index object: the keys of a partition's entries that are in segments, with the time from
//! which each counts.
//!
//! `windows/<partition>/<term>-<number>`, made by put-if-absent and never written again. Which one
//! counts is in the state (`WindowIndexed`), so one that a fenced owner writes late is read by
//! nobody. The bytes are a version and the postcard form of [`Index`].

use serde::{Deserialize, Serialize};

use super::record::KeyHash;

/// First byte of every index object.
const VERSION: u8 = 1;

/// From when on the time of a generation's keys counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Since {
    /// From this moment of the partition's clock (`ran_ms` in the state), at which the events went
    /// into segments.
    Ran(u64),
    /// From when this recovery has imported what it found in the partition.
    Import(String),
}

/// Keys whose events went into segments at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    /// The first entry. Keys of another cluster have none here: `from` and `to` are 0.
    pub(crate) from: u64,
    /// The entry behind the last one.
    pub(crate) to: u64,
    /// From when on their time counts.
    pub(crate) since: Since,
    /// Hashes of the keys of this generation.
    pub(crate) keys: Vec<KeyHash>,
}

impl Generation {
    /// Another cluster's keys: none of its entries is of this stream.
    pub(crate) fn of_source(self) -> Self {
        Self {
            from: 0,
            to: 0,
            ..self
        }
    }
}

/// What an index object holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Index {
    /// Of entries below, every key is here or its time is over.
    pub(crate) upto: u64,
    /// The keys by generation, oldest first.
    pub(crate) generations: Vec<Generation>,
}

/// Why bytes are not an index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Written by a later version, or not an index at all.
    #[error(
        "an index of version {0:?}, this program knows version 1; was it written by a newer one?"
    )]
    Version(Option<u8>),
    /// It cannot be decoded.
    #[error("not an index of keys: {0}")]
    Malformed(#[from] postcard::Error),
    /// It does not reach as far as the state says.
    #[error("it reaches up to entry {found}, and the state says {expected}")]
    Reach {
        /// The slot up to which it reaches by its own account.
        found: u64,
        /// What the state says.
        expected: u64,
    },
}

impl Index {
    /// Encodes it as the content of an object.
    pub(crate) fn encode(&self) -> Result<bytes::Bytes, IndexError> {
        Ok(postcard::to_extend(self, vec![VERSION])?.into())
    }

    /// Reads the object that the state says reaches up to `expected`. Never panics.
    pub(crate) fn decode(bytes: &[u8], expected: u64) -> Result<Self, IndexError> {
        let index: Self = match bytes.split_first() {
            Some((&VERSION, rest)) => postcard::from_bytes(rest)?,
            other => return Err(IndexError::Version(other.map(|(version, _)| *version))),
        };
        if index.upto != expected {
            return Err(IndexError::Reach {
                found: index.upto,
                expected,
            });
        }
        Ok(index)
    }
}

/// The folder of a partition's objects.
pub(crate) fn folder(partition: u32) -> String {
    format!("windows/{partition:04}/")
}

/// The name of an object. The names of one partition sort by term and number.
pub(crate) fn object(partition: u32, term: u64, number: u64) -> String {
    format!("{}{term:020}-{number:020}", folder(partition))
}

#[cfg(test)]
mod tests;
