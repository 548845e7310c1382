//! Rows on their way to a client, in the format that it accepts.

use std::io::Write;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, Stream, StreamExt};
use serde_json::Value;

use crate::SearchError;
use crate::engine::Row;
use crate::http::error::ApiError;
use crate::memory::MemoryPermit;

/// Rows that become one chunk when they are there at once …
const CHUNK_ROWS: usize = 256;
/// … unless they have more bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// Between the last line of an answer that is broken off and its end.
const LAST_LINE_DELAY: Duration = Duration::from_millis(50);

/// How rows are written; LogScale's three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON object a line.
    Ndjson,
    /// One JSON array.
    Array,
    /// `@rawstring`, or `field->value, …` of rows that have none; nothing is escaped.
    Text,
}

impl Format {
    /// What the client accepts; plain text by default, as in LogScale.
    pub(super) fn accepted(headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut any = false;
        for value in headers.get_all(ACCEPT) {
            let value = value.to_str().unwrap_or("");
            for range in value.split(',') {
                any = true;
                let media = range.split(';').next().unwrap_or("").trim();
                match media.to_ascii_lowercase().as_str() {
                    "application/x-ndjson" => return Ok(Self::Ndjson),
                    "application/json" => return Ok(Self::Array),
                    "text/plain" | "text/*" | "*/*" => return Ok(Self::Text),
                    _ => {}
                }
            }
        }
        if any {
            return Err(ApiError::not_acceptable(
                "Accept: rows are given as application/x-ndjson, application/json or text/plain",
            ));
        }
        Ok(Self::Text)
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Array => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    /// What stands before all rows, between two of them, behind each and behind all.
    fn frame(self) -> [&'static str; 4] {
        match self {
            Self::Ndjson | Self::Text => ["", "", "\n", ""],
            Self::Array => ["[", ",", "\n", "]\n"],
        }
    }

    /// The last line of an answer that is broken off.
    fn failure(self, error: &SearchError) -> Row {
        let mut row = Row::new();
        let text = format!("the answer is not complete: {error}");
        if self == Self::Text {
            row.insert("@rawstring".to_owned(), format!("error: {text}").into());
        } else {
            row.insert("error".to_owned(), text.into());
            row.insert("@error".to_owned(), "true".into());
        }
        row
    }

    fn write(self, out: &mut Vec<u8>, row: &Row) -> std::io::Result<()> {
        if self != Self::Text {
            return Ok(serde_json::to_writer(out, row)?);
        }
        if let Some(Value::String(raw)) = row.get("@rawstring") {
            return out.write_all(raw.as_bytes());
        }
        for (n, (name, value)) in row.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            match value {
                Value::String(text) => write!(out, "{comma}{name}->{text}")?,
                other => write!(out, "{comma}{name}->{other}")?,
            }
        }
        Ok(())
    }
}

/// Answers with the rows. What fails before the first row is an answer of its own. What fails
/// later is told by a last line, `{"error": …, "@error": "true"}` in JSON, and the answer is then
/// broken off: no client takes it for complete, whether it reads lines or knows when an HTTP body
/// has ended. The memory of the query is held until
/// the last row is out, or the client is gone.
pub(super) async fn respond(
    format: Format,
    mut rows: BoxStream<'static, Result<Row, SearchError>>,
    held: MemoryPermit,
) -> Result<Response, ApiError> {
    let first = match rows.next().await {
        Some(Err(error)) => return Err(error.into()),
        first => first,
    };
    let rows = stream::iter(first).chain(rows);
    let body = body(format, rows.boxed()).map(move |chunk| {
        let _held = &held;
        chunk
    });
    let content_type = [(CONTENT_TYPE, format.content_type())];
    Ok((content_type, Body::from_stream(body)).into_response())
}

fn body(
    format: Format,
    rows: BoxStream<'static, Result<Row, SearchError>>,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let [open, between, behind, close] = format.frame();
    let mut is_first = true;
    let chunks = chunks(rows).flat_map(move |rows| {
        let mut out = Vec::new();
        let mut failed = None;
        for row in rows {
            let row = row.unwrap_or_else(|error| {
                tracing::warn!(%error, "a streamed search broke off");
                let row = format.failure(&error);
                failed = Some(std::io::Error::other(error));
                row
            });
            if !std::mem::take(&mut is_first) {
                out.extend_from_slice(between.as_bytes());
            }
            if let Err(error) = format.write(&mut out, &row) {
                failed.get_or_insert(error);
            }
            out.extend_from_slice(behind.as_bytes());
            if failed.is_some() {
                break;
            }
        }
        let broken = stream::iter(failed).then(|error| async move {
            // What was written is sent before the connection is cut.
            tokio::time::sleep(LAST_LINE_DELAY).await;
            Err(error)
        });
        stream::iter([Ok(Bytes::from(out))]).chain(broken)
    });
    let mark = |text: &'static str| stream::iter([Ok(Bytes::from_static(text.as_bytes()))]);
    mark(open).chain(chunks).chain(mark(close))
}

/// Rows that are there at once, together.
fn chunks(
    rows: BoxStream<'static, Result<Row, SearchError>>,
) -> impl Stream<Item = Vec<Result<Row, SearchError>>> + Send + 'static {
    stream::unfold(rows.fuse(), |mut rows| async move {
        let mut chunk = Vec::new();
        let mut next = rows.next().await;
        let mut bytes = 0;
        while let Some(row) = next {
            bytes += row.as_ref().map_or(0, length);
            chunk.push(row);
            if chunk.len() == CHUNK_ROWS || bytes >= CHUNK_BYTES {
                break;
            }
            next = rows.next().now_or_never().flatten();
        }
        (!chunk.is_empty()).then_some((chunk, rows))
    })
}

/// How long a row is once it is written, roughly.
fn length(row: &Row) -> usize {
    let entry = |(name, value): (&String, &Value)| name.len() + value.as_str().map_or(8, str::len);
    row.iter().map(entry).sum()
}

#[cfg(test)]
mod tests;
