use proptest::prelude::*;

use super::*;

#[test]
fn a_time_is_said_once_and_counts_as_behind_until_it_is_in_the_state() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut uncounted = Uncounted::new(start, Duration::from_secs(10));
    assert_eq!(uncounted.behind(at(300)), 300);
    assert_eq!(uncounted.report(at(500)), 500);
    assert_eq!(uncounted.behind(at(600)), 600);
    uncounted.counted();
    assert_eq!(uncounted.behind(at(600)), 100);
    assert_eq!(uncounted.report(at(700)), 200);
}

#[test]
fn a_frozen_process_has_not_run() {
    let start = Instant::now();
    let mut uncounted = Uncounted::new(start, Duration::from_secs(10));
    assert_eq!(
        uncounted.report(start + Duration::from_secs(86_400)),
        10_000
    );
}

proptest! {
    /// Whichever heartbeats are lost, and whatever a crash takes along, the clock is never ahead.
    #[test]
    fn the_clock_is_never_ahead_of_the_truth(
        steps in proptest::collection::vec((0u64..5_000, any::<bool>(), 0u8..10), 0..50),
    ) {
        let start = Instant::now();
        let most = Duration::from_secs(10);
        let mut uncounted = Uncounted::new(start, most);
        let (mut truth, mut clock) = (0, 0);
        for (ms, arrives, crash) in steps {
            truth += ms;
            let now = start + Duration::from_millis(truth);
            if crash == 0 {
                uncounted = Uncounted::new(now, most);
                continue;
            }
            prop_assert!(clock + uncounted.behind(now) <= truth + uncounted.reported);
            let reported = uncounted.report(now);
            if arrives {
                clock += reported;
                uncounted.counted();
            }
            prop_assert!(clock <= truth);
        }
    }
}
