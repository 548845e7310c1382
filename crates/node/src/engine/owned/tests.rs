#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use backstay_journal::simulated::{Faults, FaultyStore, MemoryStore};
use backstay_journal::{CommitOptions, EntryStore, Journal, StreamId, WriterId};

use super::super::record::encode_batch;
use super::*;

const STREAM: StreamId = StreamId::Partition(0);
const LONGER_THAN_A_TEST: Duration = Duration::from_secs(60);

async fn unlearned(store: Arc<dyn EntryStore>, term: u64, by: &str) -> Arc<Owned> {
    let journal = Journal::new(store, WriterId(by.to_owned()));
    let sealed = journal.seal(STREAM, 0, term, by).await.unwrap();
    let options = CommitOptions {
        linger: Duration::ZERO,
        give_up: Duration::from_secs(3600),
        ..CommitOptions::default()
    };
    let began = (term, sealed.seq);
    let writer = journal.writer(STREAM, sealed, options);
    Arc::new(Owned::new(0, began, writer, LONGER_THAN_A_TEST))
}

/// One whose keys are known: there are none.
async fn owned(store: Arc<dyn EntryStore>, term: u64, by: &str) -> Arc<Owned> {
    let owned = unlearned(store, term, by).await;
    owned.learn(Window::default());
    owned
}

fn batch(key: KeyHash) -> Bytes {
    encode_batch("r", Some(key), &[]).unwrap().into()
}

fn covered(from: u64, to: u64) -> Origin {
    Origin {
        partition: 0,
        from,
        to,
        below: Some(1),
    }
}

async fn entries(store: &MemoryStore) -> usize {
    store.list(&STREAM.prefix()).await.unwrap().len()
}

#[tokio::test]
async fn a_second_try_is_a_duplicate_and_stores_nothing() {
    let store = MemoryStore::new();
    let owned = owned(Arc::new(store.clone()), 1, "a").await;
    let key = KeyHash::new("r", "k");
    assert!(
        !owned
            .append_once(key, batch(key), LONGER_THAN_A_TEST)
            .await
            .unwrap()
    );
    assert!(
        owned
            .append_once(key, batch(key), LONGER_THAN_A_TEST)
            .await
            .unwrap()
    );
    assert_eq!(entries(&store).await, 2, "the seal and one batch");
}

#[tokio::test]
async fn two_tries_at_once_store_one() {
    let store = MemoryStore::new();
    let owned = owned(Arc::new(store.clone()), 1, "a").await;
    let key = KeyHash::new("r", "k");
    let tries = (0..10).map(|_| owned.append_once(key, batch(key), LONGER_THAN_A_TEST));
    let answers = futures::future::join_all(tries).await;
    let fresh = answers.iter().filter(|a| !*a.as_ref().unwrap()).count();
    assert_eq!(fresh, 1);
    assert_eq!(entries(&store).await, 2);
}

#[tokio::test]
async fn a_client_that_gave_up_gets_the_truth_at_its_next_try() {
    let memory = MemoryStore::new();
    let store = Arc::new(FaultyStore::new(Arc::new(memory.clone()), Faults::NONE, 1));
    let owned = owned(Arc::clone(&store) as Arc<dyn EntryStore>, 1, "a").await;
    store.set_unreachable(true);
    let key = KeyHash::new("r", "k");
    let short = Duration::from_millis(20);
    for _ in 0..3 {
        let refused = owned.append_once(key, batch(key), short).await.unwrap_err();
        assert!(matches!(refused, Refused::Unclear { .. }));
    }
    store.set_unreachable(false);
    assert!(
        owned
            .append_once(key, batch(key), LONGER_THAN_A_TEST)
            .await
            .unwrap()
    );
    assert_eq!(entries(&memory).await, 2, "the first try was stored, once");
}

#[tokio::test]
async fn a_partition_that_was_taken_refuses_and_the_batch_may_go_elsewhere() {
    let store = MemoryStore::new();
    let old = owned(Arc::new(store.clone()), 1, "old").await;
    let new = owned(Arc::new(store.clone()), 2, "new").await;
    let key = KeyHash::new("r", "k");
    for _ in 0..2 {
        let refused = old
            .append_once(key, batch(key), LONGER_THAN_A_TEST)
            .await
            .unwrap_err();
        assert!(matches!(refused, Refused::Lost));
    }
    assert!(
        !new.append_once(key, batch(key), LONGER_THAN_A_TEST)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn trimming_stays_below_what_is_old_and_settled() {
    let store = MemoryStore::new();
    let owned = owned(Arc::new(store), 1, "a").await;
    assert_eq!(owned.trimmable(), 0, "nothing is covered");
    let key = KeyHash::new("r", "k");
    owned
        .append_once(key, batch(key), LONGER_THAN_A_TEST)
        .await
        .unwrap();
    owned.cover(covered(0, 100), vec![key], 0);
    assert_eq!(owned.trimmable(), 0, "too young");
    assert!(
        owned
            .append_once(key, batch(key), LONGER_THAN_A_TEST)
            .await
            .unwrap()
    );
    owned.expire(u64::MAX, LONGER_THAN_A_TEST, |_| true);
    assert_eq!(owned.trimmable(), 2, "settled below 2");
    assert!(
        !owned
            .append_once(key, batch(key), LONGER_THAN_A_TEST)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn what_does_not_follow_is_not_noted_and_an_object_is_due_once_for_each_change() {
    let owned = owned(Arc::new(MemoryStore::new()), 1, "a").await;
    assert!(owned.index_to_write().is_none(), "nothing is covered");
    owned.cover(covered(3, 5), vec![KeyHash::new("r", "late")], 0);
    assert_eq!((owned.keys_upto().unwrap().0, owned.keys_known()), (0, 0));
    owned.cover(covered(0, 3), vec![KeyHash::new("r", "k")], 0);
    let (index, below) = owned.index_to_write().unwrap();
    assert_eq!((index.upto, index.generations.len()), (3, 1));
    assert_eq!(below, Some(1), "so that nobody has to look back");
    assert!(owned.index_to_write().is_none(), "it is said already");
    owned.index_not_written();
    assert_eq!(owned.index_to_write(), Some((index, below)));
}

#[tokio::test]
async fn while_keys_are_unknown_only_batches_without_one_are_taken_and_nothing_is_written_down() {
    let store = MemoryStore::new();
    let owned = unlearned(Arc::new(store.clone()), 1, "a").await;
    let key = KeyHash::new("r", "k");
    owned.cannot_learn("journal/0000/7 is damaged".to_owned(), true);
    let refused = owned
        .append_once(key, batch(key), LONGER_THAN_A_TEST)
        .await
        .unwrap_err();
    let Refused::KeysUnknown { detail } = refused else {
        panic!("{refused:?}");
    };
    assert!(detail.contains("journal/0000/7"), "{detail}");
    let plain = encode_batch("r", None, &[]).unwrap().into();
    owned.append(plain, LONGER_THAN_A_TEST).await.unwrap();
    owned.cover(covered(0, 2), Vec::new(), 0);
    owned.expire(u64::MAX, LONGER_THAN_A_TEST, |_| true);
    assert_eq!((owned.keys_upto(), owned.trimmable()), (None, 0));
    assert!(owned.index_to_write().is_none() && owned.report_ran().is_none());
    // It is restored, and the batch is among what is stored.
    let mut window = Window::default();
    window.found(key);
    owned.learn(window);
    assert!(
        owned
            .append_once(key, batch(key), LONGER_THAN_A_TEST)
            .await
            .unwrap()
    );
    assert_eq!(
        entries(&store).await,
        2,
        "the seal and the one without a key"
    );
}
