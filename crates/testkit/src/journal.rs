//! What every journal backend must do, and the whole journal above it: one suite, run by all.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use backstay_journal::{
    CommitError, CommitOptions, Entry, EntryStore, Journal, KEEP_NEWEST_SLOTS, SealError,
    StoreError, StreamId, TRIM_WINDOW_SLOTS, TailError, TryAppend, WriterId,
};
use bytes::Bytes;
use futures::future::join_all;

pub type Store = Arc<dyn EntryStore>;

fn journal(store: &Store, writer: &str) -> Journal {
    Journal::new(Arc::clone(store), WriterId(writer.to_owned()))
}

fn quick() -> CommitOptions {
    CommitOptions {
        linger: Duration::from_millis(1),
        ..CommitOptions::default()
    }
}

async fn live(journal: &Journal, stream: StreamId, from: u64) -> Vec<Entry> {
    let mut tail = journal.tail(stream, from, 0);
    let mut entries = Vec::new();
    while let Some(entry) = tail.next().await.unwrap() {
        entries.push(entry);
    }
    entries
}

async fn append_global(journal: &Journal, at: u64, term: u64, text: &str) -> TryAppend {
    let payload = Bytes::copy_from_slice(text.as_bytes());
    journal
        .try_append(StreamId::Global, at, term, payload)
        .await
        .unwrap()
}

/// The suite. `store` must be empty.
pub async fn conforms(store: Store) {
    one_of_eight_creates_wins(&store).await;
    absent_objects_are_no_errors(&store).await;
    listing_is_complete_ascending_and_only_of_the_prefix(&store).await;
    large_objects_come_back_whole(&store).await;
    records_come_back_in_order(&store).await;
    a_sealed_writer_is_fenced_and_loses_nothing_acknowledged(&store).await;
    of_eight_sealers_with_one_term_one_wins(&store).await;
    a_hole_is_told_from_an_end(&store).await;
    a_partition_is_trimmed_but_for_its_seals(&store).await;
    eight_writers_append_optimistically(&store).await;
    stragglers_of_global_notice_trimmed_ground(&store).await;
}

async fn one_of_eight_creates_wins(store: &Store) {
    let tries = (0..8).map(|i| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let bytes = Bytes::from(format!("writer {i}"));
            (
                store.create("race/key", bytes.clone()).await.unwrap(),
                bytes,
            )
        })
    });
    let results: Vec<_> = join_all(tries)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let winners: Vec<_> = results.iter().filter(|(won, _)| *won).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(store.read("race/key").await.unwrap().unwrap(), winners[0].1);
    assert!(
        !store
            .create("race/key", Bytes::from_static(b"late"))
            .await
            .unwrap()
    );
    assert_eq!(store.read("race/key").await.unwrap().unwrap(), winners[0].1);
}

async fn absent_objects_are_no_errors(store: &Store) {
    assert_eq!(store.read("absent/key").await.unwrap(), None);
    assert_eq!(store.read_start("absent/key", 10).await.unwrap(), None);
    assert_eq!(store.list("absent/").await.unwrap(), Vec::<String>::new());
    store.delete(vec!["absent/key".to_owned()]).await.unwrap();
    store.delete(Vec::new()).await.unwrap();
}

async fn listing_is_complete_ascending_and_only_of_the_prefix(store: &Store) {
    let keys: Vec<String> = (0..30).map(|i| format!("list/a/{i:020}")).collect();
    for key in keys.iter().rev() {
        assert!(store.create(key, Bytes::from_static(b"x")).await.unwrap());
    }
    store
        .create("list/b/1", Bytes::from_static(b"x"))
        .await
        .unwrap();
    assert_eq!(store.list("list/a/").await.unwrap(), keys);
    store.delete(keys[..29].to_vec()).await.unwrap();
    assert_eq!(store.list("list/a/").await.unwrap(), keys[29..]);
    assert_eq!(store.read(&keys[0]).await.unwrap(), None);
    assert!(
        store
            .create(&keys[0], Bytes::from_static(b"y"))
            .await
            .unwrap()
    );
}

async fn large_objects_come_back_whole(store: &Store) {
    let mut state = 1u64;
    let noise = (0..300_000).map(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    });
    let bytes = Bytes::from_iter(noise);
    assert!(store.create("large/key", bytes.clone()).await.unwrap());
    assert_eq!(store.read("large/key").await.unwrap().unwrap(), bytes);
    let start = store.read_start("large/key", 100).await.unwrap().unwrap();
    assert!(start.len() >= 100 && bytes.starts_with(&start));
}

async fn records_come_back_in_order(store: &Store) {
    let stream = StreamId::Partition(1);
    let journal = journal(store, "a");
    let sealed = journal.seal(stream, 0, 1, "a").await.unwrap();
    assert_eq!((sealed.seq, &sealed.previous), (0, &None));
    let options = CommitOptions {
        max_bytes: 200,
        in_flight: 8,
        ..quick()
    };
    let writer = journal.writer(stream, sealed, options);
    let sent: Vec<Bytes> = (0..300)
        .map(|i| Bytes::from(format!("record {i}")))
        .collect();
    let positions = join_all(sent.iter().map(|record| writer.append(record.clone()))).await;
    let positions: Vec<_> = positions.into_iter().map(Result::unwrap).collect();
    assert!(positions.is_sorted());
    writer.close().await.unwrap();
    assert_eq!(
        writer.append(sent[0].clone()).await,
        Err(CommitError::Closed)
    );

    let entries = live(&journal, stream, 1).await;
    assert!(
        entries.len() > 20,
        "{} slots show no pipelining",
        entries.len()
    );
    let found: Vec<Bytes> = entries.iter().flat_map(Entry::records).collect();
    assert_eq!(found, sent);
    for (position, record) in positions.iter().zip(&sent) {
        let entry = &entries[position.seq as usize - 1];
        assert_eq!(
            entry.records().nth(position.index as usize).as_ref(),
            Some(record)
        );
    }
}

async fn a_sealed_writer_is_fenced_and_loses_nothing_acknowledged(store: &Store) {
    let stream = StreamId::Partition(2);
    let (old, new) = (journal(store, "old"), journal(store, "new"));
    let sealed = old.seal(stream, 0, 1, "old").await.unwrap();
    let old_writer = old.writer(stream, sealed, quick());
    let kept = old_writer
        .append(Bytes::from_static(b"kept"))
        .await
        .unwrap();

    let sealed = new.seal(stream, 0, 2, "new").await.unwrap();
    assert!(kept.seq < sealed.seq);
    assert_eq!(sealed.previous.as_ref().unwrap().term, 1);
    assert_eq!(sealed.previous.as_ref().unwrap().writer, "old");
    let again = new.seal(stream, 0, 2, "new").await.unwrap();
    assert_eq!(
        again.seq, sealed.seq,
        "a sealer that asks again gets its own seal"
    );

    // One that asks again after a higher term has begun must not believe that it holds the stream.
    let other = StreamId::Partition(17);
    new.seal(other, 0, 2, "new").await.unwrap();
    let taken_back = old.seal(other, 0, 3, "old").await.unwrap();
    old.writer(other, taken_back, quick())
        .append(Bytes::from_static(b"again"))
        .await
        .unwrap();
    let gone = new.seal(other, 0, 2, "new").await.unwrap_err();
    assert!(matches!(gone, SealError::Superseded { ref by, term: 3, .. } if by == "old"));
    let own = old.seal(other, 0, 3, "old").await.unwrap();
    assert_eq!(own.seq, 1, "data of its own term is above it");

    let fenced = CommitError::Fenced {
        by: "new".to_owned(),
        term: 2,
    };
    assert_eq!(
        old_writer.append(Bytes::from_static(b"void")).await,
        Err(fenced.clone())
    );
    assert_eq!(
        old_writer.append(Bytes::from_static(b"void")).await,
        Err(fenced.clone())
    );
    assert_eq!(old_writer.health().fenced.unwrap().by, "new");
    assert_eq!(old_writer.health().backlog_bytes, 0);
    assert_eq!(old_writer.close().await, Err(fenced));
    let superseded = old.seal(stream, 0, 2, "old again").await.unwrap_err();
    assert!(matches!(superseded, SealError::Superseded { ref by, term: 2, .. } if by == "new"));

    let new_writer = new.writer(stream, sealed, quick());
    new_writer
        .append(Bytes::from_static(b"more"))
        .await
        .unwrap();
    let found: Vec<Bytes> = live(&new, stream, 0)
        .await
        .iter()
        .flat_map(Entry::records)
        .collect();
    assert_eq!(found, ["kept", "more"]);
}

async fn of_eight_sealers_with_one_term_one_wins(store: &Store) {
    let stream = StreamId::Partition(3);
    let sealers = (0..8).map(|i| {
        let journal = journal(store, &format!("sealer {i}"));
        tokio::spawn(async move { journal.seal(stream, 0, 5, &format!("sealer {i}")).await })
    });
    let results: Vec<_> = join_all(sealers)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for result in &results {
        match result {
            Ok(sealed) => assert_eq!(sealed.seq, 0),
            Err(error) => assert_eq!(error.fence().unwrap().term, 5),
        }
    }
    assert_eq!(live(&journal(store, "r"), stream, 0).await.len(), 1);
}

async fn a_hole_is_told_from_an_end(store: &Store) {
    let stream = StreamId::Partition(7);
    let first = journal(store, "first");
    let sealed = first.seal(stream, 0, 1, "first").await.unwrap();
    let writer = first.writer(stream, sealed, quick());
    for n in 0..6_u8 {
        writer.append(Bytes::from(vec![n])).await.unwrap();
    }
    writer.close().await.unwrap();
    let keys = store.list(&stream.prefix()).await.unwrap();
    let (lost, behind) = (&keys[3], &keys[4]);
    let bytes = store.read(lost).await.unwrap().unwrap();
    store.delete(vec![lost.clone()]).await.unwrap();
    let taker = journal(store, "taker");
    match taker.seal(stream, 0, 2, "taker").await.unwrap_err() {
        SealError::Store(StoreError::Missing { object, by }) => {
            assert_eq!((&object, &by), (lost, behind));
        }
        other => panic!("{other}"),
    }
    assert!(store.create(lost, bytes).await.unwrap());
    // The last one is gone, and nobody can know.
    store.delete(vec![keys[6].clone()]).await.unwrap();
    // A put that overtook one that never came: what is behind was not acknowledged.
    let early = Entry {
        stream,
        seq: 7,
        term: 1,
        settled: 6,
        writer: WriterId("first".to_owned()),
        nonce: 1,
        kind: backstay_journal::EntryKind::Data,
        payload: Bytes::new(),
    };
    let encoded = early.encode().unwrap();
    assert!(store.create(&stream.key(7), encoded).await.unwrap());
    let sealed = taker.seal(stream, 0, 2, "taker").await.unwrap();
    assert_eq!(sealed.seq, 6);
}

async fn a_partition_is_trimmed_but_for_its_seals(store: &Store) {
    let stream = StreamId::Partition(4);
    let mut seals = Vec::new();
    for term in 1..=3 {
        let journal = journal(store, &format!("w{term}"));
        let sealed = journal.seal(stream, 0, term, "w").await.unwrap();
        seals.push(stream.key(sealed.seq));
        let writer = journal.writer(stream, sealed, quick());
        for _ in 0..3 {
            writer.append(Bytes::from_static(b"record")).await.unwrap();
        }
        assert_eq!(writer.settled_below(), term * 4);
    }
    let journal = journal(store, "trimmer");
    let trimmed = journal.trim(stream, 11).await.unwrap();
    assert_eq!((trimmed.deleted, trimmed.kept), (8, 3));
    assert_eq!(journal.trim(stream, 11).await.unwrap().deleted, 0);
    seals.push(stream.key(11));
    assert_eq!(store.list(&stream.prefix()).await.unwrap(), seals);

    let mut tail = journal.tail(stream, 9, 3);
    assert_eq!(tail.next().await.unwrap(), None);
    tail.set_floor(11);
    assert!(matches!(
        tail.next().await,
        Err(TailError::Trimmed { position: 9, .. })
    ));
    assert_eq!(live(&journal, stream, 11).await.len(), 1);
}

async fn eight_writers_append_optimistically(store: &Store) {
    const APPENDS_EACH: usize = 6;
    let tasks = (0..8).map(|w| {
        let journal = journal(store, &format!("node {w}"));
        tokio::spawn(async move {
            let mut applied: Vec<(u64, Bytes)> = Vec::new();
            for i in 0..APPENDS_EACH {
                let payload = Bytes::from(format!("{w}:{i}"));
                loop {
                    let at = applied.last().map_or(0, |(seq, _)| seq + 1);
                    match journal
                        .try_append(StreamId::Global, at, 0, payload.clone())
                        .await
                        .unwrap()
                    {
                        TryAppend::Appended { seq } => {
                            applied.push((seq, payload));
                            break;
                        }
                        TryAppend::Lost(entry) => applied.push((entry.seq, entry.payload)),
                        other => panic!("{other:?}"),
                    }
                }
            }
            applied
        })
    });
    let views: Vec<_> = join_all(tasks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let entries = live(&journal(store, "reader"), StreamId::Global, 0).await;
    let log: Vec<_> = entries
        .into_iter()
        .map(|entry| (entry.seq, entry.payload))
        .collect();
    assert_eq!(log.len(), 8 * APPENDS_EACH);
    assert_eq!(
        log.iter()
            .map(|(_, payload)| payload)
            .collect::<HashSet<_>>()
            .len(),
        log.len()
    );
    for view in views {
        assert!(log.starts_with(&view));
    }
}

async fn stragglers_of_global_notice_trimmed_ground(store: &Store) {
    let stream = StreamId::Global;
    let journal = journal(store, "node 1");
    let from = live(&journal, stream, 0).await.len() as u64;
    // The log goes on for long; laid down in parallel, because a node would take its time.
    let end = TRIM_WINDOW_SLOTS + KEEP_NEWEST_SLOTS + 10;
    let puts = (from..end).map(|seq| {
        let entry = Entry {
            stream,
            seq,
            term: 0,
            settled: seq,
            writer: WriterId("filler".to_owned()),
            nonce: u128::from(seq),
            kind: backstay_journal::EntryKind::Data,
            payload: Bytes::from_static(b"x"),
        };
        async move {
            store
                .create(&stream.key(seq), entry.encode().unwrap())
                .await
                .unwrap()
        }
    });
    for created in futures::StreamExt::collect::<Vec<_>>(futures::StreamExt::buffered(
        futures::stream::iter(puts),
        16,
    ))
    .await
    {
        assert!(created);
    }
    let mut straggler = journal.tail(stream, 10, 0);

    let trimmed = journal.trim(stream, end).await.unwrap();
    assert_eq!(
        trimmed.deleted, TRIM_WINDOW_SLOTS,
        "one window, and the newest stay"
    );
    assert!(matches!(
        straggler.next().await,
        Err(TailError::Trimmed { position: 10, .. })
    ));
    assert_eq!(
        append_global(&journal, 10, 0, "void").await,
        TryAppend::TrimmedBehind
    );
    // What the first straggler left there must not mislead the next one, at the same slot or above.
    assert_eq!(
        append_global(&journal, 10, 0, "void").await,
        TryAppend::TrimmedBehind
    );
    assert_eq!(
        append_global(&journal, 11, 0, "void").await,
        TryAppend::TrimmedBehind
    );
    assert!(matches!(
        straggler.next().await,
        Err(TailError::Trimmed { .. })
    ));
    assert!(matches!(
        journal.seal(stream, 12, 7, "late").await,
        Err(SealError::TrimmedBehind { seq: 12, .. })
    ));

    // At the end all goes on, and a taker fences whoever still writes with the old term.
    assert_eq!(
        live(&journal, stream, TRIM_WINDOW_SLOTS).await.len() as u64,
        end - TRIM_WINDOW_SLOTS
    );
    assert_eq!(
        append_global(&journal, end, 0, "on").await,
        TryAppend::Appended { seq: end }
    );
    let sealed = journal.seal(stream, end, 1, "other cluster").await.unwrap();
    assert_eq!(sealed.seq, end + 1);
    match append_global(&journal, end + 1, 0, "fenced").await {
        TryAppend::Fenced(fence) => {
            assert_eq!((fence.by.as_str(), fence.term), ("other cluster", 1))
        }
        other => panic!("{other:?}"),
    }
    // A dead entry behind the seal is stepped over.
    let dead = Entry {
        stream,
        seq: end + 2,
        term: 0,
        settled: end,
        writer: WriterId("old".to_owned()),
        nonce: 1,
        kind: backstay_journal::EntryKind::Data,
        payload: Bytes::from_static(b"dead"),
    };
    store
        .create(&stream.key(dead.seq), dead.encode().unwrap())
        .await
        .unwrap();
    assert_eq!(
        append_global(&journal, end + 2, 1, "live").await,
        TryAppend::Appended { seq: end + 3 }
    );
    let found = live(&journal, stream, end).await;
    assert_eq!(
        found.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [end, end + 1, end + 3]
    );
}
