#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn key(n: u32) -> KeyHash {
    KeyHash::new("r", &n.to_string())
}

#[test]
fn a_second_batch_waits_for_the_first_and_learns_its_outcome() {
    let mut window = Window::default();
    assert!(matches!(window.claim(key(1)), Claim::New));
    let Claim::Pending(outcome) = window.claim(key(1)) else {
        panic!("the first is on its way");
    };
    assert_eq!(*outcome.borrow(), StoreOutcome::Open);
    window.stored(key(1));
    assert_eq!(*outcome.borrow(), StoreOutcome::Stored);
    assert!(matches!(window.claim(key(1)), Claim::Stored));
}

#[test]
fn a_batch_that_was_not_stored_may_come_again() {
    let mut window = Window::default();
    assert!(matches!(window.claim(key(1)), Claim::New));
    let Claim::Pending(outcome) = window.claim(key(1)) else {
        panic!("the first is on its way");
    };
    window.not_stored(key(1));
    assert_eq!(*outcome.borrow(), StoreOutcome::NotStored);
    assert!(matches!(window.claim(key(1)), Claim::New));
}

#[test]
fn a_stored_batch_is_not_undone() {
    let mut window = Window::default();
    window.found(key(1));
    window.not_stored(key(1));
    assert!(matches!(window.claim(key(1)), Claim::Stored));
}

fn generation(from: u64, to: u64, since: Since, keys: &[u32]) -> Generation {
    Generation {
        from,
        to,
        since,
        keys: keys.iter().map(|n| key(*n)).collect(),
    }
}

#[test]
fn a_key_is_known_until_its_time_is_over_and_no_longer() {
    let mut window = Window::default();
    window.add(generation(0, 5, Since::Ran(100), &[1]));
    window.add(generation(5, 9, Since::Ran(150), &[2]));
    window.found(key(3));
    let cases = [
        (199, 0, true, true),
        (200, 5, false, true),
        (249, 5, false, true),
        (250, 9, false, false),
    ];
    for (now, floor, first, second) in cases {
        window.expire(now, 100, |_| false);
        assert_eq!(window.floor(), floor, "{now}");
        assert_eq!(window.keys.contains_key(&key(1)), first, "{now}");
        assert_eq!(window.keys.contains_key(&key(2)), second, "{now}");
    }
    window.expire(u64::MAX, 100, |_| true);
    assert!(
        matches!(window.claim(key(3)), Claim::Stored),
        "in no segment yet"
    );
}

#[test]
fn keys_that_are_not_imported_do_not_age() {
    let mut window = Window::default();
    window.add(generation(0, 0, Since::Import("r".to_owned()), &[1]));
    assert!(!window.expire(1_000_000, 100, |_| false));
    assert!(window.expire(1_000_000, 100, |recovery| recovery == "r"));
    window.expire(1_000_099, 100, |_| true);
    assert!(matches!(window.claim(key(1)), Claim::Stored));
    window.expire(1_000_100, 100, |_| true);
    assert!(matches!(window.claim(key(1)), Claim::New));
}

#[test]
fn a_key_in_two_generations_has_the_time_of_the_later_one() {
    let mut window = Window::default();
    window.add(generation(0, 0, Since::Ran(0), &[1]));
    window.add(generation(0, 5, Since::Ran(90), &[1]));
    window.expire(100, 100, |_| false);
    assert!(matches!(window.claim(key(1)), Claim::Stored));
    window.expire(190, 100, |_| false);
    assert!(matches!(window.claim(key(1)), Claim::New));
}

#[test]
fn an_acknowledgement_that_comes_after_the_window_is_over_does_not_begin_it_again() {
    let mut window = Window::default();
    assert!(matches!(window.claim(key(1)), Claim::New));
    window.add(generation(0, 5, Since::Ran(0), &[1]));
    window.expire(100, 100, |_| false);
    window.stored(key(1));
    assert_eq!(window.len(), 0);
}

#[test]
fn a_full_window_refuses_and_forgets_nothing() {
    let mut window = Window::bounded(2);
    window.add(generation(0, 5, Since::Ran(0), &[1]));
    assert!(matches!(window.claim(key(2)), Claim::New));
    assert!(matches!(window.claim(key(3)), Claim::Full));
    assert!(matches!(window.claim(key(1)), Claim::Stored));
    assert!(matches!(window.claim(key(2)), Claim::Pending(_)));
    window.expire(100, 100, |_| false);
    assert!(matches!(window.claim(key(3)), Claim::New));
}
