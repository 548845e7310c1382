//! Tasks in the background, of which one at a time is about the same thing.

use std::collections::HashMap;
use std::hash::Hash;

use tokio::task::{JoinError, JoinHandle};

/// Those that are under way, by what they are about.
#[derive(Debug)]
pub(super) struct Tasks<K>(HashMap<K, JoinHandle<()>>);

impl<K: Eq + Hash> Tasks<K> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Whether one is about this.
    pub(super) fn has(&self, about: &K) -> bool {
        self.0.contains_key(about)
    }

    /// One that was begun.
    pub(super) fn add(&mut self, about: K, task: JoinHandle<()>) {
        self.0.insert(about, task);
    }

    /// Forgets those that have ended; `failed` is called for the ones that a bug has ended, which are
    /// tried again like any other failure, and shown until then.
    pub(super) async fn forget_ended(&mut self, failed: impl Fn(&K, JoinError)) {
        for (about, task) in self.0.extract_if(|_, task| task.is_finished()) {
            if let Err(error) = task.await {
                failed(&about, error);
            }
        }
    }
}
