//! Retried batches: stored once, whoever gets them, and across a restart.

use std::net::TcpListener;
use std::time::Instant;

use serde_json::json;

use crate::curl::{
    BULK, HEC, HEC_RAW, OTLP, STRUCTURED, UNSTRUCTURED, gzip, post, raw_lines, send,
};
use crate::server::{Answer, HANG_TIMEOUT, Server};

fn key(name: &str) -> String {
    format!("Idempotency-Key: {name}")
}

/// A body of each format, with one event whose line is `line`.
fn bodies(line: &str) -> [(&'static str, String); 6] {
    [
        (
            STRUCTURED,
            json!([{ "events": [{ "timestamp": 1, "rawstring": line }] }]).to_string(),
        ),
        (UNSTRUCTURED, json!([{ "messages": [line] }]).to_string()),
        (HEC, json!({ "event": line }).to_string()),
        (HEC_RAW, line.to_owned()),
        (
            BULK,
            format!("{{\"index\":{{}}}}\n{}\n", json!({ "message": line })),
        ),
        (
            OTLP,
            json!({ "resourceLogs": [{ "scopeLogs": [{
                "logRecords": [{ "body": { "stringValue": line } }] }] }] })
            .to_string(),
        ),
    ]
}

/// Sends with a key until it is acknowledged, as a shipper does: partitions may be between two
/// owners.
fn until_acknowledged(server: &Server, path: &str, more: &[&str], body: &[u8]) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = post(server, path, more, body);
        if answer.status == 200 {
            return answer;
        }
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(begun.elapsed() < HANG_TIMEOUT, "{answer:?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_retried_batch_is_stored_once_in_every_format() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    for (path, body) in bodies("once") {
        let key = key(path);
        let more = ["-H", key.as_str(), "-H", "Content-Type: application/json"];
        let first = send(&server, path, &token, &more, body.as_bytes());
        let second = send(&server, path, &token, &more, body.as_bytes());
        assert_eq!(first.status, 200, "{first:?}");
        assert_eq!((second.status, second.body), (200, first.body));
    }
    assert_eq!(raw_lines(&server), ["once"; 6]);
    // Another key, or none, is another batch; and so is the same key in another repository.
    let (path, body) = &bodies("again")[1];
    for more in [vec![], vec![], vec!["-H", "Idempotency-Key: other"]] {
        assert_eq!(
            send(&server, path, &token, &more, body.as_bytes()).status,
            200
        );
    }
    server.data(
        "mutation { createRepository(name: \"other\") { repository { name } } }",
        &json!(null),
    );
    let path = "/api/v1/repositories/other/ingest-messages";
    let key = key(UNSTRUCTURED);
    let other = send(&server, path, &server.admin, &["-H", &key], body.as_bytes());
    assert_eq!(other.status, 200, "{other:?}");
    assert_eq!(raw_lines(&server).len(), 6 + 3);
    let metrics = server.call("GET", "/metrics", None, "*/*", "");
    assert!(
        metrics
            .body
            .contains("backstay_ingest_duplicates_total 6\n")
    );
    assert!(metrics.body.contains("backstay_ingest_batches_total 10\n"));
}

#[test]
fn a_key_that_is_none_is_refused() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    for name in ["x".repeat(257), "\u{fc}".to_owned(), ";".to_owned()] {
        // `;` is curl's way to send an empty header.
        let header = match name.as_str() {
            ";" => "Idempotency-Key;".to_owned(),
            name => key(name),
        };
        let answer = send(&server, HEC_RAW, &token, &["-H", &header], b"x");
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.contains("Idempotency-Key"), "{answer:?}");
    }
    assert_eq!(raw_lines(&server), [] as [String; 0]);
}

#[test]
fn a_batch_that_was_not_acknowledged_in_time_is_stored_once_when_it_is_sent_again() {
    let server = Server::with(&[("BACKSTAY_ACK_TIMEOUT_MS", "300")]);
    let token = server.ingest_token("t", None);
    let authorization = format!("Authorization: Bearer {token}");
    let more = ["-H", authorization.as_str(), "-H", "Idempotency-Key: k"];
    let lost = server.lose_bucket();
    for _ in 0..3 {
        let answer = post(&server, HEC_RAW, &more, b"late");
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(
            answer.head.to_lowercase().contains("retry-after: "),
            "{answer:?}"
        );
        assert!(answer.body.contains("same idempotency key"), "{answer:?}");
    }
    drop(lost);
    until_acknowledged(&server, HEC_RAW, &more, b"late");
    assert_eq!(raw_lines(&server), ["late"]);
}

#[test]
fn a_batch_that_is_sent_again_after_a_restart_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let (bucket, data) = (folder.path().join("bucket"), folder.path().join("data"));
    std::fs::create_dir(&bucket).unwrap();
    let start = |data: &std::path::Path| {
        Server::with(&[
            ("LOCAL_STORAGE_PATH", bucket.to_str().unwrap()),
            ("DIRECTORY", data.to_str().unwrap()),
            ("BACKSTAY_SEGMENT_BYTES", "1"),
            ("BACKSTAY_LEASE_MS", "500"),
            ("BACKSTAY_HEARTBEAT_MS", "50"),
        ])
    };
    let server = start(&data);
    let token = server.ingest_token("t", None);
    let authorization = format!("Authorization: Bearer {token}");
    let sent: Vec<String> = (0..8).map(|n| format!("line {n}")).collect();
    let send_all = |server: &Server| {
        for line in &sent {
            let key = key(line);
            let more = ["-H", authorization.as_str(), "-H", key.as_str()];
            until_acknowledged(server, HEC_RAW, &more, line.as_bytes());
        }
    };
    send_all(&server);
    drop(server);
    // The same host again, then one that has nothing but the bucket.
    for data in [data.clone(), folder.path().join("new")] {
        let server = start(&data);
        send_all(&server);
        assert_eq!(raw_lines(&server), sent);
    }
}

/// Two nodes of one cluster, as a load balancer sees them.
struct Pair {
    first: Server,
    second: Server,
    token: String,
    // Dropped last.
    _folder: tempfile::TempDir,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Pair {
    /// `second` are the variables of the second node.
    fn start(second: &[(&str, &str)]) -> Self {
        Self::with(&[], second)
    }

    /// With variables of either node.
    fn with(first: &[(&str, &str)], second: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bucket = folder.path().join("bucket");
        std::fs::create_dir(&bucket).unwrap();
        let start = |name: &str, more: &[(&str, &str)]| {
            let port = free_port().to_string();
            let url = format!("http://127.0.0.1:{port}/");
            let data = folder.path().join(name);
            let mut all = vec![
                ("LOCAL_STORAGE_PATH", bucket.to_str().unwrap()),
                ("DIRECTORY", data.to_str().unwrap()),
                ("PORT", port.as_str()),
                ("PUBLIC_URL", url.as_str()),
                ("BACKSTAY_HEARTBEAT_MS", "50"),
                ("BACKSTAY_LEASE_MS", "5000"),
            ];
            all.extend_from_slice(more);
            Server::with(&all)
        };
        let first = start("first", first);
        let token = first.ingest_token("t", None);
        let second = start("second", second);
        Self {
            first,
            second,
            token,
            _folder: folder,
        }
    }

    fn both(&self) -> [&Server; 2] {
        [&self.first, &self.second]
    }

    /// Waits until a node owns as many partitions.
    fn owns(&self, server: &Server, partitions: usize) {
        let begun = Instant::now();
        let line = format!("backstay_partitions_owned {partitions}\n");
        while !server.engine().metrics().encode().contains(&line) {
            assert!(begun.elapsed() < HANG_TIMEOUT, "never: {line}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

#[test]
fn a_retried_batch_is_stored_once_whichever_node_gets_it() {
    let pair = Pair::start(&[]);
    pair.owns(&pair.first, 2);
    pair.owns(&pair.second, 2);
    let bearer = format!("Authorization: Bearer {}", pair.token);
    let user = format!("any:{}", pair.token);
    let authorizations: [[&str; 2]; 2] = [["-H", bearer.as_str()], ["--user", user.as_str()]];
    let mut sent = Vec::new();
    for n in 0..4 {
        let line = format!("line {n}");
        for (path, body) in bodies(&line) {
            let key = key(&format!("{path} {n}"));
            let mut answers = Vec::new();
            for turn in 0..4 {
                let server = pair.both()[(n + turn) % 2];
                let mut more = authorizations[turn / 2].to_vec();
                more.extend(["-H", key.as_str(), "-H", "Content-Type: application/json"]);
                let body = if turn == 3 {
                    more.extend(["-H", "Content-Encoding: gzip"]);
                    gzip(body.as_bytes())
                } else {
                    body.clone().into_bytes()
                };
                let answer = until_acknowledged(server, path, &more, &body);
                answers.push((answer.body, answer.head.contains("x-elastic-product")));
            }
            // Nothing in the answer tells who took the batch.
            assert!(
                answers.iter().all(|answer| *answer == answers[0]),
                "{answers:?}"
            );
            sent.push(line.clone());
        }
    }
    for server in pair.both() {
        assert_eq!(raw_lines(server), sent);
    }
    let stored = |server: &Server| server.engine().metrics().ingest_batches.get();
    let (first, second) = (stored(&pair.first), stored(&pair.second));
    assert_eq!(first + second, sent.len() as u64);
    assert!(
        first > 0 && second > 0,
        "one node has taken all: {first} and {second}"
    );
}

/// Shippers do not come back after a 403, so a token must not be refused by a node that has only
/// not heard of it.
#[test]
fn a_token_is_known_at_once_on_the_other_node() {
    let seldom = [
        ("BACKSTAY_HEARTBEAT_MS", "3000"),
        ("BACKSTAY_LEASE_MS", "20000"),
        ("NODE_ROLES", "ingestonly"),
    ];
    let pair = Pair::start(&seldom);
    pair.owns(&pair.second, 2);
    let token = pair.first.ingest_token("new", None);
    let (path, body) = &bodies("with a new token")[1];
    let bearer = format!("Authorization: Bearer {token}");
    let more = [
        "-H",
        bearer.as_str(),
        "-H",
        "Content-Type: application/json",
    ];
    let answer = until_acknowledged(&pair.second, path, &more, body.as_bytes());
    assert_eq!(answer.status, 200);
    let guessed = send(&pair.second, path, "guessed", &[], body.as_bytes());
    assert_eq!(guessed.status, 403, "{guessed:?}");
}

#[test]
fn a_node_that_owns_no_partition_passes_every_batch_on() {
    let pair = Pair::start(&[("NODE_ROLES", "httponly")]);
    pair.owns(&pair.first, 4);
    let bearer = format!("Authorization: Bearer {}", pair.token);
    let more = [
        "-H",
        bearer.as_str(),
        "-H",
        "Content-Type: application/json",
    ];
    for (path, body) in bodies("passed on") {
        let answer = until_acknowledged(&pair.second, path, &more, body.as_bytes());
        let direct = post(&pair.first, path, &more, body.as_bytes());
        assert_eq!(answer.body, direct.body);
        let product = |answer: &Answer| answer.head.contains("x-elastic-product");
        assert_eq!(product(&answer), product(&direct), "{answer:?}");
    }
    assert_eq!(raw_lines(&pair.second), ["passed on"; 12]);
    assert_eq!(pair.second.engine().metrics().ingest_batches.get(), 0);
    // What is wrong with a batch is said here; it is not passed on.
    let answer = post(&pair.second, STRUCTURED, &more, b"[");
    assert_eq!(answer.status, 400, "{answer:?}");
}

#[test]
fn an_owner_that_cannot_be_reached_is_503_and_nothing_is_guessed() {
    let nobody = format!("http://127.0.0.1:{}/", free_port());
    // The first one tries again for as long as a hand-over may take.
    let patience = [("BACKSTAY_ACK_TIMEOUT_MS", "1000")];
    let pair = Pair::with(&patience, &[("PUBLIC_URL", &nobody)]);
    pair.owns(&pair.second, 2);
    pair.owns(&pair.first, 2);
    let bearer = format!("Authorization: Bearer {}", pair.token);
    let (mut stored, mut refused) = (Vec::new(), 0);
    for n in 0..16 {
        let (key, line) = (key(&n.to_string()), format!("line {n:02}"));
        let more = ["-H", bearer.as_str(), "-H", key.as_str()];
        let answer = post(&pair.first, HEC_RAW, &more, line.as_bytes());
        if answer.status == 200 {
            stored.push(line);
            continue;
        }
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(
            answer.head.to_lowercase().contains("retry-after: "),
            "{answer:?}"
        );
        assert!(answer.body.contains("does not answer"), "{answer:?}");
        refused += 1;
    }
    assert!(refused > 0, "every key is the first node's");
    assert_eq!(raw_lines(&pair.first), stored);
}
