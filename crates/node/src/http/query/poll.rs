//! The answer to a poll, in LogScale's shape.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use serde::Serialize;

use super::jobs::{Answer, Polled, State};
use crate::http::error::ApiError;

/// Rows become chunks of about so many bytes.
const CHUNK_BYTES: usize = 64 << 10;

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
    let (answer, fields) = match &polled.state {
        State::Running => (None, &[][..]),
        State::Done(answer) => {
            stats = answer.stats;
            let messages = answer.warnings.iter();
            warnings.extend(messages.map(|message| Warning { message }));
            (Some(answer), answer.fields.as_slice())
        }
        State::Failed(error) => return Err((&**error).into()),
        State::TooLarge { bytes } => {
            return Err(ApiError::too_large(format!(
                "the answer has {bytes} bytes, more than this node has room for while it keeps the answers of other jobs; narrow the query, or stream it from …/query"
            )));
        }
    };
    let millis = u64::try_from(polled.took.as_millis()).unwrap_or(u64::MAX);
    // Nothing is known of the work before it begins; 0 of 0 would look like its end.
    let total = polled.progress.total.max(1);
    let events = answer.map_or(0, |answer| answer.rows.len());
    let meta_data = MetaData {
        event_count: events,
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
        work_done: match answer {
            Some(_) => total,
            None => polled.progress.done,
        },
        warnings,
    };
    let meta_data = serde_json::to_string(&meta_data)
        .map_err(|error| ApiError::internal(format!("the answer cannot be encoded: {error}")))?;
    let done = answer.is_some();
    let head = format!("{{\"cancelled\":false,\"done\":{done},\"events\":[");
    let tail = format!("],\"metaData\":{meta_data}}}");
    let commas = events.saturating_sub(1);
    let bytes = answer.map_or(0, |answer| answer.bytes);
    let length = head.len() + bytes + commas + tail.len();
    let body = once(head)
        .chain(rows(answer.cloned()))
        .chain(once(tail))
        .map(Ok::<_, Infallible>);
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CONTENT_LENGTH, HeaderValue::from(length)),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

fn once(text: String) -> impl Stream<Item = Bytes> + Send {
    stream::iter([Bytes::from(text)])
}

/// The rows of an answer, a chunk at a time: it is in memory once, however many poll for it.
fn rows(answer: Option<Arc<Answer>>) -> impl Stream<Item = Bytes> + Send {
    let mut next = 0;
    stream::iter(std::iter::from_fn(move || {
        let rows = answer.as_ref()?.rows.get(next..)?;
        let mut chunk = Vec::new();
        for row in rows {
            if next > 0 {
                chunk.push(b',');
            }
            chunk.extend_from_slice(row.get().as_bytes());
            next += 1;
            if chunk.len() >= CHUNK_BYTES {
                break;
            }
        }
        (!chunk.is_empty()).then(|| Bytes::from(chunk))
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use backstay_search::{Progress, Stats};
    use serde_json::{Value, json};

    use super::*;
    use crate::RepositoryName;
    use crate::http::query::jobs::written_for_tests;

    async fn answered(state: State) -> (usize, Value) {
        let polled = Polled {
            repository: RepositoryName::new("humio"),
            is_aggregate: false,
            start_ms: 1,
            end_ms: 2,
            state,
            progress: Progress {
                stats: Stats::default(),
                ..Progress::default()
            },
            took: Duration::ZERO,
        };
        let response = respond(&polled).unwrap();
        let length = response.headers()[CONTENT_LENGTH].to_str().unwrap();
        let length = length.parse().unwrap();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
        let body = body.unwrap();
        assert_eq!(body.len(), length);
        (length, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn an_answer_has_all_its_rows_in_chunks_of_any_number() {
        let (_, running) = answered(State::Running).await;
        assert_eq!(running["events"], json!([]));
        assert_eq!(running["done"], json!(false));
        for count in [0, 1, 2, 5000] {
            let answer = Arc::new(written_for_tests(count));
            let (length, done) = answered(State::Done(answer)).await;
            assert_eq!(done["events"].as_array().unwrap().len(), count);
            assert_eq!(done["metaData"]["eventCount"], json!(count));
            assert_eq!(done["done"], json!(true));
            assert!(count < 5000 || length > 2 * CHUNK_BYTES);
        }
    }
}
