#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use proptest::prelude::*;

use super::BackOff;

const SHORT: Duration = Duration::from_millis(5);

fn waits(back_off: BackOff, count: usize) -> Vec<u64> {
    let mut last = None;
    let mut waits = Vec::new();
    for _ in 0..count {
        let wait = back_off.after(last, SHORT);
        waits.push(wait.as_secs());
        last = Some(wait);
    }
    waits
}

#[test]
fn doubles_from_base_to_cap_as_the_kubelet_does() {
    assert_eq!(
        waits(BackOff::KUBELET, 8),
        [0, 10, 20, 40, 80, 160, 300, 300]
    );
}

#[test]
fn a_long_run_begins_again() {
    let kubelet = BackOff::KUBELET;
    let longest = Some(kubelet.cap);
    assert_eq!(kubelet.after(longest, kubelet.reset), Duration::ZERO);
    assert_eq!(kubelet.after(longest, kubelet.reset - SHORT), kubelet.cap);
    assert_eq!(kubelet.after(Some(Duration::ZERO), SHORT), kubelet.base);
}

proptest! {
    #[test]
    fn never_beyond_the_cap_and_never_shorter_while_it_crashes(
        base in 1_u64..10_000, cap in 1_u64..1_000_000, count in 0_usize..60,
    ) {
        let back_off = BackOff {
            base: Duration::from_millis(base),
            cap: Duration::from_millis(cap),
            reset: Duration::from_secs(600),
        };
        let mut last = None;
        for _ in 0..count {
            let wait = back_off.after(last, SHORT);
            prop_assert!(wait <= back_off.cap);
            prop_assert!(last.is_none_or(|last| wait >= last));
            last = Some(wait);
        }
    }
}
