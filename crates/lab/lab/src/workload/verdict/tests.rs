#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Instant;

use backstay_pair::Side;

use super::{Tally, Verdict, judge};
use crate::workload::RunName;
use crate::workload::feed::fingerprint;
use crate::workload::ledger::Ledger;

fn text(number: u64) -> String {
    format!("line {number}")
}

/// Ten events in batches of two: batches 0 to 2 acknowledged, 3 sent, 4 never sent.
fn run() -> (RunName, Ledger) {
    let ledger = Ledger::new(Instant::now(), 10, 2);
    for number in 0..10 {
        ledger.made(number, fingerprint(&text(number)));
    }
    for batch in 0..4 {
        ledger.request(batch);
    }
    for batch in 0..3 {
        ledger.acknowledged(batch, Side::Primary);
    }
    ledger.failed();
    (RunName::new(1, 1), ledger)
}

fn verdict(found: &[u64]) -> Verdict {
    let (run, ledger) = run();
    let mut tally = Tally::new(&ledger);
    for number in found {
        tally.found(&run, &ledger, Some(&run.identity(*number)), &text(*number));
    }
    judge(&run, &ledger, &tally)
}

#[test]
fn everything_acknowledged_once_is_good() {
    let verdict = verdict(&[0, 1, 2, 3, 4, 5]);
    assert!(verdict.holds());
    assert_eq!(
        (
            verdict.acknowledged,
            verdict.found,
            verdict.unacknowledged_found
        ),
        (6, 6, 0)
    );
}

#[test]
fn what_was_sent_and_not_acknowledged_may_be_there_once() {
    let verdict = verdict(&[0, 1, 2, 3, 4, 5, 6]);
    assert!(verdict.holds());
    assert_eq!((verdict.found, verdict.unacknowledged_found), (7, 1));
}

#[test]
fn it_may_not_be_there_twice() {
    let verdict = verdict(&[0, 1, 2, 3, 4, 5, 6, 6]);
    assert!(!verdict.holds());
    assert_eq!(verdict.duplicated, 1);
}

#[test]
fn a_lost_event_is_named() {
    let verdict = verdict(&[0, 1, 2, 4, 5]);
    assert!(!verdict.holds());
    assert_eq!(verdict.lost, 1);
    assert!(verdict.oldest_lost_ms.is_some());
    assert!(
        verdict.examples[0].contains("-0000000003"),
        "{:?}",
        verdict.examples
    );
}

#[test]
fn each_further_row_of_an_event_counts() {
    let verdict = verdict(&[0, 0, 0, 1, 1, 2, 3, 4, 5]);
    assert!(!verdict.holds());
    assert_eq!((verdict.duplicated, verdict.found, verdict.lost), (3, 6, 0));
}

#[test]
fn what_was_never_sent_is_a_phantom() {
    // 8 is in the run, but its batch was never sent; 10 is beyond the run.
    let verdict = verdict(&[0, 1, 2, 3, 4, 5, 8, 10]);
    assert!(!verdict.holds());
    assert_eq!((verdict.phantom, verdict.found), (2, 6));
}

#[test]
fn rows_without_an_identity_of_the_run_are_phantoms() {
    let (run, ledger) = run();
    let mut tally = Tally::new(&ledger);
    tally.found(&run, &ledger, None, &text(0));
    tally.found(&run, &ledger, Some("other-0000000000"), &text(0));
    assert_eq!(judge(&run, &ledger, &tally).phantom, 2);
}

#[test]
fn an_altered_event_is_a_phantom_and_the_sent_one_is_lost() {
    let (run, ledger) = run();
    let mut tally = Tally::new(&ledger);
    for number in 0..6 {
        let text = if number == 4 {
            "altered".to_owned()
        } else {
            text(number)
        };
        tally.found(&run, &ledger, Some(&run.identity(number)), &text);
    }
    let verdict = judge(&run, &ledger, &tally);
    assert_eq!((verdict.phantom, verdict.lost, verdict.found), (1, 1, 5));
}

#[test]
fn the_ledger_counts_requests_and_acknowledges_a_batch_once() {
    let (_, ledger) = run();
    assert_eq!((ledger.acknowledged_events(), ledger.sent_events()), (6, 8));
    assert_eq!((ledger.requests(), ledger.in_flight()), ((4, 1), 0));
    ledger.request(2);
    ledger.acknowledged(2, Side::Secondary);
    assert_eq!(ledger.acknowledged_events(), 6);
    assert_eq!(ledger.sent_events(), 8);
    assert!(ledger.first_ack_ms(Side::Primary).is_some());
    assert_eq!(ledger.first_ack_ms(Side::Secondary), None);
    assert_eq!(ledger.rate(1_000_000_000), [6]);
}

#[test]
fn the_last_batch_may_be_short() {
    let ledger = Ledger::new(Instant::now(), 5, 2);
    for batch in 0..3 {
        ledger.request(batch);
        ledger.acknowledged(batch, Side::Primary);
    }
    assert_eq!((ledger.acknowledged_events(), ledger.sent_events()), (5, 5));
}
