//! What can go wrong with a bucket, and what to do then.

use std::time::Duration;

/// The result of a bucket operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause below an error, where there is one.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a bucket did not do what it was asked.
///
/// Every text says what is wrong, which object or variable is meant, and what to do next. None
/// contains a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object is not there.
    #[error("{object}: no such object in container {container}")]
    Missing {
        /// The object's full name.
        object: String,
        /// Name of the container or bucket.
        container: String,
    },
    /// The container is not there.
    #[error("container {container} does not exist at {endpoint}; create it, or correct {variable}")]
    NoContainer {
        /// Name of the container or bucket.
        container: String,
        /// Where it was looked for.
        endpoint: String,
        /// The variable that names it.
        variable: String,
    },
    /// The store refuses these credentials (HTTP 401 or 403).
    #[error(
        "{object}: access denied ({detail}): account {account}, container {container}; {remedy}"
    )]
    Denied {
        /// The account, access key id or service account.
        account: String,
        /// Name of the container or bucket.
        container: String,
        /// What to do next; a clause.
        remedy: String,
        /// The object's full name, or the prefix that was listed.
        object: String,
        /// What the store says: status, its own code (for example `AuthenticationFailed`), message.
        detail: String,
    },
    /// The object is encrypted with another key.
    #[error(
        "{object}: encrypted with another key than the one in {variable}; set it to the key of the cluster that wrote container {container}"
    )]
    WrongKey {
        /// The object's full name.
        object: String,
        /// Name of the container or bucket.
        container: String,
        /// The variable that holds the key.
        variable: String,
    },
    /// The object is not what was written: altered, truncated, or another object's content.
    #[error("{object}: {detail}; restore the object in container {container} from a backup")]
    Corrupt {
        /// The object's full name.
        object: String,
        /// Name of the container or bucket.
        container: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A range read outside of the object.
    #[error("{object}: bytes {start}..{end} were asked for, but it has {size}")]
    OutOfRange {
        /// The object's full name.
        object: String,
        /// Offset of the first byte that was asked for.
        start: u64,
        /// Offset behind the last byte that was asked for.
        end: u64,
        /// The object's size in bytes, unencrypted.
        size: u64,
    },
    /// The object was replaced by another one while it was read.
    #[error("{object}: it was replaced while it was read; read it again")]
    Replaced {
        /// The object's full name.
        object: String,
    },
    /// The store did not answer, or only with errors, until the deadline.
    #[error(
        "{object}: {endpoint} did not answer within {waited:.1?}: {source}; check the network, its name and the state of the service"
    )]
    Unreachable {
        /// Where the store should be.
        endpoint: String,
        /// The object's full name, or the prefix that was listed.
        object: String,
        /// How long it was tried.
        waited: Duration,
        /// What the last try met.
        #[source]
        source: Source,
    },
    /// There is no room left.
    #[error("{object}: no space left at {endpoint}: {source}; make room there")]
    NoSpace {
        /// The folder or service that is full.
        endpoint: String,
        /// The object's full name.
        object: String,
        /// What the store said.
        #[source]
        source: Source,
    },
    /// The store has no atomic create, without which a journal could fork.
    #[error(
        "container {container} at {endpoint} has no put-if-absent ({detail}); without it two nodes could both believe that they own a journal entry. Use a store that honours If-None-Match, and correct {variable}"
    )]
    NoPutIfAbsent {
        /// Name of the container or bucket.
        container: String,
        /// Base URL of the store, or the folder.
        endpoint: String,
        /// The variable that says where.
        variable: String,
        /// How it was found out.
        detail: String,
    },
    /// A variable is missing or has a value that means nothing.
    #[error("{variable}: {problem}")]
    Config {
        /// Name of the environment variable.
        variable: String,
        /// What is wrong, and what to set.
        problem: String,
    },
    /// The key cannot be an object's name.
    #[error("{object:?} cannot name an object: {problem}")]
    Name {
        /// The key that was given.
        object: String,
        /// Why no object can have it.
        problem: String,
    },
    /// The bucket was opened to be read only.
    #[error("{object}: this bucket was opened to be read, and nothing is written to it")]
    ReadOnly {
        /// The object's full name.
        object: String,
    },
    /// The store refused the request for a reason that repeating does not cure.
    #[error("{object}: {endpoint} refused the request: {source}")]
    Refused {
        /// Where the store is.
        endpoint: String,
        /// The object's full name, or the prefix that was listed.
        object: String,
        /// What the store said.
        #[source]
        source: Source,
    },
}

impl Error {
    /// Whether the same call may succeed later without a change of configuration. The call itself
    /// has already been repeated until its deadline.
    pub fn is_retryable(&self) -> bool {
        match self {
            // Trimming, retention and operators make room.
            Self::Unreachable { .. } | Self::NoSpace { .. } | Self::Replaced { .. } => true,
            Self::Missing { .. }
            | Self::NoContainer { .. }
            | Self::Denied { .. }
            | Self::WrongKey { .. }
            | Self::Corrupt { .. }
            | Self::OutOfRange { .. }
            | Self::NoPutIfAbsent { .. }
            | Self::Config { .. }
            | Self::Name { .. }
            | Self::ReadOnly { .. }
            | Self::Refused { .. } => false,
        }
    }

    /// Whether the object is just not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}
