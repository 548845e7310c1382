//! A store that calls an object there where nothing is, as one does that answers a put-if-absent
//! with a conflict of another kind.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use backstay_journal::simulated::MemoryStore;
use backstay_journal::{
    CommitOptions, EntryStore, Journal, KEEP_NEWEST_SLOTS, SealError, StoreError, StreamId,
    TRIM_WINDOW_SLOTS, TryAppend, WriterId,
};
use bytes::Bytes;

#[derive(Clone)]
struct Conflicting {
    inner: MemoryStore,
    /// So many puts more are answered with "exists" without being looked at.
    conflicts: Arc<AtomicU32>,
}

#[async_trait]
impl EntryStore for Conflicting {
    async fn create(&self, key: &str, bytes: Bytes) -> Result<bool, StoreError> {
        let left = &self.conflicts;
        let one_less = |left: u32| left.checked_sub(1);
        if left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
            .is_ok()
        {
            return Ok(false);
        }
        self.inner.create(key, bytes).await
    }

    async fn read(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.inner.read(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.inner.list(prefix).await
    }

    async fn delete(&self, keys: Vec<String>) -> Result<(), StoreError> {
        self.inner.delete(keys).await
    }
}

fn journal(conflicts: u32) -> (Journal, Conflicting) {
    let store = Conflicting {
        inner: MemoryStore::new(),
        conflicts: Arc::new(AtomicU32::new(conflicts)),
    };
    (
        Journal::new(Arc::new(store.clone()), WriterId("w".to_owned())),
        store,
    )
}

#[tokio::test(start_paused = true)]
async fn an_append_is_asked_again_and_is_not_trimmed_ground() {
    for conflicts in 0..4 {
        let (journal, _) = journal(conflicts);
        let answer = journal
            .try_append(StreamId::Global, 0, 1, "first".into())
            .await
            .unwrap();
        assert_eq!(answer, TryAppend::Appended { seq: 0 }, "{conflicts}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_stops_is_said_to_be_away() {
    let (journal, _) = journal(u32::MAX);
    let error = journal
        .try_append(StreamId::Global, 0, 1, "x".into())
        .await
        .unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let error = journal
        .seal(StreamId::Partition(0), 0, 1, "w")
        .await
        .unwrap_err();
    let SealError::Store(error) = error else {
        panic!("{error}");
    };
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_seal_and_a_writer_go_on() {
    for conflicts in 0..4 {
        let (journal, store) = journal(conflicts);
        let stream = StreamId::Partition(0);
        let sealed = journal.seal(stream, 0, 1, "w").await.unwrap();
        assert_eq!(sealed.seq, 0);
        store.conflicts.store(conflicts, Ordering::SeqCst);
        let writer = journal.writer(stream, sealed, CommitOptions::default());
        assert_eq!(writer.append("a".into()).await.unwrap().seq, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_trimmed_without_its_mark() {
    let (journal, store) = journal(0);
    for seq in 0..TRIM_WINDOW_SLOTS + KEEP_NEWEST_SLOTS {
        let payload = Bytes::from_static(b"x");
        journal
            .try_append(StreamId::Global, seq, 1, payload)
            .await
            .unwrap();
    }
    let before = store.inner.len();
    store.conflicts.store(1, Ordering::SeqCst);
    let error = journal
        .trim(StreamId::Global, TRIM_WINDOW_SLOTS)
        .await
        .unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(store.inner.len(), before, "nothing is deleted");
    let trimmed = journal
        .trim(StreamId::Global, TRIM_WINDOW_SLOTS)
        .await
        .unwrap();
    assert_eq!(trimmed.deleted, TRIM_WINDOW_SLOTS);
    let answer = journal
        .try_append(StreamId::Global, 3, 1, "late".into())
        .await
        .unwrap();
    assert_eq!(answer, TryAppend::TrimmedBehind);
}
