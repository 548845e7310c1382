//! The whole metadata in memory, and the rules by which events change it.
//!
//! `check` and `apply` are pure, so every node that has read the same entries has the same state.
//! `check` is asked by the writer, against exactly the state that its entry will follow; readers
//! apply without asking again.

mod apply;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod arbitrary;
mod check;
mod pending;

pub use pending::Pending;

use std::collections::BTreeMap;

use crate::entity::{
    Alert, BucketEntity, Dashboard, Host, IngestToken, Organization, Parser, Partition,
    RecoveryRecord, Repository, RepositoryId, User, View,
};
use crate::raw::Extra;
use crate::segment::SegmentSet;

/// Where a state stands in the history of its cluster. Greater is later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochOffset {
    /// Counts recoveries: rises by one with each.
    pub epoch: u64,
    /// The slot of the cluster's own stream `global` that is applied next.
    pub offset: u64,
}

impl std::fmt::Display for EpochOffset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{epoch={} offset={}}}", self.epoch, self.offset)
    }
}

/// All metadata of a cluster, as it stands after some entry of `global`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The cluster that this is the state of; see [`crate::identity`].
    pub cluster_id: String,
    /// Counts recoveries in the line of clusters that this one continues.
    pub epoch: u64,
    /// The slot of the cluster's own stream `global` that is applied next.
    pub offset: u64,
    /// The highest term seen in the cluster's own stream `global`.
    pub term: u64,
    /// The buckets that hold segments, this cluster's own among them.
    pub buckets: Vec<BucketEntity>,
    /// Organisations, in no particular order.
    pub organizations: Vec<Organization>,
    /// Users, each with a unique name to sign in.
    pub users: Vec<User>,
    /// Repositories; their names are unique among them and the views.
    pub repositories: Vec<Repository>,
    /// Views: names for several repositories.
    pub views: Vec<View>,
    /// Dashboards, carried and not interpreted.
    pub dashboards: Vec<Dashboard>,
    /// Parsers, of one repository or of all.
    pub parsers: Vec<Parser>,
    /// Alerts, carried and not interpreted.
    pub alerts: Vec<Alert>,
    /// Ingest tokens, by their hashes.
    pub ingest_tokens: Vec<IngestToken>,
    /// Dynamic configuration: what has been set, by name.
    pub dynamic_config: BTreeMap<String, String>,
    /// Hosts that are up, or were when last heard of.
    pub hosts: Vec<Host>,
    /// Ingest partitions, by ascending id.
    pub partitions: Vec<Partition>,
    /// The recoveries that this cluster has been through, oldest first.
    pub recoveries: Vec<RecoveryRecord>,
    /// All segments, in whichever bucket they are.
    pub segments: SegmentSet,
    /// Top-level fields of other versions, carried as they are.
    pub extra: Extra,
}

/// The term of a new cluster's stream `global`. Its creation is an entry without a seal before it.
const FIRST_TERM: u64 = 1;

impl State {
    /// The state before the first event of a cluster.
    pub fn before_creation(cluster_id: impl Into<String>) -> Self {
        Self {
            cluster_id: cluster_id.into(),
            // What the creation is written under: whoever ends this cluster's stream, knowing no
            // later state, must come with a higher one.
            term: FIRST_TERM,
            ..Self::default()
        }
    }

    /// Where it stands: its epoch and offset.
    pub fn position(&self) -> EpochOffset {
        EpochOffset {
            epoch: self.epoch,
            offset: self.offset,
        }
    }

    /// Whether the cluster has begun to exist: created or recovered.
    pub fn is_created(&self) -> bool {
        !self.buckets.is_empty()
    }

    /// The bucket of that id.
    pub fn bucket(&self, id: u32) -> Option<&BucketEntity> {
        self.buckets.iter().find(|bucket| bucket.id == id)
    }

    /// The one bucket that can be written to.
    pub fn writable_bucket(&self) -> Option<&BucketEntity> {
        self.buckets.iter().find(|bucket| !bucket.read_only)
    }

    /// The repository of that id.
    pub fn repository(&self, id: &RepositoryId) -> Option<&Repository> {
        self.repositories.iter().find(|found| found.id == *id)
    }

    /// The repository of that name.
    pub fn repository_named(&self, name: &str) -> Option<&Repository> {
        self.repositories.iter().find(|found| found.name == name)
    }

    /// The view of that name.
    pub fn view_named(&self, name: &str) -> Option<&View> {
        self.views.iter().find(|found| found.name == name)
    }

    /// The ingest token with that hash (SHA-256, hexadecimal).
    pub fn ingest_token(&self, token_hash: &str) -> Option<&IngestToken> {
        self.ingest_tokens
            .iter()
            .find(|token| token.token_hash == token_hash)
    }

    /// The host of that id.
    pub fn host(&self, id: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.id == id)
    }

    /// The partition of that number.
    pub fn partition(&self, id: u32) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.id == id)
    }

    /// A dynamic configuration's value, if it has been set.
    pub fn dynamic(&self, name: &str) -> Option<&str> {
        self.dynamic_config.get(name).map(String::as_str)
    }

    /// Tails of recovered clusters that are not imported yet, with their recovery.
    pub fn pending_tails(
        &self,
    ) -> impl Iterator<Item = (&RecoveryRecord, &crate::entity::RecoveredTail)> {
        self.recoveries.iter().flat_map(|record| {
            let open = record.tails.iter().filter(|tail| !tail.is_imported());
            open.map(move |tail| (record, tail))
        })
    }
}

impl State {
    /// Recoveries whose source's idempotency keys of a partition are in no index of this cluster
    /// yet, oldest first, with where they are.
    pub fn pending_keys(
        &self,
        partition: u32,
    ) -> impl Iterator<Item = (&RecoveryRecord, &crate::entity::RecoveredTail)> {
        self.recoveries.iter().flat_map(move |record| {
            let tails = record.tails.iter();
            let pending = tails.filter(move |it| it.partition == partition && it.keys_pending);
            pending.map(move |tail| (record, tail))
        })
    }
}

/// Why an event cannot follow the state as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Reject {
    reason: String,
}

impl Reject {
    /// With a reason for people to read.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

#[cfg(test)]
mod tests;
