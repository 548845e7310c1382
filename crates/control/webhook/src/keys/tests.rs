use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn keys_are_read_when_they_are_old_or_unknown_and_not_too_often() {
    let (soon, later) = (REREAD_DELAY - SECOND, REREAD_DELAY);
    let at_once = REREAD_DELAY_AFTER_FAILURE - SECOND;
    for (known, tried, expected) in [
        (None, None, Plan::Read),
        (
            Some(Duration::ZERO),
            Some((Duration::ZERO, true)),
            Plan::Use,
        ),
        // Even if the last attempt failed, and long ago.
        (Some(REREAD_AFTER - SECOND), Some((later, false)), Plan::Use),
        (Some(REREAD_AFTER), Some((REREAD_AFTER, true)), Plan::Read),
        (Some(REREAD_AFTER), Some((at_once, false)), Plan::Use),
        (Some(MAX_AGE), Some((at_once, false)), Plan::Unavailable),
        (None, Some((soon, true)), Plan::Unknown),
        (None, Some((later, true)), Plan::Read),
        (None, Some((at_once, false)), Plan::Unavailable),
        (None, Some((REREAD_DELAY_AFTER_FAILURE, false)), Plan::Read),
    ] {
        assert_eq!(plan(known, tried), expected, "{known:?} {tried:?}");
    }
}

#[test]
fn after_an_attempt_there_is_an_answer() {
    for (known, worked, expected) in [
        (Some(Duration::ZERO), true, Plan::Use),
        (Some(MAX_AGE - SECOND), false, Plan::Use),
        (Some(MAX_AGE), false, Plan::Unavailable),
        (None, true, Plan::Unknown),
        (None, false, Plan::Unavailable),
    ] {
        let got = after(known, Some((Duration::ZERO, worked)));
        assert_eq!(got, expected, "{known:?} {worked}");
    }
}
