#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const BARRIERS: [Barrier; 3] = [
    Barrier::SealByEither,
    Barrier::SealByUs,
    Barrier::TrafficOnly,
];

fn facts(holds: &[Step], failed: &[Step]) -> Facts {
    let holds = holds.iter().map(|it| (*it, Fact::Holds));
    let failed = failed
        .iter()
        .map(|it| (*it, Fact::Failed("denied".to_owned())));
    Facts(holds.chain(failed).collect())
}

#[test]
fn what_may_be_done_now() {
    use Step::*;
    let either = Barrier::SealByEither;
    let by_us = Barrier::SealByUs;
    let traffic = Barrier::TrafficOnly;
    type Steps = &'static [Step];
    let cases: [(&str, Barrier, Steps, Steps, Steps); 16] = [
        (
            "secrets that a Ready pod uses are left",
            either,
            &[Lock, Seal, Disable, PodReady, Recovery, Status, Traffic],
            &[],
            &[Operator],
        ),
        ("nothing without the lock", either, &[], &[], &[Lock]),
        (
            "not even what is half done",
            either,
            &[Seal, Operator, PodReady],
            &[],
            &[Lock],
        ),
        (
            "three side by side",
            either,
            &[Lock],
            &[],
            &[Seal, Disable, CleanSecrets],
        ),
        (
            "the operator does not wait for the endpoint",
            either,
            &[Lock, Seal, CleanSecrets],
            &[Disable],
            &[Disable, Operator],
        ),
        (
            "the operator waits for the secrets",
            either,
            &[Lock, Seal, Disable],
            &[],
            &[CleanSecrets],
        ),
        (
            "the bucket cannot be reached: the node seals",
            either,
            &[Lock, CleanSecrets, Disable],
            &[Seal],
            &[Seal, Operator],
        ),
        (
            "but not while the endpoint is open",
            either,
            &[Lock, CleanSecrets],
            &[Seal],
            &[Seal, Disable],
        ),
        (
            "nor before sealing was tried",
            either,
            &[Lock, CleanSecrets, Disable],
            &[],
            &[Seal],
        ),
        (
            "and a node that relies on our seal waits",
            by_us,
            &[Lock, CleanSecrets, Disable],
            &[Seal],
            &[Seal],
        ),
        (
            "without a journal, the endpoint is the barrier",
            traffic,
            &[Lock, CleanSecrets],
            &[],
            &[Disable],
        ),
        (
            "and then the operator",
            traffic,
            &[Lock, CleanSecrets, Disable],
            &[],
            &[Operator],
        ),
        (
            "the traffic waits for the seal",
            either,
            &[
                Lock,
                CleanSecrets,
                Disable,
                Operator,
                PodReady,
                Recovery,
                Status,
            ],
            &[Seal],
            &[Seal],
        ),
        (
            "the run does not end with an open endpoint",
            either,
            &[
                Lock,
                CleanSecrets,
                Seal,
                Operator,
                PodReady,
                Recovery,
                Status,
                Traffic,
            ],
            &[],
            &[Disable],
        ),
        (
            "the name alone is no end: it moves as soon as the endpoint is disabled",
            either,
            &[Lock, CleanSecrets, Seal, Disable, Operator, Traffic],
            &[],
            &[PodReady, Recovery],
        ),
        (
            "the end",
            either,
            &[
                Lock,
                CleanSecrets,
                Seal,
                Disable,
                Operator,
                PodReady,
                Recovery,
                Status,
                Traffic,
            ],
            &[],
            &[Finish],
        ),
    ];
    for (name, barrier, holds, failed, wanted) in cases {
        let plan = plan(&facts(holds, failed), barrier);
        assert_eq!(plan.now, wanted.iter().copied().collect(), "{name}");
        let pending_failures: Vec<_> = plan.pending_failures.iter().map(|it| it.step).collect();
        assert_eq!(pending_failures, failed, "{name}");
    }
}

#[test]
fn what_is_waited_for_is_told() {
    let plan = plan(&facts(&[Step::Lock], &[]), Barrier::SealByEither);
    let wanted = BTreeSet::from([Step::Seal, Step::CleanSecrets]);
    assert_eq!(plan.waiting[&Step::Operator], wanted);
    assert!(!plan.finished());
}

/// A world in which the steps are done.
#[derive(Clone, Debug, Default, PartialEq)]
struct World {
    holds: BTreeSet<Step>,
    sealed: bool,
    serving: bool,
}

/// What happens in a round.
#[derive(Clone, Debug)]
struct Round {
    /// We reach the primary's bucket, and the standby's node does.
    bucket: (bool, bool),
    /// Of each step that is begun: it takes effect, it is seen to.
    luck: Vec<(bool, bool)>,
    /// We are killed after so many steps.
    killed_after: Option<usize>,
    /// The primary's endpoint is enabled by somebody else.
    reopened: bool,
    /// The pod is lost.
    pod_lost: bool,
}

impl World {
    fn facts(&self, failed: &BTreeSet<Step>) -> Facts {
        let of = |step: &Step| match self.holds.contains(step) {
            true => Fact::Holds,
            false if failed.contains(step) => Fact::Failed("denied".to_owned()),
            false => Fact::Open,
        };
        Facts(Step::ALL.iter().map(|it| (*it, of(it))).collect())
    }

    fn perform(&mut self, step: Step, bucket: bool) {
        if step != Step::Seal || bucket {
            self.holds.insert(step);
        }
        if step == Step::Seal && bucket {
            self.sealed = true;
        }
    }

    /// The standby's node goes on by itself.
    fn node(&mut self, barrier: Barrier, bucket: bool) {
        let started = self.holds.contains(&Step::Operator) && bucket;
        if started && self.holds.contains(&Step::CleanSecrets) && !self.serving {
            if barrier == Barrier::SealByEither {
                self.sealed = true;
                self.holds.insert(Step::Seal);
            }
            self.serving = true;
        }
        for step in [Step::PodReady, Step::Recovery, Step::Status] {
            match self.serving {
                true => self.holds.insert(step),
                false => self.holds.remove(&step),
            };
        }
        let moved = self.serving && self.holds.contains(&Step::Disable);
        match moved {
            true => self.holds.insert(Step::Traffic),
            false => self.holds.remove(&Step::Traffic),
        };
    }
}

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let luck = prop::collection::vec((any::<bool>(), any::<bool>()), 6);
    let round = (
        any::<(bool, bool)>(),
        luck,
        prop::option::of(0_usize..4),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
    );
    let round = round.prop_map(|(bucket, luck, killed_after, reopened, pod_lost)| Round {
        bucket,
        luck,
        killed_after,
        reopened,
        pod_lost,
    });
    prop::collection::vec(round, 0..40)
}

/// Plays a round with the steps that the plan wants; a killed instance forgets what has failed.
fn play(world: &mut World, failed: &mut BTreeSet<Step>, barrier: Barrier, round: &Round) {
    if world.holds.contains(&Step::Finish) {
        return;
    }
    if round.reopened {
        world.holds.remove(&Step::Disable);
    }
    if round.pod_lost {
        world.serving = false;
    }
    world.node(barrier, round.bucket.1);
    let plan = plan(&world.facts(failed), barrier);
    let ends = plan.now.contains(&Step::Finish);
    if ends {
        assert!(world.holds.contains(&Step::Disable), "{world:?}");
        assert!(world.sealed || barrier == Barrier::TrafficOnly, "{world:?}");
    }
    let changing = plan.now.into_iter().filter(|it| it.changes());
    let luck = round.luck.iter().cycle();
    for (place, (step, (effect, seen))) in changing.zip(luck).enumerate() {
        if round.killed_after == Some(place) {
            failed.clear();
            world.holds.remove(&Step::Lock);
            return;
        }
        if *effect {
            world.perform(step, round.bucket.0);
        }
        let reached = step != Step::Seal || round.bucket.0;
        match *effect && *seen && reached {
            true => failed.remove(&step),
            false => failed.insert(step),
        };
    }
}

proptest! {
    /// From any state, whatever fails, and wherever it is killed: the secondary never serves
    /// without the barrier, and when all goes well again, it comes to the same end.
    #[test]
    fn it_always_comes_to_the_same_end(
        barrier in prop::sample::select(&BARRIERS[..]),
        lucky_start in prop::collection::btree_set(
            prop::sample::select(&[Step::Lock, Step::Disable, Step::CleanSecrets][..]), 0..3),
        sealed: bool,
        rounds in rounds(),
    ) {
        let sealed = sealed && barrier != Barrier::TrafficOnly;
        let mut world = World { holds: lucky_start, sealed, serving: false };
        if sealed {
            world.holds.insert(Step::Seal);
        }
        let mut failed = BTreeSet::new();
        let well = Round {
            bucket: (true, true),
            luck: vec![(true, true)],
            killed_after: None,
            reopened: false,
            pod_lost: false,
        };
        let mut closed = false;
        for round in rounds.iter().chain(std::iter::repeat_n(&well, 12)) {
            play(&mut world, &mut failed, barrier, round);
            closed |= world.holds.contains(&Step::Disable);
            match barrier {
                Barrier::TrafficOnly => prop_assert!(!world.serving || closed),
                _ => prop_assert!(!world.serving || world.sealed),
            }
        }
        let mut wanted: BTreeSet<_> = Step::ALL.into_iter().collect();
        if barrier == Barrier::TrafficOnly {
            wanted.remove(&Step::Seal);
        }
        prop_assert_eq!(world.holds, wanted);
    }

    /// As long as sealing or disabling does not hold, it is among what is done now or it waits for
    /// the lock; and when it has failed, it is a pending failure, however often it was tried.
    #[test]
    fn sealing_and_disabling_are_never_skipped(
        holds in prop::collection::btree_set(prop::sample::select(&Step::ALL[..9]), 0..9),
        failed in prop::collection::btree_set(prop::sample::select(&Step::ALL[..]), 0..9),
        barrier in prop::sample::select(&BARRIERS[..]),
    ) {
        let mut all = facts(&[], &failed.iter().copied().collect::<Vec<_>>());
        all.0.extend(holds.iter().map(|it| (*it, Fact::Holds)));
        let plan = plan(&all, barrier);
        for step in [Step::Seal, Step::Disable] {
            if holds.contains(&step) || !applies(step, &all, barrier) {
                continue;
            }
            prop_assert_eq!(plan.now.contains(&step), holds.contains(&Step::Lock));
            let pending_failure = plan.pending_failures.iter().any(|it| it.step == step);
            prop_assert_eq!(pending_failure, failed.contains(&step));
            prop_assert!(!plan.now.contains(&Step::Finish) && !plan.now.contains(&Step::Traffic));
        }
    }
}
