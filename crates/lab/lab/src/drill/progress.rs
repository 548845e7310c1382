//! Telling the person who waits: bars in a terminal, lines in a pipe. Always on standard error;
//! standard output belongs to the report.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

/// How the progress of a drill is shown.
pub struct Progress {
    who: &'static str,
    shown: Shown,
    noted: Mutex<String>,
}

enum Shown {
    Bars(Mutex<Option<ProgressBar>>),
    Lines,
    Nothing,
}

impl Progress {
    /// Bars if standard error is a terminal, else lines that begin with `who`.
    pub fn detect(who: &'static str) -> Self {
        let terminal = io::stderr().is_terminal();
        Self {
            who,
            shown: if terminal {
                Shown::Bars(Mutex::new(None))
            } else {
                Shown::Lines
            },
            noted: Mutex::default(),
        }
    }

    /// Nothing at all, for tests.
    pub fn silent() -> Self {
        Self {
            who: "",
            shown: Shown::Nothing,
            noted: Mutex::default(),
        }
    }

    /// What it is at, where that changes too often to be steps. Printed once as long as it is
    /// the same.
    pub fn note(&self, what: &str) {
        let mut noted = self.noted.lock();
        if *noted == what {
            return;
        }
        what.clone_into(&mut noted);
        match &self.shown {
            Shown::Bars(held) if held.lock().is_some() => {
                if let Some(bar) = held.lock().as_ref() {
                    bar.set_message(what.to_owned());
                }
            }
            _ => self.step(what, None),
        }
    }

    /// A step begins. `goal` is what it counts up to, if it counts.
    pub fn step(&self, name: &str, goal: Option<u64>) {
        match &self.shown {
            Shown::Nothing => {}
            // Nobody can be told that nobody can be told anything.
            Shown::Lines => drop(writeln!(io::stderr(), "{}: {name}", self.who)),
            Shown::Bars(held) => {
                let bar = match goal {
                    Some(goal) => ProgressBar::new(goal).with_style(style(
                        "{spinner:.cyan} {msg:<34} {bar:28.cyan/dim} {human_pos:>10} / {human_len} {elapsed:.dim}",
                    )),
                    None => ProgressBar::no_length()
                        .with_style(style("{spinner:.cyan} {msg:<34} {elapsed:.dim}")),
                };
                bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(12));
                bar.set_message(name.to_owned());
                bar.enable_steady_tick(Duration::from_millis(100));
                if let Some(old) = held.lock().replace(bar) {
                    finish(&old);
                }
            }
        }
    }

    /// The step got so far.
    pub fn at(&self, position: u64) {
        if let Shown::Bars(held) = &self.shown
            && let Some(bar) = held.lock().as_ref()
        {
            bar.set_position(position);
        }
    }

    /// No more steps.
    pub fn end(&self) {
        if let Shown::Bars(held) = &self.shown
            && let Some(bar) = held.lock().take()
        {
            finish(&bar);
        }
    }
}

impl Drop for Progress {
    /// Without this an aborted drill would leave the terminal in the middle of a bar.
    fn drop(&mut self) {
        self.end();
    }
}

fn finish(bar: &ProgressBar) {
    if let Some(length) = bar.length() {
        bar.set_position(length);
    }
    bar.disable_steady_tick();
    bar.set_style(style("{msg:.green} {elapsed:.dim}"));
    bar.finish();
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
