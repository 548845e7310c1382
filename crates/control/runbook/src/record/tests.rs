#![allow(clippy::unwrap_used)]

use super::{Record, State, StepState};
use crate::plan::{Choices, Command};

fn record() -> Record {
    let choices = Choices::default();
    Record::new("r".into(), Command::Failback, "pair", choices, "me", 7)
}

fn done(record: &mut Record, until: &str) {
    for step in &mut record.steps {
        if step.id == until {
            return;
        }
        step.state = StepState::Done;
    }
}

fn standing(record: &Record) -> Vec<String> {
    let plan = record.plan().unwrap();
    let standing = record.standing(&plan);
    standing
        .into_iter()
        .map(|at| record.steps[at].id.clone())
        .collect()
}

#[test]
fn it_is_read_as_it_was_written() {
    let mut record = record();
    record.steps[0].state = StepState::Already;
    record.steps[1].ended_ms = Some(9);
    record.state = State::Waiting;
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    assert!(text.len() < 8 << 10, "{}", text.len());
}

#[test]
fn one_of_another_version_is_not_gone_on_with() {
    let mut other = record();
    other.steps.remove(3);
    assert!(
        other
            .plan()
            .unwrap_err()
            .to_string()
            .contains("runs abort r")
    );
    let mut other = record();
    other.steps[3].id = "something".into();
    assert!(other.plan().is_err());
}

#[test]
fn what_must_still_hold_is_what_a_later_step_counts_on() {
    let mut record = record();
    assert!(standing(&record).is_empty());
    done(&mut record, "primary-snapshots-deleted");
    assert_eq!(
        standing(&record),
        [
            "alert-off",
            "paused",
            "primary-reachable",
            "primary-stopped",
            "reverse-environment",
            "secondary-stopped",
            "secondary-snapshot"
        ]
    );
    // About to be started, it may run already.
    let at = record.position().unwrap();
    assert_eq!(record.steps[at].id, "primary-snapshots-deleted");
    let started = record
        .steps
        .iter_mut()
        .find(|it| it.id == "primary-started");
    started.unwrap().state = StepState::Begun;
    assert!(!standing(&record).contains(&"primary-stopped".to_owned()));
    // Once the primary runs again, nobody asks for it to be stopped.
    done(&mut record, "endpoint-on");
    assert_eq!(
        standing(&record),
        [
            "alert-off",
            "paused",
            "primary-started",
            "primary-recovered"
        ]
    );
    done(&mut record, "nothing");
    assert_eq!(record.position(), None);
    assert!(standing(&record).is_empty());
}

#[test]
fn what_is_opened_again_is_looked_at_again_from_there() {
    let mut record = record();
    done(&mut record, "secondary-stopped");
    record.reopen(2);
    assert_eq!(record.position(), Some(2));
    let states: Vec<StepState> = record.steps.iter().map(|it| it.state).collect();
    assert_eq!(states[1], StepState::Done);
    assert_eq!(states[2], StepState::Begun);
    assert_eq!(states[12], StepState::Pending);
}

#[test]
fn the_gap_is_from_the_stop_to_the_answer() {
    let mut record = record();
    assert_eq!(record.no_writes_ms(), None);
    let mut set = |id: &str, began: u64, ended: Option<u64>, attempts| {
        let step = record.steps.iter_mut().find(|it| it.id == id).unwrap();
        (step.began_ms, step.ended_ms, step.attempts) = (Some(began), ended, attempts);
    };
    set("secondary-stopped", 100, Some(300), 1);
    set("primary-recovered", 350, Some(900), 1);
    assert_eq!(record.no_writes_ms(), Some(800));
    assert_eq!(record.no_service_ms(), None);
    // It was stopped before by somebody else: since when is not known.
    let step = record
        .steps
        .iter_mut()
        .find(|it| it.id == "secondary-stopped");
    step.unwrap().attempts = 0;
    assert_eq!(record.no_writes_ms(), None);
}
