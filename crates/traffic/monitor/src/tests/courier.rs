use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::courier::{Courier, Outcome, REST_PERIOD, RETRY_DELAYS, Verdict};
use crate::turn::Notification;

fn notification(number: u128, uri: &str) -> Arc<Notification> {
    Arc::new(Notification {
        id: Uuid::from_u128(number),
        alert: Uuid::from_u128(number),
        receiver: uri.to_owned(),
        uri: uri.to_owned(),
        body: Value::Null,
    })
}

fn again() -> Outcome {
    Outcome::Again("HTTP 503".to_owned())
}

#[test]
fn a_call_is_made_again_as_azure_does_it() {
    let mut courier = Courier::default();
    let pending = vec![notification(1, "a"), notification(2, "a")];
    let mut now = Duration::from_secs(100);
    for pause in RETRY_DELAYS {
        assert_eq!(courier.start(now, &pending), pending[..1]);
        assert_eq!(courier.start(now, &pending), [], "one at a time");
        assert_eq!(courier.due(&pending), None);
        assert_eq!(courier.ended(now, "a", &again()), Verdict::Later);
        assert_eq!(courier.due(&pending), Some(now + pause));
        assert_eq!(
            courier.start(now + pause - Duration::from_millis(1), &pending),
            []
        );
        now += pause;
    }
    assert_eq!(courier.start(now, &pending), pending[..1]);
    assert_eq!(courier.ended(now, "a", &again()), Verdict::GivenUp);
    // What comes next waits until the receiver has had its rest, and has all its attempts.
    let left = &pending[1..];
    assert_eq!(
        courier.start(now + REST_PERIOD - Duration::from_millis(1), left),
        []
    );
    now += REST_PERIOD;
    assert_eq!(courier.start(now, left), left);
    assert_eq!(courier.ended(now, "a", &again()), Verdict::Later);
    now += RETRY_DELAYS[0];
    assert_eq!(courier.start(now, left), left);
    assert_eq!(courier.ended(now, "a", &Outcome::Taken), Verdict::Delivered);
    assert_eq!(courier.start(now, &[]), []);
    assert_eq!(courier.due(&[]), None);
}

#[test]
fn what_is_refused_is_given_up_at_once_and_others_go_on() {
    let mut courier = Courier::default();
    let pending = vec![
        notification(1, "a"),
        notification(2, "b"),
        notification(3, "a"),
    ];
    let now = Duration::ZERO;
    assert_eq!(courier.start(now, &pending), pending[..2]);
    let refused = Outcome::Refused("HTTP 401".to_owned());
    assert_eq!(courier.ended(now, "a", &refused), Verdict::GivenUp);
    assert_eq!(courier.start(now, &pending[1..]), pending[2..]);
    // Not written down: not lost, and not in a hurry.
    assert_eq!(courier.ended(now, "b", &Outcome::Taken), Verdict::Delivered);
    courier.unwritten(now, "b");
    assert_eq!(courier.start(now, &pending[1..2]), []);
    assert_eq!(
        courier.start(now + RETRY_DELAYS[0], &pending[1..2]),
        pending[1..2]
    );
}

proptest! {
    /// Every notification comes to an end, in its receiver's order, with at most six calls; a
    /// receiver has never two at a time.
    #[test]
    fn everything_comes_to_an_end_in_order(
        receivers in proptest::collection::vec(0_u8..4, 1..30),
        outcomes in proptest::collection::vec(0_u8..4, 1..200),
    ) {
        let names = ["a", "b", "c", "d"];
        let mut pending: Vec<_> = receivers
            .iter()
            .zip(0..)
            .map(|(it, number)| notification(number, names[usize::from(*it)]))
            .collect();
        let mut courier = Courier::default();
        let mut now = Duration::ZERO;
        let mut outcomes = outcomes.into_iter();
        let mut calls = std::collections::BTreeMap::new();
        let mut rounds = 0;
        while !pending.is_empty() {
            rounds += 1;
            prop_assert!(rounds < 2_000, "it does not end");
            let started = courier.start(now, &pending);
            let uris: BTreeSet<_> = started.iter().map(|it| it.uri.clone()).collect();
            prop_assert_eq!(uris.len(), started.len());
            for it in &started {
                let first = pending.iter().find(|first| first.uri == it.uri);
                prop_assert_eq!(first, Some(it), "out of order");
                let count = calls.entry(it.id).or_insert(0);
                *count += 1;
                prop_assert!(*count <= 1 + RETRY_DELAYS.len());
                let outcome = match outcomes.next().unwrap_or(0) {
                    0 => Outcome::Taken,
                    1 => Outcome::Refused(String::new()),
                    _ => again(),
                };
                if courier.ended(now, &it.uri, &outcome) != Verdict::Later {
                    pending.retain(|other| other.id != it.id);
                }
            }
            if started.is_empty() {
                let due = courier.due(&pending).expect("nothing under way, and nothing due");
                prop_assert!(due > now);
                now = due;
            }
        }
    }
}
