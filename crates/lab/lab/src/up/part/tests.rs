#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::time::sleep;

use super::Part;
use crate::child::ChildSpec;

fn sleeping(folder: &TempDir) -> ChildSpec {
    ChildSpec {
        program: "/bin/sleep".into(),
        arguments: vec!["600".into()],
        environment: BTreeMap::new(),
        log: folder.path().join("log"),
    }
}

/// Its process id, when it has another than before.
async fn pid(part: &Part, before: Option<u32>) -> u32 {
    let start = Instant::now();
    loop {
        if let Some(pid) = part.status().pid.filter(|pid| Some(*pid) != before) {
            return pid;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{part:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn what_ends_is_started_again_and_what_is_taken_down_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let part = Part::start("sleep", sleeping(&folder)).unwrap();
    let first = pid(&part, None).await;
    part.signal(Signal::SIGKILL).unwrap();
    let second = pid(&part, Some(first)).await;
    assert_eq!(part.status().restarts, 1);
    assert!(part.status().problem.unwrap().contains("SIGKILL"));
    part.down();
    while part.status().pid.is_some() {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(part.signal(Signal::SIGKILL).is_err());
    sleep(Duration::from_millis(500)).await;
    assert_eq!(part.status().pid, None);
    part.up();
    let third = pid(&part, Some(second)).await;
    part.end().await;
    assert!(![first, second, third].into_iter().any(runs));
}

#[tokio::test]
async fn a_dropped_part_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let part = Part::start("sleep", sleeping(&folder)).unwrap();
    let pid = pid(&part, None).await;
    drop(part);
    assert!(!runs(pid));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = sleeping(&folder);
    spec.program = folder.path().join("missing");
    assert!(Part::start("missing", spec).is_err());
}
