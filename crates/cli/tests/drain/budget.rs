//! A node under all that clients can send, killed in the middle of it, and the standby that recovers it:
//! neither takes more memory than it is given, and what was acknowledged is there once.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use super::floods::{Sender, Sent, Sizes};
use super::process::{KEY, Process, log};

/// What each node is given, and what it may take at its peak.
const BUDGET: u64 = 1 << 30;

/// Clients that send while the node is killed.
const WORKERS: usize = 4;

const SIZES: Sizes = Sizes {
    damaged: 6,
    wide: 24,
    small: 300_000,
    empty: 1_000_000,
};

fn start(folder: &Path, recovered: Option<&Path>) -> Process {
    let budget = BUDGET.to_string();
    let mut more = vec![
        ("BACKSTAY_MEMORY_BYTES", budget.as_str()),
        ("BACKSTAY_INGEST_PARTITIONS", "4"),
    ];
    let bucket = recovered.map(|from| from.join("bucket").display().to_string());
    if let Some(bucket) = &bucket {
        more.extend([
            ("LOCAL_RECOVER_FROM_PATH", bucket.as_str()),
            ("LOCAL_RECOVER_FROM_ENCRYPTION_KEY", KEY),
        ]);
    }
    Process::start(folder, &more)
}

/// Sends one line after another until `end`; answers with how many the node has acknowledged. The next
/// one it may have or not.
fn work(sender: &Sender<'_>, worker: usize, end: &AtomicBool) -> usize {
    for number in 0.. {
        let answer = line(sender, worker, number);
        if !answer {
            assert!(end.load(SeqCst), "a line was refused");
            return number;
        }
    }
    unreachable!()
}

/// Sends one line; whether it was acknowledged.
fn line(sender: &Sender<'_>, worker: usize, number: usize) -> bool {
    let text = format!("line {worker} {number}");
    let answer = sender.once("/services/collector/raw", &text, &[], text.as_bytes());
    match answer.status {
        200 => true,
        0 => false,
        _ => panic!("{text}: {answer:?}"),
    }
}

fn within_budget(node: &Process, folder: &Path) {
    let peak = node.peak_memory();
    assert!(peak < BUDGET, "{} MiB at peak: {}", peak >> 20, log(folder));
}

#[test]
fn whatever_is_sent_and_then_recovered_fits_the_memory_that_nodes_are_given_and_is_there_once() {
    let work_folder = tempfile::tempdir().unwrap();
    let [primary, standby] = ["primary", "standby"].map(|name| work_folder.path().join(name));
    let node = start(&primary, None);
    let sent = Sent::to(&node, SIZES);
    let lines = Sender::new(&node, "lines");
    let end = AtomicBool::new(false);
    let acknowledged: Vec<usize> = thread::scope(|threads| {
        let workers = (0..WORKERS).map(|worker| {
            let (lines, end) = (&lines, &end);
            threads.spawn(move || work(lines, worker, end))
        });
        let workers: Vec<_> = workers.collect();
        node.until("lines", || {
            node.find_in("lines", "count()")[0]["_count"] != "0"
        });
        within_budget(&node, &primary);
        end.store(true, SeqCst);
        node.signal("KILL");
        workers.into_iter().map(|it| it.join().unwrap()).collect()
    });
    node.wait();

    let node = start(&standby, Some(&primary));
    let lines = lines.to(&node);
    let mut expected = Vec::new();
    for (worker, next) in acknowledged.into_iter().enumerate() {
        // As the client does that had no answer.
        assert!(line(&lines, worker, next));
        expected.extend((0..=next).map(|number| format!("line {worker} {number}")));
    }
    sent.check(&node);
    let rows = node.find_in("lines", "*");
    let mut found: Vec<_> = rows
        .iter()
        .map(|row| row["@rawstring"].as_str().unwrap())
        .collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    within_budget(&node, &standby);
    assert_eq!(node.terminate().code(), Some(0), "{}", log(&standby));
}
