//! The cluster's own log in its own repository.

use std::thread;
use std::time::{Duration, Instant};

use crate::process::{self, HANGS, Process};

/// The runbook's query, in the repository that every cluster has: what a recovery has done is found there, in
/// its order, by whoever only has the user interface.
#[test]
fn a_recovery_is_told_in_the_cluster_s_own_repository() {
    let (primary, standby) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let own_log = ("BACKSTAY_OWN_LOG", "true");
    let first = Process::start(primary.path(), &[own_log]);
    let begun = Instant::now();
    while first.find("joined").is_empty() {
        assert!(begun.elapsed() < HANGS, "it does not keep its log");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(first.terminate().code(), Some(0));

    let source = primary.path().join("bucket");
    let node = Process::start(
        standby.path(),
        &[
            own_log,
            ("LOCAL_RECOVER_FROM_PATH", source.to_str().unwrap()),
            ("LOCAL_RECOVER_FROM_ENCRYPTION_KEY", process::KEY),
            ("LOCAL_RECOVER_FROM_REPLACE_REGION", "eastus/westus"),
            ("BACKSTAY_REGION", "westus"),
        ],
    );
    // As it stands in the node's own log.
    let logged = process::log(standby.path());
    let wanted: Vec<&str> = logged
        .lines()
        .filter_map(|line| Some(line.split_once("DataSnapshotLoader: ")?.1))
        .collect();
    assert!(wanted.len() >= 10, "{wanted:?}");
    let found = || {
        let mut rows = node.find("DataSnapshotLoader | #kind != threaddumps");
        rows.retain(|row| row["class"] == "DataSnapshotLoader");
        let number = |row: &serde_json::Value| {
            let id = row["@id"].as_str().unwrap();
            let (start, number) = id.rsplit_once('-').unwrap();
            (start.to_owned(), number.parse::<u64>().unwrap())
        };
        // Those of this start: the primary's are there too.
        let own = rows
            .iter()
            .filter(|row| row["message"].as_str().unwrap().contains("Patching access"))
            .map(|row| number(row).0)
            .next();
        rows.retain(|row| Some(number(row).0) == own);
        rows.sort_by_key(number);
        let texts = rows
            .iter()
            .map(|row| row["message"].as_str().unwrap().to_owned());
        texts.collect::<Vec<String>>()
    };
    let begun = Instant::now();
    while found() != wanted {
        assert!(begun.elapsed() < HANGS, "{:?}\n{wanted:?}", found());
        thread::sleep(Duration::from_millis(50));
    }
    let text = wanted.join("\n");
    for part in [
        "Patching region using from=eastus to=westus on bucketId=1",
        "the bucket that is written to changes from bucketId=1 bucket=bucket to bucketId=2 bucket=bucket",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    // It is nobody's ingest, and does not feed on itself.
    let metrics = node.metrics();
    assert!(
        metrics.contains("backstay_ingest_events_total 0\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("backstay_own_log_dropped_total 0\n"),
        "{metrics}"
    );
    let rows = node.find("#type = humio | class = /own_log/");
    assert!(rows.is_empty(), "{rows:?}");
    assert_eq!(node.terminate().code(), Some(0));
}
