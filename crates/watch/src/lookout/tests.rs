#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use super::*;

#[test]
fn what_a_probe_is_worth() {
    let failed = Outcome::Failed;
    let cases = [
        (Outcome::Healthy, Saw::Answers),
        (
            failed(ProbeError::Timeout(Duration::from_secs(1))),
            Saw::TimedOut,
        ),
        (
            failed(ProbeError::Resolve("no such name".into())),
            Saw::Nothing(Ours::Dns),
        ),
        (failed(ProbeError::Status(503)), Saw::WrongStatus(503)),
        (
            failed(ProbeError::Connect(ErrorKind::ConnectionRefused)),
            Saw::Refused,
        ),
        // No route is what our own broken network looks like, too.
        (
            failed(ProbeError::Connect(ErrorKind::NetworkUnreachable)),
            Saw::TimedOut,
        ),
        (failed(ProbeError::Closed), Saw::Refused),
        (
            Outcome::Void("the clock jumped"),
            Saw::Nothing(Ours::Network),
        ),
    ];
    for (outcome, expected) in cases {
        assert_eq!(seen(&outcome), expected, "{outcome:?}");
    }
}
