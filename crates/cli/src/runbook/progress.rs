//! What a run is at, while it goes on: lines for people, and objects for programs (docs/failback.md).

use std::io::{IsTerminal as _, Write as _};

use backstay_runbook::{Event, Record, StepState};
use parking_lot::Mutex;
use serde::Serialize;

use crate::args::Output;
use crate::json_line;

/// What goes on, for programs: an object a line.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line<'a> {
    /// A run begins, or goes on.
    Run { run: &'a str, command: &'a str },
    /// A step is elsewhere than before.
    Step {
        run: &'a str,
        step: &'a str,
        state: LineState,
        detail: &'a str,
    },
}

/// Where a step is.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum LineState {
    /// It acts, or waits.
    Begins,
    /// It does not hold yet.
    Waits,
    /// It has come to hold.
    Done,
    /// It held before.
    Already,
    /// It holds no more, and is done again.
    Again,
}

impl LineState {
    fn of(event: &Event<'_>) -> Self {
        match event {
            Event::Begun(_) => Self::Begins,
            Event::Waits(..) => Self::Waits,
            Event::Ended(_, StepState::Already, _) => Self::Already,
            Event::Ended(..) => Self::Done,
            Event::Reopened(..) => Self::Again,
        }
    }
}

/// What goes on: on standard error one line a step, and in a terminal what is waited for; on standard
/// output an object each time, where that is asked for.
pub(super) struct Progress {
    run: String,
    waits: Mutex<String>,
    terminal: bool,
    objects: bool,
}

impl Progress {
    /// Tells that this run begins, or goes on.
    pub(super) fn of(record: &Record, output: Output) -> Self {
        let progress = Self {
            run: record.run.clone(),
            waits: Mutex::default(),
            terminal: std::io::stderr().is_terminal(),
            objects: output == Output::Ndjson,
        };
        progress.line(&format!("run {}", record.run));
        if progress.objects {
            json_line(&Line::Run {
                run: &record.run,
                command: record.command.as_str(),
            });
        }
        progress
    }

    fn object(&self, event: &Event<'_>) {
        let (step, detail) = match *event {
            Event::Begun(step) => (step, step.name),
            Event::Waits(step, detail)
            | Event::Ended(step, _, detail)
            | Event::Reopened(step, detail) => (step, detail),
        };
        json_line(&Line::Step {
            run: &self.run,
            step: step.id.as_str(),
            state: LineState::of(event),
            detail,
        });
    }

    fn line(&self, text: &str) {
        let clear = if self.terminal { "\r\u{1b}[K" } else { "" };
        let _ = writeln!(std::io::stderr(), "{clear}{text}");
    }

    pub(super) fn tell(&self, event: Event<'_>) {
        let still = matches!(event, Event::Waits(_, detail) if *self.waits.lock() == detail);
        if self.objects && !still {
            self.object(&event);
        }
        match event {
            Event::Begun(step) => self.line(&format!("begins   {:<26} {}", step.id, step.name)),
            Event::Ended(step, state, detail) => {
                let word = if state == StepState::Already {
                    "already"
                } else {
                    "done"
                };
                self.line(&format!("{word:<8} {:<26} {detail}", step.id));
                self.waits.lock().clear();
            }
            Event::Reopened(step, detail) => {
                self.line(&format!("again    {:<26} {detail}", step.id));
            }
            Event::Waits(step, detail) => {
                let mut waits = self.waits.lock();
                if *waits != detail {
                    detail.clone_into(&mut waits);
                    match self.terminal {
                        true => {
                            let _ = write!(
                                std::io::stderr(),
                                "\r\u{1b}[Kwaits    {:<26} {detail}",
                                step.id
                            );
                        }
                        false => tracing::debug!(step = step.id.as_str(), detail, "waits"),
                    }
                }
            }
        }
    }
}
