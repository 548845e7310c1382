//! What probes and scrapers see: ready, without its bucket, fenced, not able to start.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::curl::{HEC_RAW, raw_lines, send};
use crate::server::{Answer, HANG_TIMEOUT, Server};

fn status(server: &Server) -> Answer {
    server.call("GET", "/api/v1/status", None, "*/*", "")
}

fn deep(server: &Server) -> Value {
    let answer = server.call("GET", "/api/v1/status?deep=1", None, "*/*", "");
    answer.json()
}

fn part<'a>(deep: &'a Value, name: &str) -> &'a Value {
    let parts = deep["parts"].as_array().unwrap();
    let found = parts.iter().find(|part| part["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {deep}"))
}

/// Waits for a status code; answers with the last answer.
fn until(server: &Server, code: u16) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = status(server);
        if answer.status == code {
            return answer;
        }
        assert!(begun.elapsed() < HANG_TIMEOUT, "never {code}: {answer:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_node_that_serves_is_ok() {
    let server = Server::start();
    let answer = status(&server);
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({ "status": "OK", "version": backstay_node::VERSION })
    );
    let deep = deep(&server);
    for name in ["phase", "journal", "partitions", "background"] {
        assert_eq!(part(&deep, name)["ok"], true, "{deep}");
    }
    assert!(
        part(&deep, "partitions")["detail"]
            .as_str()
            .unwrap()
            .contains("0: term")
    );
}

#[test]
fn a_node_without_its_bucket_is_down_after_the_grace_time_and_comes_back() {
    let server = Server::with(&[
        ("BACKSTAY_STATUS_GRACE_SECONDS", "2"),
        ("BACKSTAY_HEARTBEAT_MS", "50"),
        ("BACKSTAY_LEASE_MS", "60000"),
        ("BACKSTAY_ACK_TIMEOUT_MS", "100"),
    ]);
    let token = server.ingest_token("t", None);
    let lost = server.lose_bucket();
    let down = until(&server, 503).json();
    assert_eq!(down["status"], "UNAVAILABLE");
    let reason = down["reason"].as_str().unwrap();
    assert!(
        reason.contains("nothing could be acknowledged for"),
        "{reason}"
    );
    assert!(reason.contains("check that the bucket"), "{reason}");
    let parts = deep(&server);
    assert_eq!(part(&parts, "phase")["ok"], true);
    assert_eq!(part(&parts, "journal")["ok"], false);
    // What nobody acknowledged may be there later; what was is.
    assert_eq!(send(&server, HEC_RAW, &token, &[], b"x").status, 503);
    drop(lost);
    until(&server, 200);
    assert_eq!(send(&server, HEC_RAW, &token, &[], b"y").status, 200);
    assert!(raw_lines(&server).contains(&"y".to_owned()));
}

#[test]
fn a_fenced_node_is_down_and_says_who_holds_its_journal() {
    let key = "key of this region, long";
    let primary = Server::with(&[("BACKSTAY_HEARTBEAT_MS", "50")]);
    let token = primary.ingest_token("t", None);
    assert_eq!(send(&primary, HEC_RAW, &token, &[], b"before").status, 200);
    let bucket = primary.bucket();
    let standby = Server::with(&[
        ("LOCAL_RECOVER_FROM_PATH", bucket.to_str().unwrap()),
        ("LOCAL_RECOVER_FROM_ENCRYPTION_KEY", key),
        ("BUCKET_STORAGE_MULTIPLE_ENDPOINTS", "true"),
        ("ENABLE_ALERTS", "false"),
    ]);
    let down = until(&primary, 503).json();
    assert!(
        down["reason"].as_str().unwrap().starts_with("fenced: "),
        "{down}"
    );
    let refused = send(&primary, HEC_RAW, &token, &[], b"lost");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.body.contains("fenced"), "{refused:?}");
    assert!(
        primary
            .engine()
            .metrics()
            .encode()
            .contains("backstay_fenced 1\n")
    );
    // The token of the primary is good at the standby, which has everything.
    assert_eq!(send(&standby, HEC_RAW, &token, &[], b"after").status, 200);
    assert_eq!(raw_lines(&standby), ["after", "before"]);

    let config = standby.call("GET", "/api/v1/config", None, "*/*", "");
    let read = config.json();
    assert_eq!(
        read["recoverFrom"],
        json!({ "provider": "local", "container": "bucket" })
    );
    assert_eq!(read["multipleEndpoints"], true);
    assert_eq!(read["enableAlerts"], false);
    assert_eq!(read["roles"], "all");
    assert!(read["clusterId"].is_string(), "{config:?}");
    for secret in [key, token.as_str(), standby.admin.as_str()] {
        assert!(!config.body.contains(secret), "{config:?}");
    }
}

#[test]
fn a_node_that_cannot_start_is_down_and_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let no_folder = folder.path().join("file");
    std::fs::write(&no_folder, "").unwrap();
    let server = Server::begin(&[("LOCAL_STORAGE_PATH", no_folder.to_str().unwrap())]);
    let begun = Instant::now();
    let down = loop {
        let down = status(&server);
        assert_eq!(down.status, 503, "{down:?}");
        if down.body.contains(no_folder.to_str().unwrap()) {
            break down.json();
        }
        assert!(begun.elapsed() < HANG_TIMEOUT, "{down:?}");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(down["status"], "UNAVAILABLE");
    assert_eq!(send(&server, HEC_RAW, "any", &[], b"x").status, 503);
    assert_eq!(deep(&server)["parts"][0]["ok"], false);
    assert_eq!(server.call("GET", "/metrics", None, "*/*", "").status, 200);
}

/// To some of Splunk's clients any answer is final: a node that starts makes them wait for theirs.
#[test]
fn a_hec_client_of_a_node_that_starts_is_answered_when_it_has_started() {
    let server = Server::begin(&[]);
    assert_eq!(send(&server, HEC_RAW, "unknown", &[], b"x").status, 403);
}

#[test]
fn the_metrics_count_what_was_taken_and_what_was_refused() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    assert_eq!(
        send(&server, HEC_RAW, &token, &[], b"one\nthree\n").status,
        200
    );
    let path = "/api/v1/repositories/nowhere/ingest-messages";
    let body = br#"[{"messages":["x"]}]"#;
    assert_eq!(send(&server, path, &server.admin, &[], body).status, 404);
    let answer = server.call("GET", "/metrics", None, "*/*", "");
    assert!(
        answer
            .head
            .contains("content-type: text/plain; version=0.0.4")
    );
    backstay_testkit::promtool::check(&answer.body);
    let answer = server.call("GET", "/metrics", None, "application/openmetrics-text", "");
    assert!(
        answer
            .head
            .contains("content-type: application/openmetrics-text; version=1.0.0")
    );
    for line in [
        "backstay_ingest_events_total 2",
        "backstay_ingest_bytes_total 8",
        "backstay_ingest_batches_total 1",
        "backstay_ingest_seconds_count 1",
        "backstay_ingest_refused_total{reason=\"no_repository\"} 1",
        "backstay_partitions_owned 4",
        "backstay_hosts_alive 1",
        "backstay_fenced 0",
    ] {
        assert!(
            answer.body.lines().any(|it| it == line),
            "{line}:\n{}",
            answer.body
        );
    }
    assert!(answer.body.ends_with("# EOF\n"));
    for secret in [&token, &server.admin] {
        assert!(!answer.body.contains(secret.as_str()));
    }
}
