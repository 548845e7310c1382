//! What the journal needs of a place to keep entries: four calls, one of them atomic.
//!
//! The trait exists so that the protocol can be tested against a store that lies about its
//! answers (`simulated::FaultyStore`) and so that every backend passes one conformance suite.

use async_trait::async_trait;
use bytes::Bytes;

/// A keyed store with an atomic create.
///
/// Every call may be retried by its implementation: `create` may therefore answer `false` for an
/// object that this very call made. Callers must read the object to know.
#[async_trait]
pub trait EntryStore: Send + Sync + 'static {
    /// Creates `key` if it is absent. `true`: this call made it. `false`: it exists.
    async fn create(&self, key: &str, bytes: Bytes) -> Result<bool, StoreError>;

    /// The whole object, or `None` when it is absent.
    async fn read(&self, key: &str) -> Result<Option<Bytes>, StoreError>;

    /// At least the first `bytes` bytes of the object (all of it when it is shorter).
    async fn read_start(&self, key: &str, bytes: u64) -> Result<Option<Bytes>, StoreError> {
        let _ = bytes;
        self.read(key).await
    }

    /// The whole object, if it is not larger than `limit` bytes. Of a larger one hardly more than that is
    /// read.
    async fn read_small(&self, key: &str, limit: usize) -> Result<Small, StoreError> {
        Ok(match self.read(key).await? {
            None => Small::Absent,
            Some(bytes) if bytes.len() > limit => Small::Larger,
            Some(bytes) => Small::Whole(bytes),
        })
    }

    /// All keys that begin with `prefix`, ascending.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError>;

    /// Deletes the keys, in no particular order; absent ones are fine.
    async fn delete(&self, keys: Vec<String>) -> Result<(), StoreError>;
}

/// An object that is only wanted if it is small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Small {
    /// No object has that key.
    Absent,
    /// It is larger than the limit, so its content is not given.
    Larger,
    /// Its whole content.
    Whole(Bytes),
}

/// Why the store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The backend refused or failed; its own error says where and what to do.
    #[error("{source}")]
    Backend {
        /// The backend's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether the backend thinks that the same call may succeed later.
        retryable: bool,
    },
    /// The object is there and is not what was written: the backend's own error names it and says
    /// what to do.
    #[error("{source}")]
    Damaged {
        /// Key of the object.
        object: String,
        /// The backend's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store cannot be reached now. Whether the call took effect is unknown.
    #[error("{object}: the store did not answer: {detail}; the call is repeated until it does")]
    Unavailable {
        /// Key of the object.
        object: String,
        /// What the last attempt met.
        detail: String,
    },
    /// The object is there but is no journal entry of that slot.
    #[error(
        "{object}: not a readable journal entry: {source}; restore the object from a backup or report it"
    )]
    Unreadable {
        /// Key of the object.
        object: String,
        /// What is wrong with it.
        #[source]
        source: crate::DecodeError,
    },
    /// A slot is absent that was there once: something has deleted it, and not the journal.
    #[error(
        "{object}: this journal entry is missing, and {by} says that it was there; restore it from a backup"
    )]
    Missing {
        /// Key of the object.
        object: String,
        /// Who or what says so: an entry behind it, or the writer.
        by: String,
    },
    /// An entry could not be built.
    #[error("{object}: the entry cannot be encoded: {source}")]
    Encode {
        /// Key of the object.
        object: String,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Backend { retryable, .. } => *retryable,
            Self::Unavailable { .. } => true,
            Self::Damaged { .. }
            | Self::Missing { .. }
            | Self::Unreadable { .. }
            | Self::Encode { .. } => false,
        }
    }

    /// Whether the object is there, and cannot be read.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Unreadable { .. })
    }
}
