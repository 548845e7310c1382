#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use std::time::{Duration, Instant};

use backstay_pair::Side;

use super::RunName;
use super::ledger::Ledger;

proptest! {
    #[test]
    fn an_identity_gives_back_its_number(seed: u64, started in 0..i64::MAX, number: u64) {
        let run = RunName::new(seed, started);
        prop_assert_eq!(run.number(&run.identity(number)), Some(number));
    }

    #[test]
    fn no_text_breaks_the_parser(text in ".*") {
        let run = RunName::new(1, 2);
        if let Some(number) = run.number(&text) {
            prop_assert_eq!(run.identity(number), text);
        }
    }
}

#[test]
fn identities_of_other_runs_are_not_ours() {
    let ours = RunName::new(7, 1_000);
    let other = RunName::new(7, 1_001);
    assert_ne!(ours, other);
    assert_eq!(ours.number(&other.identity(3)), None);
}

#[test]
fn there_is_one_spelling_of_a_number() {
    let run = RunName::new(7, 1_000);
    for wrong in ["7", "+000000007", "-00000000007", "00000000 7", ""] {
        assert_eq!(
            run.number(&format!("{}-{wrong}", run.as_str())),
            None,
            "{wrong}"
        );
    }
}

#[test]
fn a_ledger_knows_who_has_acknowledged_and_how_long_nobody_has() {
    let ledger = Ledger::new(Instant::now(), 30, 10);
    for (batch, side) in [Side::Primary, Side::Secondary, Side::Secondary]
        .into_iter()
        .enumerate()
    {
        ledger.request(batch as u64);
        ledger.acknowledged(batch as u64, side);
        std::thread::sleep(Duration::from_millis(if batch == 0 { 60 } else { 5 }));
    }
    // Once more is no more.
    ledger.request(1);
    ledger.acknowledged(1, Side::Primary);
    assert_eq!(ledger.acknowledged_by(Side::Primary), 10);
    assert_eq!(ledger.acknowledged_by(Side::Secondary), 20);
    assert!(ledger.longest_silence_ms(0..u64::MAX) >= 60);
    let first = ledger.acknowledged_at_ms(0).unwrap();
    assert!(ledger.longest_silence_ms(first + 1..u64::MAX) < 60);
    assert_eq!(ledger.longest_silence_ms(0..0), 0);
}
