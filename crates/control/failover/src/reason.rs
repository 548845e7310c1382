//! Why something is or is not done: a code for programs, a sentence for people, and the next
//! command to type where there is one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::marks::{PAUSED, RUN};
use crate::observation::{Observation, Ours, Saw};
use crate::settings::OperatorLocation;

/// What kind of reason it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The look took too long to decide on.
    StaleLook,
    /// The standby's API server cannot be read, so nothing can be agreed upon.
    StandbyApiUnreachable,
    /// The primary answers.
    PrimaryAnswers,
    /// Another instance saw the primary answer.
    PeerSawAnswer,
    /// A monitor still counts the primary as healthy.
    StillTrusted,
    /// Seen down, but not often enough yet.
    NotYetSure,
    /// The holdoff runs.
    HoldoffRunning,
    /// The holdoff starts again: nobody looked for too long.
    Unwatched,
    /// The holdoff's start lay in the future.
    FutureDated,
    /// The primary answers shortly again and again: the holdoff is not waited for.
    CrashLoop,
    /// Our name resolution fails, which explains what is seen.
    OurDns,
    /// Our identity is refused, which explains what is seen.
    OurIdentity,
    /// Our network fails, which explains what is seen.
    OurNetwork,
    /// Too few vantage points see it down.
    TooFewWitnesses,
    /// The standby cannot take over.
    StandbyNotAble,
    /// Whether the standby can take over is not known.
    StandbyUnknown,
    /// Another instance has the run lock.
    RunInProgress,
    /// The run lock cannot be read.
    LockUnknown,
    /// The last failover is not long ago.
    Cooldown,
    /// An operator has paused it.
    Paused,
    /// A mark cannot be read.
    UnreadableMark,
    /// The marks say failed over, the journal says that the primary holds the term.
    MarksDisagree,
    /// The primary's endpoint is enabled while the secondary holds the term.
    EndpointReopened,
    /// Whether the primary's endpoint is enabled is not known.
    EndpointUnknown,
    /// A run begins.
    Begins,
    /// A run goes on.
    Acting,
    /// The secondary serves.
    FailedOver,
    /// The secondary holds the term although no run is on record; it is taken up as one.
    TakenOver,
    /// The primary has recovered before the holdoff was over.
    Recovered,
}

impl Code {
    /// Whether a person at the keyboard may decide against it (`backstay failover --over <code>`).
    ///
    /// Not so where nothing could be agreed upon or two runs would meet.
    pub fn can_be_overruled(self) -> bool {
        matches!(
            self,
            Self::PrimaryAnswers
                | Self::PeerSawAnswer
                | Self::StillTrusted
                | Self::NotYetSure
                | Self::HoldoffRunning
                | Self::OurDns
                | Self::OurIdentity
                | Self::OurNetwork
                | Self::TooFewWitnesses
                | Self::StandbyNotAble
                | Self::StandbyUnknown
                | Self::Cooldown
        )
    }
}

/// Why a decision is as it is, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Which kind of reason; programs compare this.
    pub code: Code,
    /// The same for people, with names and numbers.
    pub sentence: String,
    /// The next command to type.
    pub next: Option<String>,
}

impl Reason {
    pub(crate) fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self {
            code,
            sentence: sentence.into(),
            next: None,
        }
    }

    pub(crate) fn then(mut self, command: impl Into<String>) -> Self {
        self.next = Some(command.into());
        self
    }
}

/// Reasons in one line, in their order.
pub fn sentences(reasons: &[Reason]) -> String {
    let each = reasons.iter().map(|it| it.sentence.as_str());
    each.collect::<Vec<_>>().join("; ")
}

pub(crate) fn paused(place: &OperatorLocation, why: &str) -> Reason {
    let why = if why.trim().is_empty() {
        "no reason given"
    } else {
        why
    };
    Reason::new(Code::Paused, format!("paused by an operator: {why}")).then(place.remove(PAUSED))
}

pub(crate) fn unreadable_run(place: &OperatorLocation, text: &str) -> Reason {
    Reason::new(
        Code::UnreadableMark,
        format!(
            "{RUN} on the standby's {} is {text:?}, which is no run; look whether the secondary \
             serves, then remove it",
            place.deployment
        ),
    )
    .then(place.remove(RUN))
}

pub(crate) fn unreadable_time(place: &OperatorLocation, name: &str, text: &str) -> Reason {
    Reason::new(
        Code::UnreadableMark,
        format!("{name} on the standby's operator is {text:?}, which are no seconds since 1970"),
    )
    .then(place.remove(name))
}

/// What each vantage point saw, in one line.
pub fn down(observations: &[Observation]) -> String {
    let each = observations
        .iter()
        .map(|it| format!("{}: {}", it.from, it.saw));
    each.collect::<Vec<_>>().join(", ")
}

/// Why the blind are blind.
pub(crate) fn blind(observations: &[Observation], witnesses: usize) -> Vec<Reason> {
    let ours = |which: Ours| observations.iter().any(|it| it.saw == Saw::Nothing(which));
    let what = down(observations);
    let mut reasons = Vec::new();
    if ours(Ours::Dns) {
        let text = format!("names do not resolve here, so the primary may be well ({what})");
        reasons.push(Reason::new(Code::OurDns, text).then("cat /etc/resolv.conf"));
    }
    if ours(Ours::Identity) {
        let text = format!("we are not let in, so the primary may be well ({what})");
        reasons.push(Reason::new(Code::OurIdentity, text).then("az account show"));
    }
    if ours(Ours::Network) {
        let text = format!("nothing else is reached from here either ({what})");
        reasons.push(Reason::new(Code::OurNetwork, text).then("ip route"));
    }
    if reasons.is_empty() {
        let text = if observations.is_empty() {
            "no vantage point has reported".to_owned()
        } else {
            format!("at least {witnesses} vantage points must see it down ({what})")
        };
        reasons.push(Reason::new(Code::TooFewWitnesses, text));
    }
    reasons
}

pub(crate) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64().ceil())
}
