//! The takeovers of a node: each partition on its own, and what fails again and again ever more
//! seldom.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{self, JoinError, JoinSet};
use tokio::time::timeout;

use super::keys::KeysError;
use super::plan::next_wait;
use super::running::Running;
use super::takeover::TakeoverError;

/// The wait after the first failure; it doubles with each.
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(250);
/// The longest wait for the next try to take a partition, which nobody writes meanwhile.
const MAX_TAKE_RETRY_DELAY: Duration = Duration::from_secs(10);
/// The longest wait for the next try to read its keys, which is much to read.
const MAX_KEYS_RETRY_DELAY: Duration = Duration::from_secs(60);

/// The step of reading a partition's keys, as troubles name it.
pub(crate) const KEYS: &str = "keys";

/// How a try went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TakeOutcome {
    /// The partition is written and its keys are known.
    Done,
    /// It is another host's.
    Elsewhere,
    /// It is to be tried again, after so long at the most.
    Again(Duration),
}

/// When a partition is tried next.
#[derive(Clone, Copy, Debug)]
struct Wait {
    until: Instant,
    length: Duration,
}

/// The partitions that are being taken.
#[derive(Debug, Default)]
pub(crate) struct Taking {
    tasks: JoinSet<TakeOutcome>,
    /// Which partition each of them is about.
    under_way: HashMap<task::Id, u32>,
    waits: BTreeMap<u32, Wait>,
}

impl Taking {
    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Begins to take a partition, from the term `seen`, or to read the keys of one that this node
    /// writes, unless that is under way or its turn has not come.
    pub(crate) fn begin(&mut self, running: &Arc<Running>, partition: u32, seen: u64) {
        let waits = self.waits.get(&partition);
        let too_early = waits.is_some_and(|wait| Instant::now() < wait.until);
        if too_early || self.under_way.values().any(|it| *it == partition) {
            return;
        }
        let running = Arc::clone(running);
        let task = async move { running.take_and_learn(partition, seen).await };
        let task = self.tasks.spawn(task);
        self.under_way.insert(task.id(), partition);
    }

    /// Waits until one has ended, for so long at the most. Whether one has.
    pub(crate) async fn one(&mut self, running: &Running, patience: Duration) -> bool {
        match timeout(patience, self.tasks.join_next_with_id()).await {
            Ok(Some(ended)) => self.note(running, ended),
            Ok(None) => {}
            Err(_) => return false,
        }
        true
    }

    /// Takes note of those that have ended.
    pub(crate) fn ended(&mut self, running: &Running) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.note(running, ended);
        }
    }

    fn note(&mut self, running: &Running, ended: Result<(task::Id, TakeOutcome), JoinError>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome),
            // A bug in it; the partition is still due.
            Err(error) => {
                let partition = self.under_way.get(&error.id()).copied();
                let id = error.id();
                running.note_in("takeover", partition, &Err::<(), _>(error));
                (id, TakeOutcome::Again(MAX_TAKE_RETRY_DELAY))
            }
        };
        let Some(partition) = self.under_way.remove(&id) else {
            return;
        };
        match outcome {
            TakeOutcome::Done | TakeOutcome::Elsewhere => {
                self.waits.remove(&partition);
            }
            TakeOutcome::Again(most) => {
                let before = self.waits.get(&partition).map(|wait| wait.length);
                let length = next_wait(before, FIRST_RETRY_DELAY, most);
                let until = Instant::now() + length;
                self.waits.insert(partition, Wait { until, length });
            }
        }
    }
}

impl Running {
    /// Takes a partition, unless this node writes it already, and reads its keys.
    async fn take_and_learn(&self, partition: u32, seen: u64) -> TakeOutcome {
        let owned = match self.owned(partition) {
            Some(owned) => owned,
            None => {
                let taken = self.take(partition, seen).await;
                self.note_in("takeover", Some(partition), &taken);
                let lasting = taken.as_ref().err().filter(|error| error.is_lasting());
                self.troubles
                    .block(partition, lasting.map(ToString::to_string));
                self.took.notify_waiters();
                match taken {
                    Ok(owned) => owned,
                    Err(TakeoverError::Overtaken { .. }) => return TakeOutcome::Elsewhere,
                    Err(_) => return TakeOutcome::Again(MAX_TAKE_RETRY_DELAY),
                }
            }
        };
        let under_way = self.troubles.begin(KEYS, partition);
        let learned = self.learn_keys(&owned).await;
        drop(under_way);
        self.note_in(KEYS, Some(partition), &learned);
        match learned {
            Ok(()) => TakeOutcome::Done,
            Err(KeysError::Overtaken) => {
                self.drop_owned(&owned);
                TakeOutcome::Elsewhere
            }
            Err(_) => TakeOutcome::Again(MAX_KEYS_RETRY_DELAY),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn waits_double_up_to_their_bound() {
        let mut waits = Vec::new();
        for _ in 0..12 {
            waits.push(next_wait(
                waits.last().copied(),
                FIRST_RETRY_DELAY,
                MAX_KEYS_RETRY_DELAY,
            ));
        }
        let seconds: Vec<u64> = waits.iter().map(Duration::as_secs).collect();
        assert_eq!(waits[0], FIRST_RETRY_DELAY);
        assert_eq!(seconds, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        // What is now about another step has another bound.
        let bounded = next_wait(
            waits.last().copied(),
            FIRST_RETRY_DELAY,
            MAX_TAKE_RETRY_DELAY,
        );
        assert_eq!(bounded, MAX_TAKE_RETRY_DELAY);
    }
}
