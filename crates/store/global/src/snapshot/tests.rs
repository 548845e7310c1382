#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use backstay_bucket::{BucketConfig, Role};

use super::*;
use crate::state::State;

async fn open(folder: &Path, key: &str) -> Bucket {
    let key = key.to_owned().into();
    Bucket::open(BucketConfig::local(folder, key, Role::Own))
        .await
        .unwrap()
}

fn at(offset: u64) -> State {
    State {
        offset,
        ..sample::state(500)
    }
}

/// The only file of the only snapshot.
fn file(folder: &Path, key: &SnapshotKey) -> PathBuf {
    folder.join(key.to_string())
}

#[tokio::test]
async fn what_was_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = open(folder.path(), "key").await;
    let state = at(7);
    let written = write(&bucket, &state).await.unwrap();
    assert_eq!(
        written.key.to_string(),
        "globalsnapshots/5f0c6a4be02d4a2f9a4f6f0a4a3f1d77/0-00000000000000000007/global-snapshot.json"
    );
    assert_eq!(read(&bucket, &written.key).await.unwrap(), state);
    let listed = newest(&bucket, None).await.unwrap().unwrap();
    assert_eq!((listed.key, listed.size), (written.key, written.size));
}

#[tokio::test]
async fn the_newest_is_the_one_of_the_latest_epoch_and_offset() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = open(folder.path(), "key").await;
    for (epoch, offset, cluster) in [(0, 100, "a"), (1, 3, "a"), (1, 20, "a"), (2, 1, "b")] {
        let state = State {
            epoch,
            cluster_id: cluster.to_owned(),
            ..at(offset)
        };
        write(&bucket, &state).await.unwrap();
    }
    let at = |found: Option<SnapshotRef>| found.map(|it| it.position().to_string());
    let of_a = newest(&bucket, Some("a")).await.unwrap();
    assert_eq!(at(of_a).as_deref(), Some("{epoch=1 offset=20}"));
    let of_all = newest(&bucket, None).await.unwrap();
    assert_eq!(at(of_all).as_deref(), Some("{epoch=2 offset=1}"));
    assert_eq!(newest(&bucket, Some("c")).await.unwrap(), None);
}

#[tokio::test]
async fn pruning_keeps_the_newest_and_other_clusters() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = open(folder.path(), "key").await;
    for offset in [5, 30, 200, 1000] {
        write(&bucket, &at(offset)).await.unwrap();
    }
    let other = State::before_creation("other");
    write(&bucket, &other).await.unwrap();
    let cluster = at(0).cluster_id;
    assert_eq!(prune(&bucket, &cluster, 2).await.unwrap(), Some(200));
    assert_eq!(prune(&bucket, &cluster, 2).await.unwrap(), Some(200));
    let offsets =
        |all: Vec<SnapshotRef>| -> Vec<u64> { all.iter().map(|it| it.position().offset).collect() };
    let left = list(&bucket, Some(&cluster)).await.unwrap();
    assert_eq!(offsets(left), [200, 1000]);
    // Never all of them.
    assert_eq!(prune(&bucket, &cluster, 0).await.unwrap(), Some(1000));
    assert_eq!(list(&bucket, None).await.unwrap().len(), 2);
    assert_eq!(prune(&bucket, "nobody", 3).await.unwrap(), None);
}

#[tokio::test]
async fn a_damaged_object_is_an_error_that_names_it_and_never_a_partial_state() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = open(folder.path(), "key").await;
    let key = write(&bucket, &at(7)).await.unwrap().key;
    let path = file(folder.path(), &key);
    let whole = std::fs::read(&path).unwrap();
    let mut damaged: Vec<(String, Vec<u8>)> = [0, 1, 40, whole.len() / 2, whole.len() - 1]
        .into_iter()
        .map(|length| (format!("cut to {length}"), whole[..length].to_vec()))
        .collect();
    for at in (0..whole.len()).step_by(whole.len() / 97 + 1) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        damaged.push((format!("a bit flipped at {at}"), flipped));
    }
    for (how, bytes) in damaged {
        std::fs::write(&path, bytes).unwrap();
        let error = read(&bucket, &key).await.expect_err(&how).to_string();
        assert!(error.contains("global-snapshot.json"), "{how}: {error}");
    }
    std::fs::write(&path, &whole).unwrap();
    assert!(read(&bucket, &key).await.is_ok());
}

#[tokio::test]
async fn a_wrong_key_a_missing_and_a_swapped_object_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = open(folder.path(), "key").await;
    let one = write(&bucket, &at(1)).await.unwrap().key;
    let two = write(&bucket, &at(2)).await.unwrap().key;
    let stranger = open(folder.path(), "another key").await;
    let error = read(&stranger, &one).await.unwrap_err().to_string();
    assert!(error.contains("ENCRYPTION_KEY"), "{error}");
    // The older one in the place of the newer: its name is part of what is authenticated.
    std::fs::copy(file(folder.path(), &one), file(folder.path(), &two)).unwrap();
    let error = read(&bucket, &two).await.unwrap_err().to_string();
    assert!(error.contains(&two.to_string()), "{error}");
    std::fs::remove_file(file(folder.path(), &two)).unwrap();
    assert!(read(&bucket, &two).await.unwrap_err().is_missing());
}

#[tokio::test]
async fn a_snapshot_under_a_wrong_name_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = open(folder.path(), "key").await;
    let right = write(&bucket, &at(1)).await.unwrap().key;
    let wrong = SnapshotKey {
        position: crate::EpochOffset {
            epoch: 9,
            offset: 9,
        },
        ..right.clone()
    };
    // Whoever holds the key can do this.
    let bytes = bucket.get(&right.to_string()).await.unwrap();
    bucket.put(&wrong.to_string(), bytes).await.unwrap();
    let error = read(&bucket, &wrong).await.unwrap_err();
    assert!(matches!(error, SnapshotError::Misplaced { .. }), "{error}");
    // Nor is anything else that lies there taken for one.
    for stray in [
        "globalsnapshots/a/b",
        "globalsnapshots/a/1-x/global-snapshot.json",
    ] {
        bucket.put(stray, "x".into()).await.unwrap();
    }
    assert_eq!(list(&bucket, None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn packed_bytes_that_are_no_snapshot_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = open(folder.path(), "key").await;
    let key = SnapshotKey::of(&at(1));
    let cases: [(&str, Vec<u8>); 4] = [
        ("cannot be unpacked", b"not zstd at all".to_vec()),
        ("it ends after", zstd::encode_all(&b"{"[..], 3).unwrap()),
        ("missing", zstd::encode_all(&b"{}"[..], 3).unwrap()),
        ("it ends after", zstd::encode_all(&b""[..], 3).unwrap()),
    ];
    for (wanted, bytes) in cases {
        bucket.put(&key.to_string(), bytes.into()).await.unwrap();
        let error = read(&bucket, &key).await.unwrap_err().to_string();
        assert!(error.contains(wanted), "{wanted}: {error}");
        assert!(error.contains(&key.to_string()), "{error}");
    }
}

#[tokio::test]
async fn the_mirror_is_replaced_whole_and_for_nobody_else_to_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(read_mirror(folder.path()).await.unwrap(), None);
    for offset in [1, 2] {
        mirror(folder.path(), &at(offset)).await.unwrap();
        let found = read_mirror(folder.path()).await.unwrap();
        assert_eq!(found, Some(at(offset)));
    }
    let path = folder.path().join(MIRROR_FILE);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read(&path).unwrap();
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    let error = read_mirror(folder.path()).await.unwrap_err().to_string();
    assert!(error.contains(MIRROR_FILE), "{error}");
}

#[test]
fn names_are_read_as_they_are_written() {
    let key = SnapshotKey::of(&at(12));
    assert_eq!(SnapshotKey::parse(&key.to_string()), Some(key));
    for wrong in [
        "",
        "globalsnapshots/",
        "globalsnapshots/c/0-1",
        "globalsnapshots//0-1/global-snapshot.json",
        "globalsnapshots/c/0/global-snapshot.json",
        "globalsnapshots/c/0-+1/global-snapshot.json",
        "globalsnapshots/c/0-99999999999999999999/global-snapshot.json",
        "globalsnapshots/c/0-1/global-snapshot.json/x",
        "other/c/0-1/global-snapshot.json",
    ] {
        assert_eq!(SnapshotKey::parse(wrong), None, "{wrong}");
    }
}
