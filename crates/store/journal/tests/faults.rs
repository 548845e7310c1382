//! The journal over a store that errs before and after the effect, delays, repeats and acts late.
//!
//! Many seeds, in paused time. What is checked at the end is read from the store below the faults.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use backstay_journal::simulated::{Faults, FaultyStore, MemoryStore};
use backstay_journal::{
    CommitError, CommitOptions, EntryStore, Journal, Position, SealError, StreamId, TryAppend,
    WriterId,
};
use bytes::Bytes;
use futures::future::join_all;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const STREAM: StreamId = StreamId::Partition(0);
const SEEDS: u64 = 40;

/// What `global` says of the partition, changed atomically as `global` is.
#[derive(Default)]
struct Table {
    owner: usize,
    term: u64,
    covered: u64,
    /// The highest term below `covered`.
    covered_term: u64,
    floor: u64,
    /// What the segments hold.
    segments: Vec<(Position, Bytes)>,
}

struct Cluster {
    table: Mutex<Table>,
    acknowledged: Mutex<Vec<(Position, Bytes)>>,
    fenced: Mutex<HashSet<usize>>,
}

/// A node's life with the partition: takes it over, appends, covers and trims, and does not know
/// that it has lost it until the journal tells.
async fn node(cluster: Arc<Cluster>, store: Arc<dyn EntryStore>, id: usize, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let journal = Journal::new(store, WriterId(format!("node {id}")));
    let (term, covered, covered_term) = {
        let mut table = cluster.table.lock();
        table.owner = id;
        table.term += 1;
        (table.term, table.covered, table.covered_term)
    };
    tokio::time::sleep(Duration::from_millis(random.random_range(0..200))).await;
    let sealed = match journal
        .seal(STREAM, covered, term, &format!("node {id}"))
        .await
    {
        Ok(sealed) => sealed,
        Err(SealError::Superseded { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    {
        let table = cluster.table.lock();
        if table.owner != id || table.term != term || table.floor > sealed.seq {
            return;
        }
    }
    let options = CommitOptions {
        linger: Duration::from_millis(5),
        max_bytes: random.random_range(10..200),
        in_flight: random.random_range(1..=16),
        give_up: Duration::from_secs(100_000),
        ..CommitOptions::default()
    };
    let writer = journal.writer(STREAM, sealed, options);
    let clients = (0..4).map(|client| {
        let (cluster, writer) = (Arc::clone(&cluster), writer.clone());
        async move {
            for i in 0..40 {
                let record = Bytes::from(format!("{id}.{client}.{i}"));
                match writer.append(record.clone()).await {
                    Ok(position) => cluster.acknowledged.lock().push((position, record)),
                    Err(CommitError::Fenced { .. }) => {
                        cluster.fenced.lock().insert(id);
                        return;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    let trimmer = async {
        let mut tail = journal.tail(STREAM, covered, covered_term);
        let mut read = Vec::new();
        loop {
            tokio::time::sleep(Duration::from_millis(random.random_range(1..100))).await;
            if let Ok(Some(entry)) = tail.next().await {
                read.push(entry);
            }
            let floor = {
                let mut table = cluster.table.lock();
                if table.owner != id || table.term != term {
                    return;
                }
                for entry in read.drain(..) {
                    for (index, record) in (0..).zip(entry.records()) {
                        let position = Position {
                            seq: entry.seq,
                            index,
                        };
                        table.segments.push((position, record));
                    }
                }
                table.covered = tail.position();
                table.covered_term = tail.term();
                table.floor = table.floor.max(table.covered.min(writer.settled_below()));
                table.floor
            };
            // Late, as a stalled trimmer would be.
            tokio::time::sleep(Duration::from_millis(random.random_range(0..50))).await;
            let _ = journal.trim(STREAM, floor).await;
        }
    };
    tokio::join!(join_all(clients), trimmer);
}

async fn takeovers(seed: u64) -> (usize, u64, usize) {
    let mut random = StdRng::seed_from_u64(seed);
    let memory = MemoryStore::new();
    let faulty = Arc::new(FaultyStore::new(
        Arc::new(memory.clone()),
        Faults::STORM,
        seed,
    ));
    let cluster = Arc::new(Cluster {
        table: Mutex::default(),
        acknowledged: Mutex::default(),
        fenced: Mutex::default(),
    });
    let mut nodes = Vec::new();
    for id in 0..5 {
        let (cluster, store) = (Arc::clone(&cluster), Arc::clone(&faulty));
        nodes.push(tokio::spawn(node(cluster, store, id, random.random())));
        tokio::time::sleep(Duration::from_millis(random.random_range(0..3_000))).await;
    }
    // The last owner's trimmer ends only when it is not the owner any more.
    tokio::time::sleep(Duration::from_secs(120)).await;
    {
        let mut table = cluster.table.lock();
        table.owner = usize::MAX;
        table.term += 1;
    }
    for node in nodes {
        node.await.unwrap();
    }
    // Late effects of requests that nobody waits for.
    tokio::time::sleep(Duration::from_secs(10)).await;

    let (mut log, covered, covered_term) = {
        let table = cluster.table.lock();
        (table.segments.clone(), table.covered, table.covered_term)
    };
    let reader = Journal::new(Arc::new(memory), WriterId("reader".to_owned()));
    let mut tail = reader.tail(STREAM, covered, covered_term);
    while let Some(entry) = tail.next().await.unwrap() {
        for (index, record) in (0..).zip(entry.records()) {
            let position = Position {
                seq: entry.seq,
                index,
            };
            log.push((position, record));
        }
    }
    assert!(log.is_sorted_by_key(|(position, _)| *position));
    let mut found: HashMap<Bytes, Position> = HashMap::new();
    for (position, record) in &log {
        let other = found.insert(record.clone(), *position);
        assert_eq!(other, None, "seed {seed}: {record:?} is in the log twice");
    }
    let acknowledged = cluster.acknowledged.lock();
    for (position, record) in acknowledged.iter() {
        let at = found.get(record);
        assert_eq!(
            at,
            Some(position),
            "seed {seed}: {record:?} was acknowledged"
        );
    }
    // Each client sends one record after the other, so its records are in order.
    let mut last: HashMap<String, i32> = HashMap::new();
    for (_, record) in &log {
        let name = String::from_utf8(record.to_vec()).unwrap();
        let (client, number) = name.rsplit_once('.').unwrap();
        let number = number.parse().unwrap();
        let before = last.insert(client.to_owned(), number).unwrap_or(-1);
        assert_eq!(
            number,
            before + 1,
            "seed {seed}: client {client} is out of order"
        );
    }
    let fenced = cluster.fenced.lock().len();
    (acknowledged.len(), faulty.injected(), fenced)
}

#[tokio::test(start_paused = true)]
async fn takeovers_lose_and_double_nothing_acknowledged() {
    let (mut acknowledged, mut faults, mut fenced) = (0, 0, 0);
    for seed in 0..SEEDS {
        let run = takeovers(seed).await;
        acknowledged += run.0;
        faults += run.1;
        fenced += run.2;
    }
    assert!(acknowledged > 1_000 && faults > 10_000 && fenced > SEEDS as usize / 2);
}

/// One node that appends its own events to `global`. An append of unknown outcome is looked for
/// before it is made again, as every optimistic writer must.
async fn optimist(store: Arc<dyn EntryStore>, id: usize) -> Vec<Bytes> {
    let journal = Journal::new(store, WriterId(format!("node {id}")));
    let mut applied: Vec<Bytes> = Vec::new();
    for i in 0..10 {
        let event = Bytes::from(format!("{id}.{i}"));
        while !applied.contains(&event) {
            let at = applied.len() as u64;
            match journal
                .try_append(StreamId::Global, at, 0, event.clone())
                .await
            {
                Ok(TryAppend::Appended { seq }) => {
                    assert_eq!(seq, at);
                    applied.push(event.clone());
                }
                Ok(TryAppend::Lost(entry)) => {
                    assert_eq!(entry.seq, at);
                    applied.push(entry.payload);
                }
                Ok(other) => panic!("{other:?}"),
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    }
    applied
}

#[tokio::test(start_paused = true)]
async fn optimistic_appends_by_eight_nodes_are_each_made_once() {
    for seed in 0..SEEDS {
        let memory = MemoryStore::new();
        let faulty = Arc::new(FaultyStore::new(
            Arc::new(memory.clone()),
            Faults::STORM,
            seed,
        ));
        let nodes = (0..8).map(|id| {
            let store: Arc<dyn EntryStore> = Arc::clone(&faulty) as _;
            tokio::spawn(optimist(store, id))
        });
        let views: Vec<_> = join_all(nodes)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(faulty.injected() > 100);

        let reader = Journal::new(Arc::new(memory), WriterId("reader".to_owned()));
        let mut tail = reader.tail(StreamId::Global, 0, 0);
        let mut log = Vec::new();
        while let Some(entry) = tail.next().await.unwrap() {
            log.push(entry.payload);
        }
        for view in views {
            assert!(log.starts_with(&view), "seed {seed}");
        }
        let once: HashSet<&Bytes> = log.iter().collect();
        assert_eq!((log.len(), once.len()), (80, 80), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_racing_sealers_the_highest_term_prevails() {
    for seed in 0..SEEDS {
        let memory = MemoryStore::new();
        let faulty = Arc::new(FaultyStore::new(
            Arc::new(memory.clone()),
            Faults::STORM,
            seed,
        ));
        let sealers = (0..8u64).map(|id| {
            let store: Arc<dyn EntryStore> = Arc::clone(&faulty) as _;
            let by = format!("node {id}");
            let journal = Journal::new(store, WriterId(by.clone()));
            // Terms in pairs: of two with the same term, at most one may succeed.
            tokio::spawn(async move { (id / 2, journal.seal(STREAM, 0, id / 2, &by).await) })
        });
        let results: Vec<_> = join_all(sealers)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        tokio::time::sleep(Duration::from_secs(10)).await;
        let mut winners = HashMap::new();
        for (term, result) in results {
            match result {
                Ok(sealed) => assert_eq!(winners.insert(term, sealed.seq), None, "seed {seed}"),
                Err(SealError::Superseded { term: by, .. }) => assert!(by >= term),
                Err(error) => panic!("{error}"),
            }
        }
        assert!(winners.contains_key(&3), "seed {seed}");
        let reader = Journal::new(Arc::new(memory), WriterId("reader".to_owned()));
        let mut tail = reader.tail(STREAM, 0, 0);
        let mut terms = Vec::new();
        while let Some(entry) = tail.next().await.unwrap() {
            terms.push(entry.term);
        }
        assert!(terms.is_sorted_by(|a, b| a < b), "seed {seed}: {terms:?}");
        assert_eq!(terms.last(), Some(&3));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_alone_knows_its_own_entries_again() {
    let faults = Faults {
        error_after: 0.2,
        late_effect: 0.1,
        ..Faults::NONE
    };
    for seed in 0..SEEDS {
        let memory = MemoryStore::new();
        let faulty = Arc::new(FaultyStore::new(Arc::new(memory), faults, seed));
        let journal = Journal::new(faulty, WriterId("alone".to_owned()));
        let sealed = journal.seal(STREAM, 0, 1, "alone").await.unwrap();
        assert_eq!(sealed.seq, 0);
        let options = CommitOptions {
            give_up: Duration::from_secs(100_000),
            ..CommitOptions::default()
        };
        let writer = journal.writer(STREAM, sealed, options);
        for slot in 1..20 {
            let position = writer.append(Bytes::from_static(b"record")).await;
            assert_eq!(position.map(|at| at.seq), Ok(slot), "seed {seed}");
        }
        for at in 0..20 {
            let event = Bytes::from_static(b"event");
            let appended = journal
                .try_append(StreamId::Global, at, 0, event)
                .await
                .unwrap();
            assert_eq!(appended, TryAppend::Appended { seq: at }, "seed {seed}");
        }
    }
}
