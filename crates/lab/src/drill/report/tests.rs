#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::{Measured, OldPrimary, Phase, Report, Segments, judge};
use crate::workload::verdict::Verdict;

/// The measurements of a drill in which all went well.
pub(crate) fn measured() -> Measured {
    Measured {
        sent: 1_000,
        planned: 1_000,
        requests: 120,
        failed_requests: 20,
        acknowledged_before_kill: 600,
        in_flight_at_kill: 8,
        kill_ms: 4_000,
        first_ack_ms: 4_700,
        first_search_ms: 4_650,
        segments: Segments {
            primary_at_kill: 9,
            standby: 4,
            ..Segments::default()
        },
        old_primary: OldPrimary {
            offered: 5,
            accepted: 0,
            says_fenced: true,
            last_answer: "HTTP 503: fenced".to_owned(),
        },
        phases: vec![
            Phase {
                name: "ingest",
                start_ms: 0,
                duration_ms: 4_000,
            },
            Phase {
                name: "standby recovers",
                start_ms: 4_000,
                duration_ms: 600,
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
        store: "folder",
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
}

#[test]
fn every_fault_alone_fails_the_drill() {
    type Spoil = fn(&mut Measured, &mut Verdict);
    let faults: [(&str, Spoil); 15] = [
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
        ("no history in segments", |measured, _| {
            measured.segments.primary_at_kill = 0
        }),
        ("history removed", |measured, _| {
            measured.segments.primary_removed_later = 1
        }),
        ("history copied", |measured, _| {
            measured.segments.in_both = 1
        }),
        ("no new segments", |measured, _| {
            measured.segments.standby = 0
        }),
        ("written into the primary", |measured, _| {
            measured.segments.primary_added_later = 1
        }),
        ("old primary not asked", |measured, _| {
            measured.old_primary.offered = 0
        }),
        ("old primary accepts", |measured, _| {
            measured.old_primary.accepted = 1
        }),
        ("old primary not fenced", |measured, _| {
            measured.old_primary.says_fenced = false
        }),
    ];
    for (name, spoil) in faults {
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
    ] {
        assert!(json[field].is_u64(), "{field}");
    }
    assert_eq!(json["ok"], true);
    let phase = json["phases"][0].as_object().unwrap();
    assert_eq!(
        phase.keys().collect::<Vec<_>>(),
        ["duration_ms", "name", "start_ms"]
    );
}
