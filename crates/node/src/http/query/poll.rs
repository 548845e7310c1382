//! The answer to a poll, in LogScale's shape.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;

use super::jobs::{Polled, State};
use crate::http::error::ApiError;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    cancelled: bool,
    done: bool,
    events: &'a [Box<RawValue>],
    meta_data: MetaData<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MetaData<'a> {
    event_count: usize,
    extra_data: ExtraData,
    field_order: &'a [String],
    is_aggregate: bool,
    /// When to poll again, in ms.
    poll_after: u64,
    processed_bytes: u64,
    processed_events: u64,
    query_start: i64,
    query_end: i64,
    time_millis: u64,
    total_work: u64,
    work_done: u64,
    warnings: Vec<Warning<'a>>,
}

/// Humio's client asks for the next rows for as long as `hasMoreEvents` says so; a poll here
/// always gives all rows that the job has, and a warning says when it found more.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtraData {
    has_more_events: &'static str,
}

#[derive(Serialize)]
struct Warning<'a> {
    message: &'a str,
}

/// Answers a poll. A search that failed is answered as it would have been when streamed.
pub(super) fn respond(polled: &Polled) -> Result<Response, ApiError> {
    let mut stats = polled.progress.stats;
    let mut warnings = Vec::new();
    let (done, events, fields) = match &polled.state {
        State::Running => (false, &[][..], &[][..]),
        State::Done(answer) => {
            stats = answer.stats;
            let messages = answer.warnings.iter();
            warnings.extend(messages.map(|message| Warning { message }));
            (true, answer.rows.as_slice(), answer.fields.as_slice())
        }
        State::Failed(error) => return Err((&**error).into()),
        State::TooLarge { bytes } => {
            return Err(ApiError::too_large(format!(
                "the answer has {bytes} bytes, more than this node has room for beside the answers of other jobs; narrow the query, or stream it from …/query"
            )));
        }
    };
    let millis = u64::try_from(polled.took.as_millis()).unwrap_or(u64::MAX);
    // Nothing is known of the work before it begins; 0 of 0 would look like its end.
    let total = polled.progress.total.max(1);
    let answer = Answer {
        cancelled: false,
        done,
        events,
        meta_data: MetaData {
            event_count: events.len(),
            extra_data: ExtraData {
                has_more_events: "false",
            },
            field_order: fields,
            is_aggregate: polled.is_aggregate,
            // Often while it may end soon, less often the longer it takes.
            poll_after: (millis / 4).clamp(50, 1000),
            processed_bytes: stats.bytes,
            processed_events: stats.events_scanned,
            query_start: polled.start_ms,
            query_end: polled.end_ms,
            time_millis: millis,
            total_work: total,
            work_done: if done { total } else { polled.progress.done },
            warnings,
        },
    };
    let body = serde_json::to_vec(&answer)
        .map_err(|error| ApiError::internal(format!("the answer cannot be encoded: {error}")))?;
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}
