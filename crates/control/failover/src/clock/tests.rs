#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn ages() {
    // (mark, the server's clock and ours when first seen, ours now, at least)
    let cases = [
        ("just set", 1_000, 1_000, 50, 50, 0),
        ("followed since it was set", 1_000, 1_000, 50, 110, 60),
        ("another instance's", 1_000, 1_061, 0, 0, 60),
        ("another's, then followed", 1_000, 1_061, 0, 30, 90),
        ("dated in the future", 9_000, 1_000, 50, 50, 0),
        ("dated in the future, followed", 9_000, 1_000, 50, 80, 30),
        ("in milliseconds", 1_000_000, 1_000, 50, 80, 30),
        ("our clock before the start", 1_000, 1_000, 50, 0, 0),
    ];
    for (name, mark, now, seen, mono, wanted) in cases {
        let aged = Aged::first_seen(Epoch(mark), Epoch(now), seconds(seen));
        assert_eq!(aged.at_least(seconds(mono)), seconds(wanted), "{name}");
    }
}

#[test]
fn the_ends_of_time() {
    let aged = Aged::first_seen(Epoch(0), Epoch(u64::MAX), Duration::ZERO);
    assert_eq!(aged.at_least(Duration::MAX), Duration::MAX);
    assert_eq!(aged.at_most(Epoch(0), Duration::MAX), Duration::MAX);
    assert_eq!(Epoch(0).before(Duration::MAX), Epoch(0));
}

#[test]
fn a_mark_that_changes_has_a_new_age() {
    let mut held = None;
    Aged::follow(&mut held, Some(Epoch(1_000)), Epoch(1_000), seconds(0));
    Aged::follow(&mut held, Some(Epoch(1_000)), Epoch(1_060), seconds(60));
    assert_eq!(held.unwrap().at_least(seconds(60)), seconds(60));
    Aged::follow(&mut held, Some(Epoch(1_050)), Epoch(1_060), seconds(60));
    assert_eq!(held.unwrap().at_least(seconds(60)), seconds(9));
    Aged::follow(&mut held, None, Epoch(1_070), seconds(70));
    assert_eq!(held, None);
}

proptest! {
    /// However the server's clock is stepped after a mark was first seen, the age of the mark is
    /// never more than what has passed, and never much less.
    #[test]
    fn no_step_of_the_clock_makes_a_mark_older(
        start in 0_u64..1 << 40,
        unseen in 0_u64..100_000,
        part in 0_u64..1_000,
        steps in prop::collection::vec((-1_000_i64..1_000, 0_u64..10_000), 0..20),
    ) {
        let set = start * 1_000 + part;
        let mark = Epoch(set / 1_000);
        let mut held = None;
        let (mut stepped, mut lived) = (0, 0);
        Aged::follow(&mut held, Some(mark), Epoch((set + unseen) / 1_000), Duration::ZERO);
        for (step, passes) in steps {
            stepped += step;
            lived += passes;
            let now = Epoch(((set + unseen + lived) / 1_000).saturating_add_signed(stepped));
            Aged::follow(&mut held, Some(mark), now, Duration::from_millis(lived));
            let age = held.unwrap().at_least(Duration::from_millis(lived));
            let truly = Duration::from_millis(unseen + lived);
            prop_assert!(age <= truly, "{age:?} {truly:?}");
            prop_assert!(age + Duration::from_secs(2) >= truly);
        }
    }

    /// The two ages of a mark are in their order, whatever is in it.
    #[test]
    fn at_least_is_not_more_than_at_most(mark: u64, now: u64, seen: u32, later in 0_u32..1 << 20) {
        let (seen, mono) = (seconds(seen.into()), seconds(u64::from(seen) + u64::from(later)));
        let aged = Aged::first_seen(Epoch(mark), Epoch(now), seen);
        let later = Epoch(now.saturating_add(later.into()));
        prop_assert!(aged.at_least(mono) <= aged.at_most(later, mono));
    }
}
