#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::UpdateType::{OnDelete, ReplaceAllOnUpdate, RollingUpdate};
use super::*;
use crate::pod::any_life;

fn wanted(count: usize, update: UpdateType) -> Wanted {
    Wanted {
        count,
        hash: "new".to_owned(),
        update,
        at_a_time: 1,
    }
}

fn pod(hash: &str, life: Life, made: i64) -> Seen {
    Seen {
        name: made.to_string(),
        hash: hash.to_owned(),
        life,
        is_young: false,
        made,
    }
}

#[test]
fn what_is_done_next() {
    use Life::{Finished, Ready, Terminating, Unready};
    let new = |life, made| pod("new", life, made);
    let old = |life, made| pod("old", life, made);
    let all = ReplaceAllOnUpdate;
    for (why, count, strategy, pods, may_roll, create, delete) in [
        ("the first ones", 3, all, vec![], false, 3, vec![]),
        ("enough", 1, all, vec![new(Unready, 1)], true, 0, vec![]),
        (
            "one that goes keeps its place",
            1,
            all,
            vec![new(Terminating, 1)],
            true,
            0,
            vec![],
        ),
        (
            "one that has ended is removed first",
            1,
            all,
            vec![new(Finished, 1)],
            true,
            0,
            vec![0],
        ),
        (
            "all at once",
            2,
            all,
            vec![old(Ready, 1), old(Ready, 2)],
            false,
            0,
            vec![0, 1],
        ),
        (
            "and none before the last is gone",
            2,
            all,
            vec![old(Terminating, 1)],
            true,
            0,
            vec![],
        ),
        ("then all", 2, all, vec![], false, 2, vec![]),
        (
            "one at a time, the oldest",
            2,
            RollingUpdate,
            vec![old(Ready, 2), old(Ready, 1)],
            true,
            0,
            vec![1],
        ),
        (
            "waits until it is gone",
            2,
            RollingUpdate,
            vec![old(Ready, 2), old(Terminating, 1)],
            true,
            0,
            vec![],
        ),
        (
            "then the new one",
            2,
            RollingUpdate,
            vec![old(Ready, 2)],
            true,
            1,
            vec![],
        ),
        (
            "which is waited for",
            2,
            RollingUpdate,
            vec![old(Ready, 2), new(Unready, 3)],
            true,
            0,
            vec![],
        ),
        (
            "the next",
            2,
            RollingUpdate,
            vec![old(Ready, 2), new(Ready, 3)],
            true,
            0,
            vec![0],
        ),
        (
            "another pool is at it",
            2,
            RollingUpdate,
            vec![old(Ready, 2), new(Ready, 3)],
            false,
            0,
            vec![],
        ),
        (
            "one that does not serve goes first",
            2,
            RollingUpdate,
            vec![old(Ready, 1), old(Unready, 2)],
            true,
            0,
            vec![1],
        ),
        (
            "never by itself",
            1,
            OnDelete,
            vec![old(Ready, 1)],
            true,
            0,
            vec![],
        ),
        (
            "a deleted one is replaced",
            1,
            OnDelete,
            vec![],
            true,
            1,
            vec![],
        ),
        (
            "too many: the newest",
            1,
            all,
            vec![new(Ready, 1), new(Ready, 2)],
            true,
            0,
            vec![1],
        ),
        (
            "too many: one not ready",
            1,
            all,
            vec![new(Unready, 1), new(Ready, 2)],
            true,
            0,
            vec![0],
        ),
        (
            "too many: an old one",
            1,
            OnDelete,
            vec![old(Ready, 1), new(Unready, 2)],
            true,
            0,
            vec![0],
        ),
        (
            "one is going already",
            1,
            all,
            vec![new(Terminating, 1), new(Ready, 2)],
            true,
            0,
            vec![],
        ),
        (
            "none wanted",
            0,
            OnDelete,
            vec![old(Ready, 1), new(Ready, 2)],
            true,
            0,
            vec![0, 1],
        ),
    ] {
        let mut plan = plan(&wanted(count, strategy), &pods, may_roll);
        plan.delete.sort_unstable();
        assert_eq!(plan, Plan { create, delete }, "{why}");
    }
}

#[test]
fn pools_take_their_turns() {
    let pool = |count, strategy, pods| Pool {
        wanted: wanted(count, strategy),
        pods,
    };
    let old = |made| pod("old", Life::Ready, made);
    let new = |life| pod("new", life, 9);
    let rolls = |pods| pool(1, RollingUpdate, pods);
    for (why, pools, leaving, delete, create) in [
        (
            "one rolls",
            vec![rolls(vec![old(1)]), rolls(vec![old(2)])],
            false,
            vec![(0, 0)],
            None,
        ),
        (
            "then it is waited for",
            vec![rolls(vec![new(Life::Unready)]), rolls(vec![old(2)])],
            false,
            vec![],
            None,
        ),
        (
            "then the other does",
            vec![rolls(vec![new(Life::Ready)]), rolls(vec![old(2)])],
            false,
            vec![(1, 0)],
            None,
        ),
        (
            "not while another pool goes",
            vec![rolls(vec![old(1)])],
            true,
            vec![],
            None,
        ),
        (
            "one is made at a time",
            vec![rolls(vec![]), pool(2, ReplaceAllOnUpdate, vec![])],
            false,
            vec![],
            Some(0),
        ),
        (
            "all at once, in all pools",
            vec![
                pool(1, ReplaceAllOnUpdate, vec![old(1)]),
                pool(1, ReplaceAllOnUpdate, vec![old(2)]),
            ],
            false,
            vec![(0, 0), (1, 0)],
            None,
        ),
    ] {
        assert_eq!(step(&pools, leaving), Step { delete, create }, "{why}");
    }
}

fn any_strategy() -> impl Strategy<Value = UpdateType> {
    prop_oneof![
        Just(ReplaceAllOnUpdate),
        Just(RollingUpdate),
        Just(OnDelete)
    ]
}

fn any_pods() -> impl Strategy<Value = Vec<Seen>> {
    let pod = (any::<bool>(), any_life(), 0..4_i64);
    proptest::collection::vec(pod, 0..8).prop_map(|pods| {
        let each = pods.into_iter().enumerate();
        each.map(|(at, (new, life, made))| Seen {
            name: format!("first-{at}"),
            hash: if new { "new" } else { "old" }.to_owned(),
            life,
            is_young: false,
            made,
        })
        .collect()
    })
}

fn of_hash(pods: &[Seen], hash: &str) -> usize {
    let alive = |pod: &&Seen| matches!(pod.life, Life::Ready | Life::Unready);
    pods.iter()
        .filter(alive)
        .filter(|pod| pod.hash == hash)
        .count()
}

fn check_step(wanted: &Wanted, pods: &[Seen], plan: &Plan) -> Result<(), TestCaseError> {
    let deleted: BTreeSet<usize> = plan.delete.iter().copied().collect();
    prop_assert_eq!(deleted.len(), plan.delete.len(), "each once");
    let right = deleted
        .iter()
        .filter(|at| pods[**at].hash == wanted.hash && pods[**at].life != Life::Finished)
        .count();
    let surplus = of_hash(pods, "new").saturating_sub(wanted.count);
    prop_assert!(
        right <= surplus,
        "a pod of the right hash is deleted that is wanted"
    );
    prop_assert!(
        plan.create == 0 || pods.len() + plan.create <= wanted.count,
        "more than wanted"
    );
    for at in &deleted {
        prop_assert_ne!(pods[*at].life, Life::Terminating);
    }
    let serving_old = deleted
        .iter()
        .filter(|at| pods[**at].hash != wanted.hash && pods[**at].life != Life::Finished)
        .count();
    let alive = of_hash(pods, "new") + of_hash(pods, "old");
    let excess = alive.saturating_sub(wanted.count);
    match wanted.update {
        ReplaceAllOnUpdate => {
            prop_assert!(plan.create == 0 || pods.iter().all(|pod| pod.hash == wanted.hash));
        }
        RollingUpdate => {
            prop_assert!(serving_old <= excess.max(1));
            let calm = |pod: &Seen| pod.life == Life::Ready || pod.hash != wanted.hash;
            if serving_old > excess {
                prop_assert!(
                    pods.iter()
                        .all(|pod| pod.life != Life::Terminating && calm(pod))
                );
            }
        }
        OnDelete => prop_assert!(serving_old <= excess, "nobody has deleted it"),
    }
    Ok(())
}

/// A world that changes by what an operator does, and by the node that runs the pods.
struct World {
    pods: Vec<Seen>,
    made: i64,
}

impl World {
    fn delete(&mut self, name: &str) {
        if let Some(pod) = self.pods.iter_mut().find(|pod| pod.name == name) {
            pod.life = Life::Terminating;
        }
    }

    /// A name that is there already is refused.
    fn create(&mut self, name: String) {
        if self.pods.iter().all(|pod| pod.name != name) {
            self.made += 1;
            self.pods.push(Seen {
                name,
                hash: "new".to_owned(),
                life: Life::Unready,
                is_young: false,
                made: self.made,
            });
        }
    }

    /// The node gets on with one pod; `false` when there is nothing to do.
    fn get_on(&mut self, lot: usize) -> bool {
        let busy = |pod: &Seen| matches!(pod.life, Life::Unready | Life::Terminating);
        let places: Vec<usize> = (0..self.pods.len())
            .filter(|at| busy(&self.pods[*at]))
            .collect();
        let Some(at) = places.get(lot % places.len().max(1)) else {
            return false;
        };
        if self.pods[*at].life == Life::Terminating {
            self.pods.remove(*at);
        } else {
            self.pods[*at].life = Life::Ready;
        }
        true
    }
}

/// An operator between its reads and its writes: what it saw, and the deletions that are left.
#[derive(Default, Clone)]
struct Operator {
    seen: Vec<Seen>,
    deletes: Vec<String>,
    creates: bool,
}

impl Operator {
    fn look(&mut self, wanted: &Wanted, world: &World) {
        self.seen.clone_from(&world.pods);
        let plan = plan(wanted, &self.seen, true);
        self.deletes = plan
            .delete
            .iter()
            .map(|at| self.seen[*at].name.clone())
            .collect();
        self.creates = plan.create > 0;
    }

    /// Its next write; `false` when there is none before it looks again.
    fn write(&mut self, world: &mut World) -> bool {
        if let Some(name) = self.deletes.pop() {
            world.delete(&name);
            return true;
        }
        if std::mem::take(&mut self.creates) {
            // As the run does it: the name follows from what was seen.
            let names: Vec<&str> = self.seen.iter().map(|pod| pod.name.as_str()).collect();
            world.create(format!("of-{}", names.join("+")));
            return true;
        }
        false
    }
}

fn settle(wanted: &Wanted, world: &mut World) -> Result<(), TestCaseError> {
    for _ in 0..500 {
        let plan = plan(wanted, &world.pods, true);
        check_step(wanted, &world.pods, &plan)?;
        let mut operator = Operator::default();
        operator.look(wanted, world);
        let wrote = operator.write(world);
        while operator.write(world) {}
        if !world.get_on(0) && !wrote {
            return Ok(());
        }
    }
    Err(TestCaseError::fail("no rest"))
}

fn check_end(wanted: &Wanted, world: &World) -> Result<(), TestCaseError> {
    prop_assert_eq!(world.pods.len(), wanted.count);
    for pod in &world.pods {
        prop_assert_eq!(pod.life, Life::Ready);
        prop_assert!(wanted.update == OnDelete || pod.hash == wanted.hash);
    }
    Ok(())
}

proptest! {
    #[test]
    fn it_comes_to_rest_with_what_is_wanted(
        count in 0..6_usize, strategy in any_strategy(), pods in any_pods(),
    ) {
        let wanted = wanted(count, strategy);
        let mut world = World { pods, made: 10 };
        settle(&wanted, &mut world)?;
        check_end(&wanted, &world)?;
    }

    /// Two operators, each of which may look, write once, or be killed and start again, in any
    /// order, with the node and somebody who deletes pods in between.
    #[test]
    fn two_at_once_and_kills_between_writes_end_the_same(
        count in 0..5_usize,
        strategy in any_strategy(),
        pods in any_pods(),
        steps in proptest::collection::vec((0..2_usize, 0..6_u8, any::<usize>()), 0..60),
    ) {
        let wanted = wanted(count, strategy);
        let mut world = World { pods, made: 10 };
        let mut operators = [Operator::default(), Operator::default()];
        for (who, what, lot) in steps {
            match what {
                0 | 1 => operators[who].look(&wanted, &world),
                2 | 3 => { operators[who].write(&mut world); }
                4 => { world.get_on(lot); }
                _ if lot % 3 == 0 => operators[who] = Operator::default(),
                _ => {
                    let name = world.pods.get(lot % world.pods.len().max(1)).map(|p| p.name.clone());
                    if let Some(name) = name { world.delete(&name); }
                }
            }
        }
        settle(&wanted, &mut world)?;
        check_end(&wanted, &world)?;
    }

    /// From the same world, two that write at the same time make no pod too many.
    #[test]
    fn what_both_see_is_made_once(count in 0..5_usize, turns in proptest::collection::vec(0..2_usize, 40)) {
        let wanted = wanted(count, ReplaceAllOnUpdate);
        let mut world = World { pods: Vec::new(), made: 0 };
        let mut operators = [Operator::default(), Operator::default()];
        for operator in &mut operators {
            operator.look(&wanted, &world);
        }
        for who in turns {
            if !operators[who].write(&mut world) {
                operators[who].look(&wanted, &world);
            }
            prop_assert!(world.pods.len() <= count);
        }
    }
}

/// `ensureMismatchedPodsAreDeleted` in `humiocluster_controller.go`: up to `maxUnavailable` at a time, and
/// none while one has not been ready for `minReadySeconds`.
#[test]
fn so_many_at_a_time_and_none_while_one_is_young() {
    let wanted = Wanted {
        at_a_time: 2,
        ..wanted(4, RollingUpdate)
    };
    let old = |made| pod("old", Life::Ready, made);
    let pods = [old(1), old(2), old(3), old(4)];
    assert_eq!(plan(&wanted, &pods, true).delete, [0, 1]);
    let young = |hash: &str| Seen {
        is_young: true,
        ..pod(hash, Life::Unready, 5)
    };
    for hash in ["new", "old"] {
        let pods = [old(1), old(2), old(3), young(hash)];
        assert_eq!(plan(&wanted, &pods, true), Plan::default(), "{hash}");
    }
}
