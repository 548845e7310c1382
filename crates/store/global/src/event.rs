//! What changes the state: one entry of the stream `global` is a batch of events, applied whole.
//!
//! Events are JSON, externally tagged, so that entities in them carry unknown fields as exact
//! text (see [`crate::raw`]). A kind that this version does not know is an error, not skipped: a
//! node that passed over it would have another state than its neighbours.

use serde::{Deserialize, Serialize};

use crate::entity::{
    Alert, BucketEntity, Dashboard, Host, HostId, IngestToken, Organization, Parser, Repository,
    RepositoryId, User, View,
};
use crate::segment::{Segment, SegmentRef};

/// One change of the state. What may follow what is [`crate::State::check`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The first event of a cluster that was not recovered from another.
    ClusterCreated {
        /// The cluster's id, as in its bucket's `cluster.json`.
        cluster_id: String,
        /// The cluster's own bucket.
        bucket: BucketEntity,
        /// How many ingest partitions it has.
        partitions: u32,
    },
    /// The cluster was recovered; its state until then is the snapshot that was written with it.
    Recovered {
        /// The id of its [`crate::RecoveryRecord`].
        id: String,
        /// The epoch that begins.
        epoch: u64,
    },
    /// A host started (again).
    HostUp {
        /// The host, as it is from this start on.
        host: Host,
    },
    /// A host reports that it lives.
    Heartbeat {
        /// Id of the host.
        host: HostId,
        /// Higher than at its last heartbeat.
        counter: u64,
        /// How long its slowest one of late took, in milliseconds.
        #[serde(default, skip_serializing_if = "is_zero")]
        pace_ms: u64,
        /// For each partition that it writes: below which slot everything is in the journal. Whoever
        /// reads the partition and finds less has found a hole.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        settled: Vec<(u32, u64)>,
        /// For how long it has written its partitions since it said so last, in milliseconds by a
        /// clock that nobody sets. Only partitions of which it holds keys that age.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ran: Vec<(u32, u64)>,
    },
    /// A host ended, or was silent for its lease. Its partitions have no owner then.
    HostDown {
        /// Id of the host.
        host: HostId,
    },
    /// A host is to hand over its partitions, as it is to go; or is not to go after all.
    HostEvicted {
        /// Id of the host.
        host: HostId,
        /// Whether it is to go.
        evicted: bool,
    },
    /// A host takes a partition; it seals the stream with this term next.
    PartitionTaken {
        /// The partition's number.
        partition: u32,
        /// Id of the host that owns it from now on.
        host: HostId,
        /// The term before, plus one.
        term: u64,
    },
    /// Entries of a partition are in segments from now on.
    SegmentsPublished {
        /// The partition's number.
        partition: u32,
        /// The term under which the publisher owns the partition.
        term: u64,
        /// The first entry that they cover: up to where entries were covered before.
        covered_from: u64,
        /// The entry behind the last one that they cover.
        covered_to: u64,
        /// What was in those entries. Segments of a repository that was deleted meanwhile are
        /// left out when this is applied.
        segments: Vec<Segment>,
        /// The highest term begun below `covered_to`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        term_below: Option<u64>,
    },
    /// A partition's idempotency keys are in another index object from now on.
    WindowIndexed {
        /// The partition's number.
        partition: u32,
        /// The term under which the writer owns the partition.
        term: u64,
        /// Counts the objects of that term.
        number: u64,
        /// Of entries below, every key is in it or its time is over.
        upto: u64,
        /// Recoveries whose source's keys of this partition are in it from now on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        adopted: Vec<String>,
        /// The highest term begun below `upto`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        term_below: Option<u64>,
    },
    /// Entries of a partition may be trimmed.
    FloorAdvanced {
        /// The partition's number.
        partition: u32,
        /// The term under which the trimmer owns the partition.
        term: u64,
        /// Entries in slots below this one may be trimmed.
        floor: u64,
    },
    /// Entries of a recovered cluster's partition are in this cluster's segments from now on.
    TailImported {
        /// The id of its [`crate::RecoveryRecord`].
        recovery: String,
        /// The partition's number.
        partition: u32,
        /// The first entry: up to where entries were imported before.
        from: u64,
        /// The entry behind the last one.
        to: u64,
        /// What was in those entries.
        segments: Vec<Segment>,
        /// The highest term begun below `to`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        term_below: Option<u64>,
    },
    /// Segments are no longer part of the cluster (retention). Their objects may be deleted after.
    SegmentsDeleted {
        /// The segments that are deleted.
        segments: Vec<SegmentRef>,
    },
    /// A bucket is reached in another way than before: endpoint, region or credentials. Which one
    /// can be written to stays.
    BucketChanged {
        /// The entity with the same id.
        bucket: BucketEntity,
    },
    /// A repository was created.
    RepositoryCreated {
        /// The new repository.
        repository: Repository,
    },
    /// Another name, description or retention.
    RepositoryUpdated {
        /// The repository with the same id.
        repository: Repository,
    },
    /// A repository is gone, with its segments, tokens and parsers.
    RepositoryDeleted {
        /// Id of the repository.
        id: RepositoryId,
    },
    /// A view is made or replaced.
    ViewSet {
        /// The view as it is from now on.
        view: View,
    },
    /// A view is gone.
    ViewDeleted {
        /// Id of the entity.
        id: String,
    },
    /// A dashboard is made or replaced.
    DashboardSet {
        /// The dashboard as it is from now on.
        dashboard: Dashboard,
    },
    /// A dashboard is gone.
    DashboardDeleted {
        /// Id of the entity.
        id: String,
    },
    /// A parser is made or replaced.
    ParserSet {
        /// The parser as it is from now on.
        parser: Parser,
    },
    /// A parser is gone.
    ParserDeleted {
        /// Id of the entity.
        id: String,
    },
    /// An alert is made or replaced.
    AlertSet {
        /// The alert as it is from now on.
        alert: Alert,
    },
    /// An alert is gone.
    AlertDeleted {
        /// Id of the entity.
        id: String,
    },
    /// A new ingest token.
    IngestTokenAdded {
        /// The token as it is from now on; only the hash of what shippers present.
        token: IngestToken,
    },
    /// An ingest token is worth nothing from now on.
    IngestTokenRevoked {
        /// Id of the entity.
        id: String,
    },
    /// An organisation is made or replaced.
    OrganizationSet {
        /// The organisation as it is from now on.
        organization: Organization,
    },
    /// A user is made or replaced.
    UserSet {
        /// The user as it is from now on.
        user: User,
    },
    /// A user is gone.
    UserRemoved {
        /// Id of the entity.
        id: String,
    },
    /// A dynamic configuration gets a value, or (`None`) its default.
    DynamicConfigSet {
        /// Its name, such as `FlushSegmentsAndGlobalOnShutdown`.
        name: String,
        /// The value; `None` removes it.
        value: Option<String>,
    },
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
