//! What an owner knows of the idempotency keys of its partition: nothing, until it has read all.
//!
//! A partition is written from its seal on. Which batches are stored below the seal is known only
//! when every entry and object that has their keys was read; while one of them is damaged, it is
//! not. Batches without a key need none of that and are taken all the while. One with a key is
//! never judged by a part of the keys: it waits, or is refused with what is in the way.
//!
//! Until then nothing is written down either: no index object, so that the state's `upto` never
//! passes keys that were not read; no floor, so that nothing is trimmed whose keys are needed; and
//! the clock by which keys age stands still, because a client that is refused cannot come in time.

use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::dedupe::Window;

/// How far the reading has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It goes on; what it last met with, which may pass by itself.
    UnderWay(Option<String>),
    /// Something is damaged, or has failed again and again; what. It is tried again, but there is no
    /// use in waiting for that.
    Blocked(String),
    /// All keys are known.
    Done,
}

/// Why the keys are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysUnknown {
    /// They are being read, and nothing has failed so far.
    #[error("they are being read")]
    UnderWay,
    /// The reading has met with this.
    #[error("{0}")]
    Met(String),
}

/// The keys of a partition, as far as its owner knows them.
pub(crate) struct Known {
    window: Mutex<Option<Window>>,
    reading: watch::Sender<Reading>,
    failures: AtomicU32,
}

/// After so many failures nobody waits for the next try.
const MAX_AWAITED_FAILURES: u32 = 3;

impl Default for Known {
    fn default() -> Self {
        Self {
            window: Mutex::new(None),
            reading: watch::Sender::new(Reading::UnderWay(None)),
            failures: AtomicU32::new(0),
        }
    }
}

impl Known {
    /// The keys, once they are known.
    pub(crate) fn get(&self) -> Option<MappedMutexGuard<'_, Window>> {
        MutexGuard::try_map(self.window.lock(), Option::as_mut).ok()
    }

    /// Waits until they are known.
    ///
    /// # Errors
    /// With what is in the way: at once where it will not pass by itself, else when the time is up.
    pub(crate) async fn wait(&self, until: Instant) -> Result<(), KeysUnknown> {
        let mut reading = self.reading.subscribe();
        let waited = reading.wait_for(|it| !matches!(it, Reading::UnderWay(_)));
        if let Ok(Ok(now)) = timeout_at(until, waited).await
            && *now == Reading::Done
        {
            return Ok(());
        }
        match &*self.reading.borrow() {
            Reading::Done => Ok(()),
            Reading::Blocked(why) | Reading::UnderWay(Some(why)) => {
                Err(KeysUnknown::Met(why.clone()))
            }
            Reading::UnderWay(None) => Err(KeysUnknown::UnderWay),
        }
    }

    /// Whether they are known.
    pub(crate) fn is_done(&self) -> bool {
        *self.reading.borrow() == Reading::Done
    }

    /// Ends the wait of all: the keys are known now.
    pub(crate) fn learn(&self, window: Window) {
        *self.window.lock() = Some(window);
        self.reading.send_replace(Reading::Done);
    }

    /// They could not be read; `lasting`: and cannot until somebody helps.
    pub(crate) fn failed(&self, why: String, lasting: bool) {
        let failures = self.failures.fetch_add(1, Ordering::AcqRel) + 1;
        self.reading.send_if_modified(|now| {
            let new = if lasting || failures >= MAX_AWAITED_FAILURES {
                Reading::Blocked(why)
            } else {
                Reading::UnderWay(Some(why))
            };
            let changes = *now != Reading::Done && *now != new;
            if changes {
                *now = new;
            }
            changes
        });
    }
}

#[cfg(test)]
mod tests;
