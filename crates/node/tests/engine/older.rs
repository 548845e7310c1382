//! A bucket that was put back to an older copy: no node goes on as if nothing were missing.

use std::path::Path;

use backstay_node::Phase;

use crate::host::{Batch, Host, Region, send_until_acknowledged};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn put_back(backup: &Path, bucket: &Path) {
    // Whoever runs writes meanwhile.
    while std::fs::remove_dir_all(bucket).is_err() {}
    copy(backup, bucket);
}

fn failure(host: &Host) -> String {
    host.until("it does not go on", |engine| {
        matches!(engine.phase(), Phase::Failed(_))
    });
    assert!(!host.engine.status().ok);
    host.engine.phase().to_string()
}

#[test]
fn an_older_copy_of_the_bucket_is_refused_by_who_runs_and_by_who_starts() {
    let region = Region::new();
    let bucket = region.folder.path().join("bucket");
    let backup = region.folder.path().join("backup");
    // Snapshots come at the end only, so that the data folder is ahead of the backup's.
    let vars = region.node("a").with("BACKSTAY_SNAPSHOT_SECONDS", "3600");
    let first = Host::start(&vars);
    send_until_acknowledged(&[&first], &Batch::plain("before"));
    first.drain();
    copy(&bucket, &backup);

    let running = Host::start(&vars);
    send_until_acknowledged(&[&running], &Batch::plain("after"));
    put_back(&backup, &bucket);
    let why = failure(&running);
    assert!(why.contains("journal/global/"), "{why}");
    assert!(why.contains("restore"), "{why}");
    running.kill();

    // Its data folder has what it wrote down when it started, which is newer than the copy.
    put_back(&backup, &bucket);
    let ahead = Host::begin(&vars);
    let why = failure(&ahead);
    assert!(why.contains("journal/global/"), "{why}");
    assert!(why.contains("global-data-snapshot.json"), "{why}");
    ahead.kill();

    // As it says: the bucket as it is, without what came after the copy.
    std::fs::remove_file(region.folder.path().join("a/global-data-snapshot.json")).unwrap();
    let older = Host::start(&vars);
    let found = older.find().unwrap();
    assert!(found.keys().all(|id| id.starts_with("before")), "{found:?}");
    assert!(!found.is_empty());
}
