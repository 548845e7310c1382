//! Whether one bucket is whole: what to ask behind a restored backup, before nodes are started on it.

use std::collections::BTreeSet;

use backstay_bucket::{Bucket, BucketConfig, Role};
use backstay_global::entity::Partition;
use backstay_global::{CommitError, GlobalLog, State, identity, journal_over, snapshot};
use backstay_journal::{Journal, StreamId, WriterId};
use futures::{StreamExt as _, stream};
use serde::Serialize;

use crate::census;
use crate::contents;
use crate::finding::{Check, Finding, Outcome};
use crate::pending;
use crate::report::lines;
use crate::verification::Options;

/// Entries that are read at the same time.
const CONCURRENT_READS: usize = 8;
/// Objects that are named in a sentence.
const MAX_NAMED_OBJECTS: usize = 5;
const RESTORE: &str = "restore the objects from a backup; see docs/restore.md";

/// What was found in one bucket.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Whole {
    /// Whether nothing is missing or damaged.
    pub ok: bool,
    /// One finding for each check that was made.
    pub checks: Vec<Finding>,
}

impl Whole {
    fn of(checks: Vec<Finding>) -> Self {
        Self {
            ok: checks.iter().all(|it| it.outcome == Outcome::Ok),
            checks,
        }
    }

    /// The report as text for people.
    pub fn text(&self) -> String {
        lines(&self.checks)
    }
}

/// Looks at the bucket of a node's own variables (`AZURE_STORAGE_BUCKET` and the like). Nothing is
/// written.
///
/// # Errors
/// When the variables name no bucket.
pub async fn whole_of(
    vars: &dyn Fn(&str) -> Option<String>,
    options: Options,
) -> backstay_bucket::Result<Option<Whole>> {
    let Some(config) = BucketConfig::from_env(Role::Own, vars)? else {
        return Ok(None);
    };
    Ok(Some(match Bucket::open_to_read(config).await {
        Ok(bucket) => whole(&bucket, options).await,
        Err(error) => {
            let fails = Finding::fails(Check::OwnBucket, error.to_string(), String::new());
            Whole::of(vec![fails])
        }
    }))
}

/// Whether snapshot, journal and segments of a bucket are whole.
pub async fn whole(bucket: &Bucket, options: Options) -> Whole {
    let mut checks = Vec::new();
    let Some(log) = state(bucket, &mut checks).await else {
        return Whole::of(checks);
    };
    let journal = journal_over(bucket, WriterId("verify".to_owned()));
    let state = log.state();
    let mut wrong = global(&log, &journal).await;
    for partition in &state.partitions {
        wrong.extend(entries(&journal, &state, partition).await);
    }
    // What lies in other buckets is theirs to be asked for; it is said that it does.
    let mut elsewhere = String::new();
    let own = state.writable_bucket().map(|own| own.id);
    for pending in state.pending_by_bucket(None) {
        if Some(pending.bucket) == own {
            match pending::missing(&pending, bucket).await {
                Ok(missing) => wrong.extend(missing.iter().map(|it| format!("{it} is missing"))),
                Err(error) => wrong.push(error.to_string()),
            }
        } else {
            elsewhere.push_str("; ");
            elsewhere.push_str(&pending::described(&pending));
        }
    }
    checks.push(if wrong.is_empty() {
        Finding::ok(
            Check::Journal,
            format!("whole, and read to {}{elsewhere}", log.state().position()),
        )
    } else {
        Finding::fails(Check::Journal, named(&wrong), RESTORE)
    });
    segments(bucket, &log.state(), options, &mut checks).await;
    Whole::of(checks)
}

/// The newest snapshot, loaded.
async fn state(bucket: &Bucket, checks: &mut Vec<Finding>) -> Option<GlobalLog> {
    let cluster = match identity::read(bucket).await {
        Ok(Some(cluster)) => cluster,
        Ok(None) => {
            let why = "cluster.json is not there: no cluster has run on this bucket and prefix";
            checks.push(Finding::fails(Check::OwnBucket, why, RESTORE));
            return None;
        }
        Err(error) => {
            checks.push(Finding::fails(Check::OwnBucket, error.to_string(), RESTORE));
            return None;
        }
    };
    checks.push(Finding::ok(
        Check::OwnBucket,
        format!("the bucket of cluster {cluster}"),
    ));
    let read = async {
        match snapshot::newest(bucket, Some(&cluster)).await? {
            Some(newest) => Ok(Some(snapshot::read(bucket, &newest.key).await?)),
            None => Ok::<_, snapshot::SnapshotError>(None),
        }
    };
    let state = match read.await {
        Ok(Some(state)) => state,
        Ok(None) => {
            let why = format!("there is none below globalsnapshots/{cluster}/");
            checks.push(Finding::fails(Check::Snapshot, why, RESTORE));
            return None;
        }
        Err(error) => {
            checks.push(Finding::fails(Check::Snapshot, error.to_string(), RESTORE));
            return None;
        }
    };
    checks.push(Finding::ok(
        Check::Snapshot,
        format!("the newest one, {}, is loaded", state.position()),
    ));
    let journal = journal_over(bucket, WriterId("verify".to_owned()));
    Some(GlobalLog::open(journal, state))
}

/// What is wrong with the metadata's journal from the snapshot on.
async fn global(log: &GlobalLog, journal: &Journal) -> Vec<String> {
    let last = log.state().offset.checked_sub(1);
    if let Some(last) = last
        && let Err(error) = log.expect_entry(last).await
    {
        return vec![error.to_string()];
    }
    match log.refresh().await {
        Ok(()) => {}
        // It ends there, whole.
        Err(CommitError::Fenced { .. }) => return Vec::new(),
        Err(error) => return vec![error.to_string()],
    }
    let end = log.state().offset;
    let ended = journal.expect_end(StreamId::Global, end).await;
    ended
        .err()
        .map(|error| error.to_string())
        .into_iter()
        .collect()
}

/// What is wrong with the entries of a partition from its floor on.
async fn entries(journal: &Journal, state: &State, partition: &Partition) -> Vec<String> {
    let stream = StreamId::Partition(partition.id);
    let keys = match journal.store().list(&stream.prefix()).await {
        Ok(keys) => keys,
        Err(error) => return vec![error.to_string()],
    };
    let slots = keys.iter().filter_map(|key| stream.seq_of(key));
    let slots: BTreeSet<u64> = slots.filter(|seq| *seq >= partition.floor).collect();
    let mut wrong = Vec::new();
    let mut said = state.hosts.iter().flat_map(|host| &host.settled);
    let settled = said.find(|(id, _)| *id == partition.id).map(|it| it.1);
    let listed = slots.last().map_or(partition.floor, |last| last + 1);
    let end = listed.max(settled.unwrap_or_default());
    let mut next = partition.floor;
    for seq in slots.iter().copied().chain([end]) {
        if seq > next {
            wrong.push(format!(
                "{} ({} entries in a row) is missing",
                stream.key(next),
                seq - next
            ));
        }
        next = seq + 1;
    }
    let read = stream::iter(slots).map(|seq| async move {
        // All of it is read: each of its bytes, and its place, are authenticated. One that is gone
        // was trimmed meanwhile, by a node that runs.
        let looked = journal.is_there(stream, seq).await;
        looked.err().map(|error| error.to_string())
    });
    let mut read = read.buffered(CONCURRENT_READS);
    while let Some(one) = read.next().await {
        wrong.extend(one);
    }
    wrong
}

async fn segments(bucket: &Bucket, state: &State, options: Options, checks: &mut Vec<Finding>) {
    let own = state.writable_bucket().map(|own| own.id);
    let is_there = |segment: &backstay_global::Segment| Some(segment.bucket) == own;
    let counted = match census::count(bucket, state, None, is_there).await {
        Ok(counted) => counted,
        Err(error) => {
            checks.push(Finding::unknown(Check::Segments, error.to_string()));
            return;
        }
    };
    let bad = [
        ("missing", &counted.missing),
        ("of another size", &counted.resized),
    ];
    let bad: Vec<String> = bad
        .iter()
        .filter(|(_, which)| which.count > 0)
        .map(|(how, which)| format!("{how}: {}", which.described()))
        .collect();
    checks.push(if bad.is_empty() {
        let sentence = format!("all {} are there, with their sizes", counted.segments);
        Finding::ok(Check::Segments, sentence)
    } else {
        Finding::fails(Check::Segments, bad.join("; "), RESTORE)
    });
    let good = state.segments.iter();
    let good = good.filter(|it| is_there(it) && !counted.bad.contains(&it.id));
    let good: Vec<_> = good.map(|segment| (bucket, segment)).collect();
    let read = if options.deep {
        contents::read(good.into_iter()).await
    } else {
        let chosen = contents::sample(good.len(), options.sample, options.seed);
        let chosen = chosen.into_iter().filter_map(|at| good.get(at).copied());
        contents::read(chosen).await
    };
    checks.push(if !read.wrong.is_empty() {
        Finding::fails(Check::SegmentContents, named(&read.wrong), RESTORE)
    } else if let Some(why) = read.unknown.first() {
        Finding::unknown(Check::SegmentContents, why.clone())
    } else {
        let sentence = format!("{} read, with {} events", read.good, read.events);
        Finding::ok(Check::SegmentContents, sentence)
    });
}

/// `2: a; b`, with the first ones named.
fn named(wrong: &[String]) -> String {
    let first: Vec<&str> = wrong
        .iter()
        .take(MAX_NAMED_OBJECTS)
        .map(String::as_str)
        .collect();
    let more = if wrong.len() > MAX_NAMED_OBJECTS {
        "; …"
    } else {
        ""
    };
    format!("{}: {}{more}", wrong.len(), first.join("; "))
}

#[cfg(test)]
mod tests;
