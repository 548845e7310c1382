#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::kind::find;

const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    changes: 100,
};

fn maps() -> &'static Kind {
    find("", "v1", "configmaps").unwrap()
}

fn key(name: &str) -> Key {
    Key::new(maps(), "n", name)
}

fn map(name: &str, value: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "n", "uid": name },
        "data": { "value": value },
    })
}

async fn put(store: &Store, name: &str, value: &str) -> u64 {
    let (key, document) = (key(name), map(name, value));
    store
        .write(false, move |transaction| {
            transaction.put(&key, document);
            Ok(transaction.version())
        })
        .await
        .unwrap()
}

fn values(store: &Store, at: Option<u64>) -> ApiResult<Vec<String>> {
    let listed = store.list(&ListQuery {
        kind: maps(),
        namespace: "n",
        selector: &Selector::default(),
        limit: 0,
        from: None,
        at,
    })?;
    let value = |document: &Document| document["data"]["value"].as_str().unwrap().to_owned();
    Ok(listed.documents.iter().map(value).collect())
}

#[tokio::test]
async fn an_operation_that_fails_or_is_a_trial_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), LIMITS).unwrap();
    let before = put(&store, "a", "1").await;
    for dry_run in [true, false] {
        let outcome: ApiResult<()> = store
            .write(dry_run, move |transaction| {
                transaction.put(&key("a"), map("a", "2"));
                transaction.put(&key("b"), map("b", "2"));
                transaction.remove(&key("a"));
                if dry_run {
                    Ok(())
                } else {
                    Err(ApiError::bad_request("no"))
                }
            })
            .await;
        assert_eq!(outcome.is_ok(), dry_run);
        assert_eq!(values(&store, None).unwrap(), ["1"]);
        assert_eq!(store.version(), before);
    }
    let (changes, _) = store.changes(maps(), before, 10).unwrap();
    assert!(changes.is_empty());
    assert_eq!(put(&store, "a", "2").await, before + 1);
}

#[tokio::test]
async fn the_past_is_listed_as_it_was() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), LIMITS).unwrap();
    put(&store, "a", "1").await;
    let at = put(&store, "b", "1").await;
    put(&store, "a", "2").await;
    put(&store, "c", "1").await;
    store
        .write(false, |transaction| {
            transaction.remove(&key("b"));
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(values(&store, None).unwrap(), ["2", "1"]);
    assert_eq!(values(&store, Some(at)).unwrap(), ["1", "1"]);
    assert_eq!(values(&store, Some(at - 1)).unwrap(), ["1"]);
    assert_eq!(values(&store, Some(99)).unwrap_err().code, 504);
}

#[tokio::test]
async fn what_is_forgotten_is_expired_and_the_rest_is_whole() {
    let folder = TempDir::new().unwrap();
    let limits = Limits {
        changes: 5,
        ..LIMITS
    };
    let store = Store::open(folder.path(), limits).unwrap();
    let first = put(&store, "a", "0").await;
    for number in 1..=9 {
        put(&store, "a", &number.to_string()).await;
    }
    assert_eq!(store.changes(maps(), first, 10).unwrap_err().code, 410);
    let (changes, upto) = store.changes(maps(), first + 4, 10).unwrap();
    let versions: Vec<u64> = changes.iter().map(|change| change.version).collect();
    assert_eq!(versions, (first + 5..=first + 9).collect::<Vec<_>>());
    assert_eq!(upto, first + 9);
    // A part of them: only so far is all sent.
    let (changes, upto) = store.changes(maps(), first + 4, 2).unwrap();
    assert_eq!((changes.len(), upto), (2, first + 6));
    assert_eq!(values(&store, Some(first)).unwrap_err().code, 410);
}

#[tokio::test]
async fn documents_and_versions_outlive_the_store() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), LIMITS).unwrap();
    put(&store, "a", "1").await;
    let last = put(&store, "b", "1").await;
    drop(store);
    // The writer's thread lets the file go when it sees that nobody is left.
    let store = loop {
        match Store::open(folder.path(), LIMITS) {
            Ok(store) => break store,
            Err(StoreError::Database { .. }) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(values(&store, None).unwrap(), ["1", "1"]);
    assert_eq!(store.version(), last);
    assert!(store.changes(maps(), last, 10).unwrap().0.is_empty());
    assert_eq!(store.changes(maps(), last - 1, 10).unwrap_err().code, 410);
    assert_eq!(put(&store, "a", "2").await, last + 1);
}

#[tokio::test]
async fn a_full_store_takes_only_removals() {
    let folder = TempDir::new().unwrap();
    let limits = Limits {
        bytes: 2000,
        ..LIMITS
    };
    let store = Store::open(folder.path(), limits).unwrap();
    put(&store, "a", &"x".repeat(1500)).await;
    let (key_b, document) = (key("b"), map("b", &"x".repeat(1500)));
    let refused = store
        .write(false, move |transaction| {
            transaction.put(&key_b, document);
            Ok(())
        })
        .await;
    assert!(
        refused
            .unwrap_err()
            .message
            .contains("database space exceeded")
    );
    store
        .write(false, |transaction| {
            transaction.remove(&key("a"));
            Ok(())
        })
        .await
        .unwrap();
    put(&store, "b", &"x".repeat(1500)).await;
}
