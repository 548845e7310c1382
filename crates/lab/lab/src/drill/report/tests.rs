#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use backstay_pair::Side;

use super::{
    Failback, Fault, Measured, OldPrimary, Phase, Promotion, Report, Run, Segments, Step, Verified,
    judge,
};
use crate::workload::verdict::Verdict;

fn run(command: &str, steps: Vec<Step>) -> Run {
    Run {
        command: command.to_owned(),
        run: Some(format!("{command}-1")),
        ok: true,
        steps,
        ..Run::default()
    }
}

/// The measurements of a drill in which all went well.
pub(crate) fn measured() -> Measured {
    Measured {
        sent: 1_000,
        planned: 1_000,
        requests: 120,
        failed_requests: 20,
        acknowledged_before_kill: 600,
        in_flight_at_kill: 8,
        fault: Fault::Kill,
        kill_operator_at: Some("secondary-stopped".to_owned()),
        kill_ms: 4_000,
        detection_ms: Some(200),
        holdoff_ms: Some(100),
        by_another_watch: false,
        first_ack_ms: 4_700,
        first_search_ms: 4_650,
        primary_segments_at_kill: BTreeSet::new(),
        promotion: Some(Promotion {
            requests: 100,
            failed_requests: 0,
            searches: 20,
            failed_searches: 0,
            last_failure: None,
        }),
        failback: Some(Failback {
            no_writes_ms: Some(900),
            longest_silence_ms: 1_100,
            failed_requests: 12,
            acknowledged_by_primary: 200,
        }),
        searched: Some(Side::Primary),
        runbook: vec![
            run("promote", Vec::new()),
            Run {
                no_writes_ms: Some(900),
                killed_at: Some("secondary-stopped".to_owned()),
                ..run(
                    "failback",
                    vec![Step {
                        id: "secondary-stopped".to_owned(),
                        phase: 3,
                        name: "the secondary is stopped".to_owned(),
                        state: "done".to_owned(),
                        began_ms: Some(1),
                        duration_ms: Some(310),
                        attempts: 2,
                    }],
                )
            },
            run("clean-secondary", Vec::new()),
        ],
        verified: Some(Verified::default()),
        segments: Some(Segments {
            primary_at_kill: 9,
            standby: 4,
            ..Segments::default()
        }),
        old_primary: Some(OldPrimary {
            offered: 5,
            accepted: 0,
            says_fenced: true,
            last_answer: "HTTP 503: fenced".to_owned(),
        }),
        phases: vec![
            Phase {
                name: "ingest",
                start_ms: 0,
                duration_ms: 4_000,
            },
            Phase {
                name: "detection",
                start_ms: 4_000,
                duration_ms: 200,
            },
            Phase {
                name: "holdoff",
                start_ms: 4_200,
                duration_ms: 100,
            },
            Phase {
                name: "recovery",
                start_ms: 4_300,
                duration_ms: 300,
            },
            Phase {
                name: "clients move over",
                start_ms: 4_600,
                duration_ms: 100,
            },
            Phase {
                name: "ingest the rest",
                start_ms: 4_700,
                duration_ms: 3_300,
            },
        ],
        rate: vec![200, 200, 200, 0, 100, 150, 150],
        rate_interval_ms: 1_000,
        duration_ms: 8_000,
        seed: 1,
        source: "generated lines".to_owned(),
        store: "folder".to_owned(),
    }
}

pub(crate) fn verdict() -> Verdict {
    Verdict {
        acknowledged: 1_000,
        found: 1_000,
        ..Verdict::default()
    }
}

pub(crate) fn report() -> Report {
    judge(measured(), verdict())
}

#[test]
fn a_good_drill_is_ok_and_its_times_count_from_the_kill() {
    let report = report();
    assert!(report.ok, "{:?}", report.checks);
    assert_eq!(
        (report.rto_ingest_ms, report.rto_search_ms, report.rto_ms),
        (700, 650, 700)
    );
    assert_eq!((report.rpo_ms, report.recovered_ms), (0, 4_700));
    assert_eq!(report.rto_after_decision_ms, Some(400));
    assert_eq!(report.promotion_failed_requests, Some(0));
    assert_eq!(report.no_writes_ms, Some(900));
}

#[test]
fn a_drill_that_ends_early_is_judged_by_what_was_played() {
    let measured = Measured {
        promotion: None,
        failback: None,
        verified: None,
        kill_operator_at: None,
        runbook: Vec::new(),
        searched: Some(Side::Secondary),
        ..measured()
    };
    let report = judge(measured, verdict());
    assert!(report.ok, "{:?}", report.checks);
    assert_eq!(report.checks.len(), judge_all() - 4);
    assert_eq!(
        (report.promotion_failed_requests, report.no_writes_ms),
        (None, None)
    );
}

fn judge_all() -> usize {
    report().checks.len()
}

#[test]
fn a_primary_that_lives_may_end_an_upload_that_it_had_begun() {
    let with = |fault| {
        let mut measured = measured();
        measured.fault = fault;
        segments(&mut measured).primary_added_later = 1;
        judge(measured, verdict()).ok
    };
    assert!(with(Fault::Freeze) && with(Fault::Partition) && with(Fault::DenyBucket));
    assert!(!with(Fault::Kill) && !with(Fault::SlowBucket));
}

fn segments(measured: &mut Measured) -> &mut Segments {
    measured.segments.as_mut().unwrap()
}

fn old_primary(measured: &mut Measured) -> &mut OldPrimary {
    measured.old_primary.as_mut().unwrap()
}

#[test]
fn on_a_pair_another_watch_may_have_acted_and_in_a_lab_there_is_none() {
    let with = |fault| {
        let measured = Measured {
            fault,
            detection_ms: None,
            holdoff_ms: None,
            by_another_watch: true,
            ..measured()
        };
        judge(measured, verdict()).ok
    };
    assert!(with(Fault::Ingress) && !with(Fault::Kill));
}

type Spoil = fn(&mut Measured, &mut Verdict);

const OF_EVENTS: [(&str, Spoil); 7] = [
    ("lost", |_, verdict| verdict.lost = 1),
    ("duplicated", |_, verdict| verdict.duplicated = 1),
    ("phantom", |_, verdict| verdict.phantom = 1),
    ("not all acknowledged", |_, verdict| {
        verdict.acknowledged = 999
    }),
    ("nothing in flight", |measured, _| {
        measured.in_flight_at_kill = 0
    }),
    ("nothing before the kill", |measured, _| {
        measured.acknowledged_before_kill = 0
    }),
    ("all before the kill", |measured, _| {
        measured.acknowledged_before_kill = 1_000
    }),
];

const OF_THE_FAILOVER: [(&str, Spoil); 10] = [
    ("down before the kill", |measured, _| {
        measured.detection_ms = None
    }),
    ("no holdoff", |measured, _| measured.holdoff_ms = None),
    ("no history in segments", |measured, _| {
        segments(measured).primary_at_kill = 0
    }),
    ("history removed", |measured, _| {
        segments(measured).primary_removed_later = 1
    }),
    ("history copied", |measured, _| {
        segments(measured).in_both = 1
    }),
    ("no new segments", |measured, _| {
        segments(measured).standby = 0
    }),
    ("written into the primary", |measured, _| {
        segments(measured).primary_added_later = 1
    }),
    ("old primary not asked", |measured, _| {
        old_primary(measured).offered = 0
    }),
    ("old primary accepts", |measured, _| {
        old_primary(measured).accepted = 1
    }),
    ("old primary not fenced", |measured, _| {
        old_primary(measured).says_fenced = false
    }),
];

fn promotion(measured: &mut Measured) -> &mut Promotion {
    measured.promotion.as_mut().unwrap()
}

fn failback(measured: &mut Measured) -> &mut Failback {
    measured.failback.as_mut().unwrap()
}

const OF_THE_WAY_BACK: [(&str, Spoil); 10] = [
    ("nobody sent while it was promoted", |measured, _| {
        promotion(measured).requests = 0
    }),
    ("nobody searched", |measured, _| {
        promotion(measured).searches = 0
    }),
    ("a request failed", |measured, _| {
        promotion(measured).failed_requests = 1
    }),
    ("a search failed", |measured, _| {
        promotion(measured).failed_searches = 1
    }),
    ("the primary takes nothing", |measured, _| {
        failback(measured).acknowledged_by_primary = 0
    }),
    ("the gap is not known", |measured, _| {
        failback(measured).no_writes_ms = None
    }),
    ("the secondary was searched", |measured, _| {
        measured.searched = Some(Side::Secondary)
    }),
    ("verify says no", |measured, _| {
        measured.verified.as_mut().unwrap().exit_code = 3
    }),
    ("nobody was killed", |measured, _| {
        measured.runbook[1].killed_at = None
    }),
    ("nobody went on", |measured, _| {
        measured.runbook[1].ok = false
    }),
];

#[test]
fn every_fault_alone_fails_the_drill() {
    let all = OF_EVENTS
        .iter()
        .chain(&OF_THE_FAILOVER)
        .chain(&OF_THE_WAY_BACK);
    for (name, spoil) in all {
        let (mut measured, mut verdict) = (measured(), verdict());
        spoil(&mut measured, &mut verdict);
        let report = judge(measured, verdict);
        assert!(!report.ok, "{name}");
        assert_eq!(
            report.checks.iter().filter(|check| !check.ok).count(),
            1,
            "{name}"
        );
    }
}

#[test]
fn a_loss_has_an_age_and_is_never_zero() {
    for (lost_at, rpo) in [(1_000, 3_000), (4_000, 1), (5_000, 1)] {
        let bad = Verdict {
            lost: 1,
            oldest_lost_ms: Some(lost_at),
            ..verdict()
        };
        assert_eq!(judge(measured(), bad).rpo_ms, rpo);
    }
}

#[test]
fn the_json_has_the_promised_fields() {
    let json = serde_json::to_value(report()).unwrap();
    for field in [
        "acknowledged",
        "found",
        "lost",
        "duplicated",
        "phantom",
        "failed_requests",
        "rto_ms",
        "rpo_ms",
        "detection_ms",
        "holdoff_ms",
        "rto_after_decision_ms",
        "promotion_failed_requests",
        "no_writes_ms",
    ] {
        assert!(json[field].is_u64(), "{field}");
    }
    assert_eq!(json["ok"], true);
    assert_eq!(json["fault"], "kill");
    assert_eq!(json["runbook"][1]["steps"][0]["id"], "secondary-stopped");
    let phase = json["phases"][0].as_object().unwrap();
    assert_eq!(
        phase.keys().collect::<Vec<_>>(),
        ["duration_ms", "name", "start_ms"]
    );
}
