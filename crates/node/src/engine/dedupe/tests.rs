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
    assert_eq!(*outcome.borrow(), Outcome::Open);
    window.stored(key(1), 7);
    assert_eq!(*outcome.borrow(), Outcome::Stored);
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
    assert_eq!(*outcome.borrow(), Outcome::NotStored);
    assert!(matches!(window.claim(key(1)), Claim::New));
}

#[test]
fn a_stored_batch_is_not_undone() {
    let mut window = Window::default();
    window.stored(key(1), 3);
    window.not_stored(key(1));
    assert!(matches!(window.claim(key(1)), Claim::Stored));
}

#[test]
fn the_window_ends_where_the_journal_does() {
    let mut window = Window::default();
    for seq in 0..10 {
        window.stored(key(seq), u64::from(seq));
    }
    window.forget_below(4);
    assert_eq!(window.len(), 6);
    assert!(matches!(window.claim(key(3)), Claim::New));
    assert!(matches!(window.claim(key(4)), Claim::Stored));
}
