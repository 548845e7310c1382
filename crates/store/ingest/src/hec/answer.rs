//! Splunk's answers: its clients read `code` and `invalid-event-number`, not only the HTTP status
//! (<https://docs.splunk.com/Documentation/Splunk/latest/Data/TroubleshootHTTPEventCollector>).

use http::StatusCode;
use serde_json::json;

use crate::batch::{Batch, BatchOutcome, json_response};

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
        None => {
            let body = json!({ "text": "Success", "code": 0, "eventCount": count });
            json_response(StatusCode::OK, &body)
        }
        Some(first) => {
            let body = json!({
                "text": first.kind.text(),
                "code": first.kind.number(),
                "invalid-event-number": first.at,
                "eventCount": count,
                "detail": format!("{}; the other events are stored", outcome.problems()),
            });
            json_response(StatusCode::BAD_REQUEST, &body)
        }
    };
    Batch {
        events: outcome.events,
        response,
    }
}
