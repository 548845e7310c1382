//! What had to hold, act by act.

use backstay_pair::Side;

use super::{Check, Fault, Measured};
use crate::workload::verdict::Verdict;

/// Every thing that had to hold, of the acts that were played.
pub(super) fn checks(measured: &Measured, verdict: &Verdict) -> Vec<Check> {
    let mut all = of_events(measured, verdict).to_vec();
    all.extend(of_failover(measured));
    all.extend(of_segments(measured).into_iter().flatten());
    all.extend(of_old_primary(measured));
    all.extend(of_promotion(measured));
    all.extend(of_failback(measured));
    all.extend(of_cleaning(measured));
    all.extend(of_operator(measured));
    all
}

fn check(name: &'static str, ok: bool, detail: String) -> Check {
    Check { name, ok, detail }
}

fn of_events(measured: &Measured, verdict: &Verdict) -> [Check; 4] {
    [
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
    ]
}

fn of_failover(measured: &Measured) -> [Check; 2] {
    let seen = match (measured.detection_ms, measured.holdoff_ms) {
        (Some(detection), Some(holdoff)) => {
            format!("seen after {detection} ms, and {holdoff} ms of holdoff")
        }
        _ if measured.by_another_watch => "another watch did, and has the report".to_owned(),
        _ => "the watch had called it down before".to_owned(),
    };
    let by_another = measured.by_another_watch && measured.fault == Fault::Ingress;
    [
        check(
            "the disaster came in mid-ingest",
            measured.in_flight_at_kill > 0
                && measured.acknowledged_before_kill > 0
                && measured.acknowledged_before_kill < measured.planned,
            format!(
                "{} of {} acknowledged, {} requests on their way",
                measured.acknowledged_before_kill, measured.planned, measured.in_flight_at_kill
            ),
        ),
        check(
            "the watch failed over by itself, and not before",
            by_another || (measured.detection_ms.is_some() && measured.holdoff_ms.is_some()),
            seen,
        ),
    ]
}

fn of_segments(measured: &Measured) -> Option<[Check; 2]> {
    let segments = measured.segments.as_ref()?;
    Some([
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
            // One that lives may end an upload that it had begun; nobody is told of that segment.
            segments.standby > 0
                && (segments.primary_added_later == 0 || measured.fault.is_survived()),
            format!(
                "{} there, {} added to the primary's",
                segments.standby, segments.primary_added_later
            ),
        ),
    ])
}

fn of_old_primary(measured: &Measured) -> Option<Check> {
    let old = measured.old_primary.as_ref()?;
    Some(check(
        "the old primary takes no event",
        old.offered > 0 && old.accepted == 0 && old.says_fenced,
        format!(
            "{} of {} batches accepted; {}",
            old.accepted, old.offered, old.last_answer
        ),
    ))
}

fn of_promotion(measured: &Measured) -> Option<Check> {
    let seen = measured.promotion.as_ref()?;
    Some(check(
        "no request fails while it is promoted",
        seen.requests > 0
            && seen.searches > 0
            && seen.failed_requests == 0
            && seen.failed_searches == 0,
        format!(
            "{} of {} with events and {} of {} searches failed{}",
            seen.failed_requests,
            seen.requests,
            seen.failed_searches,
            seen.searches,
            seen.last_failure
                .as_ref()
                .map_or_else(String::new, |why| format!("; the last: {why}"))
        ),
    ))
}

fn of_failback(measured: &Measured) -> Option<Check> {
    let seen = measured.failback.as_ref()?;
    let searched = measured.searched.map_or("nobody", Side::as_str);
    let gap = match seen.no_writes_ms {
        Some(gap) => format!("no region took writes for {gap} ms"),
        None => "it is not known for how long no region took writes".to_owned(),
    };
    Some(check(
        "the primary has everything back",
        seen.acknowledged_by_primary > 0
            && measured.searched == Some(Side::Primary)
            && seen.no_writes_ms.is_some(),
        format!(
            "{} events acknowledged by it since, and the {searched} was searched; {gap}",
            seen.acknowledged_by_primary
        ),
    ))
}

fn of_cleaning(measured: &Measured) -> Option<Check> {
    let seen = measured.verified.as_ref()?;
    let detail = if seen.problems.is_empty() {
        "`backstay verify` says so".to_owned()
    } else {
        seen.problems.join("; ")
    };
    Some(check(
        "the standby is able again",
        seen.exit_code == 0,
        format!("exit code {}: {detail}", seen.exit_code),
    ))
}

fn of_operator(measured: &Measured) -> Option<Check> {
    let target = measured.kill_operator_at.as_ref()?;
    let killed = measured
        .runbook
        .iter()
        .find(|run| run.killed_at.as_ref() == Some(target));
    let detail = match killed {
        Some(run) => format!(
            "`backstay {}` at {target}; {} went on with it",
            run.command,
            run.run.as_deref().unwrap_or_default()
        ),
        None => format!("no command came to {target}"),
    };
    Some(check(
        "the operator was killed, and another went on",
        killed.is_some_and(|run| run.ok),
        detail,
    ))
}
