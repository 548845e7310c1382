//! What a run came to, for people and for programs.

use serde::Serialize;

use crate::error::StepError;
use crate::plan::{Choices, Command, steps};
use crate::record::{Record, State, StepState};
use crate::step::{Answer, Step};

/// A step of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// The step's id.
    pub id: String,
    /// Its phase in the manual.
    pub phase: u8,
    /// Its number there.
    pub manual: &'static str,
    /// What it is.
    pub name: &'static str,
    /// `pending`, `begun`, `done`, `already`; of a dry run what its check says.
    pub state: String,
    /// What was seen last.
    pub detail: String,
    /// When it was begun, in milliseconds since 1970.
    pub began_ms: Option<u64>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// How often it has acted.
    pub attempts: u32,
    /// Whether it destroys something, or leaves it behind.
    pub destroys: bool,
    /// What it waits for; empty where it does not.
    pub waits_for: &'static str,
    /// Longest time for it, in seconds.
    pub timeout_seconds: u64,
    /// How it is undone.
    pub undo: &'static str,
}

/// A run, as it is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Its name; none of a plan or a dry run.
    pub run: Option<String>,
    /// What is done.
    pub command: Command,
    /// How it is.
    pub state: Option<State>,
    /// Whether all is done.
    pub ok: bool,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Who ran it last.
    pub operator: Option<String>,
    /// When it was begun, in milliseconds since 1970.
    pub began_ms: Option<u64>,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// For how long no region took writes: from the stop of the secondary to the primary's own answer.
    pub no_writes_ms: Option<u64>,
    /// For how long the global name led to nobody who takes them.
    pub no_service_ms: Option<u64>,
    /// Why it does not go on.
    pub error: Option<String>,
    /// What to do about that.
    pub next: Option<String>,
    /// Every step of the run, in its order.
    pub steps: Vec<StepReport>,
}

fn step(plan: &Step, state: String, detail: &str) -> StepReport {
    StepReport {
        id: plan.id.as_str().to_owned(),
        phase: plan.phase,
        manual: plan.manual,
        name: plan.name,
        state,
        detail: detail.to_owned(),
        began_ms: None,
        duration_ms: None,
        attempts: 0,
        destroys: plan.destroys,
        waits_for: plan.waits_for,
        timeout_seconds: plan.timeout.as_secs(),
        undo: plan.undo,
    }
}

fn word(state: StepState) -> &'static str {
    match state {
        StepState::Pending => "pending",
        StepState::Begun => "begun",
        StepState::Done => "done",
        StepState::Already => "already",
    }
}

impl Report {
    /// Of a run.
    pub fn of(record: &Record) -> Self {
        let plan = steps(record.command, record.choices);
        let known = |id: &str| plan.iter().find(|it| it.id.as_str() == id);
        let each = record.steps.iter().filter_map(|it| {
            let told = step(known(&it.id)?, word(it.state).to_owned(), &it.detail);
            let spent = it.began_ms.zip(it.ended_ms);
            Some(StepReport {
                began_ms: it.began_ms,
                duration_ms: spent.map(|(began, ended)| ended.saturating_sub(began)),
                attempts: it.attempts,
                ..told
            })
        });
        Self {
            run: Some(record.run.clone()),
            command: record.command,
            state: Some(record.state),
            ok: record.state == State::Done,
            dry_run: false,
            operator: Some(record.operator.clone()),
            began_ms: Some(record.began_ms),
            ended_ms: record.ended_ms,
            no_writes_ms: record.no_writes_ms(),
            no_service_ms: record.no_service_ms(),
            error: record.error.clone(),
            next: record.next.clone(),
            steps: each.collect(),
        }
    }

    /// Of a run that has not begun, with what each check says, where it was asked.
    pub fn planned(
        command: Command,
        choices: Choices,
        answers: &[Result<Answer, StepError>],
    ) -> Self {
        let plan = steps(command, choices);
        let each = plan.iter().enumerate().map(|(place, it)| {
            let (state, detail) = match answers.get(place) {
                None => ("pending", String::new()),
                Some(Err(error)) => ("unknown", error.to_string()),
                Some(Ok(answer)) => (
                    match answer {
                        Answer::Holds(_) => "already",
                        Answer::Open(_) => "to do",
                        Answer::Refused { .. } => "refused",
                        Answer::Person { .. } => "a person's",
                    },
                    answer.detail().to_owned(),
                ),
            };
            step(it, state.to_owned(), &detail)
        });
        // Later steps refuse what earlier ones will have made good; the first one's word counts.
        let refused = match answers.first() {
            Some(Ok(Answer::Refused { why, next })) => Some((why, next)),
            Some(Ok(_) | Err(_)) | None => None,
        };
        Self {
            run: None,
            command,
            state: None,
            ok: refused.is_none(),
            dry_run: true,
            operator: None,
            began_ms: None,
            ended_ms: None,
            no_writes_ms: None,
            no_service_ms: None,
            error: refused.map(|(why, _)| why.clone()),
            next: refused.map(|(_, next)| next.clone()),
            steps: each.collect(),
        }
    }

    /// The report as text for people.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        if let (Some(run), Some(state)) = (&self.run, self.state) {
            let state = match state {
                State::Running => "running, or its operator has died",
                State::Failed => "failed",
                State::Refused => "refused",
                State::Waiting => "waits for a person",
                State::Done => "done",
                State::Aborted => "aborted",
            };
            let operator = self.operator.as_deref().unwrap_or_default();
            lines.push(format!("run {run} by {operator}: {state}"));
        }
        let mut phase = None;
        for step in &self.steps {
            if phase != Some(step.phase) {
                phase = Some(step.phase);
                lines.push(format!("phase {}", step.phase));
            }
            let took = match step.duration_ms {
                Some(ms) => format!("{:>8.1} s", ms as f64 / 1000.0),
                None => " ".repeat(10),
            };
            let destroys = if step.destroys { " [destroys]" } else { "" };
            let manual = match step.manual {
                "" => String::new(),
                number => format!(" (manual {number})"),
            };
            lines.push(format!(
                "  {:<8} {took}  {:<26} {}{manual}{destroys}",
                step.state, step.id, step.name
            ));
            if !step.detail.is_empty() {
                lines.push(format!("{:24}{}", "", step.detail));
            }
        }
        if let Some(gap) = self.no_writes_ms {
            lines.push(format!(
                "no region took writes for {:.1} s",
                gap as f64 / 1000.0
            ));
        }
        if let Some(gap) = self.no_service_ms {
            lines.push(format!(
                "the global name led to nobody who takes them for {:.1} s",
                gap as f64 / 1000.0
            ));
        }
        if let Some(error) = &self.error {
            lines.push(format!("stopped: {error}"));
        }
        if let Some(next) = &self.next {
            lines.push(format!("next: {next}"));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests;
