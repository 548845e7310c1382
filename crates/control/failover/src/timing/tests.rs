#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn all() -> Moments {
    Moments {
        failed: Some(10_000),
        degraded: Some(40_000),
        alerted: Some(130_000),
        began: Some(220_000),
        operator: Some(221_500),
        pod_started: Some(230_000),
        recovered: Some(235_000),
        traffic: Some(236_000),
    }
}

#[test]
fn a_whole_report() {
    let report = Report::new("r", &all()).unwrap();
    let phases: Vec<_> = (report.phases.iter())
        .map(|it| (it.name, it.start_ms, it.duration_ms))
        .collect();
    let wanted = [
        (PhaseName::Detection, 0, 30_000),
        (PhaseName::Alert, 0, 120_000),
        (PhaseName::Holdoff, 30_000, 180_000),
        (PhaseName::Act, 210_000, 1_500),
        (PhaseName::PodStart, 211_500, 8_500),
        (PhaseName::Recovery, 220_000, 5_000),
        (PhaseName::Traffic, 225_000, 1_000),
    ];
    assert_eq!(phases, wanted);
    assert_eq!(report.missing, []);
    assert_eq!(report.total_ms, Some(226_000));
    assert_eq!(report.after_decision_ms, Some(16_000));
    let text = serde_json::to_string(&report).unwrap();
    assert!(text.contains(r#"{"name":"pod-start","start_ms":211500,"duration_ms":8500}"#));
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}

#[test]
fn what_is_missing_is_named_and_not_guessed() {
    let moments = Moments {
        failed: None,
        alerted: None,
        ..all()
    };
    let report = Report::new("r", &moments).unwrap();
    assert_eq!(report.missing, [PhaseName::Detection, PhaseName::Alert]);
    assert_eq!(report.total_ms, None);
    assert_eq!(report.phases[0].start_ms, 0);
    let nothing = Report::new("r", &Moments::default()).unwrap();
    assert_eq!((nothing.phases.len(), nothing.missing.len()), (0, 7));
}

#[test]
fn moments_of_two_clocks_are_refused() {
    let moments = Moments {
        operator: Some(1),
        ..all()
    };
    let error = Report::new("r7", &moments).unwrap_err();
    assert_eq!(error.phase, PhaseName::Act);
    assert!(error.to_string().contains("run r7"), "{error}");
}

proptest! {
    #[test]
    fn each_phase_is_there_or_missing(moments in prop::array::uniform8(prop::option::of(any::<u64>()))) {
        let [failed, degraded, alerted, began, operator, pod_started, recovered, traffic] = moments;
        let moments = Moments {
            failed, degraded, alerted, began, operator, pod_started, recovered, traffic,
        };
        if let Ok(report) = Report::new("r", &moments) {
            prop_assert_eq!(report.phases.len() + report.missing.len(), 7);
        }
    }
}
