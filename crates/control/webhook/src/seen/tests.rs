#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::inbox::{MAX_AHEAD, in_time};
use crate::message::tests::sample;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn message(id: u8, condition: Condition, seconds: i64) -> Message {
    let mut message = Message::read(&sample("Fired")).unwrap();
    message.id = format!("alert-{id}");
    message.condition = condition;
    message.fired = at(seconds);
    message.resolved = Some(at(seconds));
    message
}

#[test]
fn a_resolution_and_a_second_outage_are_new() {
    let mut seen = Seen::default();
    let fired = message(1, Condition::Fired, 0);
    assert!(seen.is_new(&fired, at(1)));
    assert!(!seen.is_new(&fired, at(2)));
    assert!(seen.is_new(&message(1, Condition::Resolved, 0), at(3)));
    assert!(seen.is_new(&message(1, Condition::Fired, 60), at(60)));
    assert!(seen.is_new(&message(2, Condition::Fired, 0), at(60)));
    assert!(!seen.is_new(&fired, at(61)));
    seen.forget(&fired);
    assert!(seen.is_new(&fired, at(62)));
}

#[test]
fn it_is_bounded_and_forgets_the_oldest_first() {
    let mut seen = Seen::default();
    let many = i64::try_from(MAX_REMEMBERED).unwrap() + 10;
    // More than one a second, so that none is too old.
    let nth = |it: i64| {
        let mut message = message(1, Condition::Fired, it / 2);
        message.id = format!("alert-{it}");
        message
    };
    for it in 0..many {
        assert!(seen.is_new(&nth(it), at(many / 2)));
        assert!(seen.0.len() <= MAX_REMEMBERED);
    }
    assert!(!seen.is_new(&nth(many - 1), at(many / 2)));
    assert!(seen.is_new(&nth(0), at(many / 2)));
}

proptest! {
    /// Whatever comes, and comes again, in whatever order: each wakes at most once.
    #[test]
    fn nothing_that_is_taken_wakes_twice(
        messages in prop::collection::vec((0u8..4, any::<bool>(), 0i64..9_000), 1..30),
        order in prop::collection::vec((any::<prop::sample::Index>(), 0i64..600), 1..300),
    ) {
        let (mut seen, mut woke, mut now) = (Seen::default(), HashSet::new(), 0);
        for (which, pause) in order {
            now += pause;
            let (id, fired, second) = messages[which.index(messages.len())];
            let condition = if fired { Condition::Fired } else { Condition::Resolved };
            let message = message(id, condition, second);
            if in_time(message.at(), at(now)) && seen.is_new(&message, at(now)) {
                prop_assert!(woke.insert((id, condition, second)));
            }
        }
    }

    #[test]
    fn too_old_and_too_far_ahead_are_refused(seconds in -20_000i64..20_000) {
        let late = TimeDelta::seconds(seconds);
        let taken = in_time(at(0) - late, at(0));
        prop_assert_eq!(taken, late <= MAX_AGE && -late <= MAX_AHEAD);
    }
}
