//! What the cluster knows about itself, except segments (see [`crate::segment`]).
//!
//! Field names in JSON are camel case, as in the snapshots of the system that we stand in for.
//! Times are milliseconds since 1970, UTC.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::raw::entity;
use crate::recovery::LossReport;

/// A host's lasting name: the same after a restart on the same data folder.
pub type HostId = String;

/// A repository's id, unique for ever; part of its segments' object names. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryId(Arc<str>);

impl RepositoryId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for RepositoryId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl From<String> for RepositoryId {
    fn from(id: String) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for RepositoryId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RepositoryId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(&*crate::raw::Key::deserialize(deserializer)?.0))
    }
}

entity! {
    /// A bucket that holds segments. Exactly one of a cluster's buckets can be written to.
    pub struct BucketEntity {
        required {
            /// Referred to by segments; never used again for another place.
            id: u32 = "id",
            /// `azure`, `s3`, `gcp` or `local`.
            provider: String = "provider",
            /// The region; empty where the provider's variables have none.
            region: String = "region",
            /// Container or bucket name.
            container: String = "bucket",
            /// Base URL of the store, or the folder; with the container and the prefix it says
            /// where the bucket is.
            endpoint: String = "endpoint",
            /// What precedes all object names.
            key_prefix: String = "keyPrefix",
            /// Nothing is written there.
            read_only: bool = "readOnly",
            /// Where a node finds the credentials, never the credentials themselves: those of the
            /// cluster's own bucket in its environment (`env:AZURE_STORAGE_`), those of another in an
            /// object of the cluster's own (`object:credentials/1`, see [`crate::credentials`]).
            credentials: String = "credentials",
            /// Where a node finds the encryption key: `env:AZURE_STORAGE_ENCRYPTION_KEY`, or that
            /// object.
            encryption_key_ref: String = "encryptionKey",
        }
        optional {
            /// The storage account, where the store has such: several may have one endpoint.
            account: String = "account",
            /// The cluster whose own bucket it is; see [`crate::identity`]. Knows the bucket again
            /// when it is reached by another endpoint or mount.
            cluster_id: Option<String> = "clusterId",
        }
    }
}

entity! {
    /// An organisation; carried, not interpreted.
    pub struct Organization {
        required {
            /// Its id, unique among its kind.
            id: String = "id",
            /// Its name, as people see it.
            name: String = "name",
        }
        optional {}
    }
}

entity! {
    /// A person who may use the cluster.
    pub struct User {
        required {
            /// Its id, unique among users.
            id: String = "id",
            /// What the user signs in as; unique.
            username: String = "username",
        }
        optional {
            /// The full name, where one was given.
            full_name: Option<String> = "fullName",
            /// Whether the user may do everything.
            is_root: bool = "isRoot",
            /// SHA-256 of the user's API token, in hexadecimal, if one was made.
            api_token_hash: Option<String> = "apiTokenHash",
        }
    }
}

entity! {
    /// A repository: what events are sent to and searched in.
    pub struct Repository {
        required {
            /// Its id, unique for ever; part of the names of its segments.
            id: RepositoryId = "id",
            /// Its name; unique among repositories and views.
            name: String = "name",
        }
        optional {
            /// What it is for.
            description: Option<String> = "description",
            /// Events older than this many days may be deleted.
            retention_days: Option<u32> = "retentionDays",
            /// The oldest events beyond this many raw bytes may be deleted.
            retention_bytes: Option<u64> = "retentionBytes",
            /// When it was made.
            created_ms: i64 = "createdAt",
        }
    }
}

entity! {
    /// One repository below a view.
    pub struct ViewConnection {
        required {
            /// The repository that is shown.
            repository: RepositoryId = "repository",
        }
        optional {
            /// The query that limits what of it is seen; empty for everything.
            filter: String = "filter",
        }
    }
}

entity! {
    /// A view: a name for several repositories.
    pub struct View {
        required {
            /// Its id, unique among its kind.
            id: String = "id",
            /// Its name; unique among repositories and views.
            name: String = "name",
        }
        optional {
            /// The repositories that it shows.
            connections: Vec<ViewConnection> = "connections",
        }
    }
}

entity! {
    /// A dashboard. Its content is carried, not interpreted.
    pub struct Dashboard {
        required {
            /// Its id, unique among its kind.
            id: String = "id",
            /// Its name, as people see it.
            name: String = "name",
        }
        optional {}
    }
}

entity! {
    /// A parser of a repository.
    pub struct Parser {
        required {
            /// Its id, unique among its kind.
            id: String = "id",
            /// Its name; unique in the repository.
            name: String = "name",
        }
        optional {
            /// The repository; `None` for all.
            repository: Option<RepositoryId> = "repository",
            /// Its program, where it is not one of the built-in ones.
            script: String = "script",
        }
    }
}

entity! {
    /// An alert. Its query and actions are carried, not interpreted.
    pub struct Alert {
        required {
            /// Its id, unique among its kind.
            id: String = "id",
            /// Its name, as people see it.
            name: String = "name",
        }
        optional {
            /// Whether it runs (where the cluster runs alerts at all).
            enabled: bool = "enabled",
        }
    }
}

entity! {
    /// What a shipper presents. Only its hash is kept: the token is shown once, when it is made.
    pub struct IngestToken {
        required {
            /// Its id, unique among its kind.
            id: String = "id",
            /// Its name; unique in the repository.
            name: String = "name",
            /// SHA-256 of the token, in hexadecimal.
            token_hash: String = "tokenHash",
            /// Where its events go.
            repository: RepositoryId = "repository",
        }
        optional {
            /// The name of the parser that unparsed lines are given to.
            parser: Option<String> = "parser",
            /// When it was made.
            created_ms: i64 = "createdAt",
        }
    }
}

entity! {
    /// A process of the cluster.
    pub struct Host {
        required {
            /// Its lasting name: the same after a restart.
            id: HostId = "id",
            /// Which start of it: differs at every one.
            incarnation: String = "incarnation",
            /// Where the other nodes reach it.
            url: String = "url",
        }
        optional {
            /// What it does, as in `NODE_ROLES`.
            roles: Vec<String> = "roles",
            /// Counts its heartbeats since this start. Others watch it change; nobody's wall
            /// clock is compared.
            heartbeat: u64 = "heartbeat",
            /// How long its slowest heartbeat of late took to be written, in milliseconds: others
            /// are the more patient with it.
            pace_ms: u64 = "paceMs",
            /// For each partition that it writes: below which slot everything was in the journal at
            /// its last heartbeat.
            settled: Vec<(u32, u64)> = "settled",
            /// When it started, by its own clock; for people.
            started_ms: i64 = "startedAt",
            /// What the operator calls it: a number above 0, unique among the hosts that are up. 0 of
            /// one that an earlier version has started.
            vhost: u32 = "vhost",
            /// Where it is, as `ZONE` says.
            zone: Option<String> = "zone",
            /// Whether it is to own no partition any more, since it is to go.
            is_being_evicted: bool = "isBeingEvicted",
        }
    }
}

entity! {
    /// An ingest partition: one stream of the journal, one writer at a time.
    pub struct Partition {
        required {
            /// Its number, from 0.
            id: u32 = "id",
            /// The term of its latest owner; counts up with every one.
            term: u64 = "term",
            /// Entries below are in segments.
            covered: u64 = "covered",
            /// Entries below may be trimmed; never above `covered`.
            floor: u64 = "floor",
        }
        optional {
            /// The host that writes it; `None` while nobody does.
            owner: Option<HostId> = "owner",
            /// The index object that has the idempotency keys of the entries in segments, if one
            /// was written.
            window: Option<WindowIndex> = "window",
            /// For how long it has been written by living owners, in milliseconds: the clock by
            /// which its keys age. Goes on through recoveries; nobody's wall clock is in it.
            ran_ms: u64 = "ranMs",
            /// The highest term begun below `covered`.
            below: Option<TermBelow> = "termBelow",
        }
    }
}

impl Partition {
    /// The highest term begun below `seq`, where the state knows it: whoever reads on from there
    /// need not look back. `None` where it must (what earlier versions have written).
    pub fn term_below(&self, seq: u64) -> Option<u64> {
        let indexed = self.window.as_ref().and_then(|it| it.term_below(seq));
        term_below(seq, self.below.as_ref(), indexed)
    }
}

/// Nothing is below 0.
fn term_below(seq: u64, at: Option<&TermBelow>, indexed: Option<u64>) -> Option<u64> {
    let at = at.filter(|at| at.seq == seq).map(|at| at.term);
    at.or(indexed).or((seq == 0).then_some(0))
}

entity! {
    /// The highest term that was begun in a stream below a slot. It holds for this slot only: a
    /// version that does not know this field moves the position and leaves the field as it is.
    pub struct TermBelow {
        required {
            /// The slot below which the term was begun.
            seq: u64 = "seq",
            /// The highest term that was begun below that slot.
            term: u64 = "term",
        }
        optional {}
    }
}

entity! {
    /// Which index object has a partition's idempotency keys. Later ones are greater.
    pub struct WindowIndex {
        required {
            /// The term of the owner that wrote it.
            term: u64 = "term",
            /// Counts the objects of that term.
            number: u64 = "number",
            /// Of entries below, every key is in the object or its time is over.
            upto: u64 = "upto",
        }
        optional {
            /// The highest term begun below `upto`.
            below: Option<u64> = "termBelow",
        }
    }
}

impl WindowIndex {
    fn term_below(&self, seq: u64) -> Option<u64> {
        self.below.filter(|_| self.upto == seq)
    }
}

entity! {
    /// What was acknowledged by the source cluster but was in none of its segments yet: entries
    /// of its stream that this cluster takes in as its own events.
    pub struct RecoveredTail {
        required {
            /// The partition, in the source and here.
            partition: u32 = "partition",
            /// Entries of the source's stream from here on still exist (their batch keys belong
            /// to the window of duplicates).
            floor: u64 = "floor",
            /// The first entry that is in no segment.
            from: u64 = "from",
            /// The seal: the end.
            to: u64 = "to",
            /// Entries below are in segments of this cluster; done when it is `to`.
            imported: u64 = "imported",
        }
        optional {
            /// Where this cluster's own stream of that partition began with the recovery: what
            /// lies below is of an earlier life.
            begins: u64 = "begins",
            /// The source's index object of idempotency keys, in the source's bucket.
            window: Option<WindowIndex> = "window",
            /// Whether the source's keys are still only in its bucket: in no index object of this
            /// cluster.
            keys_pending: bool = "keysPending",
            /// The highest term begun below `from`.
            from_below: Option<u64> = "termBelowFrom",
            /// The highest term begun below `imported`.
            imported_below: Option<TermBelow> = "termBelowImported",
        }
    }
}

impl TermBelow {
    /// That `term` is the highest one begun below `seq`.
    pub fn at(seq: u64, term: u64) -> Self {
        Self {
            seq,
            term,
            extra: Default::default(),
        }
    }
}

impl RecoveredTail {
    /// The entries that are left to import.
    pub fn left(&self) -> u64 {
        self.to.saturating_sub(self.imported)
    }

    /// The highest term begun in the source's stream below `seq`, where the state knows it; see
    /// [`Partition::term_below`].
    pub fn term_below(&self, seq: u64) -> Option<u64> {
        let indexed = self.window.as_ref().and_then(|it| it.term_below(seq));
        let from = self.from_below.filter(|_| self.from == seq);
        term_below(seq, self.imported_below.as_ref(), from.or(indexed))
    }

    /// Whether nothing of it is left to import.
    pub fn is_imported(&self) -> bool {
        self.imported >= self.to
    }
}

entity! {
    /// That, and from what, this cluster was recovered.
    pub struct RecoveryRecord {
        required {
            /// Names this recovery; unique.
            id: String = "id",
            /// The cluster that was recovered.
            from_cluster: String = "fromCluster",
            /// The epoch of the snapshot that was taken.
            from_epoch: u64 = "fromEpoch",
            /// Up to where the source's `global` was replayed (its seal).
            from_offset: u64 = "fromOffset",
            /// The entity of the source's bucket.
            bucket: u32 = "bucketId",
            /// The epoch that began.
            epoch: u64 = "epoch",
            /// When, by the clock of the node that did it.
            at_ms: i64 = "at",
        }
        optional {
            /// What is to be imported from the source's partitions.
            tails: Vec<RecoveredTail> = "tails",
            /// What only the source's hosts had.
            loss: LossReport = "loss",
        }
    }
}
