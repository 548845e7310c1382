//! What the last round saw and decided: for people, for metrics, for tests.

use std::net::IpAddr;
use std::time::Duration;

use backstay_failover::clock::Epoch;
use backstay_failover::lock::Lock;
use backstay_failover::marks::{Run, Stage};
use backstay_failover::observation::{Known, Observation};
use backstay_failover::reason::Reason;
use backstay_failover::takeover::{Facts, PendingFailure, Plan, Step};
use backstay_failover::verdict::{Decision, Endpoint, Look, State};
use backstay_pair::Side;
use serde::{Deserialize, Serialize};

use crate::degraded::Degraded;

/// One of the two regions, as it is seen from here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionView {
    /// By Azure's name.
    pub region: String,
    /// Whether the global name points to it.
    pub serves: bool,
    /// What its ingress says to a probe from here. Nothing, where nobody has asked.
    #[serde(default)]
    pub answers: Option<String>,
    /// How its endpoint is set in the traffic manager, and what is probed there.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Its operator's replicas, and its nodes.
    #[serde(default)]
    pub cluster: Option<String>,
    /// What its nodes say is not as it should be, although they take events.
    #[serde(default)]
    pub degraded: Vec<Degraded>,
}

/// A step of the takeover, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// The step, as the takeover plan names it.
    pub step: Step,
    /// What it does.
    pub what: String,
    /// Whether it holds.
    pub holds: bool,
    /// Whether it is for now.
    pub now: bool,
}

/// What `backstay status` and `/status` show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchStatus {
    /// Where the failover stands.
    pub state: State,
    /// Why, the most important first.
    pub reasons: Vec<Reason>,
    /// What each vantage point saw of the primary.
    pub observations: Vec<Observation>,
    /// Who holds the journal's term; nothing, if that is not known.
    pub term: Option<Side>,
    /// Whether the primary's endpoint is enabled; nothing, if that is not known.
    pub endpoint: Option<Endpoint>,
    /// The holdoff's beginning, in seconds since 1970 by the standby's API server.
    pub degraded_since: Option<Epoch>,
    /// What is left of the holdoff, in milliseconds.
    pub holdoff_left_ms: Option<u64>,
    /// The run that is under way, or was the last.
    pub run: Option<RunView>,
    /// Who has the run lock.
    pub lock: Option<String>,
    /// What keeps the standby from taking over.
    pub readiness_blockers: Vec<String>,
    /// Where the global name points.
    pub name: Vec<IpAddr>,
    /// The regions, the primary first.
    pub regions: Vec<RegionView>,
    /// The takeover's steps, while a run is under way.
    pub steps: Vec<StepView>,
    /// What should hold and does not.
    pub pending_failures: Vec<PendingFailure>,
}

/// A run of the takeover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    /// The run's id, as lines of the log about it carry it.
    pub id: String,
    /// When it began, in seconds since 1970.
    pub began: Epoch,
    /// Whether it is done.
    pub done: bool,
}

impl From<&Run> for RunView {
    fn from(run: &Run) -> Self {
        Self {
            id: run.id.clone(),
            began: run.began,
            done: run.stage == Stage::Done,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl WatchStatus {
    /// What a look has found and what was decided on it.
    pub(crate) fn of(look: &Look, decision: &Decision, me: &str) -> Self {
        let marks = look.reading.known().map(|it| &it.marks);
        let readiness_blockers = match &look.standby {
            Known::Is(all) => all.iter().map(|it| it.what.clone()).collect(),
            Known::Unknown(why) => vec![format!("not known: {why}")],
        };
        Self {
            state: decision.state,
            reasons: decision.reasons.clone(),
            observations: look.observations.clone(),
            term: look.term.known().copied(),
            endpoint: look.endpoint.known().copied(),
            degraded_since: marks.and_then(|it| it.degraded_since),
            holdoff_left_ms: decision.holdoff.map(|it| millis(it.left)),
            run: marks.and_then(|it| it.run.as_ref()).map(RunView::from),
            lock: match look.lock.known() {
                Some(Lock::Mine(_)) => Some(me.to_owned()),
                Some(Lock::Held(by)) => Some(by.clone()),
                Some(Lock::Free(_)) | None => None,
            },
            readiness_blockers,
            ..Self::default()
        }
    }

    /// How far the takeover is.
    pub(crate) fn takeover(&mut self, facts: &Facts, plan: Plan) {
        let steps = Step::ALL.into_iter().map(|step| StepView {
            step,
            what: step.words().to_owned(),
            holds: facts.holds(step),
            now: plan.now.contains(&step),
        });
        self.steps = steps.collect();
        self.pending_failures = plan.pending_failures;
    }
}
