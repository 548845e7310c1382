#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::super::record::{Opened, encode_batch};
use super::*;

fn batch(events: &[Event]) -> Arc<LiveBatch> {
    let record = bytes::Bytes::from(encode_batch("r", None, events).unwrap());
    let Opened::Batch { count, events, .. } = Opened::open(&record).unwrap() else {
        panic!("a batch");
    };
    Arc::new(LiveBatch::new("r".into(), count, events, None).unwrap())
}

fn event(at: i64, raw: &str) -> Event {
    Event {
        timestamp_ms: at,
        raw: raw.to_owned(),
        id: format!("id-{at}"),
        ..Event::default()
    }
}

fn seen(batch: &LiveBatch) -> Vec<Event> {
    let mut all = Vec::new();
    for piece in 0..batch.pieces() {
        let (first, last) = batch.extent(piece).unwrap();
        let mut see = |event: &Event| {
            assert!((first..=last).contains(&event.timestamp_ms));
            all.push(event.clone());
            Ok(())
        };
        batch.look(piece, &mut see).unwrap();
    }
    all
}

proptest! {
    #[test]
    fn what_is_packed_is_seen_and_chunked_whole(
        raws in proptest::collection::vec("[a-z]{0,12}", 0..40),
        copies in 1_usize..4,
        limit in 0_usize..3000,
    ) {
        let events: Vec<Event> = (0..).zip(&raws).map(|(at, raw)| event(at, raw)).collect();
        let one = batch(&events);
        prop_assert_eq!(&seen(&one), &events);
        prop_assert_eq!(one.events(), events.len());
        let batches = vec![Arc::clone(&one); copies];
        let chunks = chunks(batches, limit);
        let all: Vec<Event> = chunks.iter().flat_map(|it| it.events().unwrap()).collect();
        prop_assert_eq!(all, vec![events; copies].concat());
    }
}

#[test]
fn many_small_events_are_told_in_what_they_take_and_cut_into_chunks() {
    let events: Vec<Event> = (0..60_000).map(|at| event(at, "")).collect();
    let truly: usize = events.iter().map(Event::memory_bytes).sum();
    let one = batch(&events);
    assert!(one.pieces() >= 60_000 / PIECE_EVENTS as usize);
    let limit = truly / 4;
    let chunks = chunks(vec![one], limit);
    let told: usize = chunks.iter().map(|chunk| chunk.memory).sum();
    assert!(
        told * 10 >= truly * 8 && told <= truly * 2,
        "{told} {truly}"
    );
    assert!(chunks.len() >= 4 && chunks.iter().all(|it| it.memory <= limit));
}

#[test]
fn a_count_that_no_bytes_stand_for_takes_no_memory_and_is_an_error() {
    // A batch of repository "r" without a key, of 2^63 events, and one byte.
    let mut record = vec![1, 0, 1, b'r', 0];
    record.extend([0xff; 9]);
    record.push(1);
    record.push(0);
    let Opened::Batch { count, events, .. } = Opened::open(&record.into()).unwrap() else {
        panic!("a batch");
    };
    assert!(count > 1 << 62);
    LiveBatch::new("r".into(), count, events, None).unwrap_err();
}
