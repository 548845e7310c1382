//! A stream whose end is found and sealed in spite of damaged entries and holes before it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeSet;
use std::sync::Arc;

use backstay_journal::simulated::MemoryStore;
use backstay_journal::{CommitError, CommitOptions, EntryStore, Journal, StreamId, WriterId};
use bytes::Bytes;
use proptest::prelude::*;

const STREAM: StreamId = StreamId::Partition(0);

fn journal(store: &MemoryStore, writer: &str) -> Journal {
    Journal::new(Arc::new(store.clone()), WriterId(writer.to_owned()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Altered,
    Gone,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![Just(Damage::Altered), Just(Damage::Gone)]
}

async fn check(records: u64, damages: Vec<(u64, Damage)>) {
    let store = MemoryStore::new();
    let east = journal(&store, "east");
    let sealed = east.seal(STREAM, 0, 1, "east").await.unwrap();
    let options = CommitOptions {
        linger: std::time::Duration::ZERO,
        ..CommitOptions::default()
    };
    let writer = east.writer(STREAM, sealed, options);
    let mut acknowledged = BTreeSet::new();
    for n in 0..records {
        let record = Bytes::from(n.to_string());
        acknowledged.insert(writer.append(record).await.unwrap().seq);
    }
    let end = acknowledged.last().unwrap() + 1;
    let mut whole = Vec::new();
    let mut damaged = BTreeSet::new();
    for (at, how) in damages {
        // Of the last one, nobody behind says that it was there.
        let seq = at % end;
        if (how == Damage::Gone && seq + 1 == end) || !damaged.insert(seq) {
            continue;
        }
        let object = STREAM.key(seq);
        whole.push((object.clone(), store.read(&object).await.unwrap().unwrap()));
        match how {
            Damage::Altered => store.replace(&object, Bytes::from_static(b"altered")),
            Damage::Gone => store.delete(vec![object]).await.unwrap(),
        }
    }
    let west = journal(&store, "west");
    if !damaged.is_empty() {
        let error = west
            .seal(STREAM, 0, 2, "west")
            .await
            .unwrap_err()
            .to_string();
        let named = damaged.iter().any(|seq| error.contains(&STREAM.key(*seq)));
        assert!(named, "{error}: {damaged:?}");
    }
    let unsealed = west.end_past_damage(STREAM, 0).await.unwrap();
    let (sealed, past) = west.seal_past_damage(STREAM, 0, 2, "west").await.unwrap();
    assert_eq!(unsealed, (sealed.seq, past.clone()));
    assert_eq!(sealed.seq, end, "behind all that is there");
    let named: Vec<String> = damaged.iter().map(|seq| STREAM.key(*seq)).collect();
    assert_eq!(past, named);
    let late = writer
        .append(Bytes::from_static(b"late"))
        .await
        .unwrap_err();
    assert!(matches!(late, CommitError::Fenced { .. }), "{late}");
    // Asked again, it is the same seal.
    let (again, _) = west.seal_past_damage(STREAM, 0, 2, "west").await.unwrap();
    assert_eq!(again.seq, sealed.seq);
    // Nobody reads over it.
    let mut tail = west.tail(STREAM, 0, 0);
    while let Ok(Some(_)) = tail.next().await {}
    assert_eq!(tail.position(), damaged.first().copied().unwrap_or(end + 1));
    for (object, bytes) in whole {
        store.replace(&object, bytes);
    }
    let mut tail = west.tail(STREAM, 0, 0);
    let mut read = BTreeSet::new();
    while let Some(entry) = tail.next().await.unwrap() {
        if !entry.is_seal() {
            read.insert(entry.seq);
        }
    }
    assert_eq!(read, acknowledged, "restored, all of it is read");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_end_is_found_behind_damage_and_nothing_is_read_over(
        records in 1..30_u64,
        damages in proptest::collection::vec((any::<u64>(), damage()), 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(check(records, damages));
    }
}
