//! Which fault hits the primary in a drill.

use std::fmt;
use std::str::FromStr;

use crate::up::disaster::Disaster;

/// How much longer a slow bucket takes for each piece, in milliseconds.
const SLOW_BUCKET_MS: u64 = 200;

/// Which fault hits the primary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// All of it dies of SIGKILL.
    #[default]
    Kill,
    /// All its processes stop where they stand, and go on when it is over.
    Freeze,
    /// It lives, and nobody reaches it.
    Partition,
    /// It lives, and its bucket refuses it.
    DenyBucket,
    /// All of it dies, and its bucket, from which the standby has to recover, is slow. A slow bucket
    /// alone is no outage: the primary goes on.
    SlowBucket,
    /// Its ingress is scaled to 0: the controlled test of a pair that is no lab.
    Ingress,
}

impl Fault {
    /// Those that can hit a lab.
    pub const IN_A_LAB: [Self; 5] = [
        Self::Kill,
        Self::Freeze,
        Self::Partition,
        Self::DenyBucket,
        Self::SlowBucket,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Partition => "partition",
            Self::DenyBucket => "deny-bucket",
            Self::SlowBucket => "slow-bucket",
            Self::Ingress => "ingress",
        }
    }

    /// What is done to the lab.
    pub(super) fn disasters(self) -> &'static [Disaster] {
        match self {
            Self::Kill => &[Disaster::Kill],
            Self::Freeze => &[Disaster::Freeze],
            Self::Partition => &[Disaster::Partition],
            Self::DenyBucket => &[Disaster::DenyBucket],
            Self::SlowBucket => &[Disaster::SlowBucket(SLOW_BUCKET_MS), Disaster::Kill],
            Self::Ingress => &[],
        }
    }

    /// Whether it can be played only where the bucket is behind a wire.
    pub fn needs_azurite(self) -> bool {
        self.disasters().iter().any(|it| it.needs_azurite())
    }

    /// Whether the primary's processes live through it.
    pub fn is_survived(self) -> bool {
        !matches!(self, Self::Kill | Self::SlowBucket)
    }

    /// What is done, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Kill => "kill all of the primary region with SIGKILL",
            Self::Freeze => "stop all processes of the primary region where they stand (SIGSTOP)",
            Self::Partition => "cut the primary region off from the world and the other's bucket",
            Self::DenyBucket => "let the primary's bucket refuse the primary with 403",
            Self::SlowBucket => {
                "make the primary's bucket slow, and kill all of its region with SIGKILL"
            }
            Self::Ingress => "scale the primary's ingress to 0",
        }
    }

    /// Its mark in a picture.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Kill | Self::SlowBucket => "SIGKILL",
            Self::Freeze => "frozen",
            Self::Partition => "cut off",
            Self::DenyBucket => "bucket denied",
            Self::Ingress => "ingress at 0",
        }
    }

    /// What happened, in a sentence about the primary.
    pub fn happened(self) -> &'static str {
        match self {
            Self::Kill => "was killed with SIGKILL",
            Self::Freeze => "was frozen",
            Self::Partition => "was cut off",
            Self::DenyBucket => "was refused by its bucket",
            Self::SlowBucket => "was killed with SIGKILL, and its bucket made slow,",
            Self::Ingress => "lost its ingress",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::IN_A_LAB.into_iter().find(|it| it.as_str() == text);
        known.ok_or_else(|| {
            let names = Self::IN_A_LAB.map(Self::as_str).join(", ");
            format!("there is no such fault; there are {names}")
        })
    }
}
