//! The drill, played with nodes that cheat: each fault that a node could have must fail it, and
//! fail the check that is meant for it. A check that nobody has seen fail proves nothing.
//!
//! This program is also the node that the pods of the drill's lab run: started as `… node`, it starts
//! a real one behind itself, and passes on to it what comes, but for the fault that its file name
//! names. Hence no test harness.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout
)]

#[path = "cheats/node.rs"]
mod node;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backstay_lab::drill::{self, Act, Fault, Options, Progress};
use futures::StreamExt as _;

/// So many drills at once: most of a drill is waiting.
const AT_ONCE: usize = 2;

/// The faults, the act until which each is played, and the checks that it must fail.
const FAULTS: [(&str, Act, &[&str]); 10] = [
    // The longest first.
    (
        "late",
        Act::Cleaning,
        &[
            "every acknowledged event is found",
            "no request fails while it is promoted",
        ],
    ),
    ("none", Act::Failover, &[]),
    (
        "loses",
        Act::Failover,
        &["every acknowledged event is found"],
    ),
    ("doubles", Act::Failover, &["each is found once"]),
    (
        "invents",
        Act::Failover,
        &["nothing is found that was never sent"],
    ),
    (
        "alters",
        Act::Failover,
        &[
            "every acknowledged event is found",
            "nothing is found that was never sent",
        ],
    ),
    (
        "forgets",
        Act::Failover,
        &["every acknowledged event is found"],
    ),
    (
        "accepts",
        Act::Failover,
        &["the old primary takes no event"],
    ),
    (
        "copies",
        Act::Failover,
        &["history is read from the primary's bucket"],
    ),
    (
        "writes-back",
        Act::Failover,
        &["new segments land in the standby's bucket"],
    ),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = |flag: &str| arguments.iter().any(|it| it == flag);
    if given("node") {
        return node::run();
    }
    // What cargo-nextest asks of a program that has no test harness.
    if given("--list") {
        if !given("--ignored") {
            println!("nodes_that_cheat_are_found_out: test");
        }
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let played = futures::stream::iter(FAULTS)
        .map(|(fault, until, expected)| found_out(folder.path(), fault, until, expected))
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<()>>();
    runtime.block_on(played);
    runtime.block_on(interrupted(folder.path()));
    eprintln!("drill that is interrupted ... ok");
}

fn options(node: PathBuf, until: Act) -> Options {
    Options {
        program: env!("CARGO_BIN_EXE_backstay").into(),
        node: Some(node),
        logs: Vec::new(),
        events: Some(3_000),
        azurite: None,
        keep: false,
        seed: 5,
        senders: 6,
        fault: Fault::Kill,
        kill_operator_at: None,
        until,
        memory: 6 << 30,
        against: None,
    }
}

/// A drill with a node that has this fault fails, and by these checks.
async fn found_out(folder: &Path, fault: &str, until: Act, expected: &[&str]) {
    let program = folder.join(fault);
    std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &program).unwrap();
    let (progress, began) = (Progress::silent(), Instant::now());
    let report = drill::run(&options(program, until), &progress, std::future::pending())
        .await
        .unwrap_or_else(|failure| panic!("{fault}: {failure}"));
    let failed: Vec<&str> = report
        .checks
        .iter()
        .filter(|check| !check.ok)
        .map(|check| check.name)
        .collect();
    assert_eq!(failed, expected, "{fault}: {:#?}", report.checks);
    assert_eq!(report.ok, expected.is_empty(), "{fault}");
    assert_eq!(
        report.work_dir.is_some(),
        !report.ok,
        "a failed drill keeps its folder"
    );
    assert_eq!(report.rpo_ms > 0, report.lost > 0, "{fault}");
    if let Some(kept) = report.work_dir {
        for log in ["primary", "secondary", "watch"] {
            assert!(kept.join(format!("lab/logs/{log}.log")).exists());
        }
        std::fs::remove_dir_all(kept).unwrap();
    }
    let took = began.elapsed().as_secs();
    eprintln!("drill with a node that has the fault `{fault}` ... ok, {took} s");
}

/// Ctrl-C ends a drill, its nodes and its folders.
async fn interrupted(folder: &Path) {
    let options = options(folder.join("none"), Act::Cleaning);
    let stop = tokio::time::sleep(Duration::from_millis(700));
    let failure = drill::run(&options, &Progress::silent(), stop)
        .await
        .unwrap_err();
    assert!(
        matches!(failure.error, drill::DrillError::Interrupted),
        "{failure}"
    );
    assert!(failure.work_dir.is_none());
}
