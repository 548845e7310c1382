#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::pod::any_life;

fn named(name: &str) -> Named {
    Named {
        name: name.to_owned(),
        revision: "new".to_owned(),
    }
}

fn seen(name: &str, revision: &str, life: Life) -> Seen {
    Seen {
        name: name.to_owned(),
        revision: revision.to_owned(),
        life,
    }
}

#[test]
fn what_is_done_next() {
    use Life::{Finished, Ready, Terminating, Unready};
    let set = [named("a"), named("b")];
    let (a, b) = (|r, l| seen("a", r, l), |r, l| seen("b", r, l));
    for (why, pods, create, delete) in [
        ("the first", vec![], vec!["a", "b"], vec![]),
        (
            "all there",
            vec![a("new", Ready), b("new", Unready)],
            vec![],
            vec![],
        ),
        (
            "one is going",
            vec![a("new", Terminating), b("new", Ready)],
            vec![],
            vec![],
        ),
        (
            "one has ended",
            vec![a("new", Finished), b("new", Ready)],
            vec![],
            vec!["a"],
        ),
        (
            "one at a time",
            vec![a("old", Ready), b("old", Ready)],
            vec![],
            vec!["a"],
        ),
        (
            "the one that does not serve first",
            vec![a("old", Ready), b("old", Unready)],
            vec![],
            vec!["b"],
        ),
        (
            "one is waited for",
            vec![a("new", Unready), b("old", Ready)],
            vec![],
            vec![],
        ),
        ("one comes first", vec![b("old", Ready)], vec!["a"], vec![]),
        (
            "one is not named",
            vec![a("new", Ready), b("new", Ready), seen("c", "new", Ready)],
            vec![],
            vec!["c"],
        ),
    ] {
        let plan = plan(&set, &pods);
        assert_eq!(
            (plan.create, plan.delete),
            (
                create.into_iter().map(str::to_owned).collect(),
                delete.into_iter().map(str::to_owned).collect(),
            ),
            "{why}"
        );
    }
}

proptest! {
    #[test]
    fn it_comes_to_rest_with_what_is_named(
        count in 0..5_usize,
        pods in proptest::collection::btree_map(0..7_usize, (any::<bool>(), any_life()), 0..7),
    ) {
        let set: Vec<Named> = (0..count).map(|at| named(&at.to_string())).collect();
        let mut pods: Vec<Seen> = pods
            .into_iter()
            .map(|(at, (new, life))| seen(&at.to_string(), if new { "new" } else { "old" }, life))
            .collect();
        let mut steps = 0;
        loop {
            let plan = plan(&set, &pods);
            let serving = |pods: &[Seen]| {
                let ready = |named: &&Named| find(pods, named).is_some_and(|p| p.life == Life::Ready);
                set.iter().filter(ready).count()
            };
            let before = serving(&pods);
            for name in &plan.delete {
                let pod = pods.iter_mut().find(|pod| pod.name == *name).unwrap();
                prop_assert!(pod.life != Life::Terminating);
                let wanted = set.iter().any(|named| named.name == *name);
                prop_assert!(!wanted || pod.life == Life::Finished || pod.revision == "old");
                pod.life = Life::Terminating;
            }
            prop_assert!(serving(&pods) + 1 >= before, "more than one that serves at a time");
            for name in &plan.create {
                prop_assert!(pods.iter().all(|pod| pod.name != *name));
                pods.push(seen(name, "new", Life::Unready));
            }
            let mut moved = false;
            pods.retain_mut(|pod| match pod.life {
                Life::Terminating if !moved => { moved = true; false }
                Life::Unready if !moved => { moved = true; pod.life = Life::Ready; true }
                _ => true,
            });
            if plan.is_rest() && !moved {
                break;
            }
            steps += 1;
            prop_assert!(steps < 100, "no rest");
        }
        let counts = super::count(&set, &pods);
        prop_assert_eq!((counts.pods, counts.ready, counts.current), (count, count, count));
        prop_assert_eq!(pods.len(), count);
    }
}
