#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;
use crate::schedule::{JITTER_PERCENT, Schedule};

/// How an endpoint fails.
#[derive(Clone, Copy, Debug)]
enum Failure {
    /// It never answers: a probe ends with its timeout.
    Silent,
    /// It refuses, or answers wrongly: a probe ends at once.
    Prompt,
}

struct Run {
    interval: u64,
    timeout: u64,
    tolerated: u32,
    vantage_points: usize,
    jitter_percent: u32,
}

impl Run {
    fn exact(interval: u64, timeout: u64, tolerated: u32) -> Self {
        Self {
            interval,
            timeout,
            tolerated,
            vantage_points: 1,
            jitter_percent: 0,
        }
    }

    /// Drives the real schedule and the real monitor by a simulated clock. The endpoint is healthy
    /// but from `dead.0` to `dead.1`. Returns each change of the verdict with its time.
    fn play(&self, dead: (u64, u64), failure: Failure, until: u64) -> Vec<(Duration, Health)> {
        let seconds = Duration::from_secs;
        let mut random = SmallRng::seed_from_u64(7);
        let mut schedule = Schedule::new(self.jitter_percent);
        let interval = seconds(self.interval);
        for vantage in 0..self.vantage_points {
            schedule.add(Duration::ZERO, vantage, interval, &mut random);
        }
        let points = self.vantage_points;
        let mut monitor = Monitor::new(points, majority(points), Health::Unknown);
        let mut changes = Vec::new();
        // Probes under way: when they end, with what.
        let mut under_way: Vec<(Duration, bool, crate::schedule::Due<usize>)> = Vec::new();
        loop {
            let ends = under_way.iter().map(|(end, ..)| *end).min();
            let Some(now) = [ends, schedule.next()].into_iter().flatten().min() else {
                return changes;
            };
            if now > seconds(until) {
                return changes;
            }
            if let Some(place) = under_way.iter().position(|(end, ..)| *end == now) {
                let (_, ok, due) = under_way.remove(place);
                if let Some(health) = monitor.observe(due.subject, ok, self.tolerated) {
                    changes.push((now, health));
                }
                schedule.again(now, due, interval, &mut random);
                continue;
            }
            let due = schedule.pop(now).unwrap();
            let ok = now < seconds(dead.0) || now >= seconds(dead.1);
            let end = match (ok, failure) {
                (false, Failure::Silent) => now + seconds(self.timeout),
                _ => now,
            };
            under_way.push((end, ok, due));
        }
    }
}

/// Azure's timeline, steps 4 to 6: the first failing probe waits for its timeout, "it then tries
/// three more times, at 30-second intervals", and "after a fourth consecutive failure, the
/// monitoring system marks the unavailable endpoint status as Degraded". Counted from the first
/// failing probe.
fn published(interval: u64, timeout: u64, tolerated: u64) -> u64 {
    tolerated * interval + timeout
}

/// (interval, timeout, tolerated failures) → the second at which the answer changes, for an
/// endpoint that dies right before a probe at second 60 and answers nothing; and for one that
/// refuses.
#[test]
fn the_answer_changes_at_the_second_of_azures_formula() {
    let table = [
        // The defaults, which are those of Azure's figure: 60 + 3 × 30 + 10.
        (30, 10, 3, 160, 150),
        (30, 10, 0, 70, 60),
        (30, 5, 0, 65, 60),
        (30, 5, 1, 95, 90),
        (30, 10, 9, 340, 330),
        // Fast probing.
        (10, 9, 3, 99, 90),
        (10, 5, 0, 65, 60),
        (10, 5, 1, 75, 70),
        (10, 9, 9, 159, 150),
        // A drill's.
        (1, 1, 0, 61, 60),
        (1, 1, 2, 63, 62),
        (2, 1, 3, 67, 66),
    ];
    for (interval, timeout, tolerated, silent, prompt) in table {
        let run = Run::exact(interval, timeout, tolerated);
        for (failure, expected) in [(Failure::Silent, silent), (Failure::Prompt, prompt)] {
            let changes = run.play((60, 100_000), failure, 1_000);
            let expected = [
                (Duration::ZERO, Health::Healthy),
                (Duration::from_secs(expected), Health::Unhealthy),
            ];
            assert_eq!(
                changes, expected,
                "interval {interval}, timeout {timeout}, tolerated {tolerated}, {failure:?}"
            );
        }
        assert_eq!(
            silent,
            60 + published(interval, timeout, u64::from(tolerated))
        );
    }
}

/// Step 9 and 10: it "retains its Degraded status until the monitoring system performs its next
/// health check", and one success is enough.
#[test]
fn one_success_brings_an_endpoint_back() {
    for (interval, timeout, tolerated, back) in [(30, 10, 3, 300), (10, 9, 9, 250), (30, 5, 0, 90)]
    {
        let run = Run::exact(interval, timeout, tolerated);
        // It answers again one second after a probe, so that the next one finds it.
        let dead = (60, back - interval + 1);
        let changes = run.play(dead, Failure::Silent, 1_000);
        let last = changes.last().unwrap();
        assert_eq!(
            *last,
            (Duration::from_secs(back), Health::Healthy),
            "{interval}"
        );
        assert_eq!(changes.len(), 3, "{changes:?}");
    }
}

#[test]
fn failures_that_are_tolerated_change_nothing_and_are_forgotten() {
    let mut agent = Agent::default();
    assert_eq!(agent.health(), Health::Unknown);
    for _ in 0..3 {
        assert_eq!(agent.observe(false, 3), Health::Unknown);
    }
    assert_eq!(agent.observe(true, 3), Health::Healthy);
    for _ in 0..100 {
        for _ in 0..3 {
            assert_eq!(agent.observe(false, 3), Health::Healthy);
        }
        assert_eq!(agent.observe(true, 3), Health::Healthy);
        assert_eq!(agent.failures(), 0);
    }
    for _ in 0..3 {
        assert_eq!(agent.observe(false, 3), Health::Healthy);
    }
    assert_eq!(agent.observe(false, 3), Health::Unhealthy);
}

#[test]
fn a_verdict_takes_a_quorum() {
    // (vantage points, quorum, those that see it dead) → verdict.
    let table = [
        (1, 1, 1, Health::Unhealthy),
        (1, 1, 0, Health::Healthy),
        (3, 2, 1, Health::Healthy),
        (3, 2, 2, Health::Unhealthy),
        (3, 2, 3, Health::Unhealthy),
        (5, 3, 2, Health::Healthy),
        (5, 3, 3, Health::Unhealthy),
        (3, 1, 1, Health::Unhealthy),
        (3, 3, 3, Health::Unhealthy),
        // Neither side has its quorum.
        (3, 3, 2, Health::Unknown),
        (4, 3, 2, Health::Unknown),
    ];
    for (points, quorum, dead, expected) in table {
        let mut monitor = Monitor::new(points, quorum, Health::Unknown);
        for vantage in 0..points {
            monitor.observe(vantage, vantage >= dead, 0);
        }
        assert_eq!(monitor.health(), expected, "{points} {quorum} {dead}");
    }
}

#[test]
fn what_was_known_before_a_restart_stands_until_a_quorum_says_otherwise() {
    let mut monitor = Monitor::new(3, 2, Health::Unhealthy);
    assert_eq!(monitor.observe(0, true, 3), None);
    assert_eq!(monitor.health(), Health::Unhealthy);
    assert_eq!(monitor.observe(1, true, 3), Some(Health::Healthy));
}

#[test]
fn a_result_from_nowhere_is_no_result() {
    let mut monitor = Monitor::new(2, 2, Health::Unknown);
    assert_eq!(monitor.observe(2, false, 0), None);
    assert_eq!(monitor.observe(usize::MAX, true, 0), None);
    assert_eq!(monitor.health(), Health::Unknown);
}

/// An endpoint that is dead during every second interval, in step with the configured one: with
/// exact intervals a prober would see it always alive or always dead. With nothing tolerated, the
/// spread intervals of three vantage points see both sides.
#[test]
fn flapping_in_step_with_the_probes_is_seen() {
    let run = Run {
        vantage_points: 3,
        jitter_percent: JITTER_PERCENT,
        ..Run::exact(10, 5, 0)
    };
    let mut random = SmallRng::seed_from_u64(3);
    let mut schedule = Schedule::new(run.jitter_percent);
    let interval = Duration::from_secs(run.interval);
    for vantage in 0..3_usize {
        schedule.add(Duration::ZERO, vantage, interval, &mut random);
    }
    let mut seen = [[0_u32; 2]; 3];
    for _ in 0..3_000 {
        let now = schedule.next().unwrap();
        let due = schedule.pop(now).unwrap();
        // Dead in the second half of each interval.
        let dead = now.as_millis() % 10_000 >= 5_000;
        seen[due.subject][usize::from(dead)] += 1;
        schedule.again(now, due, interval, &mut random);
    }
    for sides in seen {
        assert!(sides.iter().all(|it| *it > 200), "{seen:?}");
    }
}

proptest! {
    /// With spread intervals and several vantage points, the change comes neither sooner than the
    /// formula allows nor later: each interval is off by at most 5 percent.
    #[test]
    fn jitter_moves_the_change_by_no_more_than_its_share(
        interval in 2_u64..40,
        timeout in 1_u64..10,
        tolerated in 0_u32..10,
        vantage_points in 1_usize..6,
    ) {
        let timeout = timeout.min(interval - 1);
        let run = Run { interval, timeout, tolerated, vantage_points, jitter_percent: JITTER_PERCENT };
        let changes = run.play((500, 100_000), Failure::Silent, 2_000);
        prop_assert_eq!(changes.len(), 2, "{:?}", changes);
        let after = changes[1].0.as_secs_f64() - 500.0;
        let base = published(interval, timeout, u64::from(tolerated)) as f64;
        let share = 0.05 * interval as f64 * f64::from(tolerated + 1);
        prop_assert!(after >= base - share - 0.001, "{after} {base}");
        // The endpoint dies up to an interval before its first failing probe.
        prop_assert!(after <= base + interval as f64 + share + 0.001, "{after} {base}");
    }

    /// Whatever comes in whatever order, the verdict is one that a quorum stood behind when it was
    /// given, and it is told exactly when it changes.
    #[test]
    fn verdicts_are_backed_and_told_once(
        points in 1_usize..6,
        tolerated in 0_u32..4,
        results in proptest::collection::vec((0_usize..6, any::<bool>()), 0..200),
    ) {
        let quorum = majority(points);
        let mut monitor = Monitor::new(points, quorum, Health::Unknown);
        let mut agents = vec![Agent::default(); points];
        let mut last = Health::Unknown;
        for (vantage, ok) in results {
            let told = monitor.observe(vantage, ok, tolerated);
            if let Some(agent) = agents.get_mut(vantage) {
                agent.observe(ok, tolerated);
            }
            prop_assert_eq!(told.is_some(), monitor.health() != last);
            last = monitor.health();
            if last != Health::Unknown {
                let backing = agents.iter().filter(|it| it.health() == last).count();
                let other = match last {
                    Health::Healthy => Health::Unhealthy,
                    _ => Health::Healthy,
                };
                let against = agents.iter().filter(|it| it.health() == other).count();
                prop_assert!(against < quorum);
                if told.is_some() {
                    prop_assert!(backing >= quorum);
                }
            }
        }
    }
}
