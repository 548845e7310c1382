#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::simulated::MemoryStore;
use crate::{Entry, EntryKind, EntryStore, Journal, Small, StoreError, StreamId, WriterId};

const STREAM: StreamId = StreamId::Partition(3);
const ENTRIES: u64 = 14;

/// Counts what is read whole at the same time, whatever its size.
#[derive(Clone, Default)]
struct Watched {
    store: MemoryStore,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

#[async_trait]
impl EntryStore for Watched {
    async fn create(&self, key: &str, bytes: Bytes) -> Result<bool, StoreError> {
        self.store.create(key, bytes).await
    }

    async fn read(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let read = self.store.read(key).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        read
    }

    async fn read_small(&self, key: &str, limit: usize) -> Result<Small, StoreError> {
        tokio::task::yield_now().await;
        self.store.read_small(key, limit).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.store.list(prefix).await
    }

    async fn delete(&self, keys: Vec<String>) -> Result<(), StoreError> {
        self.store.delete(keys).await
    }
}

/// A stream of entries with payloads of this size, which do not pack.
async fn stream_of(size: impl Fn(u64) -> usize) -> (Watched, u64) {
    let store = Watched::default();
    let mut random = StdRng::seed_from_u64(1);
    let mut all = 0;
    for seq in 0..ENTRIES {
        let mut payload = vec![0; size(seq)];
        random.fill(&mut payload[..]);
        // One record.
        if let Some((length, record)) = payload.split_at_mut_checked(4) {
            length.copy_from_slice(&(record.len() as u32).to_le_bytes());
        }
        all += payload.len() as u64;
        let entry = Entry {
            stream: STREAM,
            seq,
            term: 1,
            settled: seq,
            writer: WriterId("w".into()),
            nonce: u128::from(seq),
            kind: EntryKind::Data,
            payload: payload.into(),
        };
        let key = STREAM.key(seq);
        assert!(store.create(&key, entry.encode().unwrap()).await.unwrap());
    }
    (store, all)
}

fn journal(store: &Watched, limit: usize) -> Journal {
    let journal = Journal::new(Arc::new(store.clone()), WriterId("r".into()));
    journal.reading_as(Reading::within(limit))
}

/// Limits of which some allow nothing to be read ahead, and some all of it.
const LIMITS: [usize; 4] = [
    0,
    MAX_READ_AHEAD_OBJECT_BYTES,
    3 * MAX_READ_AHEAD_OBJECT_BYTES + 5,
    100 * MAX_READ_AHEAD_OBJECT_BYTES,
];

#[tokio::test]
async fn a_tail_reads_ahead_no_more_than_it_may_and_delivers_all() {
    for large in [
        0,
        1 << 10,
        MAX_READ_AHEAD_OBJECT_BYTES - 1000,
        2 * MAX_READ_AHEAD_OBJECT_BYTES,
    ] {
        let size = |seq: u64| if seq.is_multiple_of(3) { 10 } else { large };
        let (store, all) = stream_of(size).await;
        for limit in LIMITS {
            let journal = journal(&store, limit);
            let reading = journal.reading().clone();
            let mut tail = journal.tail(STREAM, 0, 0);
            let mut most = 0;
            tail.expect(1000);
            for seq in 0..ENTRIES {
                let entry = tail.next().await.unwrap().unwrap();
                assert_eq!((entry.seq, entry.payload.len()), (seq, size(seq)));
                assert!(reading.ahead() <= limit, "{} of {limit}", reading.ahead());
                if seq.is_multiple_of(2) {
                    tail.give_back(entry);
                    assert_eq!(tail.position(), seq);
                    assert_eq!(tail.next().await.unwrap().unwrap().seq, seq);
                }
                most = most.max(reading.ahead());
            }
            assert!(tail.next().await.unwrap().is_none());
            assert_eq!(reading.ahead(), 0);
            assert_eq!(reading.bytes(), all);
            assert!((ENTRIES..3 * ENTRIES).contains(&reading.objects()));
            // It can be seen that something was read ahead where that may be.
            assert_eq!(most > 0, limit >= MAX_READ_AHEAD_OBJECT_BYTES, "{limit}");
        }
    }
}

#[tokio::test]
async fn slots_are_read_ahead_within_the_bound_and_large_ones_one_by_one() {
    let (store, all) = stream_of(|seq| {
        if seq.is_multiple_of(2) {
            10
        } else {
            2 * MAX_READ_AHEAD_OBJECT_BYTES
        }
    })
    .await;
    for limit in LIMITS {
        store.most.store(0, Ordering::SeqCst);
        let journal = journal(&store, limit);
        let reading = journal.reading().clone();
        let mut slots = pin!(journal.slots(STREAM, 0, ENTRIES + 2, 32));
        let mut found = 0;
        while let Some(slot) = slots.try_next().await.unwrap() {
            assert!(reading.ahead() <= limit, "{} of {limit}", reading.ahead());
            assert_eq!(
                slot.map(|it| it.seq),
                Some(found).filter(|it| *it < ENTRIES)
            );
            found += 1;
        }
        assert_eq!(found, ENTRIES + 2);
        assert_eq!(store.most.load(Ordering::SeqCst), 1, "{limit}");
        assert_eq!(reading.ahead(), 0);
        assert_eq!(reading.bytes(), all);
        assert!((ENTRIES..3 * ENTRIES).contains(&reading.objects()));
    }
}

#[tokio::test]
async fn an_entry_that_was_read_ahead_and_is_damaged_is_told_in_its_turn_until_it_is_whole_again() {
    let (store, _) = stream_of(|_| 10).await;
    let key = STREAM.key(5);
    let whole = store.store.read(&key).await.unwrap().unwrap();
    store.store.replace(&key, whole.slice(..whole.len() - 1));
    let journal = journal(&store, 100 * MAX_READ_AHEAD_OBJECT_BYTES);
    let mut tail = journal.tail(STREAM, 0, 0);
    tail.expect(1000);
    for seq in 0..5 {
        assert_eq!(tail.next().await.unwrap().unwrap().seq, seq);
    }
    for _ in 0..2 {
        let error = tail.next().await.unwrap_err().to_string();
        assert!(error.contains(&key), "{error}");
        assert_eq!(tail.position(), 5);
    }
    store.store.replace(&key, whole);
    for seq in 5..ENTRIES {
        assert_eq!(tail.next().await.unwrap().unwrap().seq, seq);
    }
}

#[tokio::test]
async fn a_part_has_counts_of_its_own_within_the_same_bound() {
    let (store, all) = stream_of(|_| 10).await;
    let whole = journal(&store, MAX_READ_AHEAD_OBJECT_BYTES);
    let part = whole.clone().reading_as(whole.reading().part());
    let held = part.reading().hold().unwrap();
    assert!(whole.reading().hold().is_none());
    drop(held);
    for journal in [&whole, &part] {
        let mut tail = journal.tail(STREAM, 0, 0);
        while tail.next().await.unwrap().is_some() {}
    }
    let (whole, part) = (whole.reading(), part.reading());
    assert_eq!((whole.bytes(), part.bytes()), (2 * all, all));
    assert_eq!(whole.objects(), 2 * part.objects());
}

/// Whoever looks for the end, too.
#[tokio::test]
async fn what_a_sealer_reads_is_counted() {
    let (store, all) = stream_of(|_| 10).await;
    let journal = journal(&store, MAX_READ_AHEAD_OBJECT_BYTES);
    journal.seal(STREAM, 0, 2, "r").await.unwrap();
    assert_eq!(journal.reading().bytes(), all);
    assert!(journal.reading().objects() > ENTRIES);
}
