//! Bodies of shippers: what becomes of them can be stored.

use std::sync::LazyLock;

use backstay_node::{IngestFormat, MemoryBudget};
use bytes::Bytes;

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

/// A body: its last byte says which parser its token has.
pub fn ingest(format: IngestFormat, input: &[u8]) {
    static MEMORY: LazyLock<MemoryBudget> = LazyLock::new(|| MemoryBudget::new(1 << 30));
    let (parser, body) = match input.split_last() {
        Some((last, body)) => (PARSERS[usize::from(*last) % PARSERS.len()], body),
        None => (None, input),
    };
    let body = Bytes::copy_from_slice(body);
    let Ok(events) = format.decode(&body, parser, NOW_MS, &MEMORY) else {
        return;
    };
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
