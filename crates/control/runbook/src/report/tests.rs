#![allow(clippy::unwrap_used)]

use super::Report;
use crate::plan::{Choices, Command, steps};
use crate::record::{Record, State, StepState};
use crate::step::Answer;

#[test]
fn a_plan_names_every_step_and_what_destroys() {
    let report = Report::planned(Command::Failback, Choices::default(), &[]);
    let text = report.text();
    for step in steps(Command::Failback, Choices::default()) {
        assert!(text.contains(step.id.as_str()), "{}: {text}", step.id);
    }
    // Snapshots of the primary, and claims of its nodes.
    assert_eq!(text.matches("[destroys]").count(), 2);
    assert!(report.ok && report.dry_run);
}

#[test]
fn a_dry_run_whose_first_check_refuses_is_a_no() {
    let answers = [
        Ok(Answer::refused("not so", "do this")),
        Ok(Answer::Open(String::new())),
    ];
    let report = Report::planned(Command::Promote, Choices::default(), &answers);
    assert!(!report.ok);
    assert_eq!(report.next.as_deref(), Some("do this"));
    // A later one refuses only what the earlier ones will have made good.
    let answers = [
        Ok(Answer::Holds(String::new())),
        Ok(Answer::refused("not so", "do this")),
    ];
    assert!(Report::planned(Command::Promote, Choices::default(), &answers).ok);
}

#[test]
fn a_run_is_told_with_its_times() {
    let choices = Choices::default();
    let mut record = Record::new("r".into(), Command::Failback, "p", choices, "me@here", 5);
    record.steps[0].state = StepState::Already;
    record.steps[0].began_ms = Some(10);
    record.steps[0].ended_ms = Some(1_510);
    record.state = State::Failed;
    record.error = Some("it broke".into());
    let report = Report::of(&record);
    assert_eq!(report.steps[0].duration_ms, Some(1_500));
    let text = report.text();
    for part in ["me@here", "failed", "1.5 s", "it broke", "failed-over"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let value = serde_json::to_value(&report).unwrap();
    assert_eq!(value["command"], "failback");
    assert_eq!(value["state"], "failed");
    assert_eq!(value["steps"][0]["state"], "already");
}
