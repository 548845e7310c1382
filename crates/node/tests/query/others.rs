//! Nodes side by side: any of them may be asked anything, and one may end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{Answer, HANG_TIMEOUT, Server};
use crate::{JOBS, QUERY, all_time, create, done, ndjson, rows};

/// Nodes of one cluster, with one admin's token.
struct Cluster {
    folder: tempfile::TempDir,
}

impl Cluster {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bucket")).unwrap();
        Self { folder }
    }

    fn start(&self, name: &str, roles: &str) -> Server {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        Server::with(&[
            ("LOCAL_STORAGE_PATH", &path("bucket")),
            ("DIRECTORY", &path(name)),
            ("BACKSTAY_ADMIN_TOKEN_FILE", &path("token")),
            ("PORT", &port),
            ("PUBLIC_URL", &format!("http://127.0.0.1:{port}/")),
            ("NODE_ROLES", roles),
            ("BACKSTAY_HEARTBEAT_MS", "100"),
            ("BACKSTAY_LEASE_MS", "5000"),
            ("BACKSTAY_LAME_DUCK_MS", "400"),
        ])
    }
}

fn send(server: &Server, line: &str) -> Answer {
    let body = json!([{ "messages": [line] }]);
    let path = "/api/v1/repositories/humio/ingest-messages";
    server.admin("POST", path, &body)
}

/// The lines that a node finds, in the order of the alphabet.
fn found(server: &Server) -> Vec<String> {
    let answer = ndjson(server, QUERY, &all_time("line"));
    let texts = rows(&answer).into_iter();
    let mut lines: Vec<String> = texts
        .map(|row| row["@rawstring"].as_str().unwrap().to_owned())
        .collect();
    lines.sort();
    lines
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < HANG_TIMEOUT, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn owned(server: &Server) -> i64 {
    server.engine().metrics().partitions_owned.get()
}

#[test]
fn what_a_node_does_not_do_by_its_role_another_one_does() {
    let cluster = Cluster::new();
    let ui = cluster.start("ui", "httponly");
    // Nobody takes events yet; who does comes while it waits.
    let ingest = std::thread::scope(|threads| {
        let early = threads.spawn(|| send(&ui, "early"));
        let ingest = cluster.start("ingest", "ingestonly");
        assert_eq!(early.join().unwrap().status, 200);
        ingest
    });
    assert_eq!(send(&ingest, "late").status, 200);
    for server in [&ui, &ingest] {
        assert_eq!(server.status_without_body(QUERY, None), 401);
        assert_eq!(rows(&ndjson(server, QUERY, &all_time("*"))).len(), 2);
        let wrong = ndjson(server, QUERY, &all_time("|||"));
        assert_eq!(wrong.status, 400, "{wrong:?}");
        let id = create(server, &all_time("late"));
        for asked in [&ingest, &ui] {
            let answer = done(asked, &format!("{JOBS}/{id}"));
            assert_eq!(answer["events"][0]["@rawstring"], "late");
        }
        let path = format!("{JOBS}/{id}");
        assert_eq!(ingest.admin("DELETE", &path, &Value::Null).status, 204);
        assert_eq!(ui.admin("GET", &path, &Value::Null).status, 404);
    }
}

#[test]
fn a_job_outlives_its_node() {
    let cluster = Cluster::new();
    let (one, other) = (cluster.start("a", "all"), cluster.start("b", "all"));
    assert_eq!(send(&one, "asked for").status, 200);
    let id = create(&one, &all_time("* | count()"));
    let path = format!("{JOBS}/{id}");
    assert_eq!(done(&one, &path)["events"][0]["_count"], "1");
    assert_eq!(done(&other, &path)["events"][0]["_count"], "1");
    drop(one);
    assert_eq!(done(&other, &path)["events"][0]["_count"], "1");
    assert_eq!(other.admin("DELETE", &path, &Value::Null).status, 204);
}

#[test]
fn a_node_that_ends_serves_until_nobody_asks_and_the_other_takes_over() {
    let cluster = Cluster::new();
    let (one, other) = (cluster.start("a", "all"), cluster.start("b", "all"));
    until("a share each", || owned(&one) == 2 && owned(&other) == 2);
    let engine = one.engine().clone();
    let retiring = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(engine.retire())
    });
    let mut sent = Vec::new();
    let begun = Instant::now();
    // For as long as its status is good, and once more.
    let mut last_round = false;
    while !last_round {
        last_round = one.admin("GET", "/api/v1/status", &Value::Null).status == 503;
        for server in [&one, &other] {
            let line = format!("line {:03}", sent.len());
            let answer = send(server, &line);
            assert_eq!(answer.status, 200, "{answer:?}");
            sent.push(line);
            assert_eq!(found(server), sent);
        }
        assert!(begun.elapsed() < HANG_TIMEOUT, "its status stays good");
    }
    assert_eq!((owned(&one), owned(&other)), (0, 4));
    assert!(!retiring.is_finished(), "it is still asked");
    assert!(retiring.join().unwrap(), "the other one is there");
    drop(one);
    assert_eq!(found(&other), sent);
    assert_eq!(send(&other, "alone").status, 200);
    // Who is alone has nobody to wait for.
    let engine = other.engine().clone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(!runtime.block_on(engine.retire()));
}

/// As when all nodes of a cluster are replaced, one after the other.
#[test]
fn a_node_that_ends_passes_events_on_to_one_that_has_come_since() {
    let cluster = Cluster::new();
    let (ui, old) = (cluster.start("ui", "httponly"), cluster.start("old", "all"));
    let alive = |server: &Server| server.engine().metrics().hosts_alive.get();
    until("all is its", || owned(&old) == 4 && alive(&ui) == 2);
    let retire = |server: &Server| {
        let engine = server.engine().clone();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(engine.retire())
    };
    // From here on it looks at nobody by itself.
    assert!(retire(&ui));
    let new = cluster.start("new", "all");
    until("a share each", || owned(&old) == 2 && owned(&new) == 2);
    assert!(retire(&old));
    drop(old);
    until("all is the new one's", || owned(&new) == 4);
    let answer = send(&ui, "line that is late");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(found(&new), ["line that is late"]);
}
