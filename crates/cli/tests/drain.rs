//! SIGTERM as a runbook sends it: the real binary, told by `curl` to flush when it is stopped, and
//! what is in its bucket afterwards. And what a node's memory comes to when all that can be sent
//! is sent at once.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "drain/budget.rs"]
mod budget;
#[path = "drain/crowd.rs"]
mod crowd;
#[path = "drain/floods.rs"]
mod floods;
#[path = "drain/own_log.rs"]
mod own_log;
#[path = "drain/process.rs"]
mod process;

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;

use process::{Process, files, last_slot};
use serde_json::Value;

/// Step 5b-1 of the runbook, to the letter; only `kubectl` is left out.
const RUNBOOK: &str = r#"
RESULT=$(curl -s -X POST http://localhost:8080/graphql \
-H "Content-Type: application/json" \
-H "Authorization: Bearer $TOKEN" \
-d '{"query":"mutation { setDynamicConfig(input: {config: FlushSegmentsAndGlobalOnShutdown, value: \"true\"}) }"}')
echo "$RESULT" | grep -q '"setDynamicConfig":true' \
&& echo "OK: flush-on-shutdown enabled" \
|| echo "ERROR: setting not applied (response: $RESULT)"
"#;

fn flush_on_shutdown(node: &Process) -> String {
    let script = RUNBOOK.replace("http://localhost:8080", &node.url());
    let output = Command::new("bash")
        .args(["-c", &script])
        .env("TOKEN", node.admin_token())
        .env("NO_PROXY", "*")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The partitions of the state that a stopped node left in its data folder: id and up to where
/// its entries are in segments.
fn covered(mirror: &Path) -> Vec<(u64, u64)> {
    let text = std::fs::read_to_string(mirror).unwrap();
    let state: Value = serde_json::from_str(&text).unwrap();
    let partitions = state["partitions"].as_array().unwrap();
    partitions
        .iter()
        .map(|it| (it["id"].as_u64().unwrap(), it["covered"].as_u64().unwrap()))
        .collect()
}

#[test]
fn a_node_that_is_told_to_flush_leaves_segments_a_fresh_snapshot_and_no_tail() {
    let folder = tempfile::tempdir().unwrap();
    let node = Process::start(folder.path(), &[]);
    let token = node.ingest_token();
    for n in 0..40 {
        let body = format!("line {n} a\nline {n} b\n");
        let answer = node.curl("/services/collector/raw", &token, &[], body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let bucket = folder.path().join("bucket");
    assert_eq!(
        files(&bucket.join("segments")),
        [] as [String; 0],
        "cut too early to tell"
    );
    assert_eq!(flush_on_shutdown(&node), "OK: flush-on-shutdown enabled\n");

    // A sender that has stopped in the middle of a body does not keep the node.
    let mut stalled = TcpStream::connect(node.address()).unwrap();
    let head = format!(
        "POST /services/collector/raw HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 1000\r\n\r\nhalf of it"
    );
    stalled.write_all(head.as_bytes()).unwrap();

    let ended = node.terminate();
    assert_eq!(ended.code(), Some(0), "{}", process::log(folder.path()));
    drop(stalled);

    assert!(!files(&bucket.join("segments")).is_empty());
    let mirror = folder.path().join("data/global-data-snapshot.json");
    for (partition, covered) in covered(&mirror) {
        let last = last_slot(&bucket.join(format!("journal/{partition}")));
        assert!(
            last.is_none_or(|last| last < covered),
            "partition {partition}: the tail from {covered} to {last:?} is in no segment"
        );
    }
    // The newest snapshot is of the last entry of `global`: it is named after it.
    let snapshots = files(&bucket.join("globalsnapshots"));
    let newest = snapshots.iter().max().unwrap();
    let offset = newest
        .rsplit('/')
        .nth(1)
        .and_then(|position| position.split_once('-')?.1.parse().ok());
    let last = last_slot(&bucket.join("journal/global"));
    assert_eq!(offset, last.map(|last| last + 1), "{newest}");

    // The operator's question, asked as operators ask it.
    let head = Command::new("head")
        .arg("-60")
        .arg(&mirror)
        .output()
        .unwrap();
    let head = String::from_utf8(head.stdout).unwrap();
    for part in [
        "\"buckets\"",
        "\"provider\": \"local\"",
        "\"bucket\": \"bucket\"",
        "\"readOnly\": false",
    ] {
        assert!(head.contains(part), "{part}:\n{head}");
    }
    assert!(!head.contains(process::KEY), "{head}");

    let node = Process::start(folder.path(), &[]);
    let rows = node.find("*");
    assert_eq!(rows.len(), 80);
    assert!(rows.iter().any(|row| row["@rawstring"] == "line 39 b"));
    assert!(node.metrics().contains("backstay_live_events 0\n"));
    // The setting is part of the state.
    let config = node.graphql("{ dynamicConfigs { dynamicConfigKey dynamicConfigValue } }");
    assert!(
        config
            .to_string()
            .contains("FlushSegmentsAndGlobalOnShutdown"),
        "{config}"
    );
    assert_eq!(node.terminate().code(), Some(0));
}

#[test]
fn a_node_outlives_a_hangup() {
    let folder = tempfile::tempdir().unwrap();
    let node = Process::start(folder.path(), &[]);
    for _ in 0..3 {
        node.signal("HUP");
        assert_eq!(node.get("/api/v1/status").status, 200);
    }
    assert_eq!(node.terminate().code(), Some(0));
}

#[test]
fn a_node_that_drains_is_down_and_settles_what_it_took() {
    let folder = tempfile::tempdir().unwrap();
    let node = Process::start(folder.path(), &[]);
    let token = node.ingest_token();
    let (bucket, away) = (folder.path().join("bucket"), folder.path().join("away"));
    std::fs::rename(&bucket, &away).unwrap();
    std::fs::write(&bucket, "").unwrap();
    thread::scope(|threads| {
        let sent = threads.spawn(|| {
            let key = ["-H", "Idempotency-Key: k"];
            node.curl(
                "/services/collector/raw",
                &token,
                &key,
                b"taken before the end",
            )
        });
        node.until("a batch waits", || {
            let status = node.get("/api/v1/status?deep=1").body;
            (0..4).any(|id| status.contains(&format!("{id}: term")))
                && status
                    .split(" bytes wait")
                    .any(|it| !it.ends_with(", 0") && it.contains("term"))
        });
        node.signal("TERM");
        node.until("draining", || {
            let status = node.get("/api/v1/status");
            assert!(
                status.status == 200 || status.body.contains("draining"),
                "{status:?}"
            );
            status.status == 503
        });
        let refused = node.curl("/services/collector/raw", &token, &[], b"too late");
        assert_eq!(refused.status, 503, "{refused:?}");
        std::fs::remove_file(&bucket).unwrap();
        std::fs::rename(&away, &bucket).unwrap();
        let answer = sent.join().unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    });
    assert_eq!(
        node.wait().code(),
        Some(0),
        "{}",
        process::log(folder.path())
    );
    let node = Process::start(folder.path(), &[]);
    let rows = node.find("*");
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["@rawstring"], "taken before the end");
    assert_eq!(node.terminate().code(), Some(0));
}

/// Memory of the process at its peak, which is also what it is given: the allocator keeps some of what
/// was freed beside what is in use. Unbounded, one of the floods below takes more.
const ALLOWED: u64 = 1 << 30;

#[test]
fn bombs_and_floods_do_not_grow_a_nodes_memory_beyond_its_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let more = [
        ("BACKSTAY_BACKLOG_BYTES", "4194304"),
        ("BACKSTAY_ACK_TIMEOUT_MS", "1000"),
        ("BACKSTAY_MEMORY_BYTES", &ALLOWED.to_string()),
    ];
    let node = Process::start(folder.path(), &more);
    let token = node.ingest_token();
    let packed = |plain: &str| {
        let mut gzip = Command::new("gzip")
            .arg("-9")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = gzip.stdin.take().unwrap();
        thread::scope(|threads| {
            threads.spawn(move || input.write_all(plain.as_bytes()).unwrap());
            gzip.wait_with_output().unwrap().stdout
        })
    };
    let long = "x".repeat(1 << 20);
    let many = vec![r#""""#; 2000].join(",");
    let lines = "a line of no interest at all\n".repeat(140_000);
    let floods = [
        // A bomb, one that is just not too large, one whose events all have a long tag, and lines.
        packed(&" ".repeat(300 << 20)),
        packed(&format!("[{}{{}}]", "{},".repeat(10_000_000))),
        packed(&format!(
            r#"[{{"tags":{{"a":"{long}"}},"messages":[{many}]}}]"#
        )),
        packed(&lines),
    ];
    let bucket = folder.path().join("bucket");
    let away = folder.path().join("away");
    std::fs::rename(&bucket, &away).unwrap();
    std::fs::write(&bucket, "").unwrap();
    let paths = [
        "humio-unstructured",
        "humio-unstructured",
        "humio-unstructured",
        "hec/raw",
    ];
    thread::scope(|threads| {
        for sender in 0..32 {
            let (node, token, flood) = (&node, &token, &floods[sender % floods.len()]);
            let path = format!("/api/v1/ingest/{}", paths[sender % paths.len()]);
            threads.spawn(move || {
                for _ in 0..2 {
                    let gzip = ["-H", "Content-Encoding: gzip"];
                    let answer = node.curl(&path, token, &gzip, flood);
                    let expected = [400, 413, 429, 503];
                    assert!(expected.contains(&answer.status), "{answer:?}");
                }
            });
        }
    });
    std::fs::remove_file(&bucket).unwrap();
    std::fs::rename(&away, &bucket).unwrap();
    let peak = node.peak_memory();
    assert!(peak <= ALLOWED, "{} MiB at peak", peak >> 20);
    // And it serves.
    node.until("an acknowledgement", || {
        node.curl("/services/collector/raw", &token, &[], b"after")
            .status
            == 200
    });
    assert_eq!(node.terminate().code(), Some(0));
}
