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
