//! A step as data: what is printed before anything happens, and what the engine goes by.

use std::fmt;
use std::time::Duration;

/// Names the steps. Whoever looks at one or acts matches over all of them, so that a step for which
/// nothing is done does not compile.
macro_rules! step_ids {
    ($($variant:ident $text:literal,)*) => {
        /// A step of one of the commands.
        #[allow(missing_docs)] // What each one is stands in its plan.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum StepId {
            $($variant,)*
        }

        impl StepId {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in records, on the command line and in JSON.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// Where a test can end the process: before it acts, behind that, and once it is written
            /// down.
            pub const fn failpoints(self) -> [&'static str; 3] {
                match self {
                    $(Self::$variant => [
                        concat!("runbook.", $text, ".before"),
                        concat!("runbook.", $text, ".after"),
                        concat!("runbook.", $text, ".recorded"),
                    ],)*
                }
            }
        }
    };
}

step_ids! {
    SecondaryServes "secondary-serves",
    EndpointKept "endpoint-kept",
    PrimaryDisabled "primary-disabled",
    SharedRouting "shared-routing",
    OwnSnapshot "own-snapshot",
    RollingUpdates "rolling-updates",
    Pools "pools",
    PoolsReady "pools-ready",
    Environment "environment",
    EnvironmentReady "environment-ready",
    Sizes "sizes",
    DedicatedRouting "dedicated-routing",
    Serves "serves",
    FailedOver "failed-over",
    AlertOff "alert-off",
    Paused "paused",
    PrimaryReachable "primary-reachable",
    PrimaryIngress "primary-ingress",
    PrimaryStopped "primary-stopped",
    SecondaryStopped "secondary-stopped",
    PrimaryClaims "primary-claims",
    ReverseEnvironment "reverse-environment",
    SecondaryRehearsed "secondary-rehearsed",
    FlushOnShutdown "flush-on-shutdown",
    SecondarySnapshot "secondary-snapshot",
    PrimarySnapshotsDeleted "primary-snapshots-deleted",
    PrimaryTopicReset "primary-topic-reset",
    LeftBehind "left-behind",
    TakenBack "taken-back",
    PrimaryStarted "primary-started",
    PrimaryRecovered "primary-recovered",
    FailoverClosed "failover-closed",
    EndpointOn "endpoint-on",
    EndpointOnline "endpoint-online",
    GlobalName "global-name",
    AlertsClosed "alerts-closed",
    AlertOn "alert-on",
    Quiet "quiet",
    Unpaused "unpaused",
    PrimaryHealthy "primary-healthy",
    PrimaryRehearsed "primary-rehearsed",
    SecondaryAsleep "secondary-asleep",
    SecondaryClaims "secondary-claims",
    StrimziStopped "strimzi-stopped",
    KafkaGone "kafka-gone",
    KafkaStateDeleted "kafka-state-deleted",
    StrimziStarted "strimzi-started",
    KafkaReady "kafka-ready",
    TopicReset "topic-reset",
    StandbyShape "standby-shape",
    SnapshotsDeleted "snapshots-deleted",
    Verified "verified",
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// For how long what a step has brought about must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It was true at its place, and a later step may change it.
    Once,
    /// Until that step is done: a run that is resumed looks at it again before that.
    Until(StepId),
}

/// A step of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Which one it is.
    pub id: StepId,
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
}

/// What a check finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is so already.
    Holds(String),
    /// It is not so yet.
    Open(String),
    /// It is not so, and nothing that a step does would make it so.
    Refused {
        /// What was found.
        why: String,
        /// What to do next.
        next: String,
    },
    /// Only a person can do it.
    Person {
        /// What has to be done.
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

    /// An answer that ends the run: why, and what to do next.
    pub fn refused(why: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Refused {
            why: why.into(),
            next: next.into(),
        }
    }

    /// What it says, for people.
    pub fn detail(&self) -> &str {
        match self {
            Self::Holds(text) | Self::Open(text) => text,
            Self::Refused { why, .. } => why,
            Self::Person { what } => what,
        }
    }
}

/// Makes a step.
macro_rules! step {
    ($id:ident, phase $phase:literal, manual $manual:literal, $name:literal,
     undo $undo:literal, waits $waits:literal, seconds $seconds:literal $(, holds $holds:expr)? $(, destroys $destroys:literal)?) => {
        $crate::step::Step {
            id: $crate::step::StepId::$id,
            phase: $phase,
            manual: $manual,
            name: $name,
            undo: $undo,
            waits_for: $waits,
            timeout: std::time::Duration::from_secs($seconds),
            destroys: false $(|| $destroys)?,
            holds: { let _holds = $crate::step::Holds::Once; $(let _holds = $holds;)? _holds },
        }
    };
}

pub(crate) use step;
