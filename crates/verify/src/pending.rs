//! What a state has in no segment yet, and not in the source's journal either: ends of partitions of
//! clusters before it, which lie in those clusters' buckets until somebody imports them.
//!
//! A recovery carries them on, so whoever recovers needs those buckets too, and nobody may delete
//! them. They are looked for by listing; what is in them is read when they are imported.

use std::collections::{BTreeMap, BTreeSet};

use backstay_bucket::Bucket;
use backstay_global::{State, journal_over};
use backstay_journal::{StoreError, StreamId, WriterId};

/// The slots of a partition, in one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) partition: u32,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Range {
    fn entries(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }
}

/// What lies in one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// The bucket's entity.
    pub(crate) bucket: u32,
    pub(crate) container: String,
    /// Whose journal it is.
    pub(crate) cluster: String,
    pub(crate) ranges: Vec<Range>,
}

impl Pending {
    pub(crate) fn entries(&self) -> u64 {
        self.ranges.iter().map(Range::entries).sum()
    }

    /// For a sentence.
    pub(crate) fn described(&self) -> String {
        format!(
            "{} entries are only in container {} of cluster {}: keep it until they are imported",
            self.entries(),
            self.container,
            self.cluster
        )
    }

    /// The first slot of each range that is not in `bucket`, by name.
    pub(crate) async fn missing(&self, bucket: &Bucket) -> Result<Vec<String>, StoreError> {
        let journal = journal_over(bucket, WriterId("verify".to_owned()));
        let mut missing = Vec::new();
        for range in &self.ranges {
            let stream = StreamId::Partition(range.partition);
            let keys = journal.store().list(&stream.prefix()).await?;
            let there: BTreeSet<u64> = keys.iter().filter_map(|key| stream.seq_of(key)).collect();
            let absent = (range.from..range.to).find(|seq| !there.contains(seq));
            missing.extend(absent.map(|seq| stream.key(seq)));
        }
        Ok(missing)
    }
}

/// All that is pending but what `but`, a recovery, has found; the oldest bucket first.
pub(crate) fn pending(state: &State, but: Option<&str>) -> Vec<Pending> {
    let mut all: BTreeMap<u32, Pending> = BTreeMap::new();
    for (record, tail) in state.pending_tails() {
        if Some(record.id.as_str()) == but {
            continue;
        }
        let bucket = state.bucket(record.bucket);
        let of = all.entry(record.bucket).or_insert_with(|| Pending {
            bucket: record.bucket,
            container: bucket.map_or_else(String::new, |it| it.container.clone()),
            cluster: record.from_cluster.clone(),
            ranges: Vec::new(),
        });
        of.ranges.push(Range {
            partition: tail.partition,
            from: tail.imported,
            to: tail.to,
        });
    }
    all.into_values().collect()
}
