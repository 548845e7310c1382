//! A node that may have few files open, more connections than that, and clients that work.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use super::process::{Process, log};

/// What systems give by default, with the connections that exhausted it.
const FILES: u32 = 1024;
const IDLE: usize = 1_100;
/// Bodies that are announced and do not come: all that one address can have, and more.
const TRICKLING: usize = 100;

/// Opens connections and keeps the last ones, until it is told to end.
fn crowd(address: (&'static str, u16), opened: &AtomicUsize, end: &AtomicBool) {
    let mut kept = VecDeque::new();
    while !end.load(SeqCst) {
        let mut stream = TcpStream::connect(address).unwrap();
        let count = opened.fetch_add(1, SeqCst);
        if count.is_multiple_of(2) {
            // Half a head. Who was sent away at once cannot write.
            let _ = stream.write_all(b"GET /api/v1/status HTTP/1.1\r\nHo");
        }
        kept.push_back(stream);
        if kept.len() > IDLE {
            kept.pop_front();
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Announces a large body and sends little of it.
fn trickle(address: (&'static str, u16), token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /services/collector/raw HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {}\r\n\r\nx",
        1 << 20
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

fn counted(metrics: &str, reason: &str) -> u64 {
    let name = format!("backstay_http_refused_total{{server=\"api\",reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|it| it.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("no {name}: {metrics}"))
        .parse()
        .unwrap()
}

#[test]
fn a_crowd_of_idle_connections_takes_no_file_from_the_bucket_and_no_answer_from_a_client() {
    assert!(backstay_listen::allow_files(4096) >= 2048);
    let folder = tempfile::tempdir().unwrap();
    let node = Process::start_with_files(folder.path(), FILES);
    let token = node.ingest_token();
    let (opened, end) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let crowd = thread::spawn({
        let (opened, end, address) = (opened.clone(), end.clone(), node.address());
        move || crowd(address, &opened, &end)
    });
    node.until("a crowd", || opened.load(SeqCst) > IDLE);
    let slow: Vec<TcpStream> = (0..TRICKLING)
        .map(|_| trickle(node.address(), &token))
        .collect();
    let mut sent = 0;
    for n in 0..60 {
        let status = node.get("/api/v1/status");
        assert_eq!(status.status, 200, "{status:?}: {}", log(folder.path()));
        let body = format!("line {n} a\nline {n} b\n");
        let answer = node.curl("/services/collector/raw", &token, &[], body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}: {}", log(folder.path()));
        sent += 2;
    }
    let found = node.find("line");
    assert_eq!(found.len(), sent, "{found:?}");
    let metrics = node.metrics();
    assert!(counted(&metrics, "evicted") > 0, "{metrics}");
    assert_eq!(counted(&metrics, "unaccepted"), 0, "{metrics}");
    assert_eq!(counted(&metrics, "crowded"), 0, "{metrics}");
    let log = log(folder.path());
    assert!(log.contains("make room"), "{log}");
    end.store(true, SeqCst);
    crowd.join().unwrap();
    // Those that never came to their end are told so.
    for mut stream in slow {
        let mut answer = String::new();
        // A reset can overtake it.
        if stream.read_to_string(&mut answer).is_ok() && !answer.is_empty() {
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        }
    }
    let metrics = node.metrics();
    assert_eq!(
        counted(&metrics, "slow_body"),
        TRICKLING as u64,
        "{metrics}"
    );
    assert!(node.terminate().success());
}
