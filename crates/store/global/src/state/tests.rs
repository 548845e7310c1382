#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::entity::{RecoveredTail, WindowIndex};
use crate::event::Event;
use crate::recovery::LossReport;

/// Partition 0 in term 3, covered to 20; a recovery whose keys of it are still in the source.
fn state() -> State {
    let partition = Partition {
        id: 0,
        term: 3,
        covered: 20,
        floor: 2,
        owner: Some("a".to_owned()),
        window: None,
        ran_ms: 100,
        below: None,
        extra: Extra::default(),
    };
    let tail = |partition| RecoveredTail {
        partition,
        floor: 0,
        from: 4,
        to: 9,
        imported: 4,
        begins: 0,
        window: None,
        keys_pending: true,
        from_below: None,
        imported_below: None,
        extra: Extra::default(),
    };
    State {
        buckets: vec![crate::snapshot::sample::state(0).buckets.remove(0)],
        partitions: vec![partition],
        recoveries: vec![RecoveryRecord {
            id: "r".to_owned(),
            from_cluster: "first".to_owned(),
            from_epoch: 0,
            from_offset: 7,
            bucket: 1,
            epoch: 1,
            at_ms: 5,
            tails: vec![tail(0), tail(1)],
            loss: LossReport::default(),
            extra: Extra::default(),
        }],
        ..State::default()
    }
}

fn indexed(term: u64, number: u64, upto: u64, adopted: &[&str]) -> Event {
    Event::WindowIndexed {
        partition: 0,
        term,
        number,
        upto,
        adopted: adopted.iter().map(|id| (*id).to_owned()).collect(),
        term_below: None,
    }
}

fn apply(state: &mut State, event: Event) {
    state.check(&event).unwrap();
    state.apply(state.offset, state.term, vec![event]);
}

#[test]
fn an_index_of_keys_counts_by_term_and_number_and_never_goes_back() {
    let mut state = state();
    apply(&mut state, indexed(3, 1, 10, &[]));
    let cases = [
        ("the next of the term", indexed(3, 2, 12, &[]), true),
        ("of the same reach", indexed(3, 2, 10, &[]), true),
        ("the same once more", indexed(3, 1, 12, &[]), false),
        ("an earlier one", indexed(3, 0, 12, &[]), false),
        ("one that forgets", indexed(3, 2, 9, &[]), false),
        ("one that claims too much", indexed(3, 2, 21, &[]), false),
        ("of an owner before", indexed(2, 7, 12, &[]), false),
        ("of nobody yet", indexed(4, 0, 12, &[]), false),
    ];
    for (name, event, allowed) in cases {
        assert_eq!(state.check(&event).is_ok(), allowed, "{name}");
    }
    let window = WindowIndex {
        term: 3,
        number: 1,
        upto: 10,
        below: None,
        extra: Extra::default(),
    };
    assert_eq!(state.partitions[0].window, Some(window));
}

#[test]
fn keys_of_a_source_are_taken_over_once_by_partition() {
    let mut state = state();
    assert_eq!(state.pending_keys(0).count(), 1);
    assert!(state.check(&indexed(3, 0, 0, &["another"])).is_err());
    apply(&mut state, indexed(3, 0, 0, &["r"]));
    assert_eq!(state.pending_keys(0).count(), 0);
    assert_eq!(state.pending_keys(1).count(), 1, "the other partition's");
    assert!(state.check(&indexed(3, 1, 0, &["r"])).is_err());
}

#[test]
fn nothing_is_trimmed_before_its_keys_are_in_an_index() {
    let mut state = state();
    let floor = |floor| Event::FloorAdvanced {
        partition: 0,
        term: 3,
        floor,
    };
    assert!(state.check(&floor(3)).is_err());
    apply(&mut state, indexed(3, 0, 10, &[]));
    assert!(state.check(&floor(11)).is_err());
    apply(&mut state, floor(10));
}

fn published(from: u64, to: u64, term_below: Option<u64>) -> Event {
    Event::SegmentsPublished {
        partition: 0,
        term: 3,
        covered_from: from,
        covered_to: to,
        segments: Vec::new(),
        term_below,
    }
}

fn imported(from: u64, to: u64, term_below: Option<u64>) -> Event {
    Event::TailImported {
        recovery: "r".to_owned(),
        partition: 0,
        from,
        to,
        segments: Vec::new(),
        term_below,
    }
}

#[test]
fn the_term_below_a_position_is_known_for_that_position_only() {
    let mut state = state();
    let at = |state: &State, seq| state.partitions[0].term_below(seq);
    assert_eq!(at(&state, 0), Some(0), "nothing is below");
    assert_eq!(at(&state, 20), None, "an earlier version's state");
    apply(&mut state, published(20, 25, Some(2)));
    assert_eq!(at(&state, 25), Some(2));
    assert_eq!([20, 24, 26].map(|seq| at(&state, seq)), [None; 3]);
    let index = Event::WindowIndexed {
        partition: 0,
        term: 3,
        number: 1,
        upto: 25,
        adopted: Vec::new(),
        term_below: Some(2),
    };
    apply(&mut state, index);
    // An earlier version publishes next: what it does not say is not known.
    apply(&mut state, published(25, 30, None));
    assert_eq!([25, 30].map(|seq| at(&state, seq)), [Some(2), None]);
    apply(&mut state, published(30, 31, Some(3)));
    assert_eq!(
        [25, 30, 31].map(|seq| at(&state, seq)),
        [Some(2), None, Some(3)]
    );
}

#[test]
fn an_earlier_version_that_moves_a_position_does_not_take_the_term_along() {
    let mut state = state();
    apply(&mut state, published(20, 25, Some(2)));
    // It carries the field as it is, and moves what it knows.
    let text = serde_json::to_string(&state.partitions[0]).unwrap();
    assert!(
        text.contains(r#""termBelow":{"seq":25,"term":2}"#),
        "{text}"
    );
    let moved = text.replace(r#""covered":25"#, r#""covered":40"#);
    let partition: Partition = serde_json::from_str(&moved).unwrap();
    assert_eq!(partition.term_below(40), None);
}

#[test]
fn the_term_below_a_tail_moves_with_its_import() {
    let mut state = state();
    state.recoveries[0].tails[0].from_below = Some(1);
    let at = |state: &State, seq| state.recoveries[0].tails[0].term_below(seq);
    assert_eq!(at(&state, 4), Some(1));
    apply(&mut state, imported(4, 6, Some(2)));
    assert_eq!(
        [4, 5, 6].map(|seq| at(&state, seq)),
        [Some(1), None, Some(2)]
    );
    apply(&mut state, imported(6, 8, None));
    assert_eq!([4, 6, 8].map(|seq| at(&state, seq)), [Some(1), None, None]);
}

#[test]
fn what_an_event_does_not_say_it_does_not_write() {
    // Earlier versions' events can be read, and theirs are what is written without it.
    for event in [
        published(20, 25, None),
        imported(4, 6, None),
        indexed(3, 1, 10, &[]),
    ] {
        let text = serde_json::to_string(&event).unwrap();
        assert!(!text.contains("term_below"), "{text}");
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
    let text = serde_json::to_string(&published(20, 25, Some(2))).unwrap();
    assert_eq!(
        serde_json::from_str::<Event>(&text).unwrap(),
        published(20, 25, Some(2))
    );
}

#[test]
fn only_the_owner_s_time_counts() {
    let mut state = state();
    let beat = |host: &str| Event::Heartbeat {
        host: host.to_owned(),
        counter: 1,
        pace_ms: 0,
        settled: Vec::new(),
        ran: vec![(0, 50), (7, 50)],
    };
    state.apply(0, 1, vec![beat("b")]);
    assert_eq!(state.partitions[0].ran_ms, 100);
    state.apply(1, 1, vec![beat("a")]);
    assert_eq!(state.partitions[0].ran_ms, 150);
}
