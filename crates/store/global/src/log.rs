//! The state and the stream `global` that it comes from, kept together.
//!
//! Any node writes: it decides against its state, tries to create the next slot, and if somebody
//! else was faster, reads on and decides again. So an event is always judged by exactly the state
//! that it follows.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstay_journal::{
    Entry, EntryKind, Journal, StoreError, StreamId, Tail, TailError, TryAppend, WriterId,
};
use bytes::Bytes;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

use crate::event::Event;
use crate::recovery::takeover::is_own;
use crate::state::{EpochOffset, Reject, State};

/// How often an append with an unclear outcome is looked into before it is an error.
const MAX_UNCLEAR_ATTEMPTS: u32 = 3;

/// How many entries are expected behind a slot that was lost, when it is not the first.
const ENTRIES_BEHIND_LOST_SLOT: usize = 4;

/// The state of the cluster, following its log. Cheap to clone.
#[derive(Clone)]
pub struct GlobalLog {
    inner: Arc<Inner>,
}

struct Inner {
    journal: Journal,
    state: RwLock<Arc<State>>,
    /// One refresh or commit at a time; the tail stands where the state does.
    tail: Mutex<Tail>,
    moved: watch::Sender<EpochOffset>,
    /// The term that this cluster was found to hold the log with. Others that took it over before
    /// that have lost it again (it was taken back); whoever does so afterwards fences this one.
    held: u64,
    /// The last entry that each writer of this cluster has written, as far as this log was read
    /// since it was opened.
    last_entries: RwLock<BTreeMap<WriterId, u64>>,
}

/// Why the log cannot be followed or written to.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The state forbids it.
    #[error(transparent)]
    Rejected(#[from] Reject),
    /// Another cluster has taken over. This one must not go on.
    #[error(
        "cluster {by} has taken over with term {term}: this cluster takes no more events; to bring it home, recover it from that cluster's bucket (RECOVER_FROM variables)"
    )]
    Fenced {
        /// The cluster that did.
        by: String,
        /// The term that it began.
        term: u64,
    },
    /// The state is too old: the log behind it was trimmed, or starts over after a recovery.
    #[error(
        "the state at {at} cannot follow the log: {detail}; start again from the newest snapshot"
    )]
    Stale {
        /// Where the state stands.
        at: EpochOffset,
        /// What has become of the log.
        detail: String,
    },
    /// The bucket is not the one that this state comes from any more.
    #[error(
        "{object}: the state at {at} has this journal entry, and the bucket has it no more: an older copy of the bucket was put in its place; stop all nodes of the cluster, and restore the newer bucket or go on from the older one as docs/restore.md says"
    )]
    Contradicted {
        /// Where the state stands.
        at: EpochOffset,
        /// The entry that is gone.
        object: String,
    },
    /// The journal does not answer. A commit may have taken effect all the same: decide again
    /// when it answers.
    #[error(transparent)]
    Journal(#[from] StoreError),
    /// An entry is there that this version does not understand.
    #[error(
        "{object}: not an entry of global that this version knows: {source}; use a newer version"
    )]
    Entry {
        /// Key of the entry in the bucket.
        object: String,
        /// Why its JSON is not an event.
        #[source]
        source: serde_json::Error,
    },
    /// The events cannot be written as JSON.
    #[error("the events cannot be encoded: {0}")]
    Encode(#[source] serde_json::Error),
}

impl CommitError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Journal(error) if error.is_retryable())
    }
}

/// Where a commit is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The slot; `None` when there was nothing to commit.
    pub seq: Option<u64>,
}

/// One entry's payload. The id lets a writer know its own entry again after an unclear answer.
#[derive(Serialize, Deserialize)]
struct Batch<E> {
    id: Uuid,
    events: E,
}

/// The payload of an entry of `global`.
pub(crate) fn encode(id: Uuid, events: &[Event]) -> Result<Bytes, CommitError> {
    serde_json::to_vec(&Batch { id, events })
        .map(Bytes::from)
        .map_err(CommitError::Encode)
}

/// The events of an entry of `global`, and the id of their commit.
pub(crate) fn decode(entry: &Entry) -> Result<(Uuid, Vec<Event>), CommitError> {
    let batch: Batch<Vec<Event>> =
        serde_json::from_slice(&entry.payload).map_err(|source| CommitError::Entry {
            object: entry.stream.key(entry.seq),
            source,
        })?;
    Ok((batch.id, batch.events))
}

impl GlobalLog {
    /// Follows the log from where `state` stands. Whoever has taken it over behind that fences
    /// this cluster.
    pub fn open(journal: Journal, state: State) -> Self {
        Self::open_held(journal, state, 0)
    }

    /// The same for a cluster that was found to hold the log with the term `held`: other clusters'
    /// terms below are over, and are read past. Only for a start, and with a term that was found
    /// after all that the process has ever acknowledged: one that was there before the take-over
    /// must stay fenced.
    pub(crate) fn open_held(journal: Journal, state: State, held: u64) -> Self {
        let tail = journal.tail(StreamId::Global, state.offset, state.term);
        let moved = watch::Sender::new(state.position());
        Self {
            inner: Arc::new(Inner {
                journal,
                state: RwLock::new(Arc::new(state)),
                tail: Mutex::new(tail),
                moved,
                held,
                last_entries: RwLock::default(),
            }),
        }
    }

    /// The state as this node knows it.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.inner.state.read())
    }

    /// Looks at the state as this node knows it.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state())
    }

    /// The last entry of this writer that was read since the log was opened: whatever it says, its
    /// writer lived.
    pub fn last_entry_of(&self, writer: &WriterId) -> Option<u64> {
        self.inner.last_entries.read().get(writer).copied()
    }

    /// Tells whenever the state has moved.
    pub fn watch(&self) -> watch::Receiver<EpochOffset> {
        self.inner.moved.subscribe()
    }

    /// Reads on to the end of the log as it is at some time after this call began.
    ///
    /// # Errors
    /// See [`CommitError`]; the state is that of the last entry that could be applied.
    pub async fn refresh(&self) -> Result<(), CommitError> {
        let mut tail = self.inner.tail.lock().await;
        self.follow(&mut tail, None).await.map(|_| ())
    }

    /// Checks that an entry that the state has is still in the bucket: a bucket that was put back to
    /// an older copy lacks the last ones. One request.
    ///
    /// # Errors
    /// [`CommitError::Contradicted`] when it is gone. Nothing may be acknowledged from then on.
    pub async fn expect_entry(&self, seq: u64) -> Result<(), CommitError> {
        match self.inner.journal.is_there(StreamId::Global, seq).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(CommitError::Contradicted {
                at: self.state().position(),
                object: StreamId::Global.key(seq),
            }),
            Err(error) if error.is_retryable() => Err(error.into()),
            // What is damaged is there, and the state has what it said.
            Err(_) => Ok(()),
        }
    }

    /// Commits what `decide` answers with, judged against exactly the state that it will follow.
    /// `decide` is asked again whenever the state has moved; nothing is committed if it answers
    /// with no events.
    ///
    /// # Errors
    /// See [`CommitError`]. A rejection is always by the newest state.
    pub async fn commit<D>(&self, decide: D) -> Result<Committed, CommitError>
    where
        D: Fn(&State) -> Result<Vec<Event>, Reject>,
    {
        let mut tail = self.inner.tail.lock().await;
        let id = Uuid::new_v4();
        let mut unclear = 0;
        let mut lost = 0;
        let mut fresh = false;
        loop {
            let state = self.state();
            let events = match decide_checked(&state, &decide) {
                Ok(events) => events,
                Err(reject) if fresh => return Err(reject.into()),
                Err(_) => {
                    // Perhaps only an old state says so.
                    if let Some(done) = self.follow(&mut tail, Some(id)).await? {
                        return Ok(done);
                    }
                    fresh = true;
                    continue;
                }
            };
            if events.is_empty() {
                return Ok(Committed { seq: None });
            }
            let payload = encode(id, &events)?;
            backstay_failpoint::hit("global.commit.before_append");
            let appended = self
                .inner
                .journal
                .try_append(StreamId::Global, state.offset, state.term, payload)
                .await;
            let before = state.offset;
            let term = state.term;
            drop(state);
            match appended {
                Ok(TryAppend::Appended { seq }) => {
                    backstay_failpoint::hit("global.commit.after_append");
                    self.change(|state| state.apply(seq, term, events));
                    self.rewind(&mut tail);
                    return Ok(Committed { seq: Some(seq) });
                }
                Ok(TryAppend::TrimmedBehind) => return Err(self.trimmed()),
                // What was faster has just been read, and what follows it is met by the next try.
                // Where every call takes long, others are faster again meanwhile; who has lost
                // more than once reads all that there is at one go.
                Ok(TryAppend::Lost(entry)) => {
                    lost += 1;
                    if self.take(&entry)? == Some(id) {
                        return Ok(Committed {
                            seq: Some(entry.seq),
                        });
                    }
                    if lost == 1 {
                        // Not the newest state yet, should that reject it.
                        fresh = false;
                        continue;
                    }
                    self.rewind(&mut tail);
                    tail.expect(ENTRIES_BEHIND_LOST_SLOT);
                    if let Some(done) = self.follow(&mut tail, Some(id)).await? {
                        return Ok(done);
                    }
                }
                Ok(TryAppend::Fenced(fence)) => {
                    if let Some(done) = self.follow(&mut tail, Some(id)).await? {
                        return Ok(done);
                    }
                    if self.state().offset == before {
                        return Err(CommitError::Fenced {
                            by: fence.by,
                            term: fence.term,
                        });
                    }
                }
                Err(error) => {
                    unclear += 1;
                    if !error.is_retryable() || unclear >= MAX_UNCLEAR_ATTEMPTS {
                        return Err(error.into());
                    }
                    // It may have taken effect, or still will: into the very slot that the next
                    // try will ask for, where it is known by its id.
                    if let Some(done) = self.follow(&mut tail, Some(id)).await? {
                        return Ok(done);
                    }
                }
            }
            fresh = true;
        }
    }

    /// Applies everything up to the end of the log. Answers with the entry of the commit `ours`
    /// if it was among them.
    async fn follow(
        &self,
        tail: &mut Tail,
        ours: Option<Uuid>,
    ) -> Result<Option<Committed>, CommitError> {
        self.rewind(tail);
        let mut done = None;
        loop {
            let next = tail.next().await.map_err(|error| match error {
                TailError::Trimmed { .. } => self.trimmed(),
                TailError::Store(error) => error.into(),
            })?;
            let Some(entry) = next else {
                // Dead slots at the end were passed over.
                if tail.position() > self.state().offset {
                    let (last, term) = (tail.position() - 1, tail.term());
                    self.change(|state| state.advance(last, term));
                }
                return Ok(done);
            };
            if self.take(&entry)? == ours && ours.is_some() {
                done = Some(Committed {
                    seq: Some(entry.seq),
                });
            }
        }
    }

    /// Applies one entry; answers with the id of its commit.
    fn take(&self, entry: &Entry) -> Result<Option<Uuid>, CommitError> {
        let (seq, term) = (entry.seq, entry.term);
        let (id, events) = match &entry.kind {
            EntryKind::Seal { by } => {
                if !is_own(by, &self.state().cluster_id) && term >= self.inner.held {
                    return Err(CommitError::Fenced {
                        by: by.to_string(),
                        term,
                    });
                }
                // A node of this very cluster began a term, and all go on under it; or another
                // cluster did, from which it has been taken back.
                (None, Vec::new())
            }
            EntryKind::Data => {
                let (id, events) = decode(entry)?;
                (Some(id), events)
            }
        };
        if id.is_some() {
            let mut last_entries = self.inner.last_entries.write();
            last_entries.insert(entry.writer.clone(), seq);
        }
        let state = self.state();
        for event in &events {
            if let Event::Recovered { id, .. } = event
                && !state.recoveries.iter().any(|known| known.id == *id)
            {
                return Err(CommitError::Stale {
                    at: state.position(),
                    detail: format!("the cluster was recovered again ({id})"),
                });
            }
        }
        drop(state);
        self.change(|state| state.apply(seq, term, events));
        Ok(id)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let position = {
            let mut state = self.inner.state.write();
            let state = Arc::make_mut(&mut state);
            change(state);
            state.position()
        };
        self.inner.moved.send_replace(position);
    }

    /// Puts the tail where the state stands: after an error it may be ahead, after an append
    /// behind.
    fn rewind(&self, tail: &mut Tail) {
        let state = self.state();
        if tail.position() != state.offset || tail.term() != state.term {
            *tail = self
                .inner
                .journal
                .tail(StreamId::Global, state.offset, state.term);
        }
    }

    fn trimmed(&self) -> CommitError {
        CommitError::Stale {
            at: self.state().position(),
            detail: "the entries behind it have been trimmed".to_owned(),
        }
    }
}

/// What `decide` answers with, each event checked against the state after those before it.
fn decide_checked<D>(state: &State, decide: &D) -> Result<Vec<Event>, Reject>
where
    D: Fn(&State) -> Result<Vec<Event>, Reject>,
{
    let events = decide(state)?;
    match events.as_slice() {
        [] => {}
        [only] => state.check(only)?,
        [first, rest @ ..] => {
            state.check(first)?;
            let mut after = state.clone();
            after.apply_one(first.clone());
            for event in rest {
                after.check(event)?;
                after.apply_one(event.clone());
            }
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests;
