//! Requests by the real `curl`, and what is found afterwards.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::server::{Answer, Server, parse};

pub const STRUCTURED: &str = "/api/v1/ingest/humio-structured";
pub const UNSTRUCTURED: &str = "/api/v1/ingest/humio-unstructured";
pub const HEC: &str = "/services/collector";
pub const HEC_RAW: &str = "/services/collector/raw";
pub const BULK: &str = "/api/v1/ingest/elastic-bulk/_bulk";
pub const OTLP: &str = "/api/v1/ingest/otlp/v1/logs";

/// Posts a body with `curl`; `more` are its arguments, such as `-H` and a header.
pub fn post(server: &Server, path: &str, more: &[&str], body: &[u8]) -> Answer {
    let mut curl = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--include",
            "--raw",
            "--noproxy",
            "*",
        ])
        // No `100 Continue` before the head of the answer.
        .args(["--max-time", "120", "-H", "Expect:"])
        .args(more)
        .args(["--data-binary", "@-"])
        .arg(format!("{}{path}", server.url()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl runs");
    // curl ends without reading all of it when the answer comes early.
    let _ = curl.stdin.take().unwrap().write_all(body);
    let output = curl.wait_with_output().unwrap();
    assert!(
        !output.stdout.is_empty(),
        "{path}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    parse(&output.stdout)
}

/// The same with a token as shippers send it.
pub fn send(server: &Server, path: &str, token: &str, more: &[&str], body: &[u8]) -> Answer {
    let bearer = format!("Authorization: Bearer {token}");
    let mut all = vec!["-H", bearer.as_str()];
    all.extend_from_slice(more);
    post(server, path, &all, body)
}

/// All events of the repository `humio` that a query finds.
pub fn found(server: &Server, query: &str) -> Vec<Value> {
    let body = json!({ "queryString": query, "start": 0, "end": 9_000_000_000_000_i64 });
    let answer = server.call(
        "POST",
        "/api/v1/repositories/humio/query",
        Some(&server.admin),
        "application/x-ndjson",
        &body.to_string(),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.complete, "{answer:?}");
    let lines = answer.body.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The one event that a query finds.
pub fn one(server: &Server, query: &str) -> Value {
    let mut all = found(server, query);
    assert_eq!(all.len(), 1, "{query}: {all:?}");
    all.remove(0)
}

/// `@rawstring` of all events, in the order of the alphabet.
pub fn raw_lines(server: &Server) -> Vec<String> {
    let mut lines: Vec<String> = found(server, "*")
        .iter()
        .map(|row| row["@rawstring"].as_str().unwrap().to_owned())
        .collect();
    lines.sort();
    lines
}

/// An event has these fields, and its time in ms.
pub fn assert_event(event: &Value, time: i64, fields: &[(&str, &str)]) {
    assert_eq!(event["@timestamp"], time, "{event}");
    for (name, value) in fields {
        assert_eq!(event[*name], *value, "{name}: {event}");
    }
}

pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(plain).unwrap();
    packed.finish().unwrap()
}

pub fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 3).unwrap()
}
