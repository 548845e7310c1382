//! When the bucket does not keep up: what waits is bounded, and a client is told to come back.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Instant;

use crate::curl::{STRUCTURED, UNSTRUCTURED, raw_lines, send};
use crate::server::{Answer, HANG_TIMEOUT, Server};

const BACKLOG: usize = 4000;
const SENDERS: usize = 12;

fn body(name: &str) -> Vec<u8> {
    let line = format!("{name} {}", "x".repeat(1000));
    serde_json::json!([{ "messages": [line] }])
        .to_string()
        .into_bytes()
}

fn assert_told_to_retry(answer: &Answer) {
    let head = answer.head.to_lowercase();
    let seconds = head
        .lines()
        .find_map(|line| line.strip_prefix("retry-after: "))
        .unwrap_or_else(|| panic!("no Retry-After: {answer:?}"));
    assert!(seconds.trim().parse::<u64>().unwrap() >= 1, "{seconds}");
}

#[test]
fn a_full_backlog_is_429_and_what_waits_is_acknowledged_when_the_bucket_is_back() {
    let server = Server::with(&[
        ("BACKSTAY_BACKLOG_BYTES", &BACKLOG.to_string()),
        ("BACKSTAY_INGEST_PARTITIONS", "1"),
        ("BACKSTAY_ACK_TIMEOUT_MS", "100000"),
    ]);
    let token = server.ingest_token("t", None);
    let refused = std::thread::scope(|threads| {
        let lost = server.lose_bucket();
        let (answers, answered) = mpsc::channel();
        for n in 0..SENDERS {
            let (answers, server, token) = (answers.clone(), &server, &token);
            threads.spawn(move || {
                let answer = send(server, UNSTRUCTURED, token, &[], &body(&n.to_string()));
                answers.send((n, answer)).unwrap();
            });
        }
        // Three fit; the others are told so at once.
        let mut refused = Vec::new();
        while refused.len() < SENDERS - 3 {
            let (n, answer) = answered.recv_timeout(HANG_TIMEOUT).expect("a refusal");
            assert_eq!(answer.status, 429, "{answer:?}");
            assert_told_to_retry(&answer);
            assert!(
                answer.body.contains("bytes wait for the bucket"),
                "{answer:?}"
            );
            refused.push(n);
        }
        let status = server.call("GET", "/api/v1/status?deep=1", None, "*/*", "");
        let waiting: usize = status.json()["parts"][2]["detail"]
            .as_str()
            .and_then(|detail| detail.split_once(", ")?.1.split_once(" bytes wait"))
            .unwrap_or_else(|| panic!("{status:?}"))
            .0
            .parse()
            .unwrap();
        assert!((3000..=BACKLOG).contains(&waiting), "{waiting}");
        drop(lost);
        for _ in refused.len()..SENDERS {
            let (_, answer) = answered
                .recv_timeout(HANG_TIMEOUT)
                .expect("an acknowledgement");
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        refused
    });
    // Exactly what was acknowledged is there, and then the rest.
    assert_eq!(raw_lines(&server).len(), 3);
    for n in refused {
        let answer = send(&server, UNSTRUCTURED, &token, &[], &body(&n.to_string()));
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(raw_lines(&server).len(), SENDERS);
}

#[test]
fn a_batch_that_never_fits_is_413() {
    let server = Server::with(&[("BACKSTAY_BACKLOG_BYTES", "4000")]);
    let token = server.ingest_token("t", None);
    let lines = vec!["x".repeat(100); 100];
    let body = serde_json::json!([{ "messages": lines }]).to_string();
    let answer = send(&server, UNSTRUCTURED, &token, &[], body.as_bytes());
    assert_eq!(answer.status, 413, "{answer:?}");
    assert!(answer.body.contains("send smaller batches"), "{answer:?}");
    assert_eq!(raw_lines(&server), [] as [String; 0]);
}

/// Begins a body that is announced to be as long as one may be.
fn slow(server: &Server, token: &str, sent: &[u8]) -> TcpStream {
    let mut slow = TcpStream::connect(server.address).unwrap();
    let length = 32 << 20;
    let head = format!(
        "POST {STRUCTURED} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {length}\r\n\r\n",
    );
    slow.write_all(head.as_bytes()).unwrap();
    slow.write_all(sent).unwrap();
    slow
}

#[test]
fn bodies_on_their_way_have_a_bounded_room() {
    // 24 MiB of it are for bodies.
    let server = Server::with(&[("BACKSTAY_MEMORY_BYTES", "80740352")]);
    let token = server.ingest_token("t", None);
    let large = vec![b' '; 7 << 20];
    // What is only announced takes nothing.
    let quiet: Vec<TcpStream> = (0..20).map(|_| slow(&server, &token, b"[")).collect();
    let answer = send(&server, STRUCTURED, &token, &[], &large);
    assert_eq!(answer.status, 400, "{answer:?}");
    let loud: Vec<TcpStream> = (0..2).map(|_| slow(&server, &token, &large)).collect();
    let begun = Instant::now();
    let answer = loop {
        let answer = send(&server, STRUCTURED, &token, &[], &large);
        if answer.status == 429 {
            break answer;
        }
        // The slow ones have not been looked at yet.
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(begun.elapsed() < HANG_TIMEOUT, "never refused");
    };
    assert_told_to_retry(&answer);
    // There is room for a small one in addition to them.
    let small = send(
        &server,
        UNSTRUCTURED,
        &token,
        &[],
        br#"[{"messages":["x"]}]"#,
    );
    assert_eq!(small.status, 200, "{small:?}");
    drop((quiet, loud));
    let begun = Instant::now();
    while send(&server, STRUCTURED, &token, &[], &large).status == 429 {
        assert!(begun.elapsed() < HANG_TIMEOUT, "the room is not given back");
    }
}
