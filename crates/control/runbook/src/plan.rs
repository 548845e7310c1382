//! The three commands as lists of steps.
//!
//! The order is the safety of it, so it is written down here, where it can be read and tested
//! without anything else: nothing is deleted before what replaces it was loaded on trial, traffic
//! moves only to who holds the term, and what can be prepared while writes are still taken is.

mod clean;
mod failback;
mod promote;

use serde::{Deserialize, Serialize};

use crate::step::Step;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// The standby that has taken over grows to full size.
    Promote,
    /// The primary takes everything back.
    Failback,
    /// The secondary becomes a standby again.
    CleanSecondary,
}

impl Command {
    /// As it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Failback => "failback",
            Self::CleanSecondary => "clean-secondary",
        }
    }
}

/// What can be chosen about a run. It is kept with it, so that whoever resumes does the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choices {
    /// What the secondary has taken in is left behind.
    pub skip_reverse_recovery: bool,
    /// Seconds for which the alert must stay quiet at the end of a failback.
    pub quiet_seconds: u64,
    /// A person has reset Kafka's topic, where the journal is Kafka's.
    #[serde(default)]
    pub topic_is_reset: bool,
}

/// The steps of a command, in their order.
pub fn steps(command: Command, choices: Choices) -> Vec<&'static Step> {
    match command {
        Command::Promote => promote::STEPS.iter().collect(),
        Command::Failback => failback::steps(choices.skip_reverse_recovery),
        Command::CleanSecondary => clean::STEPS.iter().collect(),
    }
}

#[cfg(test)]
mod tests;
