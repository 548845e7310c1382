//! Why a request is refused, and how that is answered.

use axum::http::StatusCode;
use chrono::{DateTime, Utc};

use crate::Malformed;
use crate::inbox::{MAX_AGE, MAX_AHEAD};

/// A refusal. Its text is for the sender, who may be anybody.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("say who you are: 'Authorization: Bearer …', or the parameter 'code' in the address")]
    Unauthenticated,
    /// With why, for the log.
    #[error("you are not let in; the log of the receiver says why")]
    Forbidden(&'static str),
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("longer than an alert can be ({0} bytes)")]
    Oversized(usize),
    #[error("the message did not arrive in time")]
    Slow,
    #[error(
        "it is of {at}, and here it is {now}; messages are heard for {} min, and from {} min ahead. Is a clock wrong?",
        MAX_AGE.num_minutes(),
        MAX_AHEAD.num_minutes()
    )]
    OutOfTime {
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    },
    /// With why, for the log.
    #[error("your token cannot be judged now; try again")]
    Unverifiable(String),
    #[error("the watch has ended; try again")]
    Ended,
}

impl Refusal {
    pub(crate) fn kind(&self) -> RefusalKind {
        match self {
            Self::Unauthenticated => RefusalKind::Unauthenticated,
            Self::Forbidden(_) => RefusalKind::Forbidden,
            Self::Malformed(_) => RefusalKind::Malformed,
            Self::Oversized(_) => RefusalKind::Oversized,
            Self::Slow => RefusalKind::Slow,
            Self::OutOfTime { .. } => RefusalKind::OutOfTime,
            Self::Unverifiable(_) => RefusalKind::Unverifiable,
            Self::Ended => RefusalKind::Ended,
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Malformed(_) | Self::OutOfTime { .. } => StatusCode::BAD_REQUEST,
            Self::Oversized(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Unverifiable(_) | Self::Ended => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// For the log.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Forbidden(why) => (*why).to_owned(),
            Self::Unverifiable(why) => why.clone(),
            other => other.to_string(),
        }
    }
}

/// The kinds of refusals, as they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// Without credentials: 401.
    Unauthenticated,
    /// With wrong ones: 403.
    Forbidden,
    /// Not a message: 400.
    Malformed,
    /// Too long: 413.
    Oversized,
    /// Sent too slowly: 408.
    Slow,
    /// Too old, or too far ahead: 400.
    OutOfTime,
    /// A token that cannot be judged, because its tenant's keys cannot be read: 503.
    Unverifiable,
    /// Nobody is there to be woken: 503.
    Ended,
}

impl RefusalKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Unauthenticated,
        Self::Forbidden,
        Self::Malformed,
        Self::Oversized,
        Self::Slow,
        Self::OutOfTime,
        Self::Unverifiable,
        Self::Ended,
    ];

    /// A name, for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Malformed => "malformed",
            Self::Oversized => "oversized",
            Self::Slow => "slow",
            Self::OutOfTime => "out-of-time",
            Self::Unverifiable => "unverifiable",
            Self::Ended => "ended",
        }
    }
}
