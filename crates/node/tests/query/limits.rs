//! What searches may use of a node: memory, turns.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use backstay_node::memory::MemoryUse;
use backstay_node::{RepositoryName, SearchError};
use backstay_search::{Limits, Query, TimeRange};
use futures::StreamExt;
use serde_json::{Value, json};

use super::server::{Answer, HANG_TIMEOUT, Server};
use super::{JOBS, QUERY, all_time, create, ndjson, rows};

const KINDS: [MemoryUse; 3] = [MemoryUse::Searches, MemoryUse::Columns, MemoryUse::Exports];

/// Waits until searches have given back everything.
fn all_is_back(server: &Server) {
    let memory = server.engine().memory();
    let begun = Instant::now();
    while KINDS.iter().any(|kind| memory.used(*kind) > 0) {
        let used = KINDS.map(|kind| memory.used(kind));
        assert!(begun.elapsed() < HANG_TIMEOUT, "never given back: {used:?}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// A node with the least memory, and events of which each has a group of its own.
fn small(groups: usize) -> Server {
    let server = Server::with(&[
        ("BACKSTAY_MEMORY_BYTES", "67108864"),
        ("BACKSTAY_SEARCHES", "12"),
        ("BACKSTAY_SEGMENT_BYTES", "10000"),
    ]);
    let lines: Vec<String> = (0..groups).map(|n| format!("line number {n}")).collect();
    for lines in lines.chunks(500) {
        let lines: Vec<(i64, &str)> = lines.iter().map(|it| (1000, it.as_str())).collect();
        server.ingest("humio", &lines);
    }
    server.wait_for_segments();
    server
}

#[test]
fn searches_side_by_side_are_whole_or_refused_while_all_else_is_served() {
    const GROUPS: usize = 1500;
    let server = small(GROUPS);
    // Of what is there before the others send.
    let mut early = all_time("groupBy(@id, limit=100000)");
    early["end"] = json!(2000);
    let whole = |answer: &Answer| {
        let mut groups = rows(answer);
        groups.sort_by_key(|row| row["@id"].to_string());
        groups.dedup();
        groups.len() == GROUPS
    };
    let ended = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let beside = threads.spawn(|| {
            let mut number = 0;
            while !ended.load(Ordering::SeqCst) {
                number += 1;
                let status = server.call("GET", "/api/v1/status", None, "*/*", "");
                assert_eq!(status.status, 200, "{status:?}");
                let body = json!([{ "messages": [format!("beside {number}")] }]);
                let path = "/api/v1/repositories/humio/ingest-messages";
                let sent = server.admin("POST", path, &body);
                assert_eq!(sent.status, 200, "{sent:?}");
            }
        });
        let asked: Vec<_> = (0..24)
            .map(|_| threads.spawn(|| ndjson(&server, QUERY, &early)))
            .collect();
        for one in asked {
            let answer = one.join().unwrap();
            match answer.status {
                200 => assert!(whole(&answer), "{} bytes", answer.body.len()),
                503 => {
                    assert!(answer.body.contains("no memory now"), "{answer:?}");
                    assert!(answer.head.contains("retry-after"), "{answer:?}");
                }
                _ => panic!("{answer:?}"),
            }
        }
        ended.store(true, Ordering::SeqCst);
        beside.join().unwrap();
    });
    all_is_back(&server);
    assert!(whole(&ndjson(&server, QUERY, &early)), "alone");
    all_is_back(&server);
}

#[test]
fn what_never_fits_is_refused_with_what_to_do_and_takes_nothing_along() {
    let server = small(6000);
    let answer = ndjson(&server, QUERY, &all_time("groupBy(@id, limit=100000)"));
    assert_eq!(answer.status, 413, "{answer:?}");
    for part in ["groupBy()", "narrow the time range"] {
        assert!(answer.body.contains(part), "{answer:?}");
    }
    // A job is told the same; a stream of all events needs no more than a row group.
    let job = create(&server, &all_time("groupBy(@id, limit=100000)"));
    let begun = Instant::now();
    let polled = loop {
        let polled = server.admin("GET", &format!("{JOBS}/{job}"), &Value::Null);
        if polled.status != 200 {
            break polled;
        }
        assert!(begun.elapsed() < HANG_TIMEOUT, "never done");
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert_eq!(polled.status, 413, "{polled:?}");
    assert_eq!(rows(&ndjson(&server, QUERY, &all_time("*"))).len(), 6000);
    all_is_back(&server);
}

#[test]
fn more_searches_than_may_run_at_once_are_refused_for_now() {
    let server = Server::with(&[("BACKSTAY_SEARCHES", "1"), ("BACKSTAY_SEARCH_WAIT_MS", "0")]);
    server.ingest("humio", &[(1000, "a"), (2000, "b")]);
    let engine = server.engine().clone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let open = || async {
        let query = Query::parse("*").unwrap();
        let repository = RepositoryName::new("humio");
        let limits = Limits::default();
        engine
            .search_stream(&repository, query, TimeRange::ALL, limits)
            .await
    };
    let mut running = runtime.block_on(open()).unwrap();
    assert!(runtime.block_on(running.next()).unwrap().is_ok());
    let refused = ndjson(&server, QUERY, &all_time("*"));
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.head.contains("retry-after"), "{refused:?}");
    assert!(refused.body.contains("BACKSTAY_SEARCHES"), "{refused:?}");
    let error = runtime.block_on(open()).err().unwrap();
    assert!(
        matches!(error, SearchError::Busy { most: 1, .. }),
        "{error}"
    );
    // The turn is free when the stream has ended, or nobody takes of it any more.
    drop(running);
    assert_eq!(rows(&ndjson(&server, QUERY, &all_time("*"))).len(), 2);
    all_is_back(&server);
}

#[test]
fn a_query_that_costs_too_much_is_refused_before_it_runs() {
    let server = Server::start();
    let many = |count: usize, one: &str, between: &str| vec![one; count].join(between);
    let queries = [
        many(2000, "/a.*b/", " or "),
        many(40, "/[a-z\u{e9}]{1,200}x[0-9]{1,50}/i", " or "),
        format!("select([{}])", many(100_000, "f", ", ")),
        format!("sort([{}])", many(100, "f", ", ")),
    ];
    for query in queries {
        let answer = ndjson(&server, QUERY, &all_time(&query));
        assert_eq!(answer.status, 400, "{query:.80}: {answer:?}");
        let status = server.call("GET", "/api/v1/status", None, "*/*", "");
        assert_eq!(status.status, 200, "{status:?}");
    }
    all_is_back(&server);
}
