//! What is written down of a run: enough for anybody to see how far it is, and to go on with it.
//!
//! Names only: no value of a variable or a secret is in it.

use serde::{Deserialize, Serialize};

use crate::plan::{Choices, Command, steps};
use crate::step::{Holds, Step, StepId};

/// How a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Somebody runs it, or whoever did has died.
    Running,
    /// A step has failed.
    Failed,
    /// A step has refused.
    Refused,
    /// A person has to do something.
    Waiting,
    /// All is done.
    Done,
    /// Somebody has given it up.
    Aborted,
}

/// How a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// It has not been reached yet.
    Pending,
    /// It was about to act, or waits.
    Begun,
    /// It has acted, and holds.
    Done,
    /// It held before it acted.
    Already,
}

/// A step as it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The step's id.
    pub id: String,
    /// How it is.
    pub state: StepState,
    /// What was seen last.
    #[serde(default)]
    pub detail: String,
    /// When it was first begun, in milliseconds since 1970.
    pub began_ms: Option<u64>,
    /// When it was first seen to hold.
    pub ended_ms: Option<u64>,
    /// How often it has acted.
    #[serde(default)]
    pub attempts: u32,
}

impl StepRecord {
    /// Whether it is behind us.
    pub fn is_done(&self) -> bool {
        matches!(self.state, StepState::Done | StepState::Already)
    }
}

/// What is written down of a run: enough for another process to go on with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The run's id.
    pub run: String,
    /// What is done.
    pub command: Command,
    /// The pair, by the name in its file.
    pub pair: String,
    /// What was chosen when it began; a run that goes on keeps it.
    pub choices: Choices,
    /// How it is.
    pub state: State,
    /// Who ran it last.
    pub operator: String,
    /// When it was begun, in milliseconds since 1970.
    pub began_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// Why it does not go on.
    pub error: Option<String>,
    /// What to do about that.
    pub next: Option<String>,
    /// Its steps, in their order.
    pub steps: Vec<StepRecord>,
}

/// A record of which this program cannot be sure what it means.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "run {run} was begun by another version of backstay: its steps are not those of this one; go on \
     with the version that began it, or give it up with `backstay runs abort {run}`"
)]
pub struct OtherVersion {
    /// The run's id.
    pub run: String,
}

impl Record {
    /// A run that begins now.
    pub fn new(
        run: String,
        command: Command,
        pair: &str,
        choices: Choices,
        operator: &str,
        now_ms: u64,
    ) -> Self {
        let pending = |step: &&'static Step| StepRecord {
            id: step.id.as_str().to_owned(),
            state: StepState::Pending,
            detail: String::new(),
            began_ms: None,
            ended_ms: None,
            attempts: 0,
        };
        Self {
            run,
            command,
            pair: pair.to_owned(),
            choices,
            state: State::Running,
            operator: operator.to_owned(),
            began_ms: now_ms,
            ended_ms: None,
            error: None,
            next: None,
            steps: steps(command, choices).iter().map(pending).collect(),
        }
    }

    /// Its steps as this program knows them.
    ///
    /// # Errors
    /// When it was begun by a program that had others.
    pub fn plan(&self) -> Result<Vec<&'static Step>, OtherVersion> {
        let plan = steps(self.command, self.choices);
        let same = plan.len() == self.steps.len()
            && plan
                .iter()
                .zip(&self.steps)
                .all(|(a, b)| a.id.as_str() == b.id);
        match same {
            true => Ok(plan),
            false => Err(OtherVersion {
                run: self.run.clone(),
            }),
        }
    }

    /// The first step that is not behind us.
    pub fn position(&self) -> Option<usize> {
        self.steps.iter().position(|step| !step.is_done())
    }

    /// Whether nobody need go on with it: it is at its end, was given up, or was refused before it
    /// had done anything.
    pub fn is_over(&self) -> bool {
        match self.state {
            State::Done | State::Aborted => true,
            State::Refused => self.steps.iter().all(|step| step.attempts == 0),
            State::Running | State::Failed | State::Waiting => false,
        }
    }

    /// What is known of a step.
    pub fn step(&self, id: StepId) -> Option<&StepRecord> {
        self.steps.iter().find(|step| step.id == id.as_str())
    }

    /// The steps behind us that must still hold where we are. What a step ends that was begun already
    /// is not among them: the operator that it was about to start may run, and from there is no way
    /// back.
    pub fn standing(&self, plan: &[&'static Step]) -> Vec<usize> {
        let Some(at) = self.position() else {
            return Vec::new();
        };
        let ahead = |id: StepId| {
            let mut left = self.steps.iter().skip(at);
            left.any(|step| step.id == id.as_str() && step.state == StepState::Pending)
        };
        let behind = plan.iter().take(at).enumerate();
        let standing = behind.filter(|(_, step)| match step.holds {
            Holds::Once => false,
            Holds::Until(id) => ahead(id),
        });
        standing.map(|(place, _)| place).collect()
    }

    /// A step that was behind us holds no more: from there on, all is looked at again. When it was
    /// first begun stays.
    pub fn reopen(&mut self, place: usize) {
        for step in self.steps.iter_mut().skip(place) {
            step.state = match step.state {
                StepState::Pending => StepState::Pending,
                StepState::Begun | StepState::Done | StepState::Already => StepState::Begun,
            };
        }
    }

    /// For how long no region took writes, in a failback: from the stop of the secondary to the
    /// primary's own answer. `None` while that is not over.
    pub fn no_writes_ms(&self) -> Option<u64> {
        self.between(StepId::SecondaryStopped, StepId::PrimaryRecovered)
    }

    /// For how long no client got through by the global name: to where it leads to the primary.
    pub fn no_service_ms(&self) -> Option<u64> {
        self.between(StepId::SecondaryStopped, StepId::GlobalName)
    }

    fn between(&self, from: StepId, to: StepId) -> Option<u64> {
        let from = self.step(from)?;
        // Who did not stop anything here has no gap.
        let began = from.began_ms.filter(|_| from.attempts > 0)?;
        Some(self.step(to)?.ended_ms?.saturating_sub(began))
    }
}

#[cfg(test)]
mod tests;
