#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

#[test]
fn a_node_goes_when_no_pod_has_needed_it_for_so_long() {
    let now = DateTime::parse_from_rfc3339("2026-01-01T00:10:00Z")
        .unwrap()
        .to_utc();
    let limit = Duration::from_secs(300);
    for (has_pods, since, expected) in [
        (true, "", Idle::Leave),
        (true, "2026-01-01T00:00:00Z", Idle::Needed),
        (false, "", Idle::Mark(now)),
        (false, "yesterday", Idle::Mark(now)),
        // The clock was set back: counted from the start, rather than removed too early.
        (false, "2026-01-01T00:10:30Z", Idle::Mark(now)),
        (
            false,
            "2026-01-01T00:09:00Z",
            Idle::Wait(Duration::from_secs(240)),
        ),
        (false, "2026-01-01T00:05:00Z", Idle::Remove),
    ] {
        assert_eq!(
            decide(has_pods, since, limit, now),
            expected,
            "{has_pods} {since}"
        );
    }
}
