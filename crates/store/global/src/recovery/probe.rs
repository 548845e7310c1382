//! What our own journal says before there is a state.

use backstay_journal::{Entry, EntryKind, Journal, MAX_IN_FLIGHT, StoreError, StreamId};
use futures::TryStreamExt;

use crate::event::Event;
use crate::log::{CommitError, decode};
use crate::recovery::takeover::{is_own, recovering};

/// Entries looked at from the end. In `global` a straggler can leave no more than a few dead
/// entries behind a seal.
const NEWEST_ENTRIES: usize = 16;

/// The cluster's own stream `global` as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    /// The slot behind the last one.
    pub(super) end: u64,
    /// The first slot that is still there; `None` when nothing was ever written.
    pub(super) first: Option<u64>,
    /// The highest term among the last entries.
    pub(super) term: u64,
    /// Who sealed it, if another cluster did and nobody of ours has written since.
    pub(super) sealed_by: Option<String>,
    /// Whether a recovery of our own has begun a term there and said nothing in it yet.
    pub(super) recovering: bool,
    /// Whether the last thing said in it is that a node of the cluster recovers it: it has, or had,
    /// still to write the snapshot. Whoever has done that says more.
    pub(super) recovered_last: bool,
    /// Whether anything is said in its last entries at all, but seals.
    pub(super) has_data: bool,
}

/// Looks at a cluster's own stream `global`.
pub(super) async fn probe(journal: &Journal, cluster_id: &str) -> Result<Probe, CommitError> {
    let slots = slots(journal, StreamId::Global).await?;
    probe_at(journal, cluster_id, &slots).await
}

/// The same where it is known which slots are there.
pub(super) async fn probe_at(
    journal: &Journal,
    cluster_id: &str,
    slots: &[u64],
) -> Result<Probe, CommitError> {
    let newest = last(slots).iter().rev().copied();
    // At the same time: in another region each takes its round trip, and a watch has few seconds.
    let entries = journal.slots_at(StreamId::Global, newest, NEWEST_ENTRIES);
    let last: Vec<Entry> = entries
        .try_filter_map(async |entry| Ok(entry))
        .try_collect()
        .await?;
    let term = last.iter().map(|entry| entry.term).max().unwrap_or(0);
    // A term begins with its seal, so data of the newest term is from whoever sealed it; and no
    // other cluster writes data here.
    let newest: Vec<&Entry> = last.iter().filter(|entry| entry.term == term).collect();
    let ours = newest.iter().any(|entry| match &entry.kind {
        EntryKind::Data => true,
        EntryKind::Seal { by } => is_own(by, cluster_id),
    });
    let begun = recovering(cluster_id);
    let recovering = !newest.is_empty()
        && newest
            .iter()
            .all(|entry| entry.is_seal() && entry.by() == begun);
    let sealed_by = match newest.first() {
        Some(seal) if !ours => Some(seal.by().to_owned()),
        _ => None,
    };
    // A seal behind it says nothing.
    let mut entries = newest.iter().copied().chain(&last);
    let last_data = entries.find(|entry| entry.kind == EntryKind::Data);
    let recovered_last = match last_data {
        Some(entry) => has_recovered(entry)?,
        None => false,
    };
    Ok(Probe {
        end: slots.last().map_or(0, |last| last + 1),
        first: slots.first().copied(),
        term,
        sealed_by,
        recovering,
        recovered_last,
        has_data: last_data.is_some(),
    })
}

/// The only slots on which what is found depends, besides which one is the first.
pub(super) fn last(slots: &[u64]) -> &[u64] {
    slots
        .last_chunk::<NEWEST_ENTRIES>()
        .map_or(slots, |last| last)
}

/// The slot behind the last one of any stream of ours.
pub(super) async fn end(journal: &Journal, stream: StreamId) -> Result<u64, StoreError> {
    Ok(slots(journal, stream)
        .await?
        .last()
        .map_or(0, |last| last + 1))
}

/// The highest term that began in the slots right below `seq`: an entry of a lower term there or a
/// little above is dead.
pub(super) async fn term_before(
    journal: &Journal,
    stream: StreamId,
    seq: u64,
) -> Result<u64, StoreError> {
    let mut term = 0;
    for below in seq.saturating_sub(MAX_IN_FLIGHT as u64 + 1)..seq {
        if let Some(entry) = read(journal, stream, below).await?
            && entry.is_seal()
        {
            term = term.max(entry.term);
        }
    }
    Ok(term)
}

/// Whether another node of our cluster has begun a recovery in the slots from `from` to `to`.
pub(super) async fn recovered_between(
    journal: &Journal,
    from: u64,
    to: u64,
) -> Result<bool, CommitError> {
    for seq in from..to {
        if let Some(entry) = read(journal, StreamId::Global, seq).await?
            && has_recovered(&entry)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether anything but seals is in the slots from `from` to `to`.
pub(super) async fn has_data_between(
    journal: &Journal,
    from: u64,
    to: u64,
) -> Result<bool, StoreError> {
    for seq in from..to {
        let entry = read(journal, StreamId::Global, seq).await?;
        if entry.is_some_and(|entry| entry.kind == EntryKind::Data) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_recovered(entry: &Entry) -> Result<bool, CommitError> {
    if entry.kind != EntryKind::Data {
        return Ok(false);
    }
    let (_, events) = decode(entry)?;
    let mut events = events.iter();
    Ok(events.any(|it| matches!(it, Event::Recovered { .. })))
}

/// The slots of a stream that are there, in order.
pub(super) async fn slots(journal: &Journal, stream: StreamId) -> Result<Vec<u64>, StoreError> {
    let keys = journal.store().list(&stream.prefix()).await?;
    Ok(keys.iter().filter_map(|key| stream.seq_of(key)).collect())
}

async fn read(journal: &Journal, stream: StreamId, seq: u64) -> Result<Option<Entry>, StoreError> {
    let object = stream.key(seq);
    let Some(bytes) = journal.store().read(&object).await? else {
        return Ok(None);
    };
    Entry::decode_at(stream, seq, &bytes)
        .map(Some)
        .map_err(|source| StoreError::Unreadable { object, source })
}
