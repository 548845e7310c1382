//! What the engine asks of the state, in its own terms.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use backstay_global::{
    BucketEntity, Host, RecoveredTail, RecoveryRecord, RepositoryId, Segment, State,
};
use backstay_search::TimeRange;
use ring::digest::{SHA256, digest};

use super::api::{IngestTokenInfo, NotImported, RepositoryName, SearchError};
use super::keys::KeySources;
use super::plan::Sign;
use super::tails::Standing;

/// By which LogScale's operators ask for a full flush when a node is drained.
pub(crate) const FLUSH_ON_SHUTDOWN: &str = "FlushSegmentsAndGlobalOnShutdown";

/// A host as the engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostView {
    pub(crate) id: String,
    pub(crate) sign: Sign,
    /// How long its slowest heartbeat of late took, as it says.
    pub(crate) pace: Duration,
    pub(crate) url: String,
    pub(crate) ingests: bool,
    /// It is not to go.
    pub(crate) stays: bool,
    pub(crate) searches: bool,
}

impl From<&Host> for HostView {
    fn from(host: &Host) -> Self {
        Self {
            id: host.id.clone(),
            sign: Sign {
                incarnation: host.incarnation.clone(),
                counter: host.heartbeat,
            },
            pace: Duration::from_millis(host.pace_ms),
            url: host.url.clone(),
            ingests: !host.roles.iter().any(|role| role == "httponly"),
            stays: !host.is_being_evicted,
            searches: !host.roles.iter().any(|role| role == "ingestonly"),
        }
    }
}

/// The number of a host: the one that it has, or the lowest that is free.
pub(crate) fn vhost(state: &State, host: &str) -> u32 {
    if let Some(known) = state.host(host).filter(|known| known.vhost > 0) {
        return known.vhost;
    }
    let taken: BTreeSet<u32> = state.hosts.iter().map(|known| known.vhost).collect();
    (1..=u32::MAX)
        .find(|number| !taken.contains(number))
        .unwrap_or_default()
}

/// In API tokens of users, between what is found by them and the secret; in no other token of ours.
pub(crate) const API_TOKEN_MARK: char = '~';

/// SHA-256 of a token, as the state keeps it.
pub(crate) fn token_hash(token: &str) -> String {
    let hash = digest(&SHA256, token.as_bytes());
    hash.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// The name of the user who is root and whose API token this is.
pub(crate) fn root_user(state: &State, token: &str) -> Option<String> {
    let hash = token_hash(token);
    let mut users = state.users.iter();
    let user = users.find(|user| user.api_token_hash.as_ref() == Some(&hash))?;
    user.is_root.then(|| user.username.clone())
}

/// Where every partition is covered.
pub(crate) fn covered(state: &State) -> Vec<(u32, u64)> {
    let partitions = state.partitions.iter();
    partitions.map(|it| (it.id, it.covered)).collect()
}

/// The ids of all partitions.
pub(crate) fn partitions(state: &State) -> Vec<u32> {
    state.partitions.iter().map(|it| it.id).collect()
}

/// Where a partition stands.
pub(crate) fn standing(state: &State, partition: u32) -> Standing {
    state
        .partition(partition)
        .map_or_else(Standing::default, |it| Standing {
            covered: it.covered,
            floor: it.floor,
            below: it.term_below(it.covered),
        })
}

/// What the owner of a partition has said of it last: who it is, and below which slot everything
/// was in the journal then. `None` while there is no owner, or it has not said anything yet.
pub(crate) fn settled(state: &State, partition: u32) -> Option<(String, u64)> {
    let owner = state.partition(partition)?.owner.clone()?;
    let host = state.host(&owner)?;
    let said = host.settled.iter().find(|(id, _)| *id == partition)?;
    Some((owner, said.1))
}

/// Who owns which partition, under which term.
pub(crate) fn ownership(state: &State) -> Vec<(u32, Option<String>, u64)> {
    let partitions = state.partitions.iter();
    partitions
        .map(|it| (it.id, it.owner.clone(), it.term))
        .collect()
}

/// Whether `host` holds `partition` under `term`.
pub(crate) fn holds(state: &State, partition: u32, host: &str, term: u64) -> bool {
    state
        .partition(partition)
        .is_some_and(|it| it.owner.as_deref() == Some(host) && it.term == term)
}

/// The hosts that are up as far as the state knows.
pub(crate) fn hosts(state: &State) -> Vec<HostView> {
    state.hosts.iter().map(HostView::from).collect()
}

/// The id of the repository of that name.
pub(crate) fn repository_id(state: &State, name: &str) -> Option<RepositoryId> {
    state.repository_named(name).map(|it| it.id.clone())
}

/// The repositories that a search in a repository or view of that name reads, each once, with their
/// names.
///
/// # Errors
/// Where there is none of that name, or a view of it that filters: its searchers must not see more.
pub(crate) fn searched(
    state: &State,
    name: &str,
) -> Result<BTreeMap<RepositoryId, Arc<str>>, SearchError> {
    if let Some(id) = repository_id(state, name) {
        return Ok(BTreeMap::from([(id, name.into())]));
    }
    let view = state.view_named(name);
    let view = view.ok_or_else(|| SearchError::NoRepository {
        name: name.to_owned(),
    })?;
    let filtered = |filter: &str| !matches!(filter.trim(), "" | "*");
    if let Some(it) = view.connections.iter().find(|it| filtered(&it.filter)) {
        let repository = state.repository(&it.repository);
        return Err(SearchError::Filtered {
            view: name.to_owned(),
            repository: repository.map_or_else(String::new, |it| it.name.clone()),
        });
    }
    let connected = view.connections.iter().map(|connection| {
        // The state has every repository that a view shows.
        let repository = state.repository(&connection.repository);
        let name = repository.map_or("", |it| it.name.as_str());
        (connection.repository.clone(), name.into())
    });
    Ok(connected.collect())
}

/// The segments that a search may have to read. Those that are in no bucket were lost with their
/// hosts; the recovery has listed them.
pub(crate) fn segments<'a>(
    state: &State,
    repositories: impl Iterator<Item = &'a RepositoryId>,
    range: TimeRange,
) -> Vec<Segment> {
    repositories
        .flat_map(|repository| {
            let all = &state.segments;
            all.overlapping(repository, range.start_ms, range.end_ms)
        })
        .filter(|segment| segment.bucket != backstay_global::NO_BUCKET)
        .cloned()
        .collect()
}

/// The buckets by id.
pub(crate) fn buckets(state: &State) -> BTreeMap<u32, BucketEntity> {
    let buckets = state.buckets.iter();
    buckets.map(|it| (it.id, it.clone())).collect()
}

/// The buckets of other clusters, and whether anything that is searched or to be imported is there.
pub(crate) fn foreign_buckets(state: &State) -> Vec<(BucketEntity, bool)> {
    let foreign = state.buckets.iter().filter(|it| it.read_only);
    // Idempotency keys that are still only there are needed by whoever takes a partition over.
    let waits = |record: &RecoveryRecord| {
        let mut tails = record.tails.iter();
        tails.any(|tail| !tail.is_imported() || tail.keys_pending)
    };
    let mut needed: BTreeSet<u32> = state
        .recoveries
        .iter()
        .filter(|record| waits(record))
        .map(|record| record.bucket)
        .collect();
    needed.extend(state.segments.buckets());
    foreign
        .map(|it| (it.clone(), needed.contains(&it.id)))
        .collect()
}

/// What an ingest token allows.
pub(crate) fn ingest_token(state: &State, token: &str) -> Option<IngestTokenInfo> {
    let token = state.ingest_token(&token_hash(token))?;
    let repository = state.repository(&token.repository)?;
    Some(IngestTokenInfo {
        repository: RepositoryName::new(repository.name.as_str()),
        parser: token.parser.clone(),
    })
}

/// Whether a drained node writes all segments first.
pub(crate) fn flush_on_shutdown(state: &State) -> bool {
    state.dynamic(FLUSH_ON_SHUTDOWN) == Some("true")
}

/// What a recovered cluster had acknowledged and this one has in no segment yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PendingTail {
    /// Id of the recovery that it is of.
    pub(crate) recovery: String,
    /// The cluster that was recovered.
    pub(crate) from_cluster: String,
    /// The bucket that it lies in.
    pub(crate) bucket: u32,
    pub(crate) partition: u32,
    /// Entries below are in segments.
    pub(crate) imported: u64,
    /// The slot at which it ends.
    pub(crate) to: u64,
    /// The highest term begun below `imported`, where the state knows it.
    pub(crate) below: Option<u64>,
}

/// The tails of recovered clusters that are not imported yet, of the oldest recovery first.
pub(crate) fn pending_tails(state: &State) -> Vec<PendingTail> {
    state.pending_tails().map(pending_tail).collect()
}

fn pending_tail((record, tail): (&RecoveryRecord, &RecoveredTail)) -> PendingTail {
    PendingTail {
        recovery: record.id.clone(),
        from_cluster: record.from_cluster.clone(),
        bucket: record.bucket,
        partition: tail.partition,
        imported: tail.imported,
        to: tail.to,
        below: tail.term_below(tail.imported),
    }
}

/// The same for people, by the bucket that it lies in.
pub(crate) fn not_imported(state: &State) -> Vec<NotImported> {
    let pending = state.pending_by_bucket(None).into_iter();
    let shown = pending.map(|it| NotImported {
        entries: it.entries(),
        partitions: it.tails.len(),
        from_cluster: it.cluster,
        bucket: it.bucket,
        container: it.container,
    });
    shown.collect()
}

/// What is left of a tail that was pending in this state or an earlier one.
pub(crate) fn still_pending(state: &State, tail: &PendingTail) -> Option<PendingTail> {
    let mut pending = state.pending_tails();
    let found =
        pending.find(|(record, it)| record.id == tail.recovery && it.partition == tail.partition);
    found.map(pending_tail)
}

/// Where a tail stands that was pending in this state or an earlier one.
pub(crate) fn standing_of_tail(state: &State, tail: &PendingTail) -> Standing {
    let left = still_pending(state, tail);
    let (covered, below) = left.map_or((tail.to, None), |it| (it.imported, it.below));
    Standing {
        covered,
        floor: 0,
        below,
    }
}

/// The clock of a partition.
pub(crate) fn ran_ms(state: &State, partition: u32) -> u64 {
    state.partition(partition).map_or(0, |it| it.ran_ms)
}

/// Up to where the keys of a partition are in an index object.
pub(crate) fn indexed(state: &State, partition: u32) -> u64 {
    let window = state.partition(partition).and_then(|it| it.window.as_ref());
    window.map_or(0, |it| it.upto)
}

/// Where the keys of a partition are.
pub(crate) fn key_sources(state: &State, partition: u32) -> KeySources {
    let pending = state.pending_keys(partition);
    let standing = standing(state, partition);
    let from = standing.floor.max(indexed(state, partition));
    let known = state.partition(partition);
    KeySources {
        standing,
        ran_ms: ran_ms(state, partition),
        own: known.and_then(|it| it.window.clone()),
        from,
        below: known.and_then(|it| it.term_below(from)),
        pending: pending
            .map(|(record, tail)| (record.id.clone(), record.bucket, tail.clone()))
            .collect(),
    }
}

/// Whether all that a recovery found in a partition is in segments.
pub(crate) fn is_imported(state: &State, recovery: &str, partition: u32) -> bool {
    let mut pending = state.pending_tails();
    !pending.any(|(record, tail)| record.id == recovery && tail.partition == partition)
}

/// Whether something is still to be read from what the partition's stream in the bucket `own` held
/// before the latest recovery. After a failback, this cluster's bucket is a source of the other's.
pub(crate) fn is_needed(state: &State, partition: u32, own: u32) -> bool {
    let here = |(record, tail): (&RecoveryRecord, &RecoveredTail)| {
        record.bucket == own && tail.partition == partition
    };
    state.pending_tails().any(here) || state.pending_keys(partition).any(here)
}

#[cfg(test)]
mod tests;
