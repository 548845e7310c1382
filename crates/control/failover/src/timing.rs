//! The timing report: how long each phase of a failover took, in the source's phases.
//!
//! A phase lasts from one moment to another; phases may overlap (the alert is not on the way of a
//! failover that sees for itself, it only wakes). A phase of which a moment is missing is left out
//! and named in [`Report::missing`]: no figure is guessed.

use serde::{Deserialize, Serialize};

/// The moments of a failover, in milliseconds since 1970, all by one clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moments {
    /// The primary failed, if that is known (in a drill); else it last answered.
    pub failed: Option<u64>,
    /// It was seen down often enough: the holdoff starts.
    pub degraded: Option<u64>,
    /// The alert arrived.
    pub alerted: Option<u64>,
    /// The run began.
    pub began: Option<u64>,
    /// The standby's operator was at one.
    pub operator: Option<u64>,
    /// The node's container ran.
    pub pod_started: Option<u64>,
    /// The secondary answered 200, recovered.
    pub recovered: Option<u64>,
    /// The traffic manager answered with the secondary.
    pub traffic: Option<u64>,
}

/// A phase of the source's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseName {
    /// From the failure until it is called down.
    Detection,
    /// From the failure until the alert arrives.
    Alert,
    /// The deliberate wait.
    Holdoff,
    /// From the decision until the operator is at one.
    Act,
    /// Until the node's container runs.
    PodStart,
    /// Until the secondary answers 200.
    Recovery,
    /// Until the traffic manager answers with it.
    Traffic,
}

/// How long a phase took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// The phase's name.
    pub name: PhaseName,
    /// When it began, counted from the failure.
    pub start_ms: u64,
    /// How long it took.
    pub duration_ms: u64,
}

/// The report of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The run's id.
    pub run: String,
    /// The phases whose moments are known, in order.
    pub phases: Vec<Phase>,
    /// The phases whose moments are not.
    pub missing: Vec<PhaseName>,
    /// From the failure to the traffic.
    pub total_ms: Option<u64>,
    /// The part that is neither detection nor holdoff: from the decision to the traffic.
    pub after_decision_ms: Option<u64>,
}

/// Moments that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "phase {phase:?} of run {run} would end at {end} and begin at {start}: the moments are not by \
     one clock"
)]
pub struct TimingError {
    /// The phase that would end before it begins.
    pub phase: PhaseName,
    /// The run's id.
    pub run: String,
    /// Its beginning, in milliseconds since 1970.
    pub start: u64,
    /// Its end, in milliseconds since 1970.
    pub end: u64,
}

impl Report {
    /// The report for a run with these moments.
    ///
    /// # Errors
    /// When a phase would end before it begins.
    pub fn new(run: impl Into<String>, moments: &Moments) -> Result<Self, TimingError> {
        let run = run.into();
        let spans = [
            (PhaseName::Detection, moments.failed, moments.degraded),
            (PhaseName::Alert, moments.failed, moments.alerted),
            (PhaseName::Holdoff, moments.degraded, moments.began),
            (PhaseName::Act, moments.began, moments.operator),
            (PhaseName::PodStart, moments.operator, moments.pod_started),
            (PhaseName::Recovery, moments.pod_started, moments.recovered),
            (PhaseName::Traffic, moments.recovered, moments.traffic),
        ];
        let first = spans.iter().filter_map(|(_, start, _)| *start).min();
        let (mut phases, mut missing) = (Vec::new(), Vec::new());
        for (name, start, end) in spans {
            let (Some(start), Some(end)) = (start, end) else {
                missing.push(name);
                continue;
            };
            let Some(duration_ms) = end.checked_sub(start) else {
                return Err(TimingError {
                    phase: name,
                    run,
                    start,
                    end,
                });
            };
            let origin = moments.failed.or(first).unwrap_or(start);
            phases.push(Phase {
                name,
                start_ms: start.saturating_sub(origin),
                duration_ms,
            });
        }
        let between = |start: Option<u64>, end: Option<u64>| end?.checked_sub(start?);
        Ok(Self {
            run,
            phases,
            missing,
            total_ms: between(moments.failed, moments.traffic),
            after_decision_ms: between(moments.began, moments.traffic),
        })
    }
}

#[cfg(test)]
mod tests;
