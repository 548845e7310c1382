#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::pod::any_life;

fn seen(name: &str, current: bool, life: Life) -> Seen {
    Seen {
        current,
        life,
        made: 0,
        name: name.to_owned(),
    }
}

fn wanted(replicas: usize, limits: Limits) -> Wanted {
    Wanted {
        replicas,
        hash: "h".to_owned(),
        limits,
    }
}

const ROLLING: Limits = Limits::Rolling {
    surge: 1,
    unavailable: 0,
};

#[test]
fn what_is_done_next() {
    use Life::{Finished, Ready, Terminating, Unready};
    let current = |life| seen("c", true, life);
    let old = |life| seen("o", false, life);
    for (why, wanted, pods, create, delete) in [
        ("the first", wanted(1, ROLLING), vec![], 1, vec![]),
        (
            "enough",
            wanted(1, ROLLING),
            vec![current(Unready)],
            0,
            vec![],
        ),
        (
            "down to none",
            wanted(0, ROLLING),
            vec![current(Ready), old(Ready)],
            0,
            vec![1, 0],
        ),
        (
            "one is going",
            wanted(1, ROLLING),
            vec![current(Terminating)],
            1,
            vec![],
        ),
        (
            "one has ended",
            wanted(1, ROLLING),
            vec![current(Finished)],
            1,
            vec![0],
        ),
        (
            "a new one comes first",
            wanted(1, ROLLING),
            vec![old(Ready)],
            1,
            vec![],
        ),
        (
            "and is waited for",
            wanted(1, ROLLING),
            vec![old(Ready), current(Unready)],
            0,
            vec![],
        ),
        (
            "then the old one goes",
            wanted(1, ROLLING),
            vec![old(Ready), current(Ready)],
            0,
            vec![0],
        ),
        (
            "an old one that does nothing goes at once",
            wanted(1, ROLLING),
            vec![old(Unready)],
            1,
            vec![0],
        ),
        (
            "all go first",
            wanted(2, Limits::Recreate),
            vec![old(Ready), old(Unready)],
            0,
            vec![0, 1],
        ),
        (
            "and are waited for",
            wanted(2, Limits::Recreate),
            vec![old(Terminating)],
            0,
            vec![],
        ),
        (
            "then all come",
            wanted(2, Limits::Recreate),
            vec![],
            2,
            vec![],
        ),
        (
            "the one not ready goes first",
            wanted(1, ROLLING),
            vec![current(Ready), current(Unready)],
            0,
            vec![1],
        ),
    ] {
        let plan = plan(&wanted, &pods);
        let mut deleted = plan.delete.clone();
        deleted.sort_unstable();
        let mut expected = delete;
        expected.sort_unstable();
        assert_eq!((plan.create, deleted), (create, expected), "{why}");
    }
}

#[test]
fn limits_are_read_as_kubernetes_reads_them() {
    let rolling = |surge, unavailable| Some(Limits::Rolling { surge, unavailable });
    for (strategy, replicas, expected) in [
        (json!(null), 1, rolling(1, 0)),
        (json!({ "type": "RollingUpdate" }), 10, rolling(3, 2)),
        (json!({ "type": "Recreate" }), 10, Some(Limits::Recreate)),
        (
            json!({ "rollingUpdate": { "maxSurge": 0 } }),
            1,
            rolling(0, 1),
        ),
        (
            json!({ "rollingUpdate": { "maxSurge": "50%", "maxUnavailable": 2 } }),
            3,
            rolling(2, 2),
        ),
        (json!({ "rollingUpdate": {} }), 0, rolling(0, 1)),
    ] {
        let read = Limits::read(&strategy, replicas).ok();
        assert_eq!(read, expected, "{strategy}");
    }
    for strategy in [
        json!({ "type": "Other" }),
        json!({ "rollingUpdate": { "maxSurge": "many" } }),
        json!({ "rollingUpdate": { "maxSurge": -1 } }),
        json!({ "rollingUpdate": { "maxUnavailable": [] } }),
    ] {
        assert!(
            Limits::read(&strategy, 3)
                .unwrap_err()
                .to_string()
                .starts_with("spec.strategy")
        );
    }
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let rolling = (0..3_usize, 0..3_usize).prop_map(|(surge, unavailable)| Limits::Rolling {
        surge,
        unavailable: if surge == 0 {
            unavailable.max(1)
        } else {
            unavailable
        },
    });
    prop_oneof![Just(Limits::Recreate), rolling]
}

proptest! {
    /// From any world it comes to rest, and there is what is wanted; on the way, it keeps to the
    /// limits.
    #[test]
    fn it_comes_to_rest(
        replicas in 0..6_usize,
        limits in any_limits(),
        pods in proptest::collection::vec((any::<bool>(), any_life(), 0..3_i64), 0..10),
        lots in proptest::collection::vec(any::<u8>(), 64),
    ) {
        let wanted = wanted(replicas, limits);
        let mut names = 0..;
        let mut pods: Vec<Seen> = pods
            .into_iter()
            .map(|(current, life, made)| Seen {
                current, life, made, name: names.next().unwrap().to_string(),
            })
            .collect();
        let mut lots = lots.into_iter();
        let mut steps = 0;
        loop {
            let plan = plan(&wanted, &pods);
            let before = count(&pods);
            for at in &plan.delete {
                prop_assert!(pods[*at].life != Life::Terminating);
                pods[*at].life = Life::Terminating;
            }
            if let Limits::Rolling { surge, unavailable } = limits {
                let after = count(&pods);
                let needed = replicas.saturating_sub(unavailable);
                prop_assert!(after.ready >= needed.min(before.ready), "too few are left");
                prop_assert!(plan.create == 0 || before.all + plan.create <= replicas + surge);
            }
            for _ in 0..plan.create {
                pods.push(Seen {
                    current: true, life: Life::Unready, made: 9,
                    name: names.next().unwrap().to_string(),
                });
            }
            // Then the node gets on with some of them, at least with one.
            let mut moved = false;
            pods.retain_mut(|pod| {
                let now = !moved || lots.next().unwrap_or(0) % 2 == 0;
                match pod.life {
                    Life::Terminating if now => { moved = true; false }
                    Life::Unready if now => { moved = true; pod.life = Life::Ready; true }
                    _ => true,
                }
            });
            if plan.is_rest() && !moved {
                break;
            }
            steps += 1;
            prop_assert!(steps < 200, "no rest");
        }
        let counts = count(&pods);
        prop_assert_eq!((counts.all, counts.current, counts.ready), (replicas, replicas, replicas));
    }
}
