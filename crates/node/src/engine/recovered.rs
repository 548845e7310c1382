//! Searching what a recovered cluster had acknowledged where it lies, in that cluster's own sealed
//! journal, until it is imported.
//!
//! A recovery serves as soon as what was acknowledged is known to be safe; making segments of it
//! follows in the background (see `import`). Until then it is read like any other tail, with two
//! differences: it ends at the source's seal, and it is covered up to where it is imported. So the
//! rule for exactly once is the same: a search takes the segments and the positions from one state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::RwLock;

use super::packed::LiveBatch;
use super::running::Running;
use super::tails::{FollowError, Follower, Witness, totals};
use super::view::{self, PendingTail};
use crate::memory::MemoryBudget;

/// A partition of a recovery.
type Key = (String, u32);

/// The tails that are not imported yet, of all recoveries.
#[derive(Debug)]
pub(crate) struct RecoveredTails {
    memory: MemoryBudget,
    followers: RwLock<BTreeMap<Key, Arc<Follower>>>,
}

fn key(tail: &PendingTail) -> Key {
    (tail.recovery.clone(), tail.partition)
}

impl RecoveredTails {
    pub(crate) fn new(memory: MemoryBudget) -> Self {
        Self {
            memory,
            followers: RwLock::new(BTreeMap::new()),
        }
    }

    fn known(&self, tail: &PendingTail) -> Option<Arc<Follower>> {
        self.followers.read().get(&key(tail)).cloned()
    }

    /// The batches of a repository that a state has as not imported; `None` when the state is too
    /// old.
    pub(crate) fn batches(
        &self,
        pending: &[PendingTail],
        repository: &str,
    ) -> Option<Vec<Arc<LiveBatch>>> {
        let mut found = Vec::new();
        for tail in pending {
            // It is thrown away only when a newer state has all of it in segments.
            found.extend(self.known(tail)?.batches(tail.imported, repository)?);
        }
        Some(found)
    }

    /// Throws away what is imported. Call only with what an applied state says.
    pub(crate) fn prune(&self, pending: &[PendingTail]) {
        if self.followers.read().is_empty() {
            return;
        }
        let left: BTreeSet<Key> = pending.iter().map(key).collect();
        self.followers.write().retain(|key, _| left.contains(key));
        for tail in pending {
            if let Some(follower) = self.known(tail) {
                follower.prune(tail.imported);
            }
        }
    }

    /// Events and raw bytes that are held.
    pub(crate) fn totals(&self) -> (usize, usize) {
        totals(self.followers.read().values().cloned().collect())
    }
}

impl Running {
    /// Reads a tail that is not imported yet to its end.
    ///
    /// # Errors
    /// When the source's bucket cannot be opened, or anything below the end is not there or cannot
    /// be read: what is not seen must not be taken for nothing.
    pub(crate) async fn follow_recovered(&self, tail: &PendingTail) -> Result<(), FollowError> {
        let follower = match self.recovered.known(tail) {
            Some(follower) => follower,
            None => {
                let bucket = self.source_bucket(tail.bucket).await?;
                let journal = self.journal_in(&bucket);
                let memory = self.recovered.memory.clone();
                let new = Follower::recovered(journal, tail.partition, tail.to, memory);
                let mut followers = self.recovered.followers.write();
                Arc::clone(followers.entry(key(tail)).or_insert_with(|| Arc::new(new)))
            }
        };
        // What is imported meanwhile is in segments, of which the search takes a newer state.
        let standing = || {
            self.global
                .read(|state| view::standing_of_tail(state, tail))
        };
        let witness = || Witness::Says {
            settled: tail.to,
            by: format!("the recovery of cluster {}", tail.from_cluster),
        };
        follower.refresh(&standing, &witness).await
    }
}
