//! A step as data: what is printed before anything happens, and what the engine goes by.

use std::time::Duration;

/// For how long what a step has brought about must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It was true at its place, and a later step may change it.
    Once,
    /// Until the step of this id is done: a run that is resumed looks at it again before that.
    Until(&'static str),
}

/// A step of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name in records, on the command line and in JSON.
    pub id: &'static str,
    /// The phase of the manual that it belongs to.
    pub phase: u8,
    /// Its number in the manual; empty for what the manual does not have.
    pub manual: &'static str,
    /// What it is, for people.
    pub name: &'static str,
    /// How it is undone.
    pub undo: &'static str,
    /// What it waits for.
    pub waits_for: &'static str,
    /// Longest time for it.
    pub timeout: Duration,
    /// Whether it destroys something, or leaves it behind. The checks of the steps in front of it
    /// prove that what takes its place is there.
    pub destroys: bool,
    /// For how long it must hold.
    pub holds: Holds,
    /// Where a test can end the process: before it acts, behind that, and once it is written down.
    pub points: [&'static str; 3],
}

/// What a check finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is so already.
    Holds(String),
    /// It is not so yet.
    Open(String),
    /// It is not known; asked again.
    Unknown(String),
    /// It is not so, and nothing that a step does would make it so.
    Refused {
        /// Why.
        why: String,
        /// What to do next.
        next: String,
    },
    /// Only a person can do it.
    Person {
        /// What.
        what: String,
    },
}

impl Answer {
    /// That something is so, or is not yet, in the same words.
    pub fn of(holds: bool, detail: impl Into<String>) -> Self {
        match holds {
            true => Self::Holds(detail.into()),
            false => Self::Open(detail.into()),
        }
    }

    /// A refusal.
    pub fn refused(why: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Refused {
            why: why.into(),
            next: next.into(),
        }
    }

    /// What it says, for people.
    pub fn detail(&self) -> &str {
        match self {
            Self::Holds(text) | Self::Open(text) | Self::Unknown(text) => text,
            Self::Refused { why, .. } => why,
            Self::Person { what } => what,
        }
    }
}

/// Makes a step; its failpoints are named after it.
macro_rules! step {
    ($id:literal, phase $phase:literal, manual $manual:literal, $name:literal,
     undo $undo:literal, waits $waits:literal, seconds $seconds:literal $(, holds $holds:expr)? $(, destroys $destroys:literal)?) => {
        $crate::step::Step {
            id: $id,
            phase: $phase,
            manual: $manual,
            name: $name,
            undo: $undo,
            waits_for: $waits,
            timeout: std::time::Duration::from_secs($seconds),
            destroys: false $(|| $destroys)?,
            holds: { let _holds = $crate::step::Holds::Once; $(let _holds = $holds;)? _holds },
            points: [
                concat!("runbook.", $id, ".before"),
                concat!("runbook.", $id, ".after"),
                concat!("runbook.", $id, ".recorded"),
            ],
        }
    };
}

pub(crate) use step;
