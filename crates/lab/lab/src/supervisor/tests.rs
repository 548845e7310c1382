#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::{NodeProcess, NodeSpec, SupervisorError, log_tail};

/// A node that is a shell script.
fn script(folder: &TempDir, text: &str) -> NodeSpec {
    let program = folder.path().join("node.sh");
    std::fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    NodeSpec {
        name: "primary".to_owned(),
        program,
        env: BTreeMap::from([("KEY_OF_TEST".to_owned(), "hush-hush".to_owned())]),
        data_dir: folder.path().join("data"),
        log_file: folder.path().join("node.log"),
    }
}

fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn a_dropped_handle_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let node = NodeProcess::start(&script(&folder, "exec sleep 600")).unwrap();
    let pid = node.pid().unwrap();
    assert!(runs(pid));
    drop(node);
    assert!(!runs(pid));
}

#[tokio::test]
async fn a_killed_node_is_dead_when_kill_returns_and_may_be_killed_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start(&script(&folder, "exec sleep 600")).unwrap();
    let pid = node.pid().unwrap();
    node.kill().await.unwrap();
    assert!(!runs(pid));
    assert!(node.exited().unwrap().is_some());
    node.kill().await.unwrap();
}

#[tokio::test]
async fn a_node_that_ends_by_itself_is_an_error_with_the_end_of_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut node =
        NodeProcess::start(&script(&folder, "echo the disk is full >&2; exit 3")).unwrap();
    let error = node.ready(Duration::from_secs(60)).await.unwrap_err();
    assert!(matches!(error, SupervisorError::Exited { .. }));
    assert!(error.to_string().contains("the disk is full"), "{error}");
}

#[tokio::test]
async fn a_child_gets_its_own_variables_in_its_environment_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start(&script(&folder, "env; echo arguments: $*")).unwrap();
    node.wait().await.unwrap();
    let log = std::fs::read_to_string(node.log_file()).unwrap();
    for wanted in [
        "KEY_OF_TEST=hush-hush",
        "BACKSTAY_BIND=127.0.0.1",
        "PORT=",
        "PATH=",
    ] {
        assert!(log.contains(wanted), "{wanted} is not in {log}");
    }
    // Cargo sets this one for every test; it stands for whatever is set on the machine.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!log.contains("CARGO_MANIFEST_DIR"), "{log}");
    assert!(
        log.contains("arguments: node --exit-with-parent\n"),
        "{log}"
    );
}

#[test]
fn secrets_are_not_in_debug() {
    let folder = tempfile::tempdir().unwrap();
    let shown = format!("{:?}", script(&folder, ""));
    assert!(
        shown.contains("KEY_OF_TEST") && !shown.contains("hush-hush"),
        "{shown}"
    );
}

#[test]
fn the_tail_is_the_end_of_the_log_or_says_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
    assert_eq!(log_tail(&path, 2), "  | two\n  | three");
    assert!(log_tail(&folder.path().join("none"), 2).contains("cannot read"));
}

/// What the kernel says that it does: `T` is stopped.
fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

#[tokio::test]
async fn a_frozen_node_does_nothing_until_it_is_thawed_and_can_be_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start(&script(&folder, "exec sleep 600")).unwrap();
    let pid = node.pid().unwrap();
    node.freeze().unwrap();
    let since = std::time::Instant::now();
    while state(pid) != 'T' {
        assert!(since.elapsed() < Duration::from_secs(60), "not stopped");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    node.thaw().unwrap();
    assert_ne!(state(pid), 'T');
    node.freeze().unwrap();
    node.kill().await.unwrap();
    let error = node.thaw().unwrap_err();
    assert!(error.to_string().contains("SIGCONT"), "{error}");
}
