//! What a run is at, while it goes on: lines for people, and objects for programs (docs/failback.md).

use std::io::{IsTerminal as _, Write as _};

use backstay_runbook::{Event, Record, Step, StepState};
use parking_lot::Mutex;
use serde::Serialize;

use crate::args::Output;
use crate::print_json_line;

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
        state: &'static str,
        detail: &'a str,
    },
}

/// A step, where it is now (in the word for it, as docs/failback.md explains it), and what was seen.
fn describe<'a>(event: &Event<'a>) -> (&'a Step, &'static str, &'a str) {
    match *event {
        Event::Begun(step) => (step, "begins", step.name),
        Event::Waits(step, detail) => (step, "waits", detail),
        Event::Ended(step, StepState::Already, detail) => (step, "already", detail),
        Event::Ended(step, _, detail) => (step, "done", detail),
        Event::Reopened(step, detail) => (step, "again", detail),
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
    /// Reports that this run begins, or goes on.
    pub(super) fn of(record: &Record, output: Output) -> Self {
        let progress = Self {
            run: record.run.clone(),
            waits: Mutex::default(),
            terminal: std::io::stderr().is_terminal(),
            objects: output == Output::Ndjson,
        };
        progress.line(&format!("run {}", record.run));
        if progress.objects {
            print_json_line(&Line::Run {
                run: &record.run,
                command: record.command.as_str(),
            });
        }
        progress
    }

    fn line(&self, text: &str) {
        let clear = if self.terminal { "\r\u{1b}[K" } else { "" };
        let _ = writeln!(std::io::stderr(), "{clear}{text}");
    }

    pub(super) fn report(&self, event: Event<'_>) {
        let (step, state, detail) = describe(&event);
        let waits = matches!(event, Event::Waits(..));
        if waits && !self.waits_for(detail) {
            return;
        }
        if self.objects {
            print_json_line(&Line::Step {
                run: &self.run,
                step: step.id.as_str(),
                state,
                detail,
            });
        }
        let line = format!("{state:<8} {:<26} {detail}", step.id);
        match (waits, self.terminal) {
            (false, _) => self.line(&line),
            (true, true) => {
                let _ = write!(std::io::stderr(), "\r\u{1b}[K{line}");
            }
            (true, false) => tracing::debug!(step = step.id.as_str(), detail, "waits"),
        }
        if matches!(event, Event::Ended(..)) {
            self.waits.lock().clear();
        }
    }

    /// Keeps what is waited for, and says whether that is something else than before.
    fn waits_for(&self, detail: &str) -> bool {
        let mut waits = self.waits.lock();
        let is_new = *waits != detail;
        if is_new {
            detail.clone_into(&mut waits);
        }
        is_new
    }
}
