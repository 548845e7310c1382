//! Splunk's answers: its clients read `code` and `invalid-event-number`, not only the HTTP status
//! (<https://docs.splunk.com/Documentation/Splunk/latest/Data/TroubleshootHTTPEventCollector>).

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::super::batch::{Batch, BatchOutcome};
use crate::Status;
use crate::http::error::ApiError;

/// Why an event is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidFormat,
    EventRequired,
    EventBlank,
}

impl Code {
    fn number(self) -> u8 {
        match self {
            Self::InvalidFormat => 6,
            Self::EventRequired => 12,
            Self::EventBlank => 13,
        }
    }

    /// In Splunk's words, which clients compare.
    fn text(self) -> &'static str {
        match self {
            Self::InvalidFormat => "Invalid data format",
            Self::EventRequired => "Event field is required",
            Self::EventBlank => "Event field cannot be blank",
        }
    }
}

/// The answer to a batch.
pub(super) fn of(outcome: BatchOutcome<Code>) -> Batch {
    let count = outcome.events.len();
    let response = match outcome.refused.first() {
        None => Json(json!({ "text": "Success", "code": 0, "eventCount": count })).into_response(),
        Some(first) => {
            let body = json!({
                "text": first.kind.text(),
                "code": first.kind.number(),
                "invalid-event-number": first.at,
                "eventCount": count,
                "detail": format!("{}; the other events are stored", outcome.problems()),
            });
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    };
    Batch {
        events: outcome.events,
        response,
    }
}

/// An error of the whole request.
pub(super) fn refused(error: ApiError) -> Response {
    let code = match error.status() {
        StatusCode::UNAUTHORIZED => 2,
        StatusCode::FORBIDDEN => 4,
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => 6,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => 9,
        _ => 8,
    };
    let text = error.to_string();
    let mut response = error.into_response();
    let body = Json(json!({ "text": text, "code": code })).into_response();
    *response.body_mut() = body.into_body();
    response
        .headers_mut()
        .remove(axum::http::header::CONTENT_LENGTH);
    response
}

pub(super) fn health(status: Status) -> Response {
    if status.ok {
        return Json(json!({ "text": "HEC is healthy", "code": 17 })).into_response();
    }
    refused(ApiError::not_ready(status.reason.unwrap_or_default()))
}
