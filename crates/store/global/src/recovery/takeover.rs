//! The I/O of a recovery: ending the source's streams, reading what it acknowledged last, and
//! beginning our own streams behind what they hold.
//!
//! The order is what makes it safe to crash anywhere and to be done by two nodes at once:
//! 1. Seal the source's `global` and read it to the seal. Nothing can be added to its state now.
//! 2. Seal the source's partitions. Nothing can be acknowledged there now.
//! 3. Seal our own streams. They are continued, never wiped: whoever thaws from an earlier life of
//!    this cluster must run into the old seals. `global` is sealed in a name that says that a recovery
//!    is under way: whoever dies before step 4 is followed by one who recovers.
//! 4. Append `Recovered` right behind our own seal, unless anything but seals has come since we
//!    looked. Of several nodes, one gets that slot; the others begin again and find its snapshot.
//!    A node whose own `Recovered` was overtaken by another learns that before it can acknowledge
//!    anything: it must speak in `global` first, to own a partition.
//! 5. Look at the source's `global` once more: our seal must still be the newest there. Whoever
//!    takes the source back (see [`super::take_back`]) seals our stream and the source's, and then
//!    looks at ours; so of the two, one at least finds the other out.
//! 6. Only then is the patched state written down (by the caller) and used.
//!
//! Seals are signed with our cluster's id, so a second try knows those of the first.

use std::collections::BTreeMap;

use backstay_journal::{
    Entry, EntryKind, Journal, SealError, Sealed, StoreError, StreamId, TailError, TryAppend,
};
use futures::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use crate::entity::{Partition, RecoveredTail};
use crate::event::Event;
use crate::log::{decode, encode};
use crate::recovery::error::LoadError;
use crate::recovery::patch::PartitionStart;
use crate::recovery::probe::{self, Probe};
use crate::state::State;

/// Streams sealed at the same time.
const PARALLEL_STREAMS: usize = 8;
/// How often a seal is tried with a higher term. Each time, somebody of the dying cluster was
/// still moving; or it is a stream that has seen many terms.
const MAX_TERMS_TRIED: u32 = 64;

/// The source's streams.
pub(super) struct Source<'a> {
    pub(super) journal: &'a Journal,
    /// Without, the source's own writers could still acknowledge what is not recovered.
    pub(super) seal: bool,
}

/// Seals a stream with the first term from `term` on that nobody has used in it.
pub(super) async fn seal(
    journal: &Journal,
    stream: StreamId,
    from: u64,
    term: u64,
    by: &str,
    allowed: impl Fn(&str, u64) -> Result<(), LoadError>,
) -> Result<Sealed, LoadError> {
    with_free_term(term, allowed, |term| journal.seal(stream, from, term, by)).await
}

/// Seals, as `with` does it, with the first term from `term` on that nobody has used; `allowed` is
/// asked about whoever has used one.
async fn with_free_term<T, F: Future<Output = Result<T, SealError>>>(
    mut term: u64,
    allowed: impl Fn(&str, u64) -> Result<(), LoadError>,
    with: impl Fn(u64) -> F,
) -> Result<T, LoadError> {
    let mut tries = 0;
    loop {
        match with(term).await {
            Err(SealError::Superseded { by, term: held, .. }) if tries < MAX_TERMS_TRIED => {
                allowed(&by, held)?;
                tries += 1;
                term = held.saturating_add(1);
            }
            done => return Ok(done?),
        }
    }
}

/// Ends a partition of the source, whatever is damaged in it: one entry must not keep the others
/// from being recovered, and the import stops before it. Whoever may write the partition is known,
/// as the source's `global` is sealed and read, and has a term below `term`.
async fn end_past_damage(
    journal: &Journal,
    stream: StreamId,
    from: u64,
    term: u64,
    by: &str,
) -> Result<Sealed, LoadError> {
    let anybody = |_: &str, _| Ok(());
    let seal = |term| journal.seal_past_damage(stream, from, term, by);
    let (sealed, past) = with_free_term(term, anybody, seal).await?;
    log_damage(past);
    Ok(sealed)
}

fn log_damage(objects: Vec<String>) {
    for object in objects {
        tracing::error!(
            object,
            "damaged or missing in the source's journal, in no segment yet; restore it \
             from a backup: until then nothing of this partition is imported from there on"
        );
    }
}

/// What may be given up, the seal, is offered only where the source refuses to be written to. What
/// is damaged, or encrypted with another key, would not be read without a seal either: its own error
/// says what helps.
fn cannot_seal(error: LoadError) -> LoadError {
    match error {
        LoadError::Seal(SealError::Store(source)) if is_refused(&source) => {
            LoadError::CannotSeal { source }
        }
        other => other,
    }
}

/// Whether the store does not let us write there.
fn is_refused(error: &StoreError) -> bool {
    use backstay_bucket::Error;
    match error {
        StoreError::Backend { source, .. } => matches!(
            source.downcast_ref::<Error>(),
            Some(Error::Denied { .. } | Error::ReadOnly { .. } | Error::Refused { .. })
        ),
        StoreError::Unavailable { .. }
        | StoreError::Damaged { .. }
        | StoreError::Unreadable { .. }
        | StoreError::Missing { .. }
        | StoreError::Encode { .. } => false,
    }
}

impl Source<'_> {
    /// Ends the source's `global` and applies what follows the state there. Answers with the seal,
    /// if one is made.
    pub(super) async fn end_global(
        &self,
        state: &mut State,
        cluster_id: &str,
    ) -> Result<Option<Sealed>, LoadError> {
        let source_cluster = state.cluster_id.clone();
        let end = if self.seal {
            backstay_failpoint::hit("recovery.before_seal_source_global");
            let term = state.term.saturating_add(1);
            let third = |by: &str, term: u64| {
                // A data entry names its writer; only a seal names a cluster. It comes first.
                if is_of_the_two(by, &source_cluster, cluster_id) {
                    return Ok(());
                }
                Err(LoadError::SourceTakenOver {
                    source_cluster: source_cluster.clone(),
                    by: by.to_owned(),
                    term,
                })
            };
            let sealed = seal(
                self.journal,
                StreamId::Global,
                state.offset,
                term,
                cluster_id,
                third,
            )
            .await
            .map_err(cannot_seal)?;
            backstay_failpoint::hit("recovery.after_seal_source_global");
            Some(sealed)
        } else {
            None
        };
        let mut tail = self
            .journal
            .tail(StreamId::Global, state.offset, state.term);
        while let Some(entry) = tail.next().await? {
            if end.as_ref().is_some_and(|end| entry.seq > end.seq) {
                break;
            }
            replay(state, &entry, &source_cluster, cluster_id)?;
        }
        Ok(end)
    }

    /// Whether our seal is still the newest in the source's `global`; `false` when another node of
    /// ours has put one above.
    pub(super) async fn is_still_ended(
        &self,
        state: &State,
        sealed: &Sealed,
        cluster_id: &str,
    ) -> Result<bool, LoadError> {
        backstay_failpoint::hit("recovery.before_second_look");
        let mut above = self
            .journal
            .tail(StreamId::Global, sealed.seq + 1, sealed.term);
        while let Some(entry) = above.next().await? {
            if entry.term == sealed.term {
                continue;
            }
            if entry.is_seal() && entry.by() == cluster_id {
                return Ok(false);
            }
            return Err(LoadError::TakenBack {
                source_cluster: state.cluster_id.clone(),
                term: entry.term,
            });
        }
        Ok(true)
    }

    /// Ends the source's partitions; answers with what they hold beyond segments.
    pub(super) async fn end_partitions(
        &self,
        state: &State,
        cluster_id: &str,
    ) -> Result<Vec<RecoveredTail>, LoadError> {
        backstay_failpoint::hit("recovery.before_seal_source_partitions");
        let tails = stream::iter(state.partitions.clone())
            .map(|partition| self.end_partition(partition, cluster_id))
            .buffered(PARALLEL_STREAMS)
            .try_collect()
            .await?;
        backstay_failpoint::hit("recovery.after_seal_source_partitions");
        Ok(tails)
    }

    async fn end_partition(
        &self,
        partition: Partition,
        cluster_id: &str,
    ) -> Result<RecoveredTail, LoadError> {
        let stream = StreamId::Partition(partition.id);
        let to = if self.seal {
            let term = partition.term.saturating_add(1);
            let from = partition.covered;
            end_past_damage(self.journal, stream, from, term, cluster_id)
                .await
                .map_err(cannot_seal)?
                .seq
        } else {
            let end = self.journal.end_past_damage(stream, partition.covered);
            let (end, past) = end.await?;
            log_damage(past);
            end
        };
        let from = partition.covered;
        let term = partition.term_below(from);
        Ok(RecoveredTail {
            partition: partition.id,
            floor: partition.floor,
            from,
            to,
            imported: from,
            begins: 0,
            window: partition.window,
            keys_pending: true,
            from_below: term,
            imported_below: None,
            extra: Default::default(),
        })
    }
}

/// Whether a seal in the source's `global` is the source's own (or of one who takes it back), or
/// ours.
fn is_of_the_two(by: &str, source_cluster: &str, cluster_id: &str) -> bool {
    is_own(by, source_cluster) || by == cluster_id || by == taking_back(source_cluster)
}

/// What a recovery seals the `global` of its own cluster with, until `Recovered` is behind it. By its
/// plain name a cluster goes on from what it had (see [`super::take_back`]); a recovery that ends in
/// between must not be taken for that, or what it was to recover would be passed over.
pub(crate) fn recovering(cluster_id: &str) -> String {
    format!("{cluster_id}/recovering")
}

/// Whether a node of this very cluster has made a seal in its own `global`.
pub(crate) fn is_own(by: &str, cluster_id: &str) -> bool {
    by == cluster_id || by == recovering(cluster_id)
}

/// What a cluster's stream is sealed with while it is being taken back: neither its own name, by
/// which its nodes would start, nor that of another cluster, which could take the seal for its own.
pub(super) fn taking_back(cluster_id: &str) -> String {
    format!("{cluster_id}{TAKING_BACK_SUFFIX}")
}

/// The end of that name.
pub(super) const TAKING_BACK_SUFFIX: &str = "/taking-back";

/// Applies an entry of the source's `global`.
fn replay(
    state: &mut State,
    entry: &Entry,
    source_cluster: &str,
    cluster_id: &str,
) -> Result<(), LoadError> {
    let mut events = Vec::new();
    match &entry.kind {
        EntryKind::Seal { by } => {
            if !is_of_the_two(by, source_cluster, cluster_id) {
                return Err(LoadError::SourceTakenOver {
                    source_cluster: source_cluster.to_owned(),
                    by: by.to_string(),
                    term: entry.term,
                });
            }
        }
        EntryKind::Data => {
            events = decode(entry).map_err(LoadError::Log)?.1;
            let unknown = events.iter().any(|event| match event {
                Event::Recovered { id, .. } => !state.recoveries.iter().any(|it| it.id == *id),
                _ => false,
            });
            if unknown {
                // The source was itself recovered after this snapshot: there must be a newer one.
                return Err(LoadError::Tail(TailError::Trimmed {
                    stream: StreamId::Global,
                    position: entry.seq,
                }));
            }
        }
    }
    state.apply(entry.seq, entry.term, events);
    Ok(())
}

/// Where our own streams begin.
#[derive(Debug)]
pub(super) struct OwnStart {
    /// The term begun in `global`.
    pub(super) term: u64,
    /// The slot of `global` behind `Recovered`.
    pub(super) offset: u64,
    /// The partitions.
    pub(super) partitions: BTreeMap<u32, PartitionStart>,
}

/// Begins our own streams; `None` when another node of this cluster was faster.
pub(super) async fn begin_own(
    journal: &Journal,
    found: &Probe,
    source: &State,
    recovered: Event,
    cluster_id: &str,
) -> Result<Option<OwnStart>, LoadError> {
    backstay_failpoint::hit("recovery.before_seal_own");
    let partitions = stream::iter(source.partitions.clone())
        .map(|partition| async move {
            let stream = StreamId::Partition(partition.id);
            let from = probe::end(journal, stream).await?;
            let term = partition.term.saturating_add(1);
            let sealed = seal(journal, stream, from, term, cluster_id, |_, _| Ok(())).await?;
            let start = PartitionStart {
                term: sealed.term,
                start: sealed.seq,
            };
            Ok::<_, LoadError>((partition.id, start))
        })
        .buffered(PARALLEL_STREAMS)
        .try_collect()
        .await?;
    let term = found.term.max(source.term).saturating_add(1);
    let global = StreamId::Global;
    let by = recovering(cluster_id);
    let sealed = seal(journal, global, found.end, term, &by, |_, _| Ok(())).await?;
    backstay_failpoint::hit("recovery.after_seal_own");
    // Whoever of our cluster speaks there has a state, perhaps from a recovery that was under way
    // when we looked, and may have acknowledged events since: that state is to be used, not ours.
    if probe::has_data_between(journal, found.end, sealed.seq).await? {
        return Ok(None);
    }
    let payload = encode(Uuid::new_v4(), &[recovered]).map_err(LoadError::Log)?;
    let next = sealed.seq + 1;
    match journal
        .try_append(global, next, sealed.term, payload)
        .await?
    {
        TryAppend::Appended { seq } => {
            backstay_failpoint::hit("recovery.after_recovered");
            Ok(Some(OwnStart {
                term: sealed.term,
                offset: seq + 1,
                partitions,
            }))
        }
        TryAppend::Lost(_) | TryAppend::Fenced(_) | TryAppend::TrimmedBehind => Ok(None),
    }
}

#[cfg(test)]
mod tests;
