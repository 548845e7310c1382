//! Making another cluster's state our own: pure, and the same when done twice.
//!
//! What it changes is listed here; everything else is carried over to the byte.
//! - Cluster id, epoch, offset and term become ours.
//! - Region strings, and bucket names where asked, are replaced.
//! - The source's bucket gets the recovery endpoint and becomes read-only; our own becomes the one
//!   writable bucket. Each of the others names the object in which its credentials are kept.
//! - Hosts are dropped, partitions have no owner and begin behind what our own streams hold, no
//!   segment is on any host.
//! - Segments that were in no bucket are taken out and listed as lost.
//! - A record of the recovery is added, with what is to be imported from the source's partitions,
//!   and where their idempotency keys are. How long each partition has run (the clock by which the
//!   keys age) is carried over.

use std::collections::BTreeMap;

use crate::credentials;
use crate::entity::{BucketEntity, RecoveredTail, RecoveryRecord, TermBelow};
use crate::recovery::loss::Losses;
use crate::recovery::{LossReport, Place, Replace};
use crate::segment::NO_BUCKET;
use crate::state::{EpochOffset, State};

/// Where a partition begins on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionStart {
    /// The term of the seal in our own stream.
    pub term: u64,
    /// The slot of that seal: nothing below is ours.
    pub start: u64,
}

/// What a patch needs to know besides the state.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchInput {
    /// Id of our cluster, which the state shall become that of.
    pub cluster_id: String,
    /// Where our state begins.
    pub position: EpochOffset,
    /// The term that we began in our own stream `global`.
    pub term: u64,
    /// Where our cluster's own bucket is.
    pub own: Place,
    /// The source's bucket, as we reach it.
    pub source: Place,
    /// What to replace in the regions of buckets (`…_RECOVER_FROM_REPLACE_REGION`).
    pub replace_region: Option<Replace>,
    /// What to replace in the names of containers (`…_RECOVER_FROM_REPLACE_BUCKET`).
    pub replace_bucket: Option<Replace>,
    /// Where the partitions begin; one that is not named begins at 0.
    pub partitions: BTreeMap<u32, PartitionStart>,
    /// Id of this recovery; unique.
    pub recovery: String,
    /// Id of the cluster that is recovered.
    pub from_cluster: String,
    /// Up to where its state was read.
    pub from: EpochOffset,
    /// The time, in milliseconds since 1970.
    pub at_ms: i64,
    /// What is to be imported from its partitions.
    pub tails: Vec<RecoveredTail>,
}

/// The result of [`patch`].
#[derive(Clone, Debug, PartialEq)]
pub struct Patched {
    /// The state, of our cluster now.
    pub state: State,
    /// What only the lost hosts had.
    pub loss: LossReport,
    /// What was done, in the words of `DataSnapshotLoader`.
    pub log: Vec<String>,
}

/// Turns the source's state into one of our cluster, which goes on from there.
pub fn patch(mut state: State, input: &PatchInput) -> Patched {
    let mut log = Vec::new();
    let source = source_bucket(&mut state.buckets, input);
    let own = own_bucket(&mut state.buckets, input, source);
    let moved = moved(&state.buckets, source, own, &input.own);
    for (at, bucket) in state.buckets.iter_mut().enumerate() {
        if at == own {
            take_over(bucket, input);
        } else {
            leave(bucket, at == source, input, &mut log);
        }
    }
    log.push(moved);
    let source_id = state.buckets.get(source).map_or(NO_BUCKET, |it| it.id);
    state.hosts.clear();
    for partition in &mut state.partitions {
        partition.owner = None;
        let begin = input.partitions.get(&partition.id);
        partition.term = begin.map_or(partition.term, |begin| begin.term);
        partition.covered = begin.map_or(0, |begin| begin.start);
        partition.floor = partition.covered;
        // Its object is in the source's bucket; the record of the recovery names it.
        partition.window = None;
        // What is read from there on begins with that seal.
        partition.below = begin.map(|begin| TermBelow::at(begin.start, begin.term));
    }
    let mut losses = Losses::default();
    state.segments.retain_mut(|segment| {
        if segment.bucket == NO_BUCKET {
            losses.add(segment);
            return false;
        }
        if let Some(rest) = &mut segment.rest {
            rest.hosts.clear();
            rest.imported_by = None;
            if rest.extra.is_empty() {
                segment.rest = None;
            }
        }
        true
    });
    let loss = losses.report(&state);
    state.cluster_id.clone_from(&input.cluster_id);
    state.epoch = input.position.epoch;
    state.offset = input.position.offset;
    state.term = input.term;
    if !state.recoveries.iter().any(|it| it.id == input.recovery) {
        let mut tails = input.tails.clone();
        for tail in &mut tails {
            let begin = input.partitions.get(&tail.partition);
            tail.begins = begin.map_or(0, |begin| begin.start);
        }
        state.recoveries.push(RecoveryRecord {
            id: input.recovery.clone(),
            from_cluster: input.from_cluster.clone(),
            from_epoch: input.from.epoch,
            from_offset: input.from.offset,
            bucket: source_id,
            epoch: input.position.epoch,
            at_ms: input.at_ms,
            tails,
            loss: loss.clone(),
            extra: Default::default(),
        });
    }
    Patched { state, loss, log }
}

/// Which is the source's bucket: the one that says so, or else the one that could be written to,
/// which is a cluster's own.
fn source_bucket(buckets: &mut Vec<BucketEntity>, input: &PatchInput) -> usize {
    let of = |bucket: &BucketEntity, id: &String| bucket.cluster_id.as_ref() == Some(id);
    let said = buckets.iter().position(|it| of(it, &input.from_cluster));
    if let Some(at) = said {
        return at;
    }
    let writable = |it: &BucketEntity| !it.read_only && !of(it, &input.cluster_id);
    match buckets.iter().position(writable) {
        Some(at) => {
            if let Some(bucket) = buckets.get_mut(at) {
                // From now on it says so.
                bucket.cluster_id = Some(input.from_cluster.clone());
            }
            at
        }
        None => {
            let id = free_id(buckets);
            buckets.push(input.source.entity(id, &input.from_cluster, true));
            buckets.len() - 1
        }
    }
}

/// Which is our own bucket; it is added if the source has never heard of it.
fn own_bucket(buckets: &mut Vec<BucketEntity>, input: &PatchInput, source: usize) -> usize {
    let said = |it: &BucketEntity| it.cluster_id.as_ref() == Some(&input.cluster_id);
    let unsaid = |it: &BucketEntity| it.cluster_id.is_none() && input.own.is_of(it);
    let other = |at: &usize| *at != source;
    let find = |is_ours: &dyn Fn(&BucketEntity) -> bool| {
        let mut all = buckets.iter().enumerate();
        all.find_map(|(at, it)| (other(&at) && is_ours(it)).then_some(at))
    };
    if let Some(at) = find(&said).or_else(|| find(&unsaid)) {
        return at;
    }
    let id = free_id(buckets);
    buckets.push(input.own.entity(id, &input.cluster_id, false));
    buckets.len() - 1
}

fn free_id(buckets: &[BucketEntity]) -> u32 {
    let highest = buckets.iter().map(|bucket| bucket.id).max();
    highest.unwrap_or(NO_BUCKET).saturating_add(1)
}

/// Our own bucket is as our environment says.
fn take_over(bucket: &mut BucketEntity, input: &PatchInput) {
    let mut region = input.own.region.clone();
    if region.is_empty() {
        // Azure's variables name none; what the replacement leads to is where we are.
        region = match &input.replace_region {
            Some(replace) => replace.to.clone(),
            None => bucket.region.clone(),
        };
    }
    let fresh = input.own.entity(bucket.id, &input.cluster_id, false);
    let extra = std::mem::take(&mut bucket.extra);
    *bucket = BucketEntity {
        region,
        extra,
        ..fresh
    };
}

/// Which bucket was written to, by the name that it has there, and which one is from now on.
fn moved(buckets: &[BucketEntity], source: usize, own: usize, place: &Place) -> String {
    let id = |at: usize| buckets.get(at).map_or(NO_BUCKET, |it| it.id);
    let from = buckets.get(source).map_or("", |it| &it.container);
    format!(
        "{LOG_PREFIX} the bucket that is written to changes from bucketId={} bucket={from} to bucketId={} bucket={}",
        id(source),
        id(own),
        place.container
    )
}

/// What the lines begin with.
const LOG_PREFIX: &str = "updateSnapshotForDisasterRecovery:";

/// A bucket that is not ours.
fn leave(bucket: &mut BucketEntity, is_source: bool, input: &PatchInput, log: &mut Vec<String>) {
    let id = bucket.id;
    // One that has never said its region (Azure's variables name none) is where the variable says.
    let is_unsaid = is_source && bucket.region.is_empty();
    if let Some(Replace { from, to }) = &input.replace_region
        && (bucket.region == *from || is_unsaid)
    {
        bucket.region.clone_from(to);
        log.push(format!(
            "{LOG_PREFIX} Patching region using from={from} to={to} on bucketId={id}"
        ));
    }
    if let Some(Replace { from, to }) = &input.replace_bucket
        && bucket.container == *from
    {
        bucket.container.clone_from(to);
        log.push(format!(
            "{LOG_PREFIX} Patching bucket using from={from} to={to} on bucketId={id}"
        ));
    }
    if is_source {
        bucket.endpoint.clone_from(&input.source.endpoint);
        bucket.account.clone_from(&input.source.account);
        log.push(format!(
            "{LOG_PREFIX} Patching access configs from RECOVER_FROM on bucketId={id}"
        ));
    }
    // The variables are gone after a while, and there is one set of them, but many buckets.
    bucket.credentials = credentials::reference(id);
    bucket.encryption_key_ref.clone_from(&bucket.credentials);
    if is_source || !bucket.read_only {
        bucket.read_only = true;
        log.push(format!(
            "{LOG_PREFIX} setting readOnly=true on bucketId={id} keyPrefix={} new value for bucket={}",
            bucket.key_prefix, bucket.container
        ));
    }
}

#[cfg(test)]
mod tests;
