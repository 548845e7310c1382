//! What came of a drill, and the judgement over it.

use std::path::PathBuf;

use serde::Serialize;

use crate::workload::verdict::Verdict;

/// A stretch of the drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// What it was.
    pub name: &'static str,
    /// When it began, milliseconds since the drill began.
    pub start_ms: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// One thing that had to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it does.
    pub ok: bool,
    /// What was seen.
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
    /// The kill, milliseconds since the drill began.
    pub kill_ms: u64,
    /// The standby's first acknowledgement.
    pub first_ack_ms: u64,
    /// The standby's first search that found as many events as the primary had acknowledged.
    pub first_search_ms: u64,
    /// See [`Segments`].
    pub segments: Segments,
    /// See [`OldPrimary`].
    pub old_primary: OldPrimary,
    /// The stretches.
    pub phases: Vec<Phase>,
    /// Events acknowledged in each interval.
    pub rate: Vec<u64>,
    /// Length of such an interval, in milliseconds.
    pub rate_interval_ms: u64,
    /// All of it, in milliseconds.
    pub duration_ms: u64,
    /// The seed.
    pub seed: u64,
    /// What was sent, in words.
    pub source: String,
    /// Where it was stored, in words.
    pub store: &'static str,
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
    /// From the kill to the later of `rto_ingest_ms` and `rto_search_ms`, in milliseconds.
    pub rto_ms: u64,
    /// From the kill to the first event that the standby acknowledged.
    pub rto_ingest_ms: u64,
    /// From the kill to the first complete search on the standby.
    pub rto_search_ms: u64,
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
    /// All requests.
    pub requests: u64,
    /// Events acknowledged by the primary.
    pub acknowledged_before_kill: u64,
    /// Requests that waited for their answer at the moment of the kill.
    pub in_flight_at_kill: u64,
    /// The kill, milliseconds since the drill began.
    pub kill_ms: u64,
    /// `kill_ms` and `rto_ms`.
    pub recovered_ms: u64,
    /// Where the events were read from.
    pub segments: Segments,
    /// What the old primary did when it was started again.
    pub old_primary: OldPrimary,
    /// Acknowledged events over time.
    pub rate: Rate,
    /// All of it, in milliseconds.
    pub duration_ms: u64,
    /// The seed.
    pub seed: u64,
    /// What was sent, in words.
    pub source: String,
    /// Where it was stored: `folder` or `azurite`.
    pub store: &'static str,
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
    let checks = checks(&measured, &verdict);
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
        rpo_ms,
        checks,
        sent: measured.sent,
        unacknowledged_found: verdict.unacknowledged_found,
        requests: measured.requests,
        acknowledged_before_kill: measured.acknowledged_before_kill,
        in_flight_at_kill: measured.in_flight_at_kill,
        kill_ms: measured.kill_ms,
        recovered_ms: measured.kill_ms + rto_ms,
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

fn checks(measured: &Measured, verdict: &Verdict) -> Vec<Check> {
    let check = |name, ok, detail| Check { name, ok, detail };
    let (segments, old) = (&measured.segments, &measured.old_primary);
    vec![
        check(
            "every acknowledged event is found",
            verdict.lost == 0,
            format!(
                "{} acknowledged, {} lost",
                verdict.acknowledged, verdict.lost
            ),
        ),
        check(
            "each is found once",
            verdict.duplicated == 0,
            format!("{} found again", verdict.duplicated),
        ),
        check(
            "nothing is found that was never sent",
            verdict.phantom == 0,
            format!("phantoms: {}", verdict.phantom),
        ),
        check(
            "in the end every event is acknowledged",
            verdict.acknowledged == measured.planned,
            format!("{} of {}", verdict.acknowledged, measured.planned),
        ),
        check(
            "the kill came in mid-ingest",
            measured.in_flight_at_kill > 0
                && measured.acknowledged_before_kill > 0
                && measured.acknowledged_before_kill < measured.planned,
            format!(
                "{} of {} acknowledged, {} requests on their way",
                measured.acknowledged_before_kill, measured.planned, measured.in_flight_at_kill
            ),
        ),
        check(
            "history is read from the primary's bucket",
            segments.primary_at_kill > 0
                && segments.primary_removed_later == 0
                && segments.in_both == 0,
            format!(
                "{} segments there, {} removed, {} copied",
                segments.primary_at_kill, segments.primary_removed_later, segments.in_both
            ),
        ),
        check(
            "new segments land in the standby's bucket",
            segments.standby > 0 && segments.primary_added_later == 0,
            format!(
                "{} there, {} added to the primary's",
                segments.standby, segments.primary_added_later
            ),
        ),
        check(
            "the old primary takes no event",
            old.offered > 0 && old.accepted == 0 && old.says_fenced,
            format!(
                "{} of {} batches accepted; {}",
                old.accepted, old.offered, old.last_answer
            ),
        ),
    ]
}

#[cfg(test)]
pub(crate) mod tests;
