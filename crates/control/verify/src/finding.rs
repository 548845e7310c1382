//! What a check finds: a word, a sentence, and what to do next.

use std::fmt;

use serde::Serialize;

/// What is checked. What comes first is told first: among those that fail, the first is the one to
/// look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The variables of the standby's nodes are those that follow from the pair's file.
    Environment,
    /// The secrets that it needs are there, with something in them.
    Secrets,
    /// The container to recover from is reached.
    RecoverySource,
    /// The recovering region's key opens what the other one has written.
    EncryptionKey,
    /// The newest snapshot is found, decrypted and understood.
    Snapshot,
    /// What follows it in the journal is read, patched and loaded.
    Journal,
    /// Every segment that the state names is there with its size.
    Segments,
    /// Segments decrypt, and hold as many events as the state says.
    SegmentContents,
    /// The recovering region's own container is reached.
    OwnBucket,
    /// The standby's own bucket holds no snapshot of an earlier life, which its node would start from,
    /// or be fenced with, instead of recovering.
    Clean,
    /// The operator's Deployment is there, with the replicas of a standby.
    Operator,
    /// The HumioCluster declares the node that will recover.
    Nodes,
    /// The services select pods that there will be.
    Services,
    /// Kafka is there.
    Kafka,
    /// The certificate for the global name.
    Certificate,
    /// Which endpoints there are, in which order, and whether they are enabled.
    Endpoints,
    /// How the profile routes and probes, and its TTL.
    TrafficManager,
    /// The alert that wakes the failover.
    Alert,
    /// What the alert calls answers, tried out with a test notification. Looked at only where that
    /// is asked for: it calls out.
    AlertChain,
    /// What we may do in the standby's cluster.
    Permissions,
    /// The secrets are the same in both regions.
    SecretsEqual,
    /// The images are the same in both regions.
    Versions,
}

impl Check {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::Environment,
        Self::Secrets,
        Self::RecoverySource,
        Self::EncryptionKey,
        Self::Snapshot,
        Self::Journal,
        Self::Segments,
        Self::SegmentContents,
        Self::OwnBucket,
        Self::Clean,
        Self::Operator,
        Self::Nodes,
        Self::Services,
        Self::Kafka,
        Self::Certificate,
        Self::Endpoints,
        Self::TrafficManager,
        Self::Alert,
        Self::AlertChain,
        Self::Permissions,
        Self::SecretsEqual,
        Self::Versions,
    ];

    /// Its name, as in the answer's JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Secrets => "secrets",
            Self::RecoverySource => "recovery-source",
            Self::EncryptionKey => "encryption-key",
            Self::Snapshot => "snapshot",
            Self::Journal => "journal",
            Self::Segments => "segments",
            Self::SegmentContents => "segment-contents",
            Self::OwnBucket => "own-bucket",
            Self::Clean => "clean",
            Self::Operator => "operator",
            Self::Nodes => "nodes",
            Self::Services => "services",
            Self::Kafka => "kafka",
            Self::Certificate => "certificate",
            Self::Endpoints => "endpoints",
            Self::TrafficManager => "traffic-manager",
            Self::Alert => "alert",
            Self::AlertChain => "alert-chain",
            Self::Permissions => "permissions",
            Self::SecretsEqual => "secrets-equal",
            Self::Versions => "versions",
        }
    }

    /// Whether it can be answered only while the primary's Kubernetes API answers. In the disaster
    /// itself it does not, and the standby is no less able for that.
    pub fn asks_primary(self) -> bool {
        matches!(self, Self::SecretsEqual | Self::Versions)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is not as it must be.
    Fails,
    /// It could not be looked at.
    Unknown,
    /// It is as it must be.
    Ok,
}

impl Outcome {
    /// `fails`, `unknown`, `ok`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fails => "fails",
            Self::Unknown => "unknown",
            Self::Ok => "ok",
        }
    }
}

/// What one check has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check that found it.
    pub check: Check,
    /// How it came out.
    pub outcome: Outcome,
    /// What was found.
    pub sentence: String,
    /// What to do about it; empty where nothing is to be done.
    pub next: String,
}

impl Finding {
    pub(crate) fn ok(check: Check, sentence: impl Into<String>) -> Self {
        Self {
            check,
            outcome: Outcome::Ok,
            sentence: sentence.into(),
            next: String::new(),
        }
    }

    pub(crate) fn fails(
        check: Check,
        sentence: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            check,
            outcome: Outcome::Fails,
            sentence: sentence.into(),
            next: next.into(),
        }
    }

    /// Why it could not be looked at.
    pub(crate) fn unknown(check: Check, why: impl Into<String>) -> Self {
        Self {
            check,
            outcome: Outcome::Unknown,
            sentence: why.into(),
            next: String::new(),
        }
    }

    /// Not looked at, because another check has to be mended first.
    pub(crate) fn behind(check: Check, first: Check) -> Self {
        Self::unknown(check, format!("not looked at before {first} is mended"))
    }

    /// Whether, by this, the standby cannot be called able. What is not known counts against it,
    /// except, unless `strict`, what only the primary's Kubernetes API could have told.
    pub fn says_no(&self, strict: bool) -> bool {
        match self.outcome {
            Outcome::Fails => true,
            Outcome::Unknown => strict || !self.check.asks_primary(),
            Outcome::Ok => false,
        }
    }
}
