use std::fmt;
use std::path::PathBuf;

use backstay_bucket::{Bucket, Error};

use crate::entity::BucketEntity;

/// Which bucket's credential it is, and where it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialPlace {
    id: u32,
    container: String,
    endpoint: String,
    object: String,
    own: String,
    provider: String,
}

impl CredentialPlace {
    pub(super) fn of(own: &Bucket, entity: &BucketEntity, object: &str) -> Self {
        Self {
            id: entity.id,
            container: entity.container.clone(),
            endpoint: entity.endpoint.clone(),
            object: object.to_owned(),
            own: own.config().container.clone(),
            provider: entity.provider.to_uppercase(),
        }
    }

    /// How a credential that cannot be read is written again.
    fn remedy(&self) -> String {
        format!(
            "set the {}_RECOVER_FROM_ variables to that bucket and start a node: it writes {} again",
            self.provider, self.object
        )
    }
}

impl fmt::Display for CredentialPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            container,
            endpoint,
            object,
            own,
            ..
        } = self;
        write!(
            f,
            "the credential of bucket {id} (container {container} at {endpoint}), {object} in container {own},"
        )
    }
}

/// Why an object is not a credential. Nothing of its content is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It is not the JSON that it should be.
    Json {
        /// Line of the first character that cannot be read, from 1.
        line: usize,
        /// Column of that character, from 1.
        column: usize,
    },
    /// It was written by a version that writes it otherwise.
    Version(u64),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json { line, column } => {
                write!(f, "is not readable from line {line}, column {column} on")
            }
            Self::Version(version) => write!(
                f,
                "has format {version}, which this version does not know; use a newer version"
            ),
        }
    }
}

/// Why it is not known how a bucket is opened.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The object that should hold the credential is not there.
    #[error("{what} is not there; {}", .what.remedy())]
    Missing {
        /// The credential: whose it is, and where it is kept.
        what: Box<CredentialPlace>,
    },
    /// It cannot be read: this cluster's bucket does not answer, or it is damaged, or sealed with another
    /// key.
    #[error("{what} cannot be read: {source}. Or {}", .what.remedy())]
    Unreadable {
        /// The credential: whose it is, and where it is kept.
        what: Box<CredentialPlace>,
        /// The bucket's own error.
        #[source]
        source: Box<Error>,
    },
    /// It is not a credential.
    #[error("{what} {broken}; or {}", .what.remedy())]
    Content {
        /// The credential: whose it is, and where it is kept.
        what: Box<CredentialPlace>,
        /// What is wrong with the content.
        broken: Broken,
    },
    /// It is left from an earlier life of this cluster's bucket.
    #[error("{what} is that of another bucket, {other}; {}", .what.remedy())]
    OfAnother {
        /// Whose it should be.
        what: Box<CredentialPlace>,
        /// The bucket that it belongs to, in words.
        other: String,
    },
    /// It cannot be written.
    #[error("{what} cannot be written: {source}")]
    NotKept {
        /// The credential: whose it is, and where it is kept.
        what: Box<CredentialPlace>,
        /// The bucket's own error.
        #[source]
        source: Box<Error>,
    },
    /// The file that holds it cannot be read.
    #[error("{variable}: {}: {source}; put the key file there", .path.display())]
    File {
        /// The variable that names it.
        variable: String,
        /// Path of the file, from the variable.
        path: PathBuf,
        /// Why it cannot be read.
        #[source]
        source: std::io::Error,
    },
}

impl CredentialError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreadable { source, .. } | Self::NotKept { source, .. } => source.is_retryable(),
            Self::Missing { .. }
            | Self::Content { .. }
            | Self::OfAnother { .. }
            | Self::File { .. } => false,
        }
    }
}
