#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn of(in_flight: usize, tried: bool, refused: bool) -> Candidate {
    Candidate {
        in_flight,
        tried,
        refused,
    }
}

#[test]
fn the_least_busy_that_was_not_tried_is_chosen() {
    let idle = of(0, false, false);
    for (candidates, turn, chosen) in [
        (vec![], 0, None),
        (vec![], 7, None),
        (vec![idle], 9, Some(0)),
        // Among equals, turns.
        (vec![idle, idle, idle], 0, Some(0)),
        (vec![idle, idle, idle], 1, Some(1)),
        (vec![idle, idle, idle], 5, Some(2)),
        // The least busy, whoever's turn it is.
        (vec![of(2, false, false), of(1, false, false)], 0, Some(1)),
        (vec![of(2, false, false), of(1, false, false)], 1, Some(1)),
        // Not where it has been.
        (vec![of(0, true, false), of(9, false, false)], 0, Some(1)),
        (vec![of(0, true, false)], 0, None),
        // Not where nobody answers, unless there is nothing else.
        (vec![of(0, false, true), of(9, false, false)], 0, Some(1)),
        (vec![of(0, false, true), of(9, true, false)], 1, Some(0)),
    ] {
        assert_eq!(choose(&candidates, turn), chosen, "{candidates:?} {turn}");
    }
}

#[test]
fn what_may_have_been_done_is_not_sent_again() {
    use Failure::{ClientSilent, Silent, Unanswered, Unsent};
    for (method, failure, taken, attempts, sent_again) in [
        (Method::GET, Unsent, false, 1, true),
        (Method::POST, Unsent, false, 1, true),
        (Method::POST, Unsent, false, MAX_ATTEMPTS - 1, true),
        (Method::POST, Unsent, false, MAX_ATTEMPTS, false),
        (Method::POST, Unsent, true, 1, false),
        (Method::GET, Unanswered, false, 1, true),
        (Method::HEAD, Unanswered, false, 1, true),
        (Method::GET, Unanswered, true, 1, false),
        (Method::POST, Unanswered, false, 1, false),
        (Method::PUT, Unanswered, false, 1, false),
        (Method::DELETE, Unanswered, false, 1, false),
        (Method::PATCH, Unanswered, false, 1, false),
        (Method::GET, Silent, false, 1, false),
        (Method::GET, ClientSilent, false, 1, false),
    ] {
        assert_eq!(
            again(&method, failure, taken, attempts),
            sent_again,
            "{method} {failure:?} {taken} {attempts}"
        );
    }
}

fn any_candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (0_usize..5, any::<bool>(), any::<bool>())
        .prop_map(|(in_flight, tried, refused)| of(in_flight, tried, refused));
    prop::collection::vec(one, 0..8)
}

fn any_failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        Just(Failure::Unsent),
        Just(Failure::Unanswered),
        Just(Failure::Silent),
        Just(Failure::ClientSilent),
    ]
}

proptest! {
    #[test]
    fn nobody_better_is_passed_over(candidates in any_candidates(), turn in any::<usize>()) {
        let open: Vec<&Candidate> = candidates.iter().filter(|it| !it.tried).collect();
        match choose(&candidates, turn) {
            None => prop_assert!(open.is_empty()),
            Some(index) => {
                let chosen = candidates[index];
                prop_assert!(!chosen.tried);
                let best = open.iter().map(|it| (it.refused, it.in_flight)).min().unwrap();
                prop_assert_eq!((chosen.refused, chosen.in_flight), best);
            }
        }
    }

    #[test]
    fn each_is_chosen_once_and_then_none(mut candidates in any_candidates(), turn in any::<usize>()) {
        let open = candidates.iter().filter(|it| !it.tried).count();
        for _ in 0..open {
            let index = choose(&candidates, turn).unwrap();
            candidates[index].tried = true;
        }
        prop_assert_eq!(choose(&candidates, turn), None);
    }

    #[test]
    fn equals_share_evenly(count in 1_usize..8, rounds in 1_usize..5) {
        let candidates = vec![Candidate::default(); count];
        let mut chosen = vec![0; count];
        for turn in 0..count * rounds {
            chosen[choose(&candidates, turn).unwrap()] += 1;
        }
        prop_assert_eq!(chosen, vec![rounds; count]);
    }

    #[test]
    fn a_change_that_may_have_begun_is_never_sent_twice(
        method in prop::sample::select(vec![
            Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS,
        ]),
        failure in any_failure(),
        taken in any::<bool>(),
        attempts in 0_usize..9,
    ) {
        if again(&method, failure, taken, attempts) {
            prop_assert_eq!(failure, Failure::Unsent);
            prop_assert!(!taken);
        }
    }
}
