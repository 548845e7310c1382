//! When live entries become segments, and which: a decision without I/O.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay_search::Event;

use super::record::KeyHash;
use super::tails::LiveEntry;

/// When to cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thresholds {
    /// Raw bytes that are enough.
    pub(crate) bytes: usize,
    /// The age of the oldest entry that is enough.
    pub(crate) age: Duration,
}

/// The events of some consecutive entries, by repository.
#[derive(Debug)]
pub(crate) struct Cut {
    /// The position behind the last entry.
    pub(crate) to: u64,
    /// The events by repository id, by time.
    pub(crate) events: BTreeMap<Arc<str>, Vec<Event>>,
    /// The idempotency keys of the entries.
    pub(crate) keys: Vec<KeyHash>,
}

/// Cuts the first of `entries`, which end at the position `end`, or nothing if neither threshold
/// is reached. What is cut has hardly more raw bytes than the threshold.
pub(crate) fn cut(
    entries: &[Arc<LiveEntry>],
    end: u64,
    thresholds: Thresholds,
    now: Instant,
) -> Option<Cut> {
    let first = entries.first()?;
    let total: usize = entries.iter().map(|entry| entry.raw_bytes).sum();
    let old = now.saturating_duration_since(first.since) >= thresholds.age;
    if total < thresholds.bytes && !old {
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
    Some(Cut {
        to: rest.first().map_or(end, |next| next.seq),
        events: group(cut),
        keys: cut.iter().flat_map(|entry| &entry.keys).copied().collect(),
    })
}

/// The events of entries by repository, by time; events of the same millisecond stay in the order
/// of the journal.
pub(crate) fn group(entries: &[Arc<LiveEntry>]) -> BTreeMap<Arc<str>, Vec<Event>> {
    let mut events: BTreeMap<Arc<str>, Vec<Event>> = BTreeMap::new();
    for batch in entries.iter().flat_map(|entry| &entry.batches) {
        events
            .entry(Arc::clone(&batch.repository))
            .or_default()
            .extend(batch.events.iter().cloned());
    }
    events.retain(|_, events| !events.is_empty());
    for events in events.values_mut() {
        events.sort_by_key(|event| event.timestamp_ms);
    }
    events
}

#[cfg(test)]
mod tests;
