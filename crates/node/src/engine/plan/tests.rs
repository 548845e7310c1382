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

fn sign(counter: u64) -> Sign {
    Sign {
        incarnation: "i".to_owned(),
        counter,
    }
}

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
    leases.look(start, [("other".to_owned(), sign(1))]);
    let dead = leases.look(
        start + Duration::from_secs(3600),
        [("other".to_owned(), sign(1))],
    );
    assert!(dead.is_empty());
}
