//! The takeover: in which order the standby takes over.
//!
//! [`plan`] says, given what is already so, what may be done now. It has no memory: the facts are
//! read from the world each time, so a run that is killed anywhere and started again, by whomever,
//! goes on where the world is. Each step can be repeated.
//!
//! ```text
//! take the lock ─┬─► seal the primary's journal ────────┬─► operator to 1 ─┬─► pod Ready ─► status 200 ─┬─► traffic ─► finish
//!                ├─► clean stale TLS secrets ───────────┘                  └─► recovery lines seen ─────┤
//!                └─► disable the primary's endpoint, read back ─────────────────────────────────────────┘
//! ```
//! The three in front have nothing to do with each other and run side by side. The operator waits
//! for the barrier that keeps two regions from writing, see [`Barrier`].
//!
//! Sealing and disabling are never skipped: the run does not end before both hold, and what keeps
//! one of them from holding is an open [`PendingFailure`] that is tried again each time.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A step of the takeover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Hold the run lock.
    Lock,
    /// Seal the streams of the primary's journal, so that it can acknowledge nothing any more.
    Seal,
    /// Disable the primary's endpoint and read it back as disabled.
    Disable,
    /// Delete the TLS secrets of an earlier life that would break the new pods.
    CleanSecrets,
    /// Set the standby's operator to one replica.
    Operator,
    /// The node's pod is Ready.
    PodReady,
    /// The recovery's lines are in the pod's log; or the secondary's own bucket has a snapshot,
    /// which only a recovery puts there (a pod that restarts after it starts from that one, and
    /// its log has no such lines).
    Recovery,
    /// The secondary answers 200 on its status path.
    Status,
    /// The traffic manager answers with the secondary.
    Traffic,
    /// Mark the run as done and give the lock back.
    Finish,
}

impl Step {
    /// All of them, in their order.
    pub const ALL: [Self; 10] = [
        Self::Lock,
        Self::Seal,
        Self::Disable,
        Self::CleanSecrets,
        Self::Operator,
        Self::PodReady,
        Self::Recovery,
        Self::Status,
        Self::Traffic,
        Self::Finish,
    ];

    /// Whether it changes something. The others are waited for: to do them is to look again.
    pub fn changes(self) -> bool {
        matches!(
            self,
            Self::Lock
                | Self::Seal
                | Self::Disable
                | Self::CleanSecrets
                | Self::Operator
                | Self::Finish
        )
    }

    /// What it does, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Lock => "take the run lock",
            Self::Seal => "seal the primary's journal",
            Self::Disable => "disable the primary's endpoint",
            Self::CleanSecrets => "clean stale TLS secrets",
            Self::Operator => "set the standby's operator to 1",
            Self::PodReady => "wait until the pod is Ready",
            Self::Recovery => "wait for the recovery's lines in the pod's log",
            Self::Status => "wait until the secondary answers 200",
            Self::Traffic => "wait until the traffic manager answers with the secondary",
            Self::Finish => "mark the run as done",
        }
    }
}

/// What is known of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// It is so, read from the world.
    Holds,
    /// It is not so, or it is not known.
    #[default]
    Open,
    /// It is not so, and the last attempt failed; the text says why.
    Failed(String),
}

/// What keeps two regions from writing at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Barrier {
    /// The seal, and the standby's node seals by itself before it serves (`backstay node`). So if
    /// we cannot reach the primary's bucket from where we run (a storage firewall lets in nothing
    /// but the cluster's network), the operator may start all the same, once the endpoint is
    /// disabled: if its node reaches the bucket, it seals it; if not, it has nothing to recover
    /// from and does not serve.
    SealByEither,
    /// The seal, and the standby's node relies on ours: the operator waits for it.
    SealByUs,
    /// There is no journal to be sealed (a real LogScale on Kafka): only the traffic can be taken
    /// away, so the operator waits for the endpoint.
    TrafficOnly,
}

/// What is so already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts(pub BTreeMap<Step, Fact>);

impl Facts {
    /// Of one step.
    pub fn of(&self, step: Step) -> &Fact {
        self.0.get(&step).unwrap_or(&Fact::Open)
    }

    /// Whether it holds.
    pub fn holds(&self, step: Step) -> bool {
        *self.of(step) == Fact::Holds
    }
}

/// Something that should hold and could not be brought about: it stays open, and is tried again,
/// until it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingFailure {
    /// The step that should hold.
    pub step: Step,
    /// Why it does not hold.
    pub why: String,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// These, side by side.
    pub now: BTreeSet<Step>,
    /// These wait for others.
    pub waiting: BTreeMap<Step, BTreeSet<Step>>,
    /// What could not be brought about.
    pub pending_failures: Vec<PendingFailure>,
}

impl Plan {
    /// Whether nothing is left to do.
    pub fn finished(&self) -> bool {
        self.now.is_empty() && self.waiting.is_empty()
    }
}

/// What a step needs, given what is so.
fn needs(step: Step, facts: &Facts, barrier: Barrier) -> BTreeSet<Step> {
    let unreachable = matches!(facts.of(Step::Seal), Fact::Failed(_));
    let needs: &[Step] = match (step, barrier) {
        (Step::Lock, _) => &[],
        (Step::Seal | Step::Disable | Step::CleanSecrets, _) => &[Step::Lock],
        (Step::Operator, Barrier::SealByEither) if unreachable => {
            &[Step::Lock, Step::CleanSecrets, Step::Disable]
        }
        (Step::Operator, Barrier::SealByEither | Barrier::SealByUs) => {
            &[Step::Lock, Step::CleanSecrets, Step::Seal]
        }
        (Step::Operator, Barrier::TrafficOnly) => &[Step::Lock, Step::CleanSecrets, Step::Disable],
        (Step::PodReady | Step::Recovery, _) => &[Step::Lock, Step::Operator],
        (Step::Status, _) => &[Step::Lock, Step::PodReady],
        (Step::Traffic, _) => &[
            Step::Lock,
            Step::Seal,
            Step::Disable,
            Step::Recovery,
            Step::Status,
        ],
        // That the name points to the secondary is so as soon as the primary's endpoint is disabled,
        // whether or not anybody answers there.
        (Step::Finish, _) => &[
            Step::Lock,
            Step::Seal,
            Step::Disable,
            Step::Operator,
            Step::Recovery,
            Step::Status,
            Step::Traffic,
        ],
    };
    let needs = needs.iter().copied();
    needs.filter(|it| applies(*it, facts, barrier)).collect()
}

/// Whether the step is part of the takeover.
fn applies(step: Step, facts: &Facts, barrier: Barrier) -> bool {
    match step {
        Step::Seal => barrier != Barrier::TrafficOnly,
        // Secrets are only touched before the new pods use them.
        Step::CleanSecrets => !facts.holds(Step::PodReady),
        _ => true,
    }
}

/// What may be done now, what waits for what, and which pending failures are open.
///
/// [`Step::Finish`] holds when the run is marked as done. While it does not, everything else is
/// looked at each time, so that what has come undone (the endpoint enabled again, the pod gone) is
/// done again. A step that has failed is among those to be done, however often it has.
pub fn plan(facts: &Facts, barrier: Barrier) -> Plan {
    let mut plan = Plan {
        now: BTreeSet::new(),
        waiting: BTreeMap::new(),
        pending_failures: Vec::new(),
    };
    if facts.holds(Step::Finish) {
        return plan;
    }
    for step in Step::ALL {
        if !applies(step, facts, barrier) || facts.holds(step) {
            continue;
        }
        if let Fact::Failed(why) = facts.of(step) {
            let why = why.clone();
            plan.pending_failures.push(PendingFailure { step, why });
        }
        let mut open = needs(step, facts, barrier);
        open.retain(|it| !facts.holds(*it));
        if open.is_empty() {
            plan.now.insert(step);
        } else {
            plan.waiting.insert(step, open);
        }
    }
    plan
}

#[cfg(test)]
mod tests;
