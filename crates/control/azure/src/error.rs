//! What can go wrong.

use std::time::Duration;

use backstay_retry::{Classify as _, WriteRefused};

use crate::{CloudError, Denied, IdentityError, NotAnId, ResourceId, Switch};

/// Why a call was not carried out. Every error names the resource.
#[derive(Debug, thiserror::Error)]
pub enum AzureError {
    /// There is no token.
    #[error("{resource}: {error}")]
    Identity {
        /// About what the call was.
        resource: ResourceId,
        /// Why there is none.
        #[source]
        error: IdentityError,
    },
    /// The token was refused, a new one too (401).
    #[error(
        "{resource}: the token is refused ({code}: {message}); check that it is of the tenant that the subscription is in"
    )]
    Unauthenticated {
        /// About what the call was.
        resource: ResourceId,
        /// `error.code` of the answer, such as `ExpiredAuthenticationToken`.
        code: String,
        /// `error.message` of the answer, shortened.
        message: String,
    },
    /// A permission is missing (403).
    #[error("{resource}: {code}: {denied}")]
    Forbidden {
        /// About what the call was.
        resource: ResourceId,
        /// Azure's code; `AuthorizationFailed` is the usual one.
        code: String,
        /// `error.message` of the answer, shortened.
        message: String,
        /// Which, and what gives it.
        denied: Box<Denied>,
    },
    /// It is not there (404).
    #[error("{resource}: not there ({code}: {message}); check the names in the pair's file")]
    NotFound {
        /// The resource that the request was for.
        resource: ResourceId,
        /// `error.code` of the answer, such as `ResourceNotFound`.
        code: String,
        /// `error.message` of the answer, shortened.
        message: String,
    },
    /// Someone has changed it since it was read (412).
    #[error("{resource}: someone has changed it since it was read; read it again")]
    Changed {
        /// The resource that the request was for.
        resource: ResourceId,
    },
    /// It may not be changed by us any more.
    #[error("{resource}: {why}")]
    WriteRefused {
        /// The resource that the request was for.
        resource: ResourceId,
        /// What the authority said.
        why: WriteRefused,
    },
    /// Any other refusal (4xx).
    #[error("{resource}: refused with {status} {code}: {message}")]
    Refused {
        /// The resource that the request was for.
        resource: ResourceId,
        /// The HTTP status.
        status: u16,
        /// `error.code` of the answer, such as `BadRequest`.
        code: String,
        /// `error.message` of the answer, shortened.
        message: String,
    },
    /// No answer that counts came in time.
    #[error("{resource}: {endpoint} does not answer: {why}")]
    Unreachable {
        /// About what the call was.
        resource: ResourceId,
        /// Who does not answer.
        endpoint: String,
        /// What happened last, and how often it was tried.
        why: String,
        /// How long it was tried.
        waited: Duration,
    },
    /// The answer is not what this call is answered with.
    #[error("{resource}: {endpoint} answers {problem}; is it the Resource Manager?")]
    Answer {
        /// About what the call was.
        resource: ResourceId,
        /// Who answers so.
        endpoint: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It was set, and did not stay so.
    #[error(
        "{resource}: was set to {wanted}, and was read as {found} until the deadline; someone sets it back"
    )]
    NotHeld {
        /// The resource that the request was for.
        resource: ResourceId,
        /// As it should be.
        wanted: Switch,
        /// As it was read last.
        found: Switch,
    },
    /// A name that cannot be part of an id.
    #[error(transparent)]
    NotAnId(#[from] NotAnId),
    /// HTTP cannot be set up.
    #[error("HTTP cannot be set up: {0}")]
    Http(String),
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The address of a cloud is not valid.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// Who we are.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No client could be made.
    #[error(transparent)]
    Client(#[from] AzureError),
}

impl AzureError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Changed { .. } | Self::NotHeld { .. } => true,
            Self::Unreachable { .. } | Self::Identity { .. } => self.is_unreachable(),
            Self::WriteRefused { why, .. } => why.is_retryable(),
            Self::Unauthenticated { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::Answer { .. }
            | Self::NotAnId(_)
            | Self::Http(_) => false,
        }
    }

    /// Whether the Resource Manager or the identity could not be reached, so that nothing is known
    /// of the resource.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Identity {
                    error: IdentityError::Unreachable { .. } | IdentityError::Waiting,
                    ..
                }
        )
    }
}
