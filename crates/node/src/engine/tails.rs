//! Following the partitions: what was acknowledged anywhere and is in no segment yet.
//!
//! No node tells another what it has accepted; each reads it from the bucket. A search brings the
//! tails to the present first, so it finds whatever any node acknowledged before it began.
//!
//! **Exactly once.** An event is in a segment if its entry lies below the partition's `covered`
//! position, and in the tail otherwise. A search takes segments and positions from *one* state,
//! and of the tails only what is at or above those positions; [`Live::start`] says up to where a
//! tail has already thrown entries away, and when that is above the position of the search's
//! state, the search takes a newer state ([`Tails::batches`] answers `None`).
//!
//! **Within bounds.** Entries are kept as they are in the journal and accounted for as
//! [`MemoryUse::Tails`]. A tail that does not fit is not followed to its end ([`FollowError::Full`]):
//! a search that needs the end is refused, and the owner makes segments of what it holds, then
//! reads on. It always gets on: of a tail of which it holds nothing it may read one entry more
//! than fits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use backstay_journal::{Entry, Journal, StoreError, StreamId, Tail, TailError};
use backstay_search::allocated;
use parking_lot::{Mutex, RwLock};

use super::packed::LiveBatch;
use super::record::{KeyHash, Opened, RecordError};
use crate::memory::{MemoryBudget, MemoryPermit, MemoryUse};

/// How far behind its seal a dead entry can be: a writer never has more slots on their way.
const LOOK_BACK_SLOTS: u64 = backstay_journal::MAX_IN_FLIGHT as u64 + 1;

/// Where a partition stands, as the state says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Entries below are in segments.
    pub(crate) covered: u64,
    /// Entries below may be gone.
    pub(crate) floor: u64,
    /// The highest term begun below `covered`, where the state knows it.
    pub(crate) below: Option<u64>,
}

/// Who says how far a partition reaches at the least, so that its end can be told from a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Witness {
    /// Whoever writes it: this node knows its own writer, and others report theirs with each heartbeat.
    /// Of a recovered cluster's partition, which nobody writes any more, the recovery knows the end.
    Says {
        /// Everything below is in the journal.
        settled: u64,
        /// Who reports that, in words: its writer here or on another host, or a recovery.
        by: String,
    },
    /// Nobody writes it now: only the entries behind an absent slot can say that it was there, and
    /// they are listed.
    Nobody,
}

/// Why the tails are not at the present.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The journal cannot be read.
    #[error(transparent)]
    Tail(#[from] TailError),
    /// The bucket of a recovered cluster cannot be opened.
    #[error("the recovered cluster's bucket: {0}")]
    Source(#[from] backstay_search::SourceError),
    /// A record cannot be read. It is not passed over: it may be acknowledged events.
    #[error("journal/{stream}/{seq:020}: {source}")]
    Record {
        /// The stream that is followed.
        stream: StreamId,
        /// The slot that the record is in.
        seq: u64,
        /// Why the record cannot be decoded.
        #[source]
        source: RecordError,
    },
    /// It is more than this node can hold.
    #[error(
        "{stream} holds more that is in no segment yet than the {share} bytes that this node has for {kind} (BACKSTAY_MEMORY_BYTES); its owner is making segments of it, try again in a moment"
    )]
    Full {
        /// The stream that is followed.
        stream: StreamId,
        /// What the memory was to be used for.
        kind: &'static str,
        /// What all such tails together may take.
        share: usize,
    },
}

impl FollowError {
    /// Whether it will not pass without somebody's help.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::Tail(TailError::Store(error)) => !error.is_retryable(),
            Self::Record { .. } => true,
            Self::Tail(TailError::Trimmed { .. }) | Self::Full { .. } | Self::Source(_) => false,
        }
    }
}

impl From<StoreError> for FollowError {
    fn from(error: StoreError) -> Self {
        Self::Tail(TailError::Store(error))
    }
}

/// One entry of a partition, looked through.
#[derive(Clone, Debug)]
pub(crate) struct LiveEntry {
    /// The slot that the entry is in.
    pub(crate) seq: u64,
    /// Its term: the highest one begun up to here.
    pub(crate) term: u64,
    /// Its batches, in order.
    pub(crate) batches: Vec<Arc<LiveBatch>>,
    /// The idempotency keys of its batches.
    pub(crate) keys: Vec<KeyHash>,
    /// Raw bytes of its events.
    pub(crate) raw_bytes: usize,
    /// What it takes in memory.
    pub(crate) memory: usize,
    /// When this node read it.
    pub(crate) since: Instant,
}

impl LiveEntry {
    /// Looks through what a tail delivered; `held` is the memory of its payload.
    pub(crate) fn decode(entry: &Entry, held: MemoryPermit) -> Result<Self, FollowError> {
        let failed = |source| FollowError::Record {
            stream: entry.stream,
            seq: entry.seq,
            source,
        };
        let held = Arc::new(held);
        let mut batches = Vec::new();
        let mut keys = Vec::new();
        for record in entry.records() {
            match Opened::open(&record).map_err(failed)? {
                Opened::Batch {
                    repository,
                    key,
                    count,
                    events,
                } => {
                    keys.extend(key);
                    let held = Some(Arc::clone(&held));
                    let batch = LiveBatch::new(repository.into(), count, events, held);
                    batches.push(Arc::new(batch.map_err(failed)?));
                }
                Opened::Keys { keys: more } => keys.extend(more),
            }
        }
        let overhead: usize = batches.iter().map(|batch| batch.overhead()).sum();
        Ok(Self {
            seq: entry.seq,
            term: entry.term,
            raw_bytes: batches.iter().map(|batch| batch.raw_bytes()).sum(),
            memory: overhead + weight(entry),
            batches,
            keys,
            since: Instant::now(),
        })
    }

    fn events(&self) -> usize {
        self.batches.iter().map(|batch| batch.events()).sum()
    }
}

/// What an entry takes in memory, as far as is known before it is looked through. Of its records
/// each one is a batch, and those of a few bytes take more in what is noted of them.
pub(crate) fn weight(entry: &Entry) -> usize {
    let records = entry.records().count();
    allocated(size_of::<LiveEntry>()) + allocated(entry.payload.len()) + records * RECORD_NOTE_BYTES
}

/// What is noted of one record, with some repository's id.
const RECORD_NOTE_BYTES: usize = 320;

/// What a tail holds.
#[derive(Debug, Default)]
struct Live {
    /// Entries below were thrown away.
    start: u64,
    /// Entries below were read.
    end: u64,
    entries: VecDeque<Arc<LiveEntry>>,
}

/// The tail of one partition.
#[derive(Debug)]
pub(crate) struct Follower {
    journal: Journal,
    stream: StreamId,
    /// Nothing is read from here on: of another cluster's stream, what was acknowledged ends there.
    to: u64,
    memory: MemoryBudget,
    /// What its memory is accounted for as.
    kind: MemoryUse,
    /// The reader, and when its last full run to the end began.
    reader: tokio::sync::Mutex<Option<Reader>>,
    live: Mutex<Live>,
}

#[derive(Debug)]
struct Reader {
    tail: Tail,
    current_as_of: Option<Instant>,
    /// What the next entry takes, when it did not fit: it is not read in vain again.
    missing: usize,
}

impl Follower {
    fn new(journal: Journal, partition: u32, memory: MemoryBudget) -> Self {
        Self {
            journal,
            stream: StreamId::Partition(partition),
            to: u64::MAX,
            memory,
            kind: MemoryUse::Tails,
            reader: tokio::sync::Mutex::new(None),
            live: Mutex::new(Live::default()),
        }
    }

    /// The tail of a partition of a recovered cluster, which ends at `to`.
    pub(crate) fn recovered(
        journal: Journal,
        partition: u32,
        to: u64,
        memory: MemoryBudget,
    ) -> Self {
        Self {
            to,
            kind: MemoryUse::Recovered,
            ..Self::new(journal, partition, memory)
        }
    }

    /// Reads on to the end of the stream as it is at some time after this call began.
    ///
    /// `standing` answers with the position as the state says now; it is asked again when the
    /// tail finds itself in trimmed ground. `witness` tells the end of the stream from a hole.
    ///
    /// That costs no request while the partition has an owner, and one listing while it has none.
    /// What was deleted since the last heartbeat of another owner is noticed at its next one.
    ///
    /// # Errors
    /// [`StoreError::Missing`] at a hole: what lies behind it is not to be read as if it were all.
    pub(crate) async fn refresh(
        &self,
        standing: &(dyn Fn() -> Standing + Sync),
        witness: &(dyn Fn() -> Witness + Sync),
    ) -> Result<(), FollowError> {
        self.refresh_within(standing, witness, false).await
    }

    /// The same for the owner, who gets on when all tails are full: of a tail of which nothing is
    /// held, one entry is read whatever it takes.
    pub(crate) async fn refresh_owned(
        &self,
        standing: &(dyn Fn() -> Standing + Sync),
        witness: &(dyn Fn() -> Witness + Sync),
    ) -> Result<(), FollowError> {
        self.refresh_within(standing, witness, true).await
    }

    async fn refresh_within(
        &self,
        standing: &(dyn Fn() -> Standing + Sync),
        witness: &(dyn Fn() -> Witness + Sync),
        owned: bool,
    ) -> Result<(), FollowError> {
        let asked = Instant::now();
        let mut guard = self.reader.lock().await;
        // Whoever held the lock may have done our work meanwhile.
        if let Some(reader) = &*guard
            && reader.current_as_of.is_some_and(|began| began >= asked)
        {
            return Ok(());
        }
        let began = Instant::now();
        let witness = witness();
        loop {
            let now = standing();
            self.prune(now.covered);
            let behind = |reader: &Reader| reader.tail.position() < now.covered;
            let reader = match &mut *guard {
                Some(reader) if !behind(reader) => reader,
                slot => {
                    let (journal, stream) = (&self.journal, self.stream);
                    let term = term_below(journal, stream, now.covered, now.below).await?;
                    let tail = self.journal.tail(self.stream, now.covered, term);
                    *self.live.lock() = Live {
                        start: now.covered,
                        end: now.covered,
                        entries: VecDeque::new(),
                    };
                    slot.insert(Reader {
                        tail,
                        current_as_of: None,
                        missing: 0,
                    })
                }
            };
            reader.tail.set_floor(now.floor);
            match self.read_on(reader, owned).await {
                Ok(()) => {
                    let end = self.live.lock().end;
                    if self.is_beyond(end, &witness).await? {
                        continue;
                    }
                    reader.current_as_of = Some(began);
                    return Ok(());
                }
                Err(FollowError::Tail(TailError::Trimmed { .. })) if standing() != now => {
                    *guard = None;
                }
                Err(error) => {
                    // An entry that was taken from the tail but not kept must be read again.
                    if matches!(error, FollowError::Record { .. } | FollowError::Full { .. }) {
                        let end = self.live.lock().end;
                        reader.tail = self.journal.tail(self.stream, end, reader.tail.term());
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Whether there is more by now at `end`, where the stream seemed to end.
    async fn is_beyond(&self, end: u64, witness: &Witness) -> Result<bool, StoreError> {
        let Witness::Says { settled, by } = witness else {
            self.journal.expect_end(self.stream, end).await?;
            return Ok(false);
        };
        let by = || by.clone();
        self.journal
            .expect_settled(self.stream, end, *settled, by)
            .await
    }

    async fn read_on(&self, reader: &mut Reader, owned: bool) -> Result<(), FollowError> {
        let full = || FollowError::Full {
            stream: self.stream,
            kind: self.kind.as_str(),
            share: self.memory.share(self.kind),
        };
        let must = || owned && self.live.lock().entries.is_empty();
        let fits = self.memory.try_take(self.kind, reader.missing).is_ok();
        if reader.missing > 0 && !fits && !must() {
            return Err(full());
        }
        reader.missing = 0;
        while self.live.lock().end < self.to {
            let Some(entry) = reader.tail.next().await? else {
                break;
            };
            if entry.seq >= self.to {
                self.live.lock().end = self.to;
                break;
            }
            let needed = weight(&entry);
            let held = match self.memory.try_take(self.kind, needed) {
                Ok(held) => held,
                Err(_) if must() => self.memory.take(MemoryUse::Import, needed).await,
                Err(_) => {
                    reader.missing = needed;
                    return Err(full());
                }
            };
            let decoded = LiveEntry::decode(&entry, held)?;
            let mut live = self.live.lock();
            if entry.seq >= live.start {
                live.entries.push_back(Arc::new(decoded));
            }
            live.end = entry.seq + 1;
        }
        let mut live = self.live.lock();
        live.end = live.end.max(reader.tail.position()).min(self.to);
        Ok(())
    }

    /// Throws away what segments have. Call only with what an applied state says.
    pub(crate) fn prune(&self, covered: u64) {
        let mut live = self.live.lock();
        while live
            .entries
            .front()
            .is_some_and(|entry| entry.seq < covered)
        {
            live.entries.pop_front();
        }
        live.start = live.start.max(covered);
    }

    /// The entries at or above `covered`, and the position behind them; `None` when some of them
    /// were thrown away, so that the caller's state is too old.
    pub(crate) fn entries(&self, covered: u64) -> Option<(Vec<Arc<LiveEntry>>, u64)> {
        let live = self.live.lock();
        if live.start > covered {
            return None;
        }
        let entries = live
            .entries
            .iter()
            .filter(|entry| entry.seq >= covered)
            .cloned()
            .collect();
        Some((entries, live.end.max(covered)))
    }

    /// The batches of a repository at or above `covered`; `None` as with [`Self::entries`].
    pub(crate) fn batches(&self, covered: u64, repository: &str) -> Option<Vec<Arc<LiveBatch>>> {
        let (entries, _) = self.entries(covered)?;
        let batches = entries.iter().flat_map(|entry| &entry.batches);
        let ours = batches.filter(|batch| &*batch.repository == repository);
        Some(ours.map(Arc::clone).collect())
    }

    fn totals(&self) -> (usize, usize) {
        let live = self.live.lock();
        live.entries.iter().fold((0, 0), |(events, bytes), entry| {
            (events + entry.events(), bytes + entry.raw_bytes)
        })
    }
}

/// The highest term begun below `seq`, as far as it matters for judging entries from `seq` on: a
/// dead entry lies at most [`LOOK_BACK_SLOTS`] slots behind its seal, and seals are never trimmed.
async fn term_at(journal: &Journal, stream: StreamId, seq: u64) -> Result<u64, StoreError> {
    let from = seq.saturating_sub(LOOK_BACK_SLOTS);
    journal.term_begun_within(stream, from, seq).await
}

/// The same where the state may know it; then no entry below is needed, however damaged.
pub(crate) async fn term_below(
    journal: &Journal,
    stream: StreamId,
    seq: u64,
    known: Option<u64>,
) -> Result<u64, StoreError> {
    match known {
        Some(term) => Ok(term),
        None => term_at(journal, stream, seq).await,
    }
}

/// The tails of all partitions that a node follows.
#[derive(Debug)]
pub(crate) struct Tails {
    journal: Journal,
    memory: MemoryBudget,
    followers: RwLock<BTreeMap<u32, Arc<Follower>>>,
}

impl Tails {
    pub(crate) fn new(journal: Journal, memory: MemoryBudget) -> Self {
        Self {
            journal,
            memory,
            followers: RwLock::new(BTreeMap::new()),
        }
    }

    /// The tail of a partition; made at the first call.
    pub(crate) fn follower(&self, partition: u32) -> Arc<Follower> {
        if let Some(follower) = self.followers.read().get(&partition) {
            return Arc::clone(follower);
        }
        let new = || {
            let memory = self.memory.clone();
            Arc::new(Follower::new(self.journal.clone(), partition, memory))
        };
        Arc::clone(self.followers.write().entry(partition).or_insert_with(new))
    }

    /// Follows a partition no longer.
    pub(crate) fn forget(&self, partition: u32) {
        self.followers.write().remove(&partition);
    }

    /// The batches of a repository at or above the positions of a state; `None` when the state is
    /// too old.
    pub(crate) fn batches(
        &self,
        covered: &[(u32, u64)],
        repository: &str,
    ) -> Option<Vec<Arc<LiveBatch>>> {
        let mut found = Vec::new();
        for (partition, covered) in covered {
            found.extend(self.follower(*partition).batches(*covered, repository)?);
        }
        Some(found)
    }

    /// Throws away what segments have, everywhere.
    pub(crate) fn prune(&self, covered: &[(u32, u64)]) {
        let followers = self.followers.read();
        for (partition, covered) in covered {
            if let Some(follower) = followers.get(partition) {
                follower.prune(*covered);
            }
        }
    }

    /// Events and raw bytes that are held.
    pub(crate) fn totals(&self) -> (usize, usize) {
        totals(self.followers.read().values().cloned().collect())
    }
}

/// Events and raw bytes that these hold.
pub(crate) fn totals(followers: Vec<Arc<Follower>>) -> (usize, usize) {
    followers.iter().fold((0, 0), |(events, bytes), follower| {
        let (more_events, more_bytes) = follower.totals();
        (events + more_events, bytes + more_bytes)
    })
}

#[cfg(test)]
mod tests;
