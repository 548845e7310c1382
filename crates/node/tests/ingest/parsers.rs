//! Unstructured lines through each parser, chosen by the body or by the token.

use serde_json::{Value, json};

use crate::curl::{HEC, UNSTRUCTURED, assert_event, one, send};
use crate::server::Server;

const JSON: [&str; 2] = ["-H", "Content-Type: application/json"];

/// A parser's name, a line, its time in ms, and fields of it.
type Case = (
    &'static str,
    &'static str,
    i64,
    &'static [(&'static str, &'static str)],
);

const CASES: [Case; 4] = [
    (
        "json",
        r#"{"ts":"2026-11-24T03:00:00Z","level":"warn","http":{"status":503}}"#,
        1_795_489_200_000,
        &[("level", "warn"), ("http.status", "503")],
    ),
    (
        "kv",
        r#"time=2026-11-24T03:00:01Z level=info msg="took long" ms=7"#,
        1_795_489_201_000,
        &[("msg", "took long"), ("ms", "7")],
    ),
    (
        "accesslog",
        r#"10.0.0.1 - ann [24/Nov/2026:03:00:02 +0000] "GET /a?b=c HTTP/1.1" 200 512 "-" "curl/8""#,
        1_795_489_202_000,
        &[
            ("statuscode", "200"),
            ("url", "/a?b=c"),
            ("useragent", "curl/8"),
        ],
    ),
    (
        "syslog",
        r#"<165>1 2026-11-24T03:00:03Z web1 app 42 ID47 [x@1 a="b"] the message"#,
        1_795_489_203_000,
        &[("host", "web1"), ("x@1.a", "b"), ("message", "the message")],
    ),
];

fn unstructured(kind: Option<&str>, line: &str) -> Vec<u8> {
    json!([{ "type": kind, "messages": [line] }])
        .to_string()
        .into_bytes()
}

fn check(event: &Value, case: &Case) {
    let (name, line, time, fields) = case;
    assert_event(event, *time, fields);
    assert_event(event, *time, &[("#type", name), ("@rawstring", line)]);
    assert_eq!(event["@error"], Value::Null);
}

#[test]
fn a_body_names_the_parser_of_its_lines() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    for case in &CASES {
        let body = unstructured(Some(case.0), case.1);
        let answer = send(&server, UNSTRUCTURED, &token, &JSON, &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        check(&one(&server, &format!("#type={}", case.0)), case);
    }
}

#[test]
fn a_token_prescribes_the_parser_of_its_lines() {
    let server = Server::start();
    for case in &CASES {
        let token = server.ingest_token(case.0, Some(case.0));
        // What the body says does not count.
        let body = unstructured(Some("nonesuch"), case.1);
        let answer = send(&server, UNSTRUCTURED, &token, &JSON, &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        check(&one(&server, &format!("#type={}", case.0)), case);
    }
    let syslog = server.ingest_token("over hec", Some("syslog"));
    let body = r#"{"event":"<13>1 2026-11-24T03:00:09Z web9 app - - - over hec"}"#;
    let answer = send(&server, HEC, &syslog, &JSON, body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_event(
        &one(&server, "host=web9"),
        1_795_489_209_000,
        &[("app", "app")],
    );
}

#[test]
fn a_line_that_its_parser_cannot_take_apart_is_kept_and_says_so() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    for name in ["json", "accesslog", "syslog", "nonesuch"] {
        let line = format!("no line for {name} \u{1f600} \u{0}");
        let body = unstructured(Some(name), &line);
        let answer = send(&server, UNSTRUCTURED, &token, &JSON, &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        let event = one(&server, &format!("#type={name}"));
        assert_eq!(event["@rawstring"], line);
        assert_eq!(event["@error"], "true");
        let problem = event["@error_msg"].as_str().unwrap();
        assert!(problem.starts_with(name), "{problem}");
    }
}
