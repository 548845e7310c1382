#![allow(clippy::unwrap_used)]

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;

const INTERVAL: Duration = Duration::from_secs(30);

fn filled(count: u32) -> (Schedule<u32>, SmallRng) {
    let mut random = SmallRng::seed_from_u64(11);
    let mut schedule = Schedule::new(JITTER_PERCENT);
    for subject in 0..count {
        schedule.add(Duration::ZERO, subject, INTERVAL, &mut random);
    }
    (schedule, random)
}

#[test]
fn the_mean_interval_is_the_configured_one() {
    let (mut schedule, mut random) = filled(1);
    let first = schedule.next().unwrap();
    let mut now = first;
    for _ in 0..10_000 {
        now = schedule.next().unwrap();
        let due = schedule.pop(now).unwrap();
        schedule.again(now, due, INTERVAL, &mut random);
        let apart = (schedule.next().unwrap() - now).as_secs_f64();
        assert!((28.5..=31.5).contains(&apart), "{apart}");
    }
    let mean = (now - first).as_secs_f64() / 9_999.0;
    assert!((29.9..30.1).contains(&mean), "{mean}");
}

#[test]
fn a_probe_that_takes_its_time_does_not_slow_the_next_one_down() {
    let (mut schedule, mut random) = filled(1);
    let mut now = schedule.next().unwrap();
    for _ in 0..100 {
        let due = schedule.pop(now).unwrap();
        let begun = now;
        schedule.again(now + Duration::from_secs(10), due, INTERVAL, &mut random);
        now = schedule.next().unwrap();
        assert!(now - begun <= INTERVAL.mul_f64(1.05));
    }
}

#[test]
fn nothing_is_due_twice_at_a_time() {
    let (mut schedule, _) = filled(100);
    let late = Duration::from_secs(1_000);
    let mut seen = std::collections::BTreeSet::new();
    while let Some(due) = schedule.pop(late) {
        assert!(seen.insert(due.subject));
    }
    assert_eq!(seen.len(), 100);
    assert!(schedule.is_empty());
}

/// Ten thousand endpoints from three vantage points: a second never has much more than its share.
#[test]
fn ten_thousand_endpoints_do_not_come_in_waves() {
    let (mut schedule, mut random) = filled(30_000);
    let mut seconds = vec![0_u32; 600];
    loop {
        let now = schedule.next().unwrap();
        let Some(second) = seconds.get_mut(now.as_secs() as usize) else {
            break;
        };
        *second += 1;
        let due = schedule.pop(now).unwrap();
        schedule.again(now, due, INTERVAL, &mut random);
    }
    // New ones are probed within their first second; from then on they drift apart.
    let settled = seconds.get(300..).unwrap();
    let total: u32 = settled.iter().sum();
    assert!((290_000..310_000).contains(&total), "{total}");
    assert!(
        settled.iter().all(|it| *it < 8_000),
        "{:?}",
        settled.iter().max()
    );
}

/// The clock jumps ahead by an hour, as after a suspend: nothing is probed in one burst, and
/// everything is probed within an interval.
#[test]
fn after_a_jump_of_the_clock_probes_are_spread_again() {
    let (mut schedule, mut random) = filled(3_000);
    let mut now = Duration::from_secs(5);
    while let Some(due) = schedule.pop(now) {
        schedule.again(now, due, INTERVAL, &mut random);
    }
    now += Duration::from_secs(3_600);
    // All are overdue. They are looked at once, and then again in their turn.
    let mut overdue = Vec::new();
    while let Some(due) = schedule.pop(now) {
        overdue.push(due);
    }
    assert_eq!(overdue.len(), 3_000);
    for due in overdue {
        schedule.again(now, due, INTERVAL, &mut random);
    }
    let mut tenths = [0_u32; 10];
    while let Some(at) = schedule.next() {
        let due = schedule.pop(at).unwrap();
        assert!(due.at >= now && due.at <= now + INTERVAL);
        let tenth = (due.at - now).as_secs_f64() / 3.0;
        tenths[(tenth as usize).min(9)] += 1;
    }
    assert!(
        tenths.iter().all(|it| (200..400).contains(it)),
        "{tenths:?}"
    );
}

#[test]
fn a_clock_that_is_late_by_less_than_an_interval_is_caught_up_with() {
    let (mut schedule, mut random) = filled(1);
    let at = schedule.next().unwrap();
    let due = schedule.pop(at).unwrap();
    let late = at + INTERVAL + Duration::from_secs(20);
    schedule.again(late, due, INTERVAL, &mut random);
    assert_eq!(schedule.next(), Some(late));
}

#[test]
fn what_is_not_wanted_is_swept_out() {
    let (mut schedule, _) = filled(1_000);
    schedule.retain(|it| it % 2 == 0);
    assert_eq!(schedule.len(), 500);
}
