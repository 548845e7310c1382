//! The suite of all journal backends over the one in memory. Buckets run it in the crate that puts
//! a journal into them (`global`).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::Arc;

use backstay_journal::simulated::{Faults, FaultyStore, MemoryStore};
use backstay_testkit::journal::conforms;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory() {
    conforms(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(start_paused = true)]
async fn memory_behind_a_slow_network() {
    let memory = Arc::new(MemoryStore::new());
    conforms(Arc::new(FaultyStore::new(memory, Faults::NONE, 7))).await;
}
