//! Which state a node starts from: a decision without I/O.
//!
//! A snapshot that belongs to this cluster, local or in its own bucket; only when there is
//! none, the recovery source. What our own journal says comes first, though: once another cluster
//! has sealed it, nothing that we wrote down before may be continued, or data would fork.

use crate::state::EpochOffset;

/// A snapshot that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The cluster that it belongs to.
    pub cluster_id: String,
    /// Where its state stands.
    pub position: EpochOffset,
}

/// What is found in the cluster's own stream `global`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnJournal {
    /// Nothing was ever written.
    Empty,
    /// Nobody else has taken it over.
    Ours {
        /// Whether it holds the cluster's history from its creation on, so that no snapshot is needed.
        replayable: bool,
    },
    /// A recovery of ours has begun a term in it, and did not come to say so: what was there before is
    /// not all.
    Recovering,
    /// Another cluster has sealed it.
    Sealed {
        /// Id of the cluster that sealed it.
        by: String,
        /// The term that its seal began.
        term: u64,
    },
}

/// What there is to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings<'a> {
    /// Id of the cluster that starts.
    pub cluster_id: &'a str,
    /// The snapshot in the data folder.
    pub local: Option<Found>,
    /// The newest snapshot in the cluster's own bucket.
    pub own: Option<Found>,
    /// What this cluster's own stream `global` tells.
    pub journal: OwnJournal,
    /// Whether a recovery source is configured.
    pub recovery: bool,
}

/// The state to start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The snapshot in the data folder.
    Local,
    /// The newest snapshot in the cluster's own bucket.
    Own,
    /// The cluster's own journal, from its beginning.
    Replay,
    /// The recovery source: the other cluster's bucket.
    Recover,
    /// None: a new cluster.
    Create,
    /// Nothing can be started from.
    Refuse(Refusal),
}

/// Why nothing can be started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another cluster has taken over, and nobody has said that this one shall take over again:
    /// by deleting its snapshots and naming the recovery source, as a failback does.
    Fenced {
        /// Id of the cluster that sealed it.
        by: String,
        /// The term that its seal began.
        term: u64,
        /// Whether snapshots of before are still there.
        has_snapshots: bool,
    },
    /// The journal goes on from a snapshot that is not there any more.
    SnapshotsGone,
}

/// Decides what a node starts from.
pub fn choose(findings: &Findings<'_>) -> Choice {
    let ours = |found: &&Found| found.cluster_id == findings.cluster_id;
    let local = findings.local.as_ref().filter(ours);
    let own = findings.own.as_ref().filter(ours);
    if let OwnJournal::Sealed { by, term } = &findings.journal {
        // The local copy alone does not count: its disk may simply have survived.
        return if own.is_none() && findings.recovery {
            Choice::Recover
        } else {
            Choice::Refuse(Refusal::Fenced {
                by: by.clone(),
                term: *term,
                has_snapshots: own.is_some(),
            })
        };
    }
    // As above. What is in the cluster's own bucket is of a recovery that came to its end, or is looked
    // at again when it is found not to be followed by the journal.
    let local = local.filter(|_| own.is_some() || findings.journal != OwnJournal::Recovering);
    match (local, own) {
        (Some(local), Some(own)) if local.position < own.position => Choice::Own,
        (Some(_), _) => Choice::Local,
        (None, Some(_)) => Choice::Own,
        (None, None) => match findings.journal {
            OwnJournal::Ours { replayable: true } => Choice::Replay,
            _ if findings.recovery => Choice::Recover,
            OwnJournal::Empty => Choice::Create,
            _ => Choice::Refuse(Refusal::SnapshotsGone),
        },
    }
}

#[cfg(test)]
mod tests;
