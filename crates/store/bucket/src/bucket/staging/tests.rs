#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs::File;

use super::*;
use crate::{BucketConfig, Role, Secret};

const HOUR: Duration = Duration::from_secs(3600);
const PLACES: [&str; 3] = ["cluster.json", "journal", "segments"];

fn config(folder: &Path, prefix: &str) -> BucketConfig {
    BucketConfig {
        prefix: prefix.to_owned(),
        ..BucketConfig::local(folder, Secret::new("a generated secret"), Role::Own)
    }
}

/// A file that was written to so long ago; `None` is in the future.
fn put(folder: &Path, name: &str, age: Option<Duration>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    let now = SystemTime::now();
    file.set_modified(age.map_or(now + HOUR, |age| now - age))
        .unwrap();
}

fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap();
                found.insert(name.to_str().unwrap().to_owned());
            }
        }
    }
    found
}

#[tokio::test]
async fn only_idle_files_of_writers_in_the_places_go() {
    let (old, young) = (Some(2 * HOUR), Some(HOUR / 2));
    let cases = [
        ("journal/0/00000000000000000007#1", old, false),
        ("journal/0/00000000000000000007#12", old, false),
        ("segments/a/b#1", old, false),
        ("cluster.json#1", old, false),
        ("journal/0/00000000000000000007", old, true),
        ("journal/0/00000000000000000008#1", young, true),
        ("journal/0/00000000000000000009#1", None, true),
        ("journal/0/x#", old, true),
        ("journal/0/x#1a", old, true),
        ("journal/0/#1", old, true),
        ("journal/folder#1/x", old, true),
        ("cluster.json", old, true),
        ("cluster.jsonx#1", old, true),
        ("notes/draft#1", old, true),
        ("draft#1", old, true),
        ("other/journal/0/7#1", old, true),
    ];
    for prefix in ["", "a/", "a"] {
        let folder = tempfile::tempdir().unwrap();
        for (name, age, _) in cases {
            put(folder.path(), &format!("{prefix}{name}"), age);
        }
        let bucket = Bucket::open(config(folder.path(), prefix)).await.unwrap();
        let removed = bucket.clean_staging(&PLACES, HOUR).await.unwrap();
        assert_eq!(removed, 4, "{prefix:?}");
        let stay = cases.iter().filter(|(_, _, stays)| *stays);
        let stay: BTreeSet<_> = stay.map(|(name, ..)| format!("{prefix}{name}")).collect();
        assert_eq!(files(folder.path()), stay, "{prefix:?}");
        assert_eq!(bucket.clean_staging(&PLACES, HOUR).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn what_is_only_read_is_not_cleaned_and_links_are_not_followed() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put(elsewhere.path(), "x#1", Some(2 * HOUR));
    fs::create_dir(folder.path().join("journal")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("journal/0")).unwrap();
    let bucket = Bucket::open_to_read(config(folder.path(), ""))
        .await
        .unwrap();
    assert!(bucket.clean_staging(&PLACES, HOUR).await.is_err());
    let bucket = Bucket::open(config(folder.path(), "")).await.unwrap();
    assert_eq!(bucket.clean_staging(&PLACES, HOUR).await.unwrap(), 0);
    assert!(elsewhere.path().join("x#1").exists());
}

/// The name that the store gives to what it writes is the one that is cleaned.
#[tokio::test]
async fn it_is_what_the_store_leaves() {
    use object_store::ObjectStoreExt as _;
    let folder = tempfile::tempdir().unwrap();
    let store = object_store::local::LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let place = object_store::path::Path::from("journal/0/7");
    let mut upload = store.put_multipart(&place).await.unwrap();
    upload.put_part("half".into()).await.unwrap();
    // As if the process had ended here.
    std::mem::forget(upload);
    let left = files(folder.path());
    assert_eq!(left.len(), 1, "{left:?}");
    let bucket = Bucket::open(config(folder.path(), "")).await.unwrap();
    assert_eq!(
        bucket.clean_staging(&PLACES, Duration::ZERO).await.unwrap(),
        1
    );
    assert!(files(folder.path()).is_empty());
}
