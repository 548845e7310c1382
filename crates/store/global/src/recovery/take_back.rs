//! Giving a cluster its own journal back without what the other has taken in meanwhile.
//!
//! The cluster's streams were ended by the other's failover. Here the other's are ended in turn,
//! and new terms are begun in the cluster's own; its nodes then start from their own snapshots and
//! journal as if they had only been away. What the other acknowledged is not carried over: it stays
//! in its bucket (see [`super::gained`]).
//!
//! Never two writers, wherever this is cut:
//! 1. It is found first that the cluster can start from what it has; else nothing is ended.
//! 2. The other's streams are ended. From then on it acknowledges nothing.
//! 3. Its own `global` is sealed in a name that is neither cluster's. A node of the other that was
//!    in the middle of a recovery looks there before it serves, and finds itself out (step 5 of
//!    [`super::takeover`]); a recovery that began later ends this cluster's streams again.
//! 4. The other's `global` is looked at again: it must still be ended. Whoever recovered through
//!    the second step is found here, and all begins again.
//! 5. New terms begin in this cluster's partitions.
//! 6. Its `global` is sealed in its own name, *right behind* the seal of step 3: that is what
//!    lets its nodes start. If anybody has sealed it in between, all begins again.
//!
//! Until step 6 its nodes refuse to start, and the other's are ended; a repetition goes on from
//! there. Afterwards a repetition finds its own name on top and only ends the other once more.
//! A process of the cluster from before the failover stays fenced: it meets the other's seals, whose
//! terms are above its own, and does not read past them.

use backstay_bucket::Bucket;
use backstay_journal::{Journal, SealError, StreamId, TailError};
use backstay_retry::WriteGuard;
use futures::{StreamExt, TryStreamExt, stream};

use crate::identity;
use crate::log::{CommitError, GlobalLog};
use crate::recovery::error::LoadError;
use crate::recovery::outside::{end_source, writer};
use crate::recovery::probe;
use crate::recovery::takeover::{seal, taking_back};
use crate::snapshot;
use crate::state::State;
use crate::store::journal_over;

/// How often all begins again because somebody of the other cluster was in the middle of a recovery.
const MAX_ROUNDS: u32 = 5;
/// Partitions sealed at the same time.
const PARALLEL_PARTITIONS: usize = 8;

/// Gives the cluster whose bucket `own` is its journal back, which the cluster of `other` had taken
/// over. What that one acknowledged since is not carried over. The other's nodes should be gone:
/// one that starts with nothing of its own recovers, as ever, and takes the journal over again.
/// `guard` is asked before each of the streams is ended or begun.
///
/// # Errors
/// See [`LoadError`]: nothing is ended if the cluster could not start from its own snapshots and
/// journal. It may have been done in part, and can be repeated.
pub async fn take_back(own: &Bucket, other: &Bucket, guard: &WriteGuard) -> Result<(), LoadError> {
    let Some(cluster_id) = identity::read(own).await? else {
        return Err(LoadError::NothingToRecover {
            container: own.config().container.clone(),
            prefix: own.config().prefix.clone(),
            variable: own.config().container_variable(),
        });
    };
    let journal = journal_over(own, writer());
    let state = end_state(own, &journal, &cluster_id).await?;
    for _ in 0..MAX_ROUNDS {
        end_other(other, own, &cluster_id, guard).await?;
        backstay_failpoint::hit("take_back.after_end_other");
        let found = probe::probe(&journal, &cluster_id).await?;
        if found.sealed_by.is_none() && !found.recovering {
            return Ok(());
        }
        let between = taking_back(&cluster_id);
        let (global, term) = (StreamId::Global, state.term.saturating_add(1));
        guard.check().await?;
        let fence = seal(
            &journal,
            global,
            state.offset,
            term,
            &between,
            |_, _| Ok(()),
        )
        .await?;
        backstay_failpoint::hit("take_back.after_fence");
        if !is_ended(other, &cluster_id).await? {
            continue;
        }
        begin_partitions(&journal, &state, &cluster_id).await?;
        backstay_failpoint::hit("take_back.after_partitions");
        let (next, term) = (fence.seq + 1, fence.term.saturating_add(1));
        guard.check().await?;
        match journal.seal(global, next, term, &cluster_id).await {
            Ok(_) => {
                backstay_failpoint::hit("take_back.after_begin");
                return Ok(());
            }
            Err(SealError::Superseded { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(LoadError::Raced)
}

/// The cluster's state at the end of its log: what its nodes will start from.
async fn end_state(own: &Bucket, journal: &Journal, cluster_id: &str) -> Result<State, LoadError> {
    let gone = || LoadError::SnapshotsGone {
        container: own.config().container.clone(),
        cluster_id: cluster_id.to_owned(),
    };
    match state_at_end(own, journal, cluster_id).await? {
        Some(state) if state.is_created() => Ok(state),
        _ => Err(gone()),
    }
}

/// A cluster's newest snapshot, and all that follows it in its log, whoever has sealed that.
/// `None` when the log cannot be followed from there: it belongs to a recovery whose snapshot is
/// not there (yet).
pub(super) async fn state_at_end(
    bucket: &Bucket,
    journal: &Journal,
    cluster_id: &str,
) -> Result<Option<State>, LoadError> {
    let state = match snapshot::newest(bucket, Some(cluster_id)).await? {
        Some(newest) => snapshot::read(bucket, &newest.key).await?,
        None => State::before_creation(cluster_id),
    };
    let log = GlobalLog::open_held(journal.clone(), state, u64::MAX);
    match log.refresh().await {
        Ok(()) => Ok(Some(State::clone(&log.state()))),
        Err(CommitError::Stale { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Ends the other cluster in the name of ours, if it has ever begun.
async fn end_other(
    other: &Bucket,
    own: &Bucket,
    cluster_id: &str,
    guard: &WriteGuard,
) -> Result<(), LoadError> {
    let Some(their_id) = identity::read(other).await? else {
        return Ok(());
    };
    let journal = journal_over(other, writer());
    let found = probe::probe(&journal, &their_id).await?;
    if found.first.is_none() && their_id != cluster_id {
        return Ok(());
    }
    let error = match end_source(other, own, guard).await {
        Ok(_) => return Ok(()),
        Err(
            error @ (LoadError::Tail(TailError::Trimmed { .. })
            | LoadError::NothingToRecover { .. }),
        ) => error,
        Err(error) => return Err(error),
    };
    // A recovery without its snapshot. Its streams start over with it, and nobody owns one of them
    // who has not spoken in `global` since: to end that is enough.
    let was_ended = found.sealed_by.as_deref() == Some(cluster_id);
    let (global, term) = (StreamId::Global, found.term.saturating_add(1));
    if !was_ended {
        guard.check().await?;
        seal(&journal, global, found.end, term, cluster_id, |_, _| Ok(())).await?;
    }
    let now = probe::probe(&journal, &their_id).await?;
    if was_ended || now.recovered_last || !now.has_data {
        return Ok(());
    }
    Err(error)
}

/// Whether the other cluster is ended in the name of ours, or has never begun.
async fn is_ended(other: &Bucket, cluster_id: &str) -> Result<bool, LoadError> {
    let Some(their_id) = identity::read(other).await? else {
        return Ok(true);
    };
    let found = probe::probe(&journal_over(other, writer()), &their_id).await?;
    Ok(found.first.is_none() || found.sealed_by.as_deref() == Some(cluster_id))
}

/// Begins a new term in every partition.
async fn begin_partitions(
    journal: &Journal,
    state: &State,
    cluster_id: &str,
) -> Result<(), LoadError> {
    stream::iter(state.partitions.clone())
        .map(|partition| async move {
            let stream = StreamId::Partition(partition.id);
            let (from, term) = (partition.covered, partition.term.saturating_add(1));
            seal(journal, stream, from, term, cluster_id, |_, _| Ok(())).await?;
            Ok::<_, LoadError>(())
        })
        .buffer_unordered(PARALLEL_PARTITIONS)
        .try_collect()
        .await
}
