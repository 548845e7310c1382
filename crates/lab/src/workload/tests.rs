#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::RunName;

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
