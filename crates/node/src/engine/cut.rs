//! When live entries become segments, and which: a decision without I/O.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::packed::LiveBatch;
use super::record::KeyHash;
use super::tails::LiveEntry;

/// When to cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thresholds {
    /// Raw bytes that are enough.
    pub(crate) bytes: usize,
    /// Bytes in memory that are enough.
    pub(crate) memory: usize,
    /// The age of the oldest entry that is enough.
    pub(crate) age: Duration,
}

/// The events of some consecutive entries, by repository.
#[derive(Debug)]
pub(crate) struct Cut {
    /// The position behind the last entry.
    pub(crate) to: u64,
    /// The highest term begun below that.
    pub(crate) below: u64,
    /// The batches by repository id, in the order of the journal.
    pub(crate) batches: BTreeMap<Arc<str>, Vec<Arc<LiveBatch>>>,
    /// The idempotency keys of the entries.
    pub(crate) keys: Vec<KeyHash>,
}

/// Cuts the first of `entries`, which end at the position `end`, or nothing if no threshold is
/// reached. What is cut has hardly more raw bytes than the threshold.
pub(crate) fn cut(
    entries: &[Arc<LiveEntry>],
    end: u64,
    thresholds: Thresholds,
    now: Instant,
) -> Option<Cut> {
    let first = entries.first()?;
    let total: usize = entries.iter().map(|entry| entry.raw_bytes).sum();
    let old = now.saturating_duration_since(first.since) >= thresholds.age;
    let memory: usize = entries.iter().map(|entry| entry.memory).sum();
    if total < thresholds.bytes && memory < thresholds.memory && !old {
        return None;
    }
    let mut bytes = 0;
    let mut taken = 0;
    for entry in entries {
        if taken > 0 && bytes + entry.raw_bytes > thresholds.bytes {
            break;
        }
        bytes += entry.raw_bytes;
        taken += 1;
    }
    let (cut, rest) = entries.split_at(taken);
    let last = cut.last().unwrap_or(first);
    Some(Cut {
        to: rest.first().map_or(end, |next| next.seq),
        below: last.term,
        batches: group(cut),
        keys: cut.iter().flat_map(|entry| &entry.keys).copied().collect(),
    })
}

/// The batches of entries by repository; those without an event are left out.
fn group(entries: &[Arc<LiveEntry>]) -> BTreeMap<Arc<str>, Vec<Arc<LiveBatch>>> {
    let mut batches: BTreeMap<Arc<str>, Vec<Arc<LiveBatch>>> = BTreeMap::new();
    for batch in entries.iter().flat_map(|entry| &entry.batches) {
        if batch.events() > 0 {
            let repository = Arc::clone(&batch.repository);
            batches
                .entry(repository)
                .or_default()
                .push(Arc::clone(batch));
        }
    }
    batches
}

/// From how much memory on a partition is cut whatever its thresholds say: when half of the memory
/// for tails is taken, what holds its part of that half is due. Somebody does.
pub(crate) fn pressure(used: usize, share: usize, partitions: usize) -> usize {
    let half = share / 2;
    if used < half {
        return usize::MAX;
    }
    half / partitions.max(1)
}

#[cfg(test)]
mod tests;
