#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::{AtomicU64, Ordering};

use backstay_journal::simulated::MemoryStore;
use backstay_journal::{CommitOptions, EntryStore, Writer, WriterId};

use backstay_search::{Event, LiveEvents};

use super::super::keys::scan::{Slots, keys};
use super::super::record::{KeyHash, encode_batch, encode_keys};
use super::*;

const STREAM: StreamId = StreamId::Partition(0);

fn journal(store: &MemoryStore, writer: &str) -> Journal {
    Journal::new(Arc::new(store.clone()), WriterId(writer.to_owned()))
}

async fn writer(journal: &Journal, from: u64, term: u64, by: &str) -> Writer {
    let sealed = journal.seal(STREAM, from, term, by).await.unwrap();
    let options = CommitOptions {
        linger: std::time::Duration::ZERO,
        ..CommitOptions::default()
    };
    journal.writer(STREAM, sealed, options)
}

async fn append(writer: &Writer, raw: &str) -> u64 {
    let event = Event {
        timestamp_ms: 1,
        raw: raw.to_owned(),
        id: raw.to_owned(),
        tags: Vec::new(),
        fields: Vec::new(),
    };
    let key = KeyHash::new("r", raw);
    let record = bytes::Bytes::from(encode_batch("r", Some(key), &[event]).unwrap());
    writer.append(record).await.unwrap().seq
}

/// A writer that says nothing of what must be there.
fn end_is_open() -> Witness {
    says(0)
}

fn says(settled: u64) -> Witness {
    Witness::Says {
        settled,
        by: "its writer".to_owned(),
    }
}

fn memory() -> MemoryBudget {
    MemoryBudget::new(1 << 30)
}

fn raws(batches: Vec<Arc<LiveBatch>>) -> Vec<String> {
    let mut raws = Vec::new();
    for batch in batches {
        for piece in 0..batch.pieces() {
            let mut see = |event: &Event| {
                raws.push(event.raw.clone());
                Ok(())
            };
            batch.look(piece, &mut see).unwrap();
        }
    }
    raws
}

#[tokio::test]
async fn a_refresh_finds_what_was_acknowledged_before_it() {
    let store = MemoryStore::new();
    let writing = journal(&store, "w");
    let writer = writer(&writing, 0, 1, "w").await;
    let tails = Tails::new(journal(&store, "reader"), memory());
    let follower = tails.follower(0);
    let standing = Standing::default;
    for n in 0..5 {
        append(&writer, &n.to_string()).await;
        follower.refresh(&standing, &end_is_open).await.unwrap();
        let found = raws(tails.batches(&[(0, 0)], "r").unwrap());
        assert_eq!(found.len(), n + 1);
    }
    assert!(raws(tails.batches(&[(0, 0)], "other").unwrap()).is_empty());
}

#[tokio::test]
async fn an_older_state_than_the_tail_is_refused_instead_of_missing_events() {
    let store = MemoryStore::new();
    let writer = writer(&journal(&store, "w"), 0, 1, "w").await;
    let first = append(&writer, "first").await;
    let second = append(&writer, "second").await;
    let tails = Tails::new(journal(&store, "reader"), memory());
    tails
        .follower(0)
        .refresh(&Standing::default, &end_is_open)
        .await
        .unwrap();
    let covered = first + 1;
    assert_eq!(
        raws(tails.batches(&[(0, covered)], "r").unwrap()),
        ["second"],
        "a segment has the first"
    );
    assert_eq!(raws(tails.batches(&[(0, 0)], "r").unwrap()).len(), 2);
    tails.prune(&[(0, covered)]);
    assert!(tails.batches(&[(0, 0)], "r").is_none());
    let (_, end) = tails.follower(0).entries(covered).unwrap();
    assert_eq!(end, second + 1);
}

#[tokio::test]
async fn a_tail_that_was_overtaken_by_trimming_goes_on_where_segments_end() {
    let store = MemoryStore::new();
    let writing = journal(&store, "w");
    let writer = writer(&writing, 0, 1, "w").await;
    append(&writer, "gone").await;
    let tails = Tails::new(journal(&store, "reader"), memory());
    let follower = tails.follower(0);
    let covered = append(&writer, "also gone").await + 1;
    append(&writer, "there").await;
    writing.trim(STREAM, covered).await.unwrap();
    // At first the node's state is old, as after a long sleep; then it learns.
    let asked = AtomicU64::new(0);
    let standing = || match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Standing {
            covered: 0,
            floor: covered,
            ..Standing::default()
        },
        _ => Standing {
            covered,
            floor: covered,
            ..Standing::default()
        },
    };
    follower.refresh(&standing, &end_is_open).await.unwrap();
    let found = raws(tails.batches(&[(0, covered)], "r").unwrap());
    assert_eq!(found, ["there"]);
}

#[tokio::test]
async fn dead_entries_behind_a_covered_seal_are_not_found() {
    let store = MemoryStore::new();
    let old = writer(&journal(&store, "old"), 0, 1, "old").await;
    append(&old, "before").await;
    let taker = journal(&store, "new");
    let sealed = taker.seal(STREAM, 0, 2, "new").await.unwrap();
    // A put of the old writer that was on its way lands behind the seal.
    let dead = Entry {
        stream: STREAM,
        seq: sealed.seq + 1,
        term: 1,
        settled: sealed.seq,
        writer: WriterId("old".to_owned()),
        nonce: 1,
        kind: backstay_journal::EntryKind::Data,
        payload: bytes::Bytes::new(),
    };
    let key = STREAM.key(dead.seq);
    taker
        .store()
        .create(&key, dead.encode().unwrap())
        .await
        .unwrap();
    assert_eq!(term_at(&taker, STREAM, dead.seq).await.unwrap(), 2);
    let covered = sealed.seq + 1;
    let writer = taker.writer(STREAM, sealed, CommitOptions::default());
    append(&writer, "after").await;
    let tails = Tails::new(journal(&store, "reader"), memory());
    let standing = || Standing {
        covered,
        floor: covered,
        ..Standing::default()
    };
    let follower = tails.follower(0);
    follower.refresh(&standing, &end_is_open).await.unwrap();
    let (entries, _) = follower.entries(covered).unwrap();
    assert_eq!(entries.len(), 1, "the dead one is passed over");

    // Where the state knows the term, no covered entry is needed: the seal may be damaged or gone.
    let seal = STREAM.key(covered - 1);
    for content in [None, Some("damaged")] {
        taker.store().delete(vec![seal.clone()]).await.unwrap();
        if let Some(content) = content {
            let created = taker.store().create(&seal, content.into()).await;
            assert!(created.unwrap());
        }
        let known = || Standing {
            below: Some(2),
            ..standing()
        };
        let follower = Tails::new(journal(&store, "another"), memory()).follower(0);
        follower.refresh(&known, &end_is_open).await.unwrap();
        let (entries, end) = follower.entries(covered).unwrap();
        assert_eq!(entries.len(), 1, "the dead one is passed over");
        assert_eq!(entries[0].term, 2);
        let slots = Slots {
            from: covered,
            to: end,
            below: Some(2),
        };
        let keys = all_keys(&taker, slots, true).await.unwrap();
        assert_eq!(keys, [(covered + 1, KeyHash::new("r", "after"))]);
    }
}

async fn all_keys(
    journal: &Journal,
    slots: Slots,
    whole: bool,
) -> Result<Vec<(u64, KeyHash)>, FollowError> {
    let mut found = Vec::new();
    keys(journal, STREAM, slots, whole, &mut found).await?;
    Ok(found)
}

#[tokio::test]
async fn keys_are_read_back_with_their_slots() {
    let store = MemoryStore::new();
    let writing = journal(&store, "w");
    let writer = writer(&writing, 0, 1, "w").await;
    let first = append(&writer, "a").await;
    let imported = KeyHash::new("r", "imported");
    let second = writer
        .append(encode_keys("recovery", &[imported]).unwrap())
        .await;
    let second = second.unwrap().seq;
    let expected = [(first, KeyHash::new("r", "a")), (second, imported)];
    let slots = Slots {
        from: 0,
        to: second + 1,
        below: None,
    };
    let found = |whole| all_keys(&writing, slots, whole);
    assert_eq!(found(true).await.unwrap(), expected);
    EntryStore::delete(&store, vec![STREAM.key(first)])
        .await
        .unwrap();
    assert_eq!(found(false).await.unwrap(), expected[1..]);
    let missing = found(true).await.unwrap_err().to_string();
    assert!(missing.contains(&STREAM.key(first)), "{missing}");
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_an_error_that_names_its_slot_and_hides_nothing() {
    let store = MemoryStore::new();
    let writing = journal(&store, "w");
    let writer = writer(&writing, 0, 1, "w").await;
    append(&writer, "readable").await;
    let bad = writer.append(bytes::Bytes::from_static(&[9, 9])).await;
    let bad = bad.unwrap().seq;
    let tails = Tails::new(journal(&store, "reader"), memory());
    let follower = tails.follower(0);
    for _ in 0..2 {
        let error = follower
            .refresh(&Standing::default, &end_is_open)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(&STREAM.key(bad)), "{error}");
        assert_eq!(raws(tails.batches(&[(0, 0)], "r").unwrap()), ["readable"]);
    }
}

#[tokio::test]
async fn a_hole_is_told_from_the_end_whoever_writes_and_while_nobody_does() {
    let store = MemoryStore::new();
    let writing = journal(&store, "w");
    let writer = writer(&writing, 0, 1, "w").await;
    let mut slots = Vec::new();
    // The last one was put when all below were known to be there, and so says it.
    for n in 0..40 {
        slots.push(append(&writer, &n.to_string()).await);
    }
    let settled = writer.settled_below();
    let last = *slots.last().unwrap();
    for seq in slots {
        let object = STREAM.key(seq);
        let bytes = writing.store().read(&object).await.unwrap().unwrap();
        writing.store().delete(vec![object.clone()]).await.unwrap();
        let look = async |witness: Witness| {
            let follower = Tails::new(journal(&store, "reader"), memory()).follower(0);
            let witness = || witness.clone();
            follower.refresh(&Standing::default, &witness).await
        };
        let error = look(says(settled)).await.unwrap_err().to_string();
        assert!(error.contains(&object), "{error}");
        match look(Witness::Nobody).await {
            Err(error) => assert!(error.to_string().contains(&object), "{error}"),
            Ok(()) => assert_eq!(seq, last, "only the last one has nobody behind it"),
        }
        writing.store().create(&object, bytes).await.unwrap();
    }
    let tails = Tails::new(journal(&store, "whole"), memory());
    let whole = tails.follower(0);
    for witness in [says(settled), Witness::Nobody] {
        let witness = || witness.clone();
        whole.refresh(&Standing::default, &witness).await.unwrap();
    }
    assert_eq!(raws(tails.batches(&[(0, 0)], "r").unwrap()).len(), 40);
}

#[tokio::test]
async fn a_tail_that_does_not_fit_is_refused_whole_and_read_on_as_it_is_emptied() {
    let store = MemoryStore::new();
    let writing = journal(&store, "w");
    let writer = writer(&writing, 0, 1, "w").await;
    let memory = MemoryBudget::new(crate::memory::MIN_BUDGET_BYTES);
    let share = memory.share(MemoryUse::Tails);
    let text = "x".repeat(share / 5);
    let mut last = 0;
    for n in 0..12 {
        last = append(&writer, &format!("{n} {text}")).await;
    }
    let tails = Tails::new(journal(&store, "reader"), memory.clone());
    let follower = tails.follower(0);
    let covered = AtomicU64::new(0);
    let standing = || Standing {
        covered: covered.load(Ordering::SeqCst),
        floor: 0,
        ..Standing::default()
    };
    let mut found = Vec::new();
    let mut rounds = 0;
    loop {
        let result = follower.refresh_owned(&standing, &end_is_open).await;
        assert!(memory.used(MemoryUse::Tails) <= share);
        let at = covered.load(Ordering::SeqCst);
        let (entries, end) = follower.entries(at).unwrap();
        found.extend(raws(tails.batches(&[(0, at)], "r").unwrap()));
        assert!(!entries.is_empty(), "an owner always gets on");
        drop(entries);
        rounds += 1;
        match result {
            Ok(()) => break assert_eq!(end, last + 1),
            Err(FollowError::Full { .. }) => assert!(end <= last),
            Err(other) => panic!("{other}"),
        }
        // As if segments had been made of it.
        covered.store(end, Ordering::SeqCst);
        follower.prune(end);
        assert_eq!(memory.used(MemoryUse::Tails), 0);
    }
    assert!(rounds > 2, "{rounds}");
    let numbers: Vec<String> = found
        .iter()
        .map(|raw| raw.split(' ').next().unwrap().to_owned())
        .collect();
    let all: Vec<String> = (0..12).map(|n| n.to_string()).collect();
    assert_eq!(numbers, all, "each once, in order");
}

#[tokio::test]
async fn an_owner_gets_on_when_the_tails_of_others_take_everything() {
    let store = MemoryStore::new();
    let writing = journal(&store, "w");
    let writer = writer(&writing, 0, 1, "w").await;
    append(&writer, "one").await;
    append(&writer, "two").await;
    let memory = MemoryBudget::new(crate::memory::MIN_BUDGET_BYTES);
    let tails = Tails::new(journal(&store, "reader"), memory.clone());
    let all = memory.share(MemoryUse::Tails);
    let _others = memory.try_take(MemoryUse::Tails, all).unwrap();
    let follower = tails.follower(0);
    let full = follower
        .refresh(&Standing::default, &end_is_open)
        .await
        .unwrap_err();
    assert!(matches!(full, FollowError::Full { .. }), "{full}");
    // One entry each time: the seal, then the batches.
    let mut covered = 0;
    for expected in [vec![], vec!["one"], vec!["two"]] {
        let standing = || Standing {
            covered,
            ..Standing::default()
        };
        let _ = follower.refresh_owned(&standing, &end_is_open).await;
        let found = raws(tails.batches(&[(0, covered)], "r").unwrap());
        assert_eq!(found, expected);
        covered = follower.entries(covered).unwrap().1;
    }
}

#[tokio::test]
async fn what_a_stream_got_after_a_recovery_is_not_read_as_the_recovered_cluster_s() {
    let store = MemoryStore::new();
    let writing = journal(&store, "w");
    let old = writer(&writing, 0, 1, "w").await;
    append(&old, "imported").await;
    let imported = append(&old, "pending").await;
    let sealed = writing.seal(STREAM, 0, 2, "other").await.unwrap();
    let to = sealed.seq;
    // The stream is taken up again, as in a failback.
    let new = writer(&writing, 0, 3, "w").await;
    append(&new, "of another life").await;
    let memory = memory();
    let follower = Follower::recovered(journal(&store, "r"), 0, to, memory.clone());
    let standing = || Standing {
        covered: imported,
        floor: 0,
        below: None,
    };
    let witness = || says(to);
    for _ in 0..2 {
        follower.refresh(&standing, &witness).await.unwrap();
        let (entries, end) = follower.entries(imported).unwrap();
        assert_eq!(end, to);
        let batches = entries.iter().flat_map(|it| it.batches.clone()).collect();
        assert_eq!(raws(batches), ["pending"]);
    }
    assert!(memory.used(MemoryUse::Recovered) > 0);
    assert_eq!(
        memory.used(MemoryUse::Tails),
        0,
        "the own tails keep theirs"
    );
    follower.prune(to);
    assert_eq!(memory.used(MemoryUse::Recovered), 0);
}

#[tokio::test]
async fn a_recovered_tail_that_ends_early_is_told_as_a_hole() {
    let store = MemoryStore::new();
    let writing = journal(&store, "w");
    let old = writer(&writing, 0, 1, "w").await;
    let last = append(&old, "there").await;
    let to = last + 3;
    let follower = Follower::recovered(journal(&store, "r"), 0, to, memory());
    let refused = follower.refresh(&Standing::default, &|| says(to)).await;
    let refused = refused.unwrap_err().to_string();
    let missing = STREAM.key(last + 1);
    assert!(refused.contains(&missing), "{missing} is not in: {refused}");
}
