#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn hosts<'a>(names: &[&'a str]) -> BTreeSet<&'a str> {
    names.iter().copied().collect()
}

#[test]
fn a_lone_host_takes_everything() {
    let partitions = [(0, None), (1, Some("dead")), (2, Some("a"))];
    let plan = assign(&partitions, &hosts(&["a"]));
    assert!(plan.values().all(|host| *host == "a"));
    assert_eq!(plan.len(), 3);
}

#[test]
fn a_new_host_gets_its_share_and_the_others_keep_theirs() {
    let partitions = [
        (0, Some("a")),
        (1, Some("a")),
        (2, Some("a")),
        (3, Some("a")),
    ];
    let plan = assign(&partitions, &hosts(&["a", "b"]));
    assert_eq!(plan[&0], "a");
    assert_eq!(plan[&1], "a");
    assert_eq!(plan.values().filter(|host| **host == "b").count(), 2);
}

#[test]
fn nothing_moves_when_shares_differ_by_one() {
    let partitions = [(0, Some("a")), (1, Some("b")), (2, Some("b"))];
    let plan = assign(&partitions, &hosts(&["a", "b"]));
    assert_eq!(plan[&2], "b");
}

#[test]
fn a_recovered_partition_is_imported_by_its_owner_or_else_by_one_of_those_alive() {
    let alive = ["b", "c"];
    for (owner, alive, expected) in [
        (Some("c"), &alive[..], Some("c")),
        (Some("dead"), &alive, Some("b")),
        (None, &alive, Some("b")),
        (Some("dead"), &[], None),
        (None, &[], None),
    ] {
        let found = importer(owner, alive.iter().copied());
        assert_eq!(found, expected, "{owner:?} of {alive:?}");
    }
}

proptest! {
    #[test]
    fn all_are_assigned_fairly_and_the_plan_is_stable(
        owners in proptest::collection::vec(proptest::option::of(0..6_usize), 1..40),
        alive in proptest::collection::btree_set(0..5_usize, 1..5),
    ) {
        let names = ["a", "b", "c", "d", "e", "gone"];
        let partitions: Vec<(u32, Option<&str>)> = owners
            .iter()
            .enumerate()
            .map(|(id, owner)| (id as u32, owner.map(|n| names[n])))
            .collect();
        let hosts: BTreeSet<&str> = alive.iter().map(|n| names[*n]).collect();
        let plan = assign(&partitions, &hosts);
        prop_assert_eq!(plan.len(), partitions.len());
        for host in &hosts {
            let share = plan.values().filter(|owner| *owner == host).count();
            prop_assert!(share >= partitions.len() / hosts.len());
            prop_assert!(share <= partitions.len().div_ceil(hosts.len()));
        }
        let after: Vec<(u32, Option<&str>)> = plan.iter().map(|(id, host)| (*id, Some(*host))).collect();
        prop_assert_eq!(assign(&after, &hosts), plan);
    }
}

fn sign(counter: u64) -> Seen {
    Seen {
        sign: Sign {
            incarnation: "i".to_owned(),
            counter,
        },
        last_entry: None,
        pace: Duration::ZERO,
    }
}

const QUICK: Duration = Duration::from_millis(5);

#[test]
fn who_is_silent_for_a_lease_is_dead() {
    let lease = Duration::from_secs(10);
    let start = Instant::now();
    let mut leases = Leases::new(lease);
    let mut dead = BTreeSet::new();
    for second in 0..=10 {
        let now = start + Duration::from_secs(second);
        dead = leases.look(
            now,
            QUICK,
            [
                ("silent".to_owned(), sign(1)),
                ("alive".to_owned(), sign(second)),
            ],
        );
        assert_eq!(dead.is_empty(), second < 10, "after {second} s");
    }
    assert_eq!(dead.into_iter().collect::<Vec<_>>(), ["silent"]);
}

#[test]
fn who_has_slept_kills_nobody() {
    let lease = Duration::from_secs(10);
    let start = Instant::now();
    let mut leases = Leases::new(lease);
    leases.look(start, QUICK, [("other".to_owned(), sign(1))]);
    let dead = leases.look(
        start + Duration::from_secs(3600),
        QUICK,
        [("other".to_owned(), sign(1))],
    );
    assert!(dead.is_empty());
}

#[test]
fn how_long_a_host_may_be_silent() {
    let ms = Duration::from_millis;
    // (lease, the observer's slowest heartbeat, the host's) and how long.
    let table = [
        // A bucket that answers at once: the lease, and nothing else.
        (ms(3000), ms(5), ms(5), ms(3000)),
        (ms(3000), ms(0), ms(0), ms(3000)),
        (ms(10_000), ms(1200), ms(900), ms(10_000)),
        // A bucket that is slow for all.
        (ms(3000), ms(1200), ms(1200), ms(9600)),
        // Slow for the observer alone, or for the host alone.
        (ms(3000), ms(1200), ms(5), ms(9600)),
        (ms(3000), ms(5), ms(1200), ms(9600)),
        // Somebody was held up, and forgives nothing for hours because of it.
        (ms(3000), ms(3_600_000), ms(5), ms(24_000)),
        (ms(3000), ms(5), Duration::MAX, ms(24_000)),
    ];
    for (lease, own, its, long) in table {
        assert_eq!(allowed(lease, own, its), long, "{lease:?} {own:?} {its:?}");
    }
}

#[test]
fn heartbeats_take_half_of_the_time_at_most() {
    let ms = Duration::from_millis;
    let lease = ms(3000);
    for (pace, wait) in [(0, 500), (400, 500), (1200, 1200), (3_600_000, 3000)] {
        assert_eq!(rest(ms(500), lease, ms(pace), ms(0)), ms(wait));
    }
}

#[test]
fn whoever_gets_through_gives_way_to_who_is_quiet() {
    let ms = Duration::from_millis;
    let lease = ms(3000);
    for (pace, quiet, wait) in [
        // Through a fast bucket it is dead, most likely.
        (5, 2900, 500),
        (375, 60_000, 500),
        // A bucket that is slow: the longer it is quiet, the more room it gets,
        (500, 900, 500),
        (500, 1600, 800),
        // and never so much that others take us for dead.
        (500, 60_000, 1000),
        (1100, 4000, 2000),
        (1100, 60_000, 2200),
        (3_600_000, 60_000, 6000),
    ] {
        let found = rest(ms(500), lease, ms(pace), ms(quiet));
        assert_eq!(found, ms(wait), "{pace} {quiet}");
        let allowed = allowed(lease, ms(pace), Duration::ZERO);
        assert!(found <= ms(500).max(ms(pace).min(lease)).max(allowed / 4));
    }
}

#[test]
fn the_quietest_is_known() {
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let mut leases = Leases::new(second * 10);
    assert_eq!(leases.quietest(start), Duration::ZERO);
    for round in 0..4 {
        let hosts = [
            ("living".to_owned(), sign(u64::from(round))),
            ("quiet".to_owned(), sign(7)),
        ];
        leases.look(start + second * round, Duration::ZERO, hosts);
    }
    assert_eq!(leases.quietest(start + second * 5), second * 5);
}

#[test]
fn the_pace_is_the_slowest_of_the_last_ones() {
    let ms = Duration::from_millis;
    let mut pace = Pace::default();
    for (took, slowest) in [(5, 5), (900, 900), (7, 900), (6, 900), (8, 8), (1, 8)] {
        pace.note(ms(took));
        assert_eq!(pace.slowest(), ms(slowest));
    }
}

#[test]
fn whose_heartbeats_lose_all_races_but_who_speaks_otherwise_lives() {
    let start = Instant::now();
    let mut leases = Leases::new(Duration::from_secs(10));
    for second in 0..60 {
        let mut busy = sign(1);
        busy.last_entry = Some(second);
        let now = start + Duration::from_secs(second);
        let dead = leases.look(now, QUICK, [("busy".to_owned(), busy)]);
        assert!(dead.is_empty(), "after {second} s");
    }
}

/// An observer that comes to look only every few seconds is not asleep when its heartbeats take so
/// long, and finds a dead host out in the end.
#[test]
fn through_a_slow_bucket_the_living_live_and_the_dead_are_found_out() {
    let start = Instant::now();
    let slow = Duration::from_millis(2500);
    let mut leases = Leases::new(Duration::from_secs(3));
    let mut found_out = None;
    for round in 0..20 {
        let now = start + slow * 2 * round;
        let mut living = sign(u64::from(round / 3));
        living.pace = slow;
        let hosts = [("living".to_owned(), living), ("dead".to_owned(), sign(7))];
        let dead = leases.look(now, slow, hosts);
        assert!(!dead.contains("living"), "round {round}");
        if dead.contains("dead") && found_out.is_none() {
            found_out = Some(now.duration_since(start));
        }
    }
    assert_eq!(found_out, Some(Duration::from_secs(20)));
}

#[test]
fn who_is_to_go_takes_nothing_unless_all_are() {
    let takers = |hosts: &[(&'static str, bool)]| takers(hosts.iter().copied());
    assert_eq!(takers(&[("a", true), ("b", false)]), hosts(&["a"]));
    assert_eq!(takers(&[("a", false), ("b", false)]), hosts(&["a", "b"]));
    assert_eq!(takers(&[]), hosts(&[]));
    // What it holds goes to who stays.
    let plan = assign(
        &[(0, Some("b")), (1, Some("a"))],
        &takers(&[("a", true), ("b", false)]),
    );
    assert_eq!(plan[&0], "a");
}
