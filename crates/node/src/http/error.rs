//! Answers that are no success: a status and, as JSON, what is wrong and what to do.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use backstay_ingest::{BodyError, NoMemory as LacksMemory};
use backstay_search::SearchError as ExecutionError;
use serde_json::json;

use crate::memory::NoMemory;
use crate::{IngestError, SearchError};

/// An answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(in crate::http) struct ApiError {
    status: StatusCode,
    text: String,
    /// Seconds after which to come back, where that helps.
    again: u64,
    /// No node of the cluster can do better, nor this one soon.
    lasting: bool,
}

/// Come back after so many seconds, when nothing better is known.
const DEFAULT_RETRY_AFTER_SECONDS: u64 = 2;

impl ApiError {
    pub(in crate::http) fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether the same may succeed in a while, or elsewhere.
    pub(in crate::http) fn is_temporary(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// Whether the same has no use elsewhere, nor in the time that a client waits.
    pub(in crate::http) fn is_lasting(&self) -> bool {
        self.lasting
    }

    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
            again: DEFAULT_RETRY_AFTER_SECONDS,
            lasting: false,
        }
    }

    pub(in crate::http) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub(in crate::http) fn unauthorized(text: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, text)
    }

    pub(in crate::http) fn forbidden(text: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, text)
    }

    pub(in crate::http) fn not_found(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    pub(in crate::http) fn not_acceptable(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, text)
    }

    pub(in crate::http) fn timed_out(text: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, text)
    }

    pub(in crate::http) fn too_large(text: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    }

    pub(in crate::http) fn too_many(text: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, text)
    }

    pub(in crate::http) fn internal(text: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    pub(in crate::http) fn not_ready(text: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

impl From<NoMemory> for ApiError {
    fn from(error: NoMemory) -> Self {
        match error {
            NoMemory::Now { .. } => Self::too_many(error.to_string()),
            NoMemory::Never { .. } => Self::too_large(error.to_string()),
        }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Malformed(problem) => Self::bad_request(problem),
            BodyError::Memory(LacksMemory::Now(text)) => Self::too_many(text),
            BodyError::Memory(LacksMemory::Never(text)) => Self::too_large(text),
        }
    }
}

impl From<&SearchError> for ApiError {
    fn from(error: &SearchError) -> Self {
        let status = match error {
            SearchError::NoRepository { .. } => StatusCode::NOT_FOUND,
            SearchError::Filtered { .. } => StatusCode::BAD_REQUEST,
            SearchError::NotReady { .. } | SearchError::Unavailable { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            SearchError::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
            SearchError::Execution(ExecutionError::Memory { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            // The same will take as long when it is sent again: nothing that clients repeat.
            SearchError::Execution(
                ExecutionError::Buckets { .. } | ExecutionError::TimeLimit { .. },
            ) => StatusCode::BAD_REQUEST,
            SearchError::Execution(
                ExecutionError::Source { .. }
                | ExecutionError::Stopped { .. }
                | ExecutionError::NoMemory { .. },
            ) => StatusCode::SERVICE_UNAVAILABLE,
            SearchError::Execution(
                ExecutionError::Corrupt { .. } | ExecutionError::Write { .. },
            ) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        Self::from(&error)
    }
}

impl From<IngestError> for ApiError {
    fn from(error: IngestError) -> Self {
        let status = match &error {
            IngestError::Backlog { .. } | IngestError::KeysFull { .. } => {
                StatusCode::TOO_MANY_REQUESTS
            }
            IngestError::NoRepository { .. } => StatusCode::NOT_FOUND,
            IngestError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            IngestError::Memory(error) => return (*error).into(),
            IngestError::Unavailable { .. }
            | IngestError::KeysUnknown { .. }
            | IngestError::NotReady { .. }
            | IngestError::Fenced { .. }
            | IngestError::Unowned { .. }
            | IngestError::Elsewhere { .. } => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut refusal = Self::new(status, error.to_string());
        refusal.lasting = matches!(error, IngestError::KeysUnknown { .. });
        if let IngestError::Backlog { retry_after, .. }
        | IngestError::KeysUnknown { retry_after, .. }
        | IngestError::KeysFull { retry_after, .. } = error
        {
            refusal.again = retry_after.as_secs().max(1);
        }
        refusal
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // `detail` is what Grafana's plugin for LogScale shows.
        let body = Json(json!({
            "error": self.text,
            "detail": self.text,
            "status": self.status.as_u16(),
        }));
        let mut response = (self.status, body).into_response();
        let again = HeaderValue::from(self.again);
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let how = HeaderValue::from_static("Bearer");
                response.headers_mut().insert(WWW_AUTHENTICATE, how);
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                response.headers_mut().insert(RETRY_AFTER, again);
            }
            _ => {}
        }
        response
    }
}
