//! What the proxy itself answers when there is nothing to pass on.

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::choose::Failure;

/// Why a request is not answered by an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("the request names no host, or not one; send one Host header")]
    Host,
    #[error("a request needs a path that begins with a slash")]
    Path,
    #[error("{0} is not passed on")]
    Method(Method),
    #[error("no ingress has a rule for the host {0:?}")]
    UnknownHost(String),
    #[error("no ingress has a path for {path:?} of the host {host:?}")]
    UnknownPath { host: String, path: String },
    #[error("the routes are not known yet: the Kubernetes API has not answered so far")]
    NotKnown,
    #[error("{0}")]
    NoEndpoint(String),
    #[error("none of the pods behind {0} takes a connection; nothing was sent")]
    Unsent(String),
    #[error(
        "the pod behind {0} broke the connection before it answered; it may have done what was asked"
    )]
    Unanswered(String),
    #[error("the pod behind {0} was silent for too long; it may have done what was asked")]
    Silent(String),
    #[error("the rest of the request did not come in time")]
    ClientSilent,
}

impl Problem {
    /// Of the last attempt at `backend`.
    pub(crate) fn of(failure: Failure, backend: &str) -> Self {
        let backend = backend.to_owned();
        match failure {
            Failure::Unsent => Self::Unsent(backend),
            Failure::Unanswered => Self::Unanswered(backend),
            Failure::Silent => Self::Silent(backend),
            Failure::ClientSilent => Self::ClientSilent,
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Host | Self::Path => StatusCode::BAD_REQUEST,
            Self::Method(_) => StatusCode::NOT_IMPLEMENTED,
            Self::UnknownHost(_) | Self::UnknownPath { .. } => StatusCode::NOT_FOUND,
            // Nothing was done: a client may safely ask again.
            Self::NotKnown | Self::NoEndpoint(_) | Self::Unsent(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Unanswered(_) => StatusCode::BAD_GATEWAY,
            Self::Silent(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::ClientSilent => StatusCode::REQUEST_TIMEOUT,
        }
    }

    pub(crate) fn answer(&self) -> Response {
        let status = self.status();
        let body = Json(json!({ "error": self.to_string(), "status": status.as_u16() }));
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // The rest of the request may be on its way; it is not to be read as the next one.
            StatusCode::REQUEST_TIMEOUT => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
