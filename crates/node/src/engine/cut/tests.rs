#![allow(clippy::unwrap_used, clippy::expect_used)]

use backstay_search::Event;

use super::super::packed::LiveBatch;
use super::super::record::{Opened, encode_batch};
use super::*;

fn entry(seq: u64, repository: &str, events: &[(i64, &str)], since: Instant) -> Arc<LiveEntry> {
    let events: Vec<Event> = events
        .iter()
        .map(|(timestamp_ms, raw)| Event {
            timestamp_ms: *timestamp_ms,
            raw: (*raw).to_owned(),
            id: format!("{seq}-{raw}"),
            tags: Vec::new(),
            fields: Vec::new(),
        })
        .collect();
    let record = bytes::Bytes::from(encode_batch(repository, None, &events).unwrap());
    let Opened::Batch { count, events, .. } = Opened::open(&record).unwrap() else {
        panic!("a batch");
    };
    let batch = LiveBatch::new(repository.into(), count, events, None).unwrap();
    Arc::new(LiveEntry {
        seq,
        term: 1 + seq / 10,
        keys: vec![KeyHash::new("r", &seq.to_string())],
        raw_bytes: batch.raw_bytes(),
        memory: 100,
        batches: vec![Arc::new(batch)],
        since,
    })
}

const AT: Thresholds = Thresholds {
    bytes: 10,
    memory: 1000,
    age: Duration::from_secs(60),
};

#[test]
fn little_and_young_is_not_cut() {
    let now = Instant::now();
    let entries = [entry(3, "a", &[(1, "123")], now)];
    assert!(cut(&entries, 4, AT, now).is_none());
    assert!(cut(&[], 4, AT, now).is_none());
}

#[test]
fn age_cuts_everything_and_covers_to_the_end() {
    let now = Instant::now();
    let entries = [entry(3, "a", &[(1, "123")], now)];
    let cut = cut(&entries, 9, AT, now + AT.age).unwrap();
    assert_eq!(cut.to, 9);
    assert_eq!(cut.batches["a"].len(), 1);
}

#[test]
fn size_cuts_whole_entries_and_leaves_the_rest() {
    let now = Instant::now();
    let entries = [
        entry(3, "a", &[(2, "1234")], now),
        entry(5, "b", &[(1, "1234")], now),
        entry(16, "a", &[(1, "1234")], now),
    ];
    let cut = cut(&entries, 17, AT, now).unwrap();
    assert_eq!(cut.to, 16, "the third entry would be too much");
    assert_eq!(cut.below, 1, "and its term begins behind");
    assert_eq!(cut.batches.len(), 2);
}

#[test]
fn an_entry_longer_than_the_threshold_is_cut_alone() {
    let now = Instant::now();
    let entries = [
        entry(3, "a", &[(2, "123456789012345")], now),
        entry(4, "a", &[(1, "1")], now),
    ];
    assert_eq!(cut(&entries, 5, AT, now).unwrap().to, 4);
}

#[test]
fn memory_cuts_what_has_few_raw_bytes() {
    let now = Instant::now();
    let entries: Vec<_> = (0..10)
        .map(|seq| entry(seq, "a", &[(1, "")], now))
        .collect();
    assert!(cut(&entries[..9], 9, AT, now).is_none());
    assert_eq!(cut(&entries, 10, AT, now).unwrap().to, 10);
}

#[test]
fn half_full_tails_make_somebody_due() {
    assert_eq!(pressure(499, 1000, 4), usize::MAX);
    assert_eq!(pressure(500, 1000, 4), 125);
    assert_eq!(pressure(1000, 1000, 0), 500);
}
