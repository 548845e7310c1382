#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::tails::LiveBatch;
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
    Arc::new(LiveEntry {
        seq,
        keys: vec![KeyHash::new("r", &seq.to_string())],
        raw_bytes: events.iter().map(|event| event.raw.len()).sum(),
        batches: vec![LiveBatch {
            repository: repository.into(),
            events: Arc::new(events),
        }],
        since,
    })
}

const AT: Thresholds = Thresholds {
    bytes: 10,
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
    assert_eq!(cut.events["a"].len(), 1);
}

#[test]
fn size_cuts_whole_entries_and_leaves_the_rest() {
    let now = Instant::now();
    let entries = [
        entry(3, "a", &[(2, "1234")], now),
        entry(5, "b", &[(1, "1234")], now),
        entry(6, "a", &[(1, "1234")], now),
    ];
    let cut = cut(&entries, 7, AT, now).unwrap();
    assert_eq!(cut.to, 6, "the third entry would be too much");
    assert_eq!(cut.events.len(), 2);
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
fn events_are_by_time_and_keep_their_order_within_a_millisecond() {
    let now = Instant::now();
    let entries = [
        entry(3, "a", &[(2, "x"), (1, "y")], now),
        entry(4, "a", &[(1, "z")], now),
    ];
    let raws: Vec<String> = group(&entries)["a"].iter().map(|e| e.raw.clone()).collect();
    assert_eq!(raws, ["y", "z", "x"]);
}
