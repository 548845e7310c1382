//! What each fuzz target holds its parser to, besides that it does not panic.
#![forbid(unsafe_code)]

mod dns;
mod ingest;
mod segment;

pub use dns::dns_message;
pub use ingest::ingest;
pub use segment::{segment, with_true_checksums};

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use backstay_global::snapshot::document;
use backstay_journal::{Entry, EntryKind, StreamId, WriterId};
use backstay_search::{
    Event, Execution, Limits, MemorySource, Progress, Query, QueryResult, SearchError, TimeRange,
};
use backstay_webhook::Message;
use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// 2026-11-24T03:00:00Z; what reads a clock gets this, so that an input does the same every time.
pub const NOW_MS: i64 = 1_795_489_200_000;

/// An entry as it is found in a slot; and the same bytes as the payload of one that is whole.
pub fn journal_entry(input: &[u8]) {
    if let Ok(entry) = Entry::decode(input) {
        check_entry(&entry);
    }
    let entry = Entry {
        stream: StreamId::Partition(7),
        seq: 3,
        term: 2,
        settled: 1,
        writer: WriterId("writer".to_owned()),
        nonce: 42,
        kind: EntryKind::Data,
        payload: Bytes::copy_from_slice(input),
    };
    let bytes = entry.encode().expect("a short payload can be encoded");
    if let Ok(decoded) = Entry::decode(&bytes) {
        assert_eq!(decoded, entry);
        check_entry(&decoded);
    }
}

fn check_entry(entry: &Entry) {
    let records: usize = entry.records().map(|record| record.len()).sum();
    assert!(records <= entry.payload.len());
    let again = entry.encode().expect("what was decoded can be encoded");
    assert_eq!(Entry::decode(&again).expect("what was encoded"), *entry);
}

/// What is read as a state is written and read as the same.
pub fn global_snapshot(input: &[u8]) {
    let Ok(state) = document::read(input) else {
        return;
    };
    let mut text = Vec::new();
    document::write(&state, &mut text).expect("memory can be written to");
    let again = document::read(text.as_slice()).expect("what was written can be read");
    assert_eq!(again, state);
}

/// What is read as a query is shown as one of the same meaning, and answers.
pub fn query(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Ok(query) = Query::parse(text) else {
        return;
    };
    let shown = query.to_string();
    let again = Query::parse(&shown);
    let again = again.unwrap_or_else(|error| panic!("{text} is shown as {shown}: {error}"));
    assert_eq!(again.to_string(), shown, "{text}");
    static SEGMENT: LazyLock<Bytes> = LazyLock::new(|| segment_of(&events()));
    // It may take too much memory or time, but not more than it may.
    let (first, second) = (run(query, &SEGMENT), run(again, &SEGMENT));
    if let (Ok(first), Ok(second)) = (first, second) {
        assert_eq!(first.events, second.events, "{text} and {shown}");
    }
}

/// What is read as an alert is within its bounds.
pub fn alert(input: &[u8]) {
    if let Ok(message) = Message::parse(input) {
        assert!(message.id.len() <= input.len() && message.targets.len() <= input.len());
        message.is_test();
        message.at();
    }
}

/// Some events with what queries ask for.
pub fn events() -> Vec<Event> {
    let of = |n: i64| Event {
        timestamp_ms: NOW_MS - n * 1000,
        raw: format!(
            "level=info user=u{n} took {} ms \"über\" GET /a/b?c={n}",
            n * 7
        ),
        id: format!("id-{n}"),
        tags: vec![("kind".to_owned(), "app".to_owned())],
        fields: vec![
            ("level".to_owned(), "info".to_owned()),
            ("user".to_owned(), format!("u{n}")),
            (format!("rare{n}"), format!("{n}")),
        ],
    };
    (0..20).map(of).collect()
}

/// Events as a segment.
pub fn segment_of(events: &[Event]) -> Bytes {
    let written = backstay_search::segment::write(events);
    written.expect("events can be written").bytes
}

/// Runs a query over one segment.
pub(crate) fn run(query: Query, segment: &Bytes) -> Result<QueryResult, SearchError> {
    let source = MemorySource::new("7", i64::MIN, i64::MAX, segment.clone());
    let limits = Limits {
        memory: 16 << 20,
        rows: 1_000,
        time: Duration::from_secs(5),
    };
    let segments: Vec<Arc<dyn backstay_search::SegmentSource>> = vec![Arc::new(source)];
    let execution = Execution::new(query, TimeRange::ALL, segments, vec![], limits);
    RUNTIME.block_on(execution.run(watch::channel(Progress::default()).0))
}

pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime can be started")
});
