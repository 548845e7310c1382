//! What a state has in no segment yet, and not in the source's journal either: ends of partitions of
//! clusters before it, which lie in those clusters' buckets until somebody imports them.
//!
//! A recovery carries them on, so whoever recovers needs those buckets too, and nobody may delete
//! them. They are looked for by listing; what is in them is read when they are imported.

use std::collections::BTreeSet;

use backstay_bucket::Bucket;
use backstay_global::{Pending, journal_over};
use backstay_journal::{StoreError, StreamId, WriterId};

/// For a sentence.
pub(crate) fn described(pending: &Pending) -> String {
    format!(
        "{} entries are only in container {} of cluster {}: keep it until they are imported",
        pending.entries(),
        pending.container,
        pending.cluster
    )
}

/// The first slot of each partition's end that is not in `bucket`, by name.
pub(crate) async fn missing(pending: &Pending, bucket: &Bucket) -> Result<Vec<String>, StoreError> {
    let journal = journal_over(bucket, WriterId("verify".to_owned()));
    let mut missing = Vec::new();
    for tail in &pending.tails {
        let stream = StreamId::Partition(tail.partition);
        let keys = journal.store().list(&stream.prefix()).await?;
        let there: BTreeSet<u64> = keys.iter().filter_map(|key| stream.seq_of(key)).collect();
        let absent = (tail.imported..tail.to).find(|seq| !there.contains(seq));
        missing.extend(absent.map(|seq| stream.key(seq)));
    }
    Ok(missing)
}
