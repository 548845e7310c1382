#![allow(clippy::unwrap_used)]

use super::*;

const RATE: LeastRate = LeastRate {
    bytes_per_second: 1000,
    pause: Duration::from_secs(10),
};

/// Gets so many bytes each time after so many milliseconds of waiting; after how many milliseconds
/// it is cut off, if it is within an hour.
fn cut(bytes: usize, every_ms: u64) -> Option<u64> {
    let begin = Instant::now();
    let mut allowance = Allowance::new(RATE);
    let mut at = 0;
    while at < 3_600_000 {
        let deadline = allowance.wait(begin + Duration::from_millis(at));
        at += every_ms;
        let now = begin + Duration::from_millis(at);
        if now >= deadline {
            let cut = deadline.saturating_duration_since(begin);
            return Some(u64::try_from(cut.as_millis()).unwrap());
        }
        allowance.came(now, bytes);
    }
    None
}

#[test]
fn the_least_rate_is_kept_however_the_bytes_are_spread() {
    for (bytes, every_ms) in [(1000, 1000), (2, 1), (10, 5), (9_500, 9_500), (1 << 20, 1)] {
        assert_eq!(cut(bytes, every_ms), None, "{bytes} every {every_ms} ms");
    }
    for (bytes, every_ms) in [
        (1, 100),
        (1, 9_999),
        (500, 1000),
        (1, 10_000),
        (1 << 20, 10_001),
    ] {
        let cut = cut(bytes, every_ms);
        assert!(
            cut.is_some_and(|it| it <= 40_000),
            "{bytes} every {every_ms} ms: {cut:?}"
        );
    }
}

#[test]
fn nothing_can_be_saved_up() {
    let begin = Instant::now();
    let mut allowance = Allowance::new(RATE);
    allowance.came(begin, 1 << 30);
    assert_eq!(allowance.wait(begin), begin + RATE.pause);
}

#[test]
fn time_for_which_nobody_waits_does_not_count() {
    let begin = Instant::now();
    let mut allowance = Allowance::new(RATE);
    let later = begin + Duration::from_secs(3_600);
    allowance.came(later, 0);
    assert_eq!(allowance.wait(later), later + RATE.pause);
    // Asked again, it is the same time.
    assert_eq!(allowance.wait(later + RATE.pause), later + RATE.pause);
}

#[test]
fn no_rate_panics() {
    let none = LeastRate {
        bytes_per_second: 0,
        pause: Duration::ZERO,
    };
    let mut allowance = Allowance::new(none);
    allowance.came(Instant::now(), usize::MAX);
}
