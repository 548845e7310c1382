//! The idempotency window of one partition, in memory.
//!
//! A key is known from the moment its batch is handed to the writer until the batch's events have
//! been in segments for `BACKSTAY_TRIM_SECONDS`. Keys of entries that are in segments are held in
//! *generations*, each with the moment at which it went there by the partition's own clock
//! (`ran_ms` of the state: for how long living owners have written it). No other clock is asked,
//! so neither a wrong one nor a long silence ends or lengthens the window.
//!
//! What is known here is in the journal or in the index object that the state names (`index`), and
//! a new owner, or another cluster, rebuilds the same from these (`keys`).
//!
//! **Bounded by refusing.** A partition that holds [`MAX_KEYS`] takes no new keyed batch until
//! older keys have had their time. A key is never forgotten before.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use tokio::sync::watch;

use super::index::{Generation, Index, Since};
use super::record::KeyHash;

/// Keys that one partition holds at the most: some 80 MiB. With a window of ten minutes that is
/// 1,700 keyed batches a second in each partition.
pub(crate) const MAX_KEYS: usize = 1 << 20;

/// What became of a batch that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreOutcome {
    /// It is on its way, and its end is open.
    Open,
    /// It is in the journal.
    Stored,
    /// It is not, and never will be.
    NotStored,
}

/// The answer to a new batch with a key.
#[derive(Debug)]
pub(crate) enum Claim {
    /// Not seen before: store it, then tell the window.
    New,
    /// It is stored.
    Stored,
    /// The same batch is on its way: wait for its outcome.
    Pending(watch::Receiver<StoreOutcome>),
    /// As many keys are known as may be; this one is not among them.
    Full,
}

enum Known {
    /// Stored; by the number of the latest generation that has it, or none while its entry is in
    /// no segment.
    Stored(Option<u64>),
    Pending(watch::Sender<StoreOutcome>),
}

/// The keys of one partition.
pub(crate) struct Window {
    keys: HashMap<KeyHash, Known>,
    generations: VecDeque<(u64, Generation)>,
    /// Number of the next generation.
    next: u64,
    /// Entries below are in generations, or have been.
    upto: u64,
    /// The highest term begun below `upto`, where it is known.
    below: Option<u64>,
    limit: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self::bounded(MAX_KEYS)
    }
}

impl Window {
    /// An empty one that takes so many keys.
    pub(crate) fn bounded(limit: usize) -> Self {
        Self {
            keys: HashMap::new(),
            generations: VecDeque::new(),
            next: 0,
            upto: 0,
            below: None,
            limit,
        }
    }

    /// Asks for the right to store the batch of `key`.
    pub(crate) fn claim(&mut self, key: KeyHash) -> Claim {
        let full = self.keys.len() >= self.limit;
        match self.keys.entry(key) {
            Entry::Vacant(_) if full => Claim::Full,
            Entry::Vacant(vacant) => {
                vacant.insert(Known::Pending(watch::Sender::new(StoreOutcome::Open)));
                Claim::New
            }
            Entry::Occupied(known) => match known.get() {
                Known::Stored(_) => Claim::Stored,
                Known::Pending(outcome) => Claim::Pending(outcome.subscribe()),
            },
        }
    }

    /// The batch of `key`, which was claimed, is in the journal.
    pub(crate) fn stored(&mut self, key: KeyHash) {
        // Its entry may have become part of a segment meanwhile; then it is known already.
        if let Some(Known::Pending(_)) = self.keys.get(&key) {
            self.know(key, None);
        }
    }

    /// The batch of `key` was found in an entry that is in no segment.
    pub(crate) fn found(&mut self, key: KeyHash) {
        self.know(key, None);
    }

    /// The batch of `key` will never be in the journal by this claim.
    pub(crate) fn not_stored(&mut self, key: KeyHash) {
        if matches!(self.keys.get(&key), Some(Known::Pending(_)))
            && let Some(Known::Pending(outcome)) = self.keys.remove(&key)
        {
            outcome.send_replace(StoreOutcome::NotStored);
        }
    }

    /// Takes in keys of entries that are in segments, or will be.
    pub(crate) fn add(&mut self, generation: Generation) {
        let number = self.next;
        self.next += 1;
        if generation.to > self.upto {
            self.begin_at(generation.to, None);
        }
        for key in &generation.keys {
            self.know(*key, Some(number));
        }
        self.generations.push_back((number, generation));
    }

    fn know(&mut self, key: KeyHash, generation: Option<u64>) {
        if let Some(Known::Pending(outcome)) = self.keys.insert(key, Known::Stored(generation)) {
            outcome.send_replace(StoreOutcome::Stored);
        }
    }

    /// Entries below are in generations, or have been.
    pub(crate) fn upto(&self) -> u64 {
        self.upto
    }

    /// The highest term begun below [`Window::upto`], where it is known.
    pub(crate) fn term_below(&self) -> Option<u64> {
        self.below
    }

    /// Says that entries below `upto` need no other generation: they are in one, there are none, or
    /// they had their time. `below` is the highest term begun there.
    pub(crate) fn begin_at(&mut self, upto: u64, below: Option<u64>) {
        if upto >= self.upto {
            self.upto = upto;
            self.below = below;
        }
    }

    /// Forgets the keys whose time is over. `now_ms` is the partition's clock; `imported` says
    /// whether what a recovery found is in segments. Whether anything changed.
    pub(crate) fn expire(
        &mut self,
        now_ms: u64,
        window_ms: u64,
        imported: impl Fn(&str) -> bool,
    ) -> bool {
        let mut changed = false;
        for (_, generation) in &mut self.generations {
            if let Since::Import(recovery) = &generation.since
                && imported(recovery)
            {
                generation.since = Since::Ran(now_ms);
                changed = true;
            }
        }
        let over = |generation: &Generation| match generation.since {
            Since::Ran(since) => now_ms.saturating_sub(since) >= window_ms,
            Since::Import(_) => false,
        };
        let keys = &mut self.keys;
        self.generations.retain(|(number, generation)| {
            if !over(generation) {
                return true;
            }
            for key in &generation.keys {
                if matches!(keys.get(key), Some(Known::Stored(Some(last))) if last == number) {
                    keys.remove(key);
                }
            }
            changed = true;
            false
        });
        changed
    }

    /// Entries below have been in segments for the whole window.
    pub(crate) fn floor(&self) -> u64 {
        let own = self.generations.iter().map(|(_, it)| it);
        let own = own.filter(|it| it.to > it.from).map(|it| it.from);
        own.min().unwrap_or(self.upto)
    }

    /// Whether keys or entries are waiting for their time to be over.
    pub(crate) fn ages(&self) -> bool {
        !self.generations.is_empty()
    }

    /// What an index object is to hold.
    pub(crate) fn index(&self) -> Index {
        let generations = self.generations.iter().map(|(_, it)| it.clone());
        Index {
            upto: self.upto,
            generations: generations.collect(),
        }
    }

    /// How many keys are known.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

#[cfg(test)]
mod tests;
