use std::path::PathBuf;

/// Why a snapshot cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The bucket refused, failed, or found the object damaged; its error names the object.
    #[error(transparent)]
    Bucket(#[from] backstay_bucket::Error),
    /// The object was decrypted but cannot be unpacked.
    #[error(
        "snapshot {object}: cannot be unpacked: {source}; nothing of it was loaded; delete it to use the one before it"
    )]
    Unpack {
        /// Name of the snapshot's object.
        object: String,
        /// Why zstd cannot unpack it.
        #[source]
        source: std::io::Error,
    },
    /// It is not the JSON of a snapshot.
    #[error(
        "snapshot {object}: {source}; nothing of it was loaded; delete it to use the one before it"
    )]
    Document {
        /// The object or file.
        object: String,
        /// What is wrong, and where.
        #[source]
        source: crate::snapshot::document::DocumentError,
    },
    /// It is the snapshot of another cluster or position than its name says.
    #[error(
        "snapshot {object}: it is the snapshot {found} under a wrong name; restore the right object or delete this one"
    )]
    Misplaced {
        /// Name of the snapshot's object.
        object: String,
        /// The name that it should have.
        found: String,
    },
    /// The data folder cannot be written or read.
    #[error("{path}: {source}; check the data folder's space and permissions (DIRECTORY)", path = path.display())]
    File {
        /// Path of the file in the data folder.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// A worker thread ended before its work was done.
    #[error("snapshot {object}: the worker ended early: {detail}; try again")]
    Worker {
        /// Name of the snapshot's object.
        object: String,
        /// Why the worker ended, as far as it is known.
        detail: String,
    },
}

impl SnapshotError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Bucket(error) => error.is_retryable(),
            Self::Worker { .. } => true,
            Self::Unpack { .. }
            | Self::Document { .. }
            | Self::Misplaced { .. }
            | Self::File { .. } => false,
        }
    }

    /// Whether the object went away: deleted between listing and reading.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Bucket(error) if error.is_missing())
    }
}
