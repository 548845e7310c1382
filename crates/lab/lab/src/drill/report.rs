//! What came of a drill, and the judgement over it.

mod checks;

use std::collections::BTreeSet;
use std::path::PathBuf;

use backstay_pair::Side;
use serde::Serialize;

use super::Fault;
pub use super::operator::{Run, Step, Verified};
use crate::workload::verdict::Verdict;

/// A stretch of the drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// What was done in this time, for people.
    pub name: &'static str,
    /// When it began, milliseconds since the drill began.
    pub start_ms: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// One thing that had to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The check's name.
    pub name: &'static str,
    /// Whether the check passes.
    pub ok: bool,
    /// What was seen that decides it.
    pub detail: String,
}

/// The acknowledged events over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// Length of an interval, in milliseconds.
    pub interval_ms: u64,
    /// Events acknowledged in each interval.
    pub acknowledged: Vec<u64>,
}

/// Where the events were read from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Segments {
    /// Segments in the primary's bucket when it was killed.
    pub primary_at_kill: u64,
    /// Segments that appeared in the primary's bucket after the standby took over.
    pub primary_added_later: u64,
    /// Segments that disappeared from the primary's bucket after the kill.
    pub primary_removed_later: u64,
    /// Segments in the standby's bucket at the end.
    pub standby: u64,
    /// Segments that are in both buckets: history that was copied and not read in place.
    pub in_both: u64,
}

/// What the old primary did when it was started again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OldPrimary {
    /// Batches that it was offered.
    pub offered: u64,
    /// Batches that it acknowledged: must be none.
    pub accepted: u64,
    /// Whether it said that it is fenced, on `/api/v1/status` or at its end.
    pub says_fenced: bool,
    /// Its last answer, in words.
    pub last_answer: String,
}

/// What the clients saw while the standby was promoted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Promotion {
    /// Requests with events, and of them those without a 2xx answer.
    pub requests: u64,
    /// See `requests`.
    pub failed_requests: u64,
    /// Searches, and of them those without an answer, or without all that had been acknowledged.
    pub searches: u64,
    /// See `searches`.
    pub failed_searches: u64,
    /// Why the last of those that failed has done so.
    pub last_failure: Option<String>,
}

/// What was seen of the failback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failback {
    /// For how long no region took writes, as its run has it.
    pub no_writes_ms: Option<u64>,
    /// The longest time in which no client had an acknowledgement.
    pub longest_silence_ms: u64,
    /// Requests without a 2xx answer; each was sent again.
    pub failed_requests: u64,
    /// Events that the primary has acknowledged since.
    pub acknowledged_by_primary: u64,
}

/// What was measured, before it is judged.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Events sent at least once.
    pub sent: u64,
    /// Events that the drill was to send.
    pub planned: u64,
    /// Requests, and of them those without a 2xx answer.
    pub requests: u64,
    /// See `requests`.
    pub failed_requests: u64,
    /// Events acknowledged by the primary.
    pub acknowledged_before_kill: u64,
    /// Requests that waited for their answer at the moment of the kill.
    pub in_flight_at_kill: u64,
    /// Which fault hit the primary.
    pub fault: Fault,
    /// Where the operator was to be killed.
    pub kill_operator_at: Option<String>,
    /// When it hit the primary, milliseconds since the drill began.
    pub kill_ms: u64,
    /// From there until the watch called the primary down.
    pub detection_ms: Option<u64>,
    /// How long it waited then.
    pub holdoff_ms: Option<u64>,
    /// Whether another watch than the drill's has acted, and has the report.
    pub by_another_watch: bool,
    /// The secondary's first acknowledgement.
    pub first_ack_ms: u64,
    /// The secondary's first search that found as many events as the primary had acknowledged.
    pub first_search_ms: u64,
    /// The segments in the primary's bucket when it was struck.
    pub primary_segments_at_kill: BTreeSet<String>,
    /// What the clients saw of the promotion, if there was one.
    pub promotion: Option<Promotion>,
    /// What was seen of the failback, if there was one.
    pub failback: Option<Failback>,
    /// The region that was searched in the end.
    pub searched: Option<Side>,
    /// What the runbook's commands did.
    pub runbook: Vec<Run>,
    /// What `backstay verify` said in the end, if it was asked.
    pub verified: Option<Verified>,
    /// See [`Segments`]; nothing, where the buckets are not reached from here.
    pub segments: Option<Segments>,
    /// See [`OldPrimary`]; nothing, where it was offered nothing.
    pub old_primary: Option<OldPrimary>,
    /// The phases of the drill, in the order in which they began.
    pub phases: Vec<Phase>,
    /// Events acknowledged in each interval.
    pub rate: Vec<u64>,
    /// Length of such an interval, in milliseconds.
    pub rate_interval_ms: u64,
    /// All of it, in milliseconds.
    pub duration_ms: u64,
    /// The seed of the drill's random choices: the same seed, the same lines.
    pub seed: u64,
    /// What was sent, in words.
    pub source: String,
    /// Where it was stored, in words.
    pub store: String,
}

/// The report: one JSON object of `--output json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Whether every check holds.
    pub ok: bool,
    /// Events that a node acknowledged.
    pub acknowledged: u64,
    /// Events of the drill that were found, each counted once.
    pub found: u64,
    /// Acknowledged events that were not found.
    pub lost: u64,
    /// Rows beyond the first of the same event.
    pub duplicated: u64,
    /// Rows that were found and never sent.
    pub phantom: u64,
    /// Requests without a 2xx answer; each was sent again.
    pub failed_requests: u64,
    /// From the disaster to the later of `rto_ingest_ms` and `rto_search_ms`, in milliseconds: with
    /// the detection and the holdoff in it.
    pub rto_ms: u64,
    /// From the disaster to the first event that the secondary acknowledged.
    pub rto_ingest_ms: u64,
    /// From the disaster to the first complete search on the secondary.
    pub rto_search_ms: u64,
    /// From the disaster until the watch called the primary down.
    pub detection_ms: Option<u64>,
    /// How long it waited then, deliberately.
    pub holdoff_ms: Option<u64>,
    /// What is left of `rto_ms` without those two.
    pub rto_after_decision_ms: Option<u64>,
    /// Requests and searches that failed while the secondary was promoted; nothing if it was not.
    pub promotion_failed_requests: Option<u64>,
    /// For how long no region took writes at the failback; nothing if there was none.
    pub no_writes_ms: Option<u64>,
    /// Age at the kill of the oldest acknowledged event that was lost; 0 when none was.
    pub rpo_ms: u64,
    /// The stretches of the drill.
    pub phases: Vec<Phase>,
    /// Every thing that had to hold.
    pub checks: Vec<Check>,
    /// Events sent at least once.
    pub sent: u64,
    /// Sent events that were never acknowledged but found, which is allowed.
    pub unacknowledged_found: u64,
    /// All requests with events that clients have sent.
    pub requests: u64,
    /// Events acknowledged by the primary.
    pub acknowledged_before_kill: u64,
    /// Requests that waited for their answer at the moment of the kill.
    pub in_flight_at_kill: u64,
    /// Which fault hit the primary.
    pub fault: Fault,
    /// When it hit it, milliseconds since the drill began.
    pub kill_ms: u64,
    /// `kill_ms` and `rto_ms`.
    pub recovered_ms: u64,
    /// What the clients saw of the promotion.
    pub promotion: Option<Promotion>,
    /// What was seen of the failback.
    pub failback: Option<Failback>,
    /// What the runbook's commands did.
    pub runbook: Vec<Run>,
    /// What `backstay verify` said in the end.
    pub verified: Option<Verified>,
    /// Where the events were read from, if that was seen.
    pub segments: Option<Segments>,
    /// What the old primary did when it was started again, if it was offered anything.
    pub old_primary: Option<OldPrimary>,
    /// Acknowledged events over time.
    pub rate: Rate,
    /// All of it, in milliseconds.
    pub duration_ms: u64,
    /// The seed of the drill's random choices: the same seed, the same lines.
    pub seed: u64,
    /// What was sent, in words.
    pub source: String,
    /// Where it was stored: `folder`, `azurite`, or which pair.
    pub store: String,
    /// A few of the events at fault.
    pub examples: Vec<String>,
    /// The working folder, if it was left.
    pub work_dir: Option<PathBuf>,
}

/// Judges. Pure: the same measurements and verdict give the same report.
pub fn judge(measured: Measured, verdict: Verdict) -> Report {
    let after = |at: u64| at.saturating_sub(measured.kill_ms);
    let (rto_ingest_ms, rto_search_ms) = (
        after(measured.first_ack_ms),
        after(measured.first_search_ms),
    );
    let rto_ms = rto_ingest_ms.max(rto_search_ms);
    let rpo_ms = match verdict.oldest_lost_ms {
        None => 0,
        // What was lost after the kill was lost by the standby; it is no older than the kill, but
        // a loss must never read as none.
        Some(at) => measured.kill_ms.saturating_sub(at).max(1),
    };
    let checks = checks::checks(&measured, &verdict);
    let deliberate = measured.detection_ms.zip(measured.holdoff_ms);
    let promotion = measured.promotion.as_ref();
    Report {
        ok: checks.iter().all(|check| check.ok),
        acknowledged: verdict.acknowledged,
        found: verdict.found,
        lost: verdict.lost,
        duplicated: verdict.duplicated,
        phantom: verdict.phantom,
        failed_requests: measured.failed_requests,
        rto_ms,
        rto_ingest_ms,
        rto_search_ms,
        detection_ms: measured.detection_ms,
        holdoff_ms: measured.holdoff_ms,
        rto_after_decision_ms: deliberate
            .map(|(seen, waited)| rto_ms.saturating_sub(seen + waited)),
        promotion_failed_requests: promotion.map(|it| it.failed_requests + it.failed_searches),
        no_writes_ms: measured.failback.as_ref().and_then(|it| it.no_writes_ms),
        rpo_ms,
        checks,
        sent: measured.sent,
        unacknowledged_found: verdict.unacknowledged_found,
        requests: measured.requests,
        acknowledged_before_kill: measured.acknowledged_before_kill,
        in_flight_at_kill: measured.in_flight_at_kill,
        fault: measured.fault,
        kill_ms: measured.kill_ms,
        recovered_ms: measured.kill_ms + rto_ms,
        promotion: measured.promotion,
        failback: measured.failback,
        runbook: measured.runbook,
        verified: measured.verified,
        segments: measured.segments,
        old_primary: measured.old_primary,
        rate: Rate {
            interval_ms: measured.rate_interval_ms,
            acknowledged: measured.rate,
        },
        phases: measured.phases,
        duration_ms: measured.duration_ms,
        seed: measured.seed,
        source: measured.source,
        store: measured.store,
        examples: verdict.examples,
        work_dir: None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
