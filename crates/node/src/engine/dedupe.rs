//! The idempotency window of one partition.
//!
//! The window is what the partition's journal still holds: a key is known from the moment its
//! batch is handed to the writer until the entry that carries it is trimmed, at least
//! `BACKSTAY_TRIM_SECONDS` after it went into a segment. No clock is needed, and a new owner
//! rebuilds the very same window by reading the entries.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use tokio::sync::watch;

use super::record::KeyHash;

/// What became of a batch that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nobody knows yet.
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
    Pending(watch::Receiver<Outcome>),
}

enum Known {
    Stored,
    Pending(watch::Sender<Outcome>),
}

/// The keys of one partition.
#[derive(Default)]
pub(crate) struct Window {
    keys: HashMap<KeyHash, Known>,
    by_seq: BTreeMap<u64, Vec<KeyHash>>,
}

impl Window {
    /// Asks for the right to store the batch of `key`.
    pub(crate) fn claim(&mut self, key: KeyHash) -> Claim {
        match self.keys.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(Known::Pending(watch::Sender::new(Outcome::Open)));
                Claim::New
            }
            Entry::Occupied(known) => match known.get() {
                Known::Stored => Claim::Stored,
                Known::Pending(outcome) => Claim::Pending(outcome.subscribe()),
            },
        }
    }

    /// The batch of `key` is in the entry `seq`.
    pub(crate) fn stored(&mut self, key: KeyHash, seq: u64) {
        self.by_seq.entry(seq).or_default().push(key);
        if let Some(Known::Pending(outcome)) = self.keys.insert(key, Known::Stored) {
            outcome.send_replace(Outcome::Stored);
        }
    }

    /// The batch of `key` will never be in the journal by this claim.
    pub(crate) fn not_stored(&mut self, key: KeyHash) {
        if matches!(self.keys.get(&key), Some(Known::Pending(_)))
            && let Some(Known::Pending(outcome)) = self.keys.remove(&key)
        {
            outcome.send_replace(Outcome::NotStored);
        }
    }

    /// Forgets the keys of trimmed entries.
    pub(crate) fn forget_below(&mut self, floor: u64) {
        let kept = self.by_seq.split_off(&floor);
        for key in std::mem::replace(&mut self.by_seq, kept)
            .into_values()
            .flatten()
        {
            self.keys.remove(&key);
        }
    }

    /// How many keys are known.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

#[cfg(test)]
mod tests;
