//! Bodies of shippers: what becomes of them can be stored.

use backstay_ingest::{Context, IngestFormat, Unbounded};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use crate::NOW_MS;

/// The parsers that a token may prescribe.
const PARSERS: [Option<&str>; 5] = [
    None,
    Some("json"),
    Some("kv"),
    Some("accesslog"),
    Some("syslog"),
];
/// The furthest that an event may be ahead of the node's clock.
const AHEAD_MS: i64 = 10_000;
/// A node's default.
const MAX_FIELDS: usize = 8_000;

/// A body of this content type: its last byte says which parser its token has.
pub fn ingest(format: IngestFormat, content_type: &'static str, input: &[u8]) {
    let (parser, body) = match input.split_last() {
        Some((last, body)) => (PARSERS[usize::from(*last) % PARSERS.len()], body),
        None => (None, input),
    };
    let body = Bytes::copy_from_slice(body);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let mut context = Context {
        headers: &headers,
        query: None,
        parser,
        now_ms: NOW_MS,
        max_fields: MAX_FIELDS,
        memory: &mut Unbounded,
    };
    let Ok(batch) = format.decode(&body, &mut context) else {
        return;
    };
    let events = batch.events;
    // Each event takes a byte of a body at least.
    assert!(events.len() <= body.len());
    for event in &events {
        let is_of_event = (0..=NOW_MS + AHEAD_MS).contains(&event.timestamp_ms);
        assert!(is_of_event, "{}", event.timestamp_ms);
    }
    if events.iter().map(|event| event.fields.len()).sum::<usize>() < 1_000 && !events.is_empty() {
        crate::segment_of(&events);
    }
}
