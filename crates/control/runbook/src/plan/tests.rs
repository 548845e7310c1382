#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::{Choices, Command, steps};
use crate::step::{Holds, Step, StepId};

fn plans() -> Vec<(Command, Vec<&'static Step>)> {
    let skip = Choices {
        skip_reverse_recovery: true,
        ..Choices::default()
    };
    vec![
        (
            Command::Promote,
            steps(Command::Promote, Choices::default()),
        ),
        (
            Command::Failback,
            steps(Command::Failback, Choices::default()),
        ),
        (Command::Failback, steps(Command::Failback, skip)),
        (
            Command::CleanSecondary,
            steps(Command::CleanSecondary, Choices::default()),
        ),
    ]
}

fn place(plan: &[&Step], id: &str) -> usize {
    let found = plan.iter().position(|it| it.id.as_str() == id);
    found.unwrap_or_else(|| panic!("no step {id}"))
}

#[test]
fn no_plan_has_a_step_twice() {
    for (command, plan) in plans() {
        let ids: BTreeSet<&str> = plan.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(ids.len(), plan.len(), "{command:?}");
    }
}

#[test]
fn every_step_is_in_a_plan() {
    let planned: BTreeSet<StepId> = plans()
        .iter()
        .flat_map(|it| it.1.iter().map(|it| it.id))
        .collect();
    assert_eq!(planned, StepId::ALL.iter().copied().collect());
}

#[test]
fn what_must_hold_until_a_step_comes_before_it() {
    for (command, plan) in plans() {
        for (at, step) in plan.iter().enumerate() {
            if let Holds::Until(id) = step.holds {
                assert!(
                    place(&plan, id.as_str()) > at,
                    "{command:?}: {} until {id}",
                    step.id
                );
            }
            assert!(
                !step.undo.is_empty() && !step.name.is_empty(),
                "{}",
                step.id
            );
        }
    }
}

/// What destroys, and what must be proven in front of it.
#[test]
fn nothing_is_destroyed_before_what_replaces_it_is_proven() {
    for (id, proofs) in [
        (
            "primary-snapshots-deleted",
            &[
                "primary-stopped",
                "secondary-rehearsed",
                "secondary-stopped",
                "secondary-snapshot",
            ][..],
        ),
        (
            "left-behind",
            &["failed-over", "paused", "primary-reachable"],
        ),
        (
            "taken-back",
            &["left-behind", "primary-stopped", "secondary-stopped"],
        ),
        ("primary-claims", &["primary-stopped"]),
        (
            "secondary-claims",
            &["primary-healthy", "primary-rehearsed", "secondary-asleep"],
        ),
        (
            "kafka-gone",
            &["primary-healthy", "primary-rehearsed", "secondary-asleep"],
        ),
        (
            "kafka-state-deleted",
            &["primary-healthy", "strimzi-stopped", "kafka-gone"],
        ),
        (
            "snapshots-deleted",
            &["primary-healthy", "primary-rehearsed", "secondary-asleep"],
        ),
    ] {
        let mut somewhere = false;
        for (_, plan) in plans() {
            let Some(at) = plan.iter().position(|it| it.id.as_str() == id) else {
                continue;
            };
            somewhere = true;
            assert!(plan[at].destroys, "{id}");
            for proof in proofs {
                assert!(place(&plan, proof) < at, "{proof} before {id}");
            }
        }
        assert!(somewhere, "no plan has {id}");
    }
    let known = [
        "primary-snapshots-deleted",
        "left-behind",
        "taken-back",
        "primary-claims",
        "secondary-claims",
        "kafka-gone",
        "kafka-state-deleted",
        "snapshots-deleted",
    ];
    for (_, plan) in plans() {
        for step in plan.iter().filter(|it| it.destroys) {
            assert!(
                known.contains(&step.id.as_str()),
                "{} has no proofs here",
                step.id
            );
        }
    }
}

/// A pod that starts without the region's own snapshot, on an empty disk, has nothing but the recovery
/// variables to start from.
#[test]
fn no_pod_is_replaced_before_the_regions_own_snapshot_is_in_its_bucket() {
    let plan = steps(Command::Promote, Choices::default());
    let proof = place(&plan, "own-snapshot");
    for later in ["rolling-updates", "pools", "environment", "sizes"] {
        assert!(proof < place(&plan, later), "{later}");
    }
}

#[test]
fn traffic_moves_only_to_who_holds_the_term() {
    for (command, plan) in plans() {
        if command != Command::Failback {
            continue;
        }
        let on = place(&plan, "endpoint-on");
        for before in ["secondary-stopped", "primary-recovered", "failover-closed"] {
            assert!(place(&plan, before) < on, "{before}");
        }
        assert!(place(&plan, "alert-on") > place(&plan, "global-name"));
        assert!(place(&plan, "unpaused") == plan.len() - 1);
    }
}

/// As little as can be lies between the end of writes on one side and their beginning on the other.
#[test]
fn the_gap_has_only_what_needs_the_secondary_stopped() {
    let plan = steps(Command::Failback, Choices::default());
    let (from, to) = (
        place(&plan, "secondary-stopped"),
        place(&plan, "primary-recovered"),
    );
    let between: Vec<&str> = plan[from + 1..to].iter().map(|it| it.id.as_str()).collect();
    assert_eq!(
        between,
        [
            "secondary-snapshot",
            "primary-snapshots-deleted",
            "primary-topic-reset",
            "primary-started"
        ]
    );
}
