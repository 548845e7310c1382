//! A change of the metadata, and why there is none.

use std::time::Duration;

use async_graphql::{Context, Error, ErrorExtensions};
use backstay_global::{CommitError, Event, GlobalLog, Reject, State};

/// Longest wait for a change; clients give up soon after.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why nothing was changed, or may not have been.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChangeError {
    /// The state or the log forbids it, or the log cannot be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The bucket does not answer in time.
    #[error(
        "the bucket did not answer within {} s; the change may have been made all the same: look before you repeat it",
        CHANGE_TIMEOUT.as_secs()
    )]
    TimedOut,
    /// An argument means nothing.
    #[error("{0}")]
    Input(String),
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// There is no randomness for a token.
    #[error("the system gives no random bytes for a token")]
    NoRandom,
}

impl ChangeError {
    /// For programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Commit(CommitError::Rejected(_)) => "REJECTED",
            Self::Commit(CommitError::Fenced { .. }) => "FENCED",
            Self::Commit(CommitError::Journal(_)) | Self::TimedOut => "UNAVAILABLE",
            Self::Commit(_) | Self::NoRandom => "INTERNAL",
            Self::Input(_) => "BAD_USER_INPUT",
            Self::NotFound(_) => "NOT_FOUND",
        }
    }
}

impl ErrorExtensions for ChangeError {
    fn extend(&self) -> Error {
        Error::new(self.to_string()).extend_with(|_, extensions| {
            extensions.set("code", self.code());
        })
    }
}

/// Makes the change that `decide` answers with, judged by the newest state.
pub(super) async fn change<D>(global: &GlobalLog, decide: D) -> Result<(), ChangeError>
where
    D: Fn(&State) -> Result<Vec<Event>, Reject>,
{
    tokio::time::timeout(CHANGE_TIMEOUT, global.commit(decide))
        .await
        .map_err(|_| ChangeError::TimedOut)??;
    Ok(())
}

/// The metadata that a request works on.
pub(super) fn global<'a>(context: &Context<'a>) -> async_graphql::Result<&'a GlobalLog> {
    context.data::<GlobalLog>()
}
