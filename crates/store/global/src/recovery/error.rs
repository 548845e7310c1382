use backstay_journal::{SealError, StoreError, TailError};
use backstay_report::Cause;
use backstay_retry::WriteRefused;

use crate::credentials::CredentialError;
use crate::identity::IdentityError;
use crate::log::CommitError;
use crate::recovery::takeover::TAKING_BACK_SUFFIX;
use crate::snapshot::SnapshotError;
use crate::state::EpochOffset;

/// Why there is no state to start from.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A bucket refused, failed, or has a damaged object.
    #[error(transparent)]
    Bucket(Box<backstay_bucket::Error>),
    /// It is not known whose bucket it is.
    #[error(transparent)]
    Identity(Box<IdentityError>),
    /// A snapshot cannot be read or written.
    #[error(transparent)]
    Snapshot(Box<SnapshotError>),
    /// The credentials of a bucket cannot be kept.
    #[error(transparent)]
    Credential(Box<CredentialError>),
    /// The log cannot be followed or written to.
    #[error(transparent)]
    Log(CommitError),
    /// The journal does not answer.
    #[error(transparent)]
    Journal(#[from] StoreError),
    /// The source's journal cannot be read to its end.
    #[error("the source's journal: {0}")]
    Tail(#[from] TailError),
    /// It may not be ended by us any more.
    #[error(transparent)]
    WriteRefused(#[from] WriteRefused),
    /// A stream cannot be sealed.
    #[error("{0}")]
    Seal(#[from] SealError),
    /// Another cluster has taken over.
    #[error(
        "cluster {by} has taken over with term {term}; this one must not start from its own state. {remedy}"
    )]
    Fenced {
        /// Id of the cluster that has taken over.
        by: String,
        /// The term that it has begun.
        term: u64,
        /// What to do next; a sentence.
        remedy: &'static str,
    },
    /// The journal goes on from a snapshot that is gone.
    #[error(
        "container {container}: there is a journal but neither the snapshot that it continues nor a recovery source; restore the snapshots below globalsnapshots/{cluster_id}/ or set the RECOVER_FROM variables"
    )]
    SnapshotsGone {
        /// This cluster's own container.
        container: String,
        /// This cluster's id.
        cluster_id: String,
    },
    /// The state that was found is ahead of the bucket: an older copy of the bucket was put in its
    /// place, or one that lacks the end of the journal.
    #[error(
        "container {container}: the state at {at} has {object}, and the bucket does not: the bucket is older than the state. Restore the newer bucket; or, {remedy}: what was acknowledged after that is lost then (docs/restore.md)"
    )]
    Ahead {
        /// This cluster's own container.
        container: String,
        /// Where the state stands.
        at: EpochOffset,
        /// The last journal entry that the state has.
        object: String,
        /// How to go on from the older bucket.
        remedy: &'static str,
    },
    /// There is nothing in the recovery source.
    #[error(
        "container {container}, prefix {prefix:?}: no global snapshot and no journal there to recover from; check {variable} and the prefix"
    )]
    NothingToRecover {
        /// Name of the container to recover from.
        container: String,
        /// The prefix within that container; often empty.
        prefix: String,
        /// The variable that names the container.
        variable: String,
    },
    /// The source's journal cannot be written to, so its own nodes could go on acknowledging.
    #[error(
        "the source's journal cannot be sealed: {source}; let the account write to that container, or, only if the source is surely dead (what it acknowledges from now on is lost), set BACKSTAY_RECOVER_WITHOUT_SEAL=true"
    )]
    CannotSeal {
        /// Why the seal could not be written.
        #[source]
        source: StoreError,
    },
    /// The recovery source is this cluster's own bucket.
    #[error(
        "container {container}: the recovery source is this cluster's own bucket; {variable} must name the other cluster's"
    )]
    OwnSource {
        /// Name of the container that both mean.
        container: String,
        /// The variable that names it.
        variable: String,
    },
    /// The source was taken over by a third cluster, which has what is newer.
    #[error(
        "the source cluster {source_cluster} was itself taken over by cluster {by} with term {term}: what is newest is in that cluster's bucket; recover from there"
    )]
    SourceTakenOver {
        /// Id of the source's cluster.
        source_cluster: String,
        /// Id of the third cluster.
        by: String,
        /// The term that it has begun.
        term: u64,
    },
    /// A record in the journal cannot be read.
    #[error("{object}: a record that this version cannot read: {source}")]
    Record {
        /// Key of the journal entry in the bucket.
        object: String,
        /// Why the record cannot be read.
        #[source]
        source: Cause,
    },
    /// The source was given back its journal while it was being recovered.
    #[error(
        "the source cluster {source_cluster} holds its own journal again, with term {term}: it was taken back while this cluster recovered it, which therefore must not start; stop it, or start it again to fail over again"
    )]
    TakenBack {
        /// Id of the source's cluster.
        source_cluster: String,
        /// The term that it, or whoever takes it back, has begun.
        term: u64,
    },
    /// Several Azure accounts, but each bucket is not to keep its own endpoint.
    #[error(
        "BUCKET_STORAGE_MULTIPLE_ENDPOINTS is not true, but {own} and {source_endpoint} are different accounts: reading the recovered segments would end in 403; set it to true on both clusters"
    )]
    OneEndpoint {
        /// Endpoint of this cluster's own bucket.
        own: String,
        /// Endpoint of the source's bucket.
        source_endpoint: String,
    },
    /// Other nodes of this cluster started at the same time and were faster, again and again.
    #[error("other nodes of this cluster are starting from the same source; try again")]
    Raced,
}

impl From<backstay_bucket::Error> for LoadError {
    fn from(error: backstay_bucket::Error) -> Self {
        Self::Bucket(Box::new(error))
    }
}

impl From<IdentityError> for LoadError {
    fn from(error: IdentityError) -> Self {
        Self::Identity(Box::new(error))
    }
}

impl From<CredentialError> for LoadError {
    fn from(error: CredentialError) -> Self {
        Self::Credential(Box::new(error))
    }
}

impl From<SnapshotError> for LoadError {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshot(Box::new(error))
    }
}

impl From<CommitError> for LoadError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Fenced { by, term } => Self::fenced(by, term),
            other => Self::Log(other),
        }
    }
}

impl LoadError {
    pub(super) fn fenced(by: String, term: u64) -> Self {
        let half_taken_back = by.ends_with(TAKING_BACK_SUFFIX);
        Self::Fenced {
            by,
            term,
            remedy: if half_taken_back {
                "Taking it back was begun and not ended: run backstay failback --skip-reverse-recovery again"
            } else {
                "To bring it home, set the RECOVER_FROM variables to that cluster's bucket and delete this one's objects below globalsnapshots/"
            },
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Bucket(error) => error.is_retryable(),
            Self::Identity(error) => error.is_retryable(),
            Self::Credential(error) => error.is_retryable(),
            // Deleted between listing and reading: the next look finds a newer one.
            Self::Snapshot(error) => error.is_retryable() || error.is_missing(),
            Self::Log(CommitError::Stale { .. }) | Self::Raced => true,
            Self::Log(error) => error.is_retryable(),
            Self::WriteRefused(why) => matches!(why, WriteRefused::Unknown(_)),
            Self::Journal(error)
            | Self::Tail(TailError::Store(error))
            | Self::Seal(SealError::Store(error)) => error.is_retryable(),
            Self::Tail(TailError::Trimmed { .. }) | Self::Seal(SealError::TrimmedBehind { .. }) => {
                true
            }
            Self::Seal(SealError::Superseded { .. })
            | Self::Fenced { .. }
            | Self::SnapshotsGone { .. }
            | Self::Ahead { .. }
            | Self::NothingToRecover { .. }
            | Self::CannotSeal { .. }
            | Self::OwnSource { .. }
            | Self::SourceTakenOver { .. }
            | Self::TakenBack { .. }
            | Self::Record { .. }
            | Self::OneEndpoint { .. } => false,
        }
    }
}
