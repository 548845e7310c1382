//! A recovery that is only rehearsed: the real loader, with the source's bucket opened to be read
//! and, in place of the cluster's own bucket, a folder that is thrown away.
//!
//! It is the very code that a starting node runs: find the newest snapshot, decrypt, unpack and
//! parse it, read the journal to its end, patch, write the patched state down. What makes it safe is
//! not that it is careful but that it cannot do otherwise: the loader opens a source that it is not
//! to seal with [`Bucket::open_to_read`], which refuses every write before anything is sent. So it
//! runs in our own process; a further one would have to be handed the keys.
//!
//! Left out, besides the seals, are only the node's own start and the import of the unread ends of
//! partitions, which goes on while the node answers already.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay_bucket::{Bucket, BucketConfig, Role, Secret};
use backstay_cluster::loader;
use backstay_global::credentials::OpenError;
use backstay_global::recovery::{LoadError, LoadOptions, RecoverFrom, load};
use backstay_global::{
    EpochOffset, Pending, RecoveryRecord, State, credentials, identity, snapshot,
};
use backstay_journal::{Entry, EntryKind, Reading, StreamId, WriterId};
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, stream};
use uuid::Uuid;

/// Streams that a recovery seals at the same time.
const CONCURRENT_SEALS: u32 = 8;
/// Requests that a seal takes: to find the end and to write there, in the source and in the cluster's
/// own bucket.
const REQUESTS_PER_SEAL: u32 = 4;
/// Entries that are looked at from the end of a partition for one with events. A seal or two may
/// come behind it.
const MAX_ENTRIES_SEARCHED: u64 = 16;
/// How often it begins again because a living source has pruned what it was about to read.
const MAX_ATTEMPTS: u32 = 3;

/// What a rehearsal has found.
pub(crate) struct Rehearsed {
    /// The patched state.
    pub(crate) state: Arc<State>,
    /// The source's bucket, opened to be read.
    pub(crate) source: Bucket,
    /// The entity of the source's bucket in the state.
    pub(crate) source_id: u32,
    /// The buckets before the source's, opened with what a recovery would keep of them; or why not.
    pub(crate) chain: BTreeMap<u32, Result<Bucket, OpenError>>,
    /// The source's cluster.
    pub(crate) from_cluster: String,
    /// The snapshot that was taken; `None` if the source has not written any yet, and all comes
    /// from its journal.
    pub(crate) snapshot: Option<EpochOffset>,
    /// Up to where its journal was read.
    pub(crate) read_to: EpochOffset,
    /// Entries of partitions that are in no segment yet.
    pub(crate) unread: u64,
    /// Those of them that are not in the source's own journal.
    pub(crate) elsewhere: Vec<Pending>,
    /// When the newest recoverable events were stored, by the store's clock, if any are still in
    /// the journal.
    pub(crate) newest: Option<DateTime<Utc>>,
    /// From the first request to the patched state.
    pub(crate) took: Duration,
    /// What is to be expected of a node: the same, and the seals.
    pub(crate) expected: Duration,
    /// What is in no bucket, in words; empty if nothing.
    pub(crate) lost: String,
}

/// Why it could not be rehearsed.
#[derive(Debug)]
pub(crate) enum Unrehearsed {
    /// This machine's fault.
    Here(String),
    /// The source has no snapshot, and its journal does not hold all of its history: it was itself
    /// recovered, or trimmed.
    NoSnapshot {
        /// The source's container.
        container: String,
    },
    /// The recovery would have met this.
    Load(Box<LoadError>),
}

impl From<LoadError> for Unrehearsed {
    fn from(error: LoadError) -> Self {
        Self::Load(Box::new(error))
    }
}

/// Rehearses. `own` is the id of the recovering cluster, if it has one already: seals in its name
/// are its own, not a third cluster's.
pub(crate) async fn rehearse(
    from: &RecoverFrom,
    own: Option<&str>,
) -> Result<Rehearsed, Unrehearsed> {
    let mut round = 1;
    loop {
        match once(from, own).await {
            Err(Unrehearsed::Load(error)) if pruned(&error) => {
                if round == MAX_ATTEMPTS {
                    return Err(missing_snapshot(from)
                        .await
                        .unwrap_or_else(|| (*error).into()));
                }
                round += 1;
            }
            done => return done,
        }
    }
}

/// Whether what was just listed is gone: the next look finds what is newer.
fn pruned(error: &LoadError) -> bool {
    match error {
        LoadError::Snapshot(error) => error.is_missing(),
        LoadError::Tail(backstay_journal::TailError::Trimmed { .. }) => true,
        _ => false,
    }
}

/// Whether nothing newer is found because there is nothing at all.
async fn missing_snapshot(from: &RecoverFrom) -> Option<Unrehearsed> {
    let source = Bucket::open_to_read(from.bucket.clone()).await.ok()?;
    let id = identity::read(&source).await.ok()?;
    let newest = snapshot::newest(&source, id.as_deref()).await.ok()?;
    newest.is_none().then(|| Unrehearsed::NoSnapshot {
        container: source.config().container.clone(),
    })
}

async fn once(from: &RecoverFrom, own: Option<&str>) -> Result<Rehearsed, Unrehearsed> {
    let here = |what: &str, error: &dyn std::fmt::Display| {
        Unrehearsed::Here(format!(
            "{what}: {error}; give the temporary folder (TMPDIR) room"
        ))
    };
    let folder = tempfile::Builder::new()
        .prefix("backstay-verify-")
        .tempdir()
        .map_err(|error| here("no temporary folder", &error))?;
    // Its key is thrown away with it.
    let key = Secret::new(format!("{}{}", Uuid::new_v4(), Uuid::new_v4()));
    let config = BucketConfig {
        deadline: from.bucket.deadline,
        ..BucketConfig::local(folder.path().join("bucket"), key, Role::Own)
    };
    let scratch = Bucket::open(config)
        .await
        .map_err(|error| here("no temporary bucket", &error))?;
    let name = own.map_or_else(|| Uuid::new_v4().simple().to_string(), str::to_owned);
    identity::establish(&scratch, &name)
        .await
        .map_err(|error| here("no temporary bucket", &error))?;
    let data = folder.path().join("data");
    tokio::fs::create_dir(&data)
        .await
        .map_err(|error| here("no temporary folder", &error))?;
    let options = LoadOptions {
        own: scratch.clone(),
        recover_from: Some(RecoverFrom {
            without_seal: true,
            ..from.clone()
        }),
        data_dir: data,
        writer: WriterId(format!("verify-{}", Uuid::new_v4().simple())),
        partitions: 1,
        // The cluster's own bucket is a folder here; the real one is judged by its variables.
        multiple_endpoints: true,
        source_reading: Reading::default(),
    };
    let began = Instant::now();
    let loaded = load(&options).await?;
    let took = began.elapsed();
    let state = loaded.log.state();
    let (Some(source), Some(record)) = (loaded.source, state.recoveries.last()) else {
        return Err(Unrehearsed::Here(
            "the loader has not recovered anything".to_owned(),
        ));
    };
    let chain = chain(&scratch, &state, own, record.bucket).await;
    let asked = Instant::now();
    identity::read(&source).await.map_err(LoadError::from)?;
    let round_trip = asked.elapsed();
    let newest = newest(&source, record).await;
    let lost = match record.loss.is_empty() {
        true => String::new(),
        false => record.loss.to_string(),
    };
    let pending = state.pending_tails();
    let unread = pending.map(|(_, tail)| tail.left());
    Ok(Rehearsed {
        source_id: record.bucket,
        chain,
        from_cluster: record.from_cluster.clone(),
        snapshot: taken(&loaded.lines),
        read_to: EpochOffset {
            epoch: record.from_epoch,
            offset: record.from_offset,
        },
        unread: unread.sum(),
        elsewhere: state.pending_by_bucket(Some(&record.id)),
        newest,
        took,
        expected: expected(took, round_trip, state.partitions.len()),
        lost,
        source,
        state: Arc::clone(&state),
    })
}

/// Opens all buckets but the cluster's own and the source's. Each is asked on its own: one that is dark
/// keeps no other waiting.
async fn chain(
    scratch: &Bucket,
    state: &State,
    own: Option<&str>,
    source: u32,
) -> BTreeMap<u32, Result<Bucket, OpenError>> {
    let further = state.buckets.iter().filter(|it| {
        it.read_only && it.id != source && !(own.is_some() && it.cluster_id.as_deref() == own)
    });
    let opened = further.map(|entity| async move {
        let opened = credentials::open_kept(scratch, entity).await;
        (entity.id, opened)
    });
    futures::future::join_all(opened)
        .await
        .into_iter()
        .collect()
}

/// The time of a recovery: what was measured, and the seals, which were left out.
fn expected(took: Duration, round_trip: Duration, partitions: usize) -> Duration {
    let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
    // `global` comes before the partitions.
    let turns = partitions.div_ceil(CONCURRENT_SEALS).saturating_add(1);
    let requests = turns.saturating_mul(REQUESTS_PER_SEAL);
    took.saturating_add(round_trip.saturating_mul(requests))
}

/// The snapshot that the loader says it has found in the source: the last one that it speaks of, for
/// what it finds in the cluster's own bucket comes before, and there is none.
fn taken(lines: &[String]) -> Option<EpochOffset> {
    let found = lines
        .iter()
        .rev()
        .find_map(|line| match loader::read(line) {
            Some(loader::Line::Found(position)) => Some(position),
            _ => None,
        })?;
    Some(EpochOffset {
        epoch: found.epoch,
        offset: found.offset,
    })
}

/// When the newest entry with events was stored. An entry that cannot be looked at says nothing.
async fn newest(source: &Bucket, record: &RecoveryRecord) -> Option<DateTime<Utc>> {
    stream::iter(&record.tails)
        .map(|tail| last_stored(source, StreamId::Partition(tail.partition), tail.to))
        .buffer_unordered(CONCURRENT_SEALS as usize)
        .filter_map(std::future::ready)
        .fold(None, |newest: Option<DateTime<Utc>>, time| {
            std::future::ready(Some(newest.map_or(time, |newest| newest.max(time))))
        })
        .await
}

async fn last_stored(source: &Bucket, stream: StreamId, end: u64) -> Option<DateTime<Utc>> {
    for seq in (end.saturating_sub(MAX_ENTRIES_SEARCHED)..end).rev() {
        let key = stream.key(seq);
        let bytes = source.get(&key).await.ok()?;
        let entry = Entry::decode_at(stream, seq, &bytes).ok()?;
        if entry.kind == EntryKind::Data {
            return Some(source.head(&key).await.ok()?.modified);
        }
    }
    None
}

#[cfg(test)]
mod tests;
