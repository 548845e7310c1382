//! What a writer promises to its callers: bounded memory, order, and an honest answer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use async_trait::async_trait;
use backstay_journal::simulated::{Faults, FaultyStore, MemoryStore};
use backstay_journal::{
    CommitError, CommitOptions, Entry, EntryKind, EntryStore, Journal, MAX_IN_FLIGHT, Position,
    StoreError, StreamId, Writer, WriterId,
};
use bytes::Bytes;
use futures::future::join_all;
use parking_lot::Mutex;
use tokio::sync::oneshot;

const STREAM: StreamId = StreamId::Partition(0);

fn journal(store: Arc<dyn EntryStore>, writer: &str) -> Journal {
    Journal::new(store, WriterId(writer.to_owned()))
}

async fn writer(journal: &Journal, options: CommitOptions) -> Writer {
    let sealed = journal.seal(STREAM, 0, 1, "test").await.unwrap();
    journal.writer(STREAM, sealed, options)
}

async fn records(store: &MemoryStore) -> Vec<Vec<Bytes>> {
    let mut tail = journal(Arc::new(store.clone()), "reader").tail(STREAM, 0, 0);
    let mut slots = Vec::new();
    while let Some(entry) = tail.next().await.unwrap() {
        slots.extend((!entry.is_seal()).then(|| entry.records().collect()));
    }
    slots
}

fn text(i: usize) -> Bytes {
    Bytes::from(format!("record {i:04}"))
}

/// Holds every data put until the test lets it go.
#[derive(Default)]
struct Gate {
    inner: MemoryStore,
    waiting: Mutex<BTreeMap<String, oneshot::Sender<()>>>,
}

impl Gate {
    /// The slots whose puts have arrived, once nothing else can happen.
    async fn waiting(&self) -> Vec<u64> {
        // Time is paused: this passes when all other tasks wait.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let waiting = self.waiting.lock();
        waiting
            .keys()
            .map(|key| STREAM.seq_of(key).unwrap())
            .collect()
    }

    fn release(&self, seq: u64) {
        let gate = self.waiting.lock().remove(&STREAM.key(seq)).unwrap();
        gate.send(()).unwrap();
    }
}

#[async_trait]
impl EntryStore for Gate {
    async fn create(&self, key: &str, bytes: Bytes) -> Result<bool, StoreError> {
        if Entry::decode(&bytes).unwrap().kind == EntryKind::Data {
            let (gate, opened) = oneshot::channel();
            self.waiting.lock().insert(key.to_owned(), gate);
            opened.await.unwrap();
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

#[tokio::test(start_paused = true)]
async fn several_slots_are_on_their_way_but_acknowledged_in_order() {
    let gate = Arc::new(Gate::default());
    let journal = journal(Arc::clone(&gate) as _, "w");
    let options = CommitOptions {
        max_bytes: 1,
        in_flight: 3,
        ..CommitOptions::default()
    };
    let writer = writer(&journal, options).await;
    let count = MAX_IN_FLIGHT + 6;
    let appends: Vec<_> = (0..count)
        .map(|i| {
            let writer = writer.clone();
            tokio::spawn(async move { writer.append(text(i)).await })
        })
        .collect();

    // Near the seal a straggler's put may still land: one slot at a time.
    for slot in 1..MAX_IN_FLIGHT as u64 {
        assert_eq!(gate.waiting().await, [slot]);
        gate.release(slot);
    }
    let first = MAX_IN_FLIGHT as u64;
    assert_eq!(gate.waiting().await, [first, first + 1, first + 2]);
    gate.release(first + 1);
    gate.release(first + 2);
    // The slots above are durable, but nothing above the gap is acknowledged, and a slot that
    // holds up others keeps its place among those on their way.
    assert_eq!(gate.waiting().await, [first]);
    assert_eq!(writer.settled_below(), first);
    let done = |appends: &[tokio::task::JoinHandle<_>]| {
        appends.iter().filter(|append| append.is_finished()).count()
    };
    assert_eq!(done(&appends), MAX_IN_FLIGHT - 1);
    gate.release(first);
    assert_eq!(gate.waiting().await, [first + 3, first + 4, first + 5]);
    assert_eq!(done(&appends), MAX_IN_FLIGHT + 2);
    for slot in first + 3..=count as u64 {
        gate.waiting().await;
        gate.release(slot);
    }
    for (i, append) in appends.into_iter().enumerate() {
        let expected = Position {
            seq: i as u64 + 1,
            index: 0,
        };
        assert_eq!(append.await.unwrap(), Ok(expected));
    }
    writer.close().await.unwrap();
    let found: Vec<Bytes> = records(&gate.inner).await.concat();
    assert_eq!(found, (0..count).map(text).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_slot_sealed_below_others_takes_them_all_with_it() {
    let gate = Arc::new(Gate::default());
    let old = journal(Arc::clone(&gate) as _, "old");
    let options = CommitOptions {
        max_bytes: 1,
        in_flight: 3,
        ..CommitOptions::default()
    };
    let writer = writer(&old, options).await;
    let appends: Vec<_> = (0..MAX_IN_FLIGHT + 4)
        .map(|i| {
            let writer = writer.clone();
            tokio::spawn(async move { writer.append(text(i)).await })
        })
        .collect();
    for slot in 1..MAX_IN_FLIGHT as u64 {
        gate.waiting().await;
        gate.release(slot);
    }
    let first = MAX_IN_FLIGHT as u64;
    assert_eq!(gate.waiting().await, [first, first + 1, first + 2]);
    gate.release(first + 1);
    gate.waiting().await;
    let new = journal(Arc::clone(&gate) as _, "new");
    let sealed = new.seal(STREAM, 0, 2, "new").await.unwrap();
    assert_eq!(sealed.seq, first);
    gate.release(first);
    let fenced = Err(CommitError::Fenced {
        by: "new".to_owned(),
        term: 2,
    });
    for (i, append) in appends.into_iter().enumerate() {
        let answer = append.await.unwrap();
        assert!(
            if i < MAX_IN_FLIGHT - 1 {
                answer.is_ok()
            } else {
                answer == fenced
            },
            "{i}: {answer:?}"
        );
    }
    assert_eq!(writer.health().backlog_bytes, 0);

    // The new writer steps over what the old one left above the seal, and readers skip it.
    let writer = new.writer(STREAM, sealed, CommitOptions::default());
    let append = tokio::spawn(async move { writer.append(text(9_999)).await });
    for slot in first + 1..=first + 3 {
        let waiting = gate.waiting().await;
        assert!(waiting.contains(&slot), "{waiting:?}");
        gate.release(slot);
        if waiting.last() == Some(&slot) && slot > first + 1 {
            break;
        }
    }
    let position = append.await.unwrap().unwrap();
    assert!(position.seq >= first + 2);
    let found = records(&gate.inner).await.concat();
    assert_eq!(found.len(), MAX_IN_FLIGHT);
    assert_eq!(found.last(), Some(&text(9_999)));
}

#[tokio::test(start_paused = true)]
async fn batches_are_cut_by_size_and_by_time() {
    let store = MemoryStore::new();
    let journal = journal(Arc::new(store.clone()), "w");
    let record = text(0).len() + 4;
    let options = CommitOptions {
        max_bytes: 10 * record,
        linger: Duration::from_secs(3_600),
        ..CommitOptions::default()
    };
    let writer = writer(&journal, options).await;
    let started = tokio::time::Instant::now();
    // 25 records: two full batches at once, the rest when the linger is over.
    let appends = join_all((0..25).map(|i| writer.append(text(i))));
    let give_up = tokio::time::timeout(Duration::from_secs(10), appends).await;
    assert!(give_up.is_err());
    let cut: Vec<usize> = records(&store).await.iter().map(Vec::len).collect();
    assert_eq!(cut, [10, 10]);
    tokio::time::sleep_until(started + Duration::from_secs(3_601)).await;
    let cut: Vec<usize> = records(&store).await.iter().map(Vec::len).collect();
    assert_eq!(cut, [10, 10, 5]);
    // A record longer than a batch is a batch of its own.
    let long = Bytes::from(vec![b'x'; 100 * record]);
    writer.append(long.clone()).await.unwrap();
    assert_eq!(records(&store).await[3], [long]);
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_the_linger() {
    let store = MemoryStore::new();
    let journal = journal(Arc::new(store.clone()), "w");
    let options = CommitOptions {
        linger: Duration::from_secs(3_600),
        ..CommitOptions::default()
    };
    let writer = writer(&journal, options).await;
    let both = async {
        tokio::join!(writer.append(text(0)), async {
            tokio::task::yield_now().await;
            writer.close().await
        })
    };
    // Time is paused: only somebody who waits for the linger lets the other sleep end first.
    tokio::select! {
        biased;
        (appended, closed) = both => assert!(appended.is_ok() && closed.is_ok()),
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("closing waits for the linger"),
    }
    assert_eq!(records(&store).await, [[text(0)]]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_append_is_committed_or_not_but_harms_nobody() {
    let store = MemoryStore::new();
    let journal = journal(Arc::new(store.clone()), "w");
    let writer = writer(&journal, CommitOptions::default()).await;
    drop(writer.append(text(0))); // never polled: never taken
    let mut context = Context::from_waker(Waker::noop());
    for i in 1..4 {
        let append = pin!(writer.append(text(i)));
        let mut append = append;
        assert!(append.as_mut().poll(&mut context).is_pending());
    }
    assert!(writer.health().backlog_bytes > 0);
    assert_eq!(
        writer.append(text(4)).await,
        Ok(Position { seq: 1, index: 3 })
    );
    writer.close().await.unwrap();
    assert_eq!(
        records(&store).await,
        [[text(1), text(2), text(3), text(4)]]
    );
    let health = writer.health();
    assert_eq!((health.backlog_bytes, health.waiting_since), (0, None));
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_store_bounds_the_backlog_and_loses_nothing() {
    let store = MemoryStore::new();
    let faulty = Arc::new(FaultyStore::new(Arc::new(store.clone()), Faults::NONE, 1));
    let journal = journal(Arc::clone(&faulty) as _, "w");
    let options = CommitOptions {
        backlog_bytes: 10 * (text(0).len() + 4),
        give_up: Duration::from_secs(20),
        ..CommitOptions::default()
    };
    let limit = options.backlog_bytes;
    let writer = writer(&journal, options).await;
    faulty.set_unreachable(true);
    let answers = join_all((0..12).map(|i| writer.append(text(i)))).await;
    for (i, answer) in answers.iter().enumerate() {
        match answer {
            Err(CommitError::Unavailable { detail, .. }) if i < 10 => {
                assert!(detail.contains("simulated outage"), "{detail}");
            }
            Err(CommitError::Full { backlog_bytes, .. }) if i >= 10 => {
                assert_eq!(*backlog_bytes, limit);
            }
            other => panic!("{i}: {other:?}"),
        }
    }
    let health = writer.health();
    assert_eq!(health.backlog_bytes, limit);
    assert!(health.waiting_since.is_some() && health.last_error.is_some());
    let too_large = writer.append(Bytes::from(vec![0; limit])).await;
    assert!(
        matches!(too_large, Err(CommitError::TooLarge { .. })),
        "{too_large:?}"
    );

    faulty.set_unreachable(false);
    writer.close().await.unwrap();
    let health = writer.health();
    assert_eq!(
        (
            health.backlog_bytes,
            health.waiting_since,
            health.last_error
        ),
        (0, None, None)
    );
    let found = records(&store).await.concat();
    assert_eq!(found, (0..10).map(text).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn dropping_all_writers_abandons_what_is_not_acknowledged() {
    let gate = Arc::new(Gate::default());
    let journal = journal(Arc::clone(&gate) as _, "w");
    let writer = writer(&journal, CommitOptions::default()).await;
    let append = tokio::spawn({
        let writer = writer.clone();
        async move { writer.append(text(0)).await }
    });
    assert_eq!(gate.waiting().await, [1]);
    append.abort();
    assert!(append.await.unwrap_err().is_cancelled());
    drop(writer);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(gate.waiting.lock().values().all(oneshot::Sender::is_closed));
    assert!(records(&gate.inner).await.is_empty());
}

#[tokio::test]
async fn an_unreadable_slot_is_named_and_not_skipped() {
    let store = MemoryStore::new();
    let journal = journal(Arc::new(store.clone()), "w");
    let writer = writer(&journal, CommitOptions::default()).await;
    writer.append(text(0)).await.unwrap();
    let at = writer.append(text(0)).await.unwrap();
    writer.append(text(1)).await.unwrap();
    let whole = store.read(&STREAM.key(at.seq)).await.unwrap().unwrap();
    store.replace(&STREAM.key(at.seq), whole.slice(..whole.len() - 1));
    let mut tail = journal.tail(STREAM, 0, 0);
    assert!(tail.next().await.unwrap().unwrap().is_seal());
    assert_eq!(tail.next().await.unwrap().unwrap().seq, at.seq - 1);
    for _ in 0..2 {
        let error = tail.next().await.unwrap_err();
        assert!(error.to_string().contains(&STREAM.key(at.seq)), "{error}");
    }
    // Nor is the entry of another slot taken for this one's.
    let other = store.read(&STREAM.key(at.seq + 1)).await.unwrap().unwrap();
    store.replace(&STREAM.key(at.seq), other);
    assert!(tail.next().await.is_err());
    store.replace(&STREAM.key(at.seq), whole);
    assert_eq!(tail.next().await.unwrap().unwrap().seq, at.seq);
}
