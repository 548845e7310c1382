//! What is seen of the primary, and what that is worth.
//!
//! Each vantage point reports what it saw. An answer seen from anywhere is an answer. What an
//! outage of ours explains counts as no observation: whoever cannot resolve a name, has no token or
//! reaches nothing else either, is blind, and the blind decide nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What could be read, or why it could not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known<T> {
    /// This is so.
    Is(T),
    /// It could not be found out; the text says why.
    Unknown(String),
}

impl<T> Known<T> {
    /// What is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Is(it) => Some(it),
            Self::Unknown(_) => None,
        }
    }
}

/// A part of what we ourselves need in order to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ours {
    /// Names do not resolve.
    Dns,
    /// No token, or a token that is refused; a certificate that we do not trust.
    Identity,
    /// Nothing else can be reached either.
    Network,
}

impl fmt::Display for Ours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "our name resolution",
            Self::Identity => "our identity",
            Self::Network => "our network",
        })
    }
}

/// What a vantage point saw when it asked for the primary's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Saw {
    /// It answers with status 200.
    Answers,
    /// The connection is refused or reset.
    Refused,
    /// No answer in time.
    TimedOut,
    /// Another status than 200: 5xx, or what Azure's probes would not take for healthy either.
    WrongStatus(u16),
    /// A monitor with a memory (the traffic manager) still counts it as healthy. Such a monitor
    /// lags by the failures that it tolerates, so this does not say that the primary has answered
    /// just now; but as long as it says so, nobody fails over.
    StillTrusted,
    /// Such a monitor has given it up.
    GivenUp,
    /// An outage of ours: nothing was seen.
    Nothing(Ours),
}

impl fmt::Display for Saw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answers => f.write_str("it answers"),
            Self::Refused => f.write_str("connection refused"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::WrongStatus(status) => write!(f, "status {status}"),
            Self::StillTrusted => f.write_str("still counted as healthy"),
            Self::GivenUp => f.write_str("counted as down"),
            Self::Nothing(ours) => write!(f, "nothing, because {ours} fails"),
        }
    }
}

/// One vantage point's report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Which vantage point.
    pub from: String,
    /// What it saw.
    pub saw: Saw,
}

/// Whether something of ours works, by an attempt that has nothing to do with the primary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// The attempt succeeded: what was tried works.
    Works,
    /// The attempt failed: the fault is on our side.
    Fails,
    /// It was not tried.
    #[default]
    Untried,
}

/// What is known of our own side, from controls outside both regions: another name is resolved,
/// another address is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OurSide {
    /// Another name resolves.
    pub dns: Control,
    /// An address outside both regions is reached.
    pub network: Control,
}

/// All that is seen, put together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// It answers, seen from these vantage points.
    Answers(Vec<String>),
    /// Nobody sees it answer, and these see that it does not.
    Down(Vec<Observation>),
    /// Nothing is known: an outage of ours explains it, or too few see it down.
    Blind(Vec<Observation>),
}

/// The view, and who still trusts the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What is seen.
    pub view: View,
    /// Monitors that still count it as healthy ([`Saw::StillTrusted`]).
    pub trusted_by: Vec<String>,
}

/// What an observation is worth, given our own side.
///
/// A timeout is what a broken network or name resolution of ours looks like. A refusal and a
/// status come from somebody, so no outage of ours explains them.
pub fn explained(saw: Saw, ours: OurSide) -> Saw {
    match saw {
        Saw::TimedOut if ours.network == Control::Fails => Saw::Nothing(Ours::Network),
        Saw::TimedOut if ours.dns == Control::Fails => Saw::Nothing(Ours::Dns),
        other => other,
    }
}

/// Puts together what was seen; at least `witnesses` vantage points must see it down.
pub fn put_together(observations: &[Observation], ours: OurSide, witnesses: usize) -> Seen {
    let seen: Vec<Observation> = observations
        .iter()
        .map(|it| Observation {
            from: it.from.clone(),
            saw: explained(it.saw, ours),
        })
        .collect();
    let from = |wanted: Saw| -> Vec<String> {
        let those = seen.iter().filter(|it| it.saw == wanted);
        those.map(|it| it.from.clone()).collect()
    };
    let answers = from(Saw::Answers);
    let trusted_by = from(Saw::StillTrusted);
    let (down, rest): (Vec<_>, Vec<_>) = seen.into_iter().partition(|it| {
        matches!(
            it.saw,
            Saw::Refused | Saw::TimedOut | Saw::WrongStatus(_) | Saw::GivenUp
        )
    });
    let view = if !answers.is_empty() {
        View::Answers(answers)
    } else if !down.is_empty() && down.len() >= witnesses {
        View::Down(down)
    } else {
        View::Blind(rest.into_iter().chain(down).collect())
    };
    Seen { view, trusted_by }
}

#[cfg(test)]
mod tests;
