//! The verdict when the standby has taken over, or is about to.

use super::*;

#[test]
fn a_run_is_carried_on_by_whoever_has_the_lock() {
    let acting = Marks {
        run: run(Stage::Acting),
        ..Marks::default()
    };
    let cases = [
        (lock(true), vec![Next::TakeOver(Revision("l".to_owned()))]),
        (
            lock(false),
            vec![Next::TakeLock(Some(Revision("l".to_owned())))],
        ),
        (Known::Is(Lock::Held("b".to_owned())), vec![]),
        (Known::Unknown("?".to_owned()), vec![]),
    ];
    for (lock, next) in cases {
        for saw in [Saw::Answers, Saw::TimedOut, Saw::Nothing(Ours::Dns)] {
            let mut seen = look(0, saw, &acting);
            seen.lock = lock.clone();
            let decision = Alone::new(acting.clone()).decides(&seen);
            assert_eq!(
                (decision.state, &decision.next),
                (State::FailingOver, &next)
            );
            assert_eq!(decision.persist, None);
        }
    }
}

#[test]
fn the_reconciler() {
    let enabled = || Known::Is(Endpoint::Enabled);
    let disabled = || Known::Is(Endpoint::Disabled);
    let is = Known::<Side>::Is;
    let unknown = || Known::<Side>::Unknown("403".to_owned());
    let done = run(Stage::Done);
    // (run on record, term, endpoint, disabled again, told)
    let cases = [
        (
            &done,
            is(Side::Secondary),
            enabled(),
            true,
            Code::EndpointReopened,
        ),
        (&done, unknown(), enabled(), true, Code::EndpointReopened),
        (
            &done,
            is(Side::Secondary),
            disabled(),
            false,
            Code::FailedOver,
        ),
        (
            &done,
            is(Side::Secondary),
            Known::Unknown("429".to_owned()),
            false,
            Code::EndpointUnknown,
        ),
        // After a failback whose last mark was left, production is not cut off.
        (
            &done,
            is(Side::Primary),
            enabled(),
            false,
            Code::MarksDisagree,
        ),
    ];
    for (run, term, endpoint, disables, code) in cases {
        for saw in [Saw::Answers, Saw::TimedOut] {
            let marks = Marks {
                run: run.clone(),
                ..Marks::default()
            };
            let mut seen = look(0, saw, &marks);
            seen.lock = lock(false);
            (seen.term, seen.endpoint) = (term.clone(), endpoint.clone());
            let decision = Alone::new(marks).decides(&seen);
            assert_eq!(decision.state, State::FailedOver);
            let next = if disables {
                vec![Next::DisableAgain]
            } else {
                vec![]
            };
            assert_eq!(decision.next, next);
            assert!(decision.says(code), "{:?}", codes(&decision));
            assert_eq!(decision.persist, None);
        }
    }
}

#[test]
fn a_takeover_without_a_run_on_record_is_taken_up() {
    for saw in [Saw::Answers, Saw::TimedOut, Saw::Nothing(Ours::Network)] {
        let mut alone = Alone::new(Marks::default());
        let mut seen = look(0, saw, &alone.marks);
        seen.term = Known::Is(Side::Secondary);
        let decision = alone.decides(&seen);
        assert_eq!(decision.state, State::FailingOver);
        assert!(decision.says(Code::TakenOver) && decision.next.is_empty());
        seen = look(1, saw, &alone.marks);
        let next = [Next::TakeOver(Revision("l".to_owned()))];
        assert_eq!(alone.decides(&seen).next, next);
    }
}
