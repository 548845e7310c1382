//! Why there is no token.

use std::fmt;

use backstay_retry::{Classify, Verdict};

use super::SourceName;
use crate::http::NoAnswer;

/// Which sources were passed over, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver(pub(super) Vec<(SourceName, String)>);

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (source, why)) in self.0.iter().enumerate() {
            let before = if at == 0 { "" } else { "; " };
            write!(f, "{before}{source}: {why}")?;
        }
        Ok(())
    }
}

/// Why there is no token for the Resource Manager.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Nothing is set up.
    #[error(
        "no identity for Azure is set up here ({0}); run `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
    )]
    None(PassedOver),
    /// It is set up, and was refused.
    #[error("{of} was refused: {why}")]
    Refused {
        /// The source of tokens that was asked.
        of: SourceName,
        /// In its own words, and what to do.
        why: String,
    },
    /// It could not be asked.
    #[error("{of} cannot be reached: {why}")]
    Unreachable {
        /// The source of tokens that was asked.
        of: SourceName,
        /// What happened last.
        why: String,
    },
    /// Another call has asked for a token until the deadline.
    #[error("no token has come in time: another call still waits for one")]
    Waiting,
    /// HTTP cannot be set up.
    #[error("HTTP cannot be set up: {0}")]
    Http(String),
}

impl From<reqwest::Error> for IdentityError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url().to_string())
    }
}

/// Why one source gives no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SourceError {
    /// It is not set up here: another one may be.
    #[error("{0}")]
    NotHere(String),
    /// It is set up, and says no.
    #[error("{0}")]
    Refused(String),
    /// It may say yes soon.
    #[error("{why}")]
    Later {
        why: String,
        after: Option<std::time::Duration>,
    },
}

impl SourceError {
    pub(super) fn later(why: impl Into<String>) -> Self {
        Self::Later {
            why: why.into(),
            after: None,
        }
    }
}

impl Classify for SourceError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::NotHere(_) | Self::Refused(_) => Verdict::Final,
            Self::Later { after, .. } => Verdict::Again { after: *after },
        }
    }
}

impl From<NoAnswer> for SourceError {
    fn from(error: NoAnswer) -> Self {
        match error.verdict() {
            Verdict::Final => Self::Refused(error.to_string()),
            Verdict::Again { .. } => Self::later(error.to_string()),
        }
    }
}
