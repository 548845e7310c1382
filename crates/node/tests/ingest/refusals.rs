//! What is refused: by whom it is sent, by its form, by its size. Nothing of it is stored.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::curl::{
    BULK, HEC, HEC_RAW, OTLP, STRUCTURED, UNSTRUCTURED, found, gzip, post, raw_lines, send, zstd,
};
use crate::server::{Answer, Server};

const JSON: [&str; 2] = ["-H", "Content-Type: application/json"];
const MIB: usize = 1 << 20;

const GOOD: [(&str, &str); 6] = [
    (
        STRUCTURED,
        r#"[{"events":[{"timestamp":1,"rawstring":"x"}]}]"#,
    ),
    (UNSTRUCTURED, r#"[{"messages":["x"]}]"#),
    (HEC, r#"{"event":"x"}"#),
    (HEC_RAW, "x"),
    (BULK, "{\"index\":{}}\n{\"message\":\"x\"}\n"),
    (
        OTLP,
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}"#,
    ),
];

/// The error text of an answer, in the words of its protocol.
fn problem(answer: &Answer) -> String {
    let body = answer.json();
    let text = body.get("error").or(body.get("text"));
    text.and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no error in {answer:?}"))
        .to_owned()
}

fn basic(user: &str, password: &str) -> Vec<String> {
    vec!["--user".to_owned(), format!("{user}:{password}")]
}

fn header(value: &str) -> Vec<String> {
    vec!["-H".to_owned(), format!("Authorization: {value}")]
}

#[test]
fn every_format_wants_an_ingest_token() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let wrong = "wrong-token-0123456789";
    for (path, body) in GOOD {
        let cases = [
            (Vec::new(), 401),
            (header("Bearer"), 401),
            (header(&format!("Digest {token}")), 401),
            (header("Basic !"), 401),
            (basic("", ""), 401),
            (header(&format!("Bearer {wrong}")), 403),
            (header(&format!("Bearer {}", server.admin)), 403),
            (basic("user", wrong), 403),
            (header(&format!("Bearer {token}x")), 403),
        ];
        for (more, status) in cases {
            let mut all: Vec<&str> = more.iter().map(String::as_str).collect();
            all.extend(JSON);
            let answer = post(&server, path, &all, body.as_bytes());
            assert_eq!(answer.status, status, "{path} {more:?}: {answer:?}");
            assert!(problem(&answer).contains("addIngestTokenV3"), "{answer:?}");
            let head = answer.head.to_lowercase();
            assert_eq!(head.contains("www-authenticate"), status == 401, "{head}");
            let shown = format!("{}{}", answer.head, answer.body);
            for secret in [wrong, token.as_str(), server.admin.as_str()] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }
    assert_eq!(raw_lines(&server), [] as [String; 0]);
    // The same bodies are taken from whom they may come, in each way a token is sent.
    let ways = [
        header(&format!("Bearer {token}")),
        header(&format!("bearer  {token}")),
        header(&format!("Splunk {token}")),
        basic("any", &token),
        basic(&token, ""),
    ];
    for (path, body) in GOOD {
        for more in &ways {
            let mut all: Vec<&str> = more.iter().map(String::as_str).collect();
            all.extend(JSON);
            let answer = post(&server, path, &all, body.as_bytes());
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
        }
    }
    assert_eq!(raw_lines(&server).len(), GOOD.len() * ways.len());
}

#[test]
fn a_token_is_no_good_for_another_repository_nor_once_revoked() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let body = br#"[{"messages":["x"]}]"#;
    for root in ["dataspaces", "repositories"] {
        let path = |repository: &str| format!("/api/v1/{root}/{repository}/ingest-messages");
        let other = send(&server, &path("other"), &token, &JSON, body);
        assert_eq!(other.status, 403);
        assert!(problem(&other).contains("another repository than `other`"));
        let own = send(&server, &path("humio"), &token, &JSON, body);
        assert_eq!(own.status, 200, "{own:?}");
        let unknown = send(&server, &path("nowhere"), &server.admin, &JSON, body);
        assert_eq!(unknown.status, 404);
        assert!(problem(&unknown).contains("`nowhere`"), "{unknown:?}");
    }
    server.data(
        "mutation { removeIngestToken(repositoryName: \"humio\", name: \"t\") { result } }",
        &Value::Null,
    );
    for (path, body) in GOOD {
        let answer = send(&server, path, &token, &JSON, body.as_bytes());
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
        assert!(problem(&answer).contains("revoked"), "{answer:?}");
    }
    assert_eq!(raw_lines(&server), ["x", "x"]);
}

#[test]
fn splunks_clients_get_splunks_codes() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let code = |answer: Answer| (answer.status, answer.json()["code"].clone());
    let body = br#"{"event":"x"}"#;
    assert_eq!(code(post(&server, HEC, &[], body)), (401, 2.into()));
    assert_eq!(
        code(send(&server, HEC, "wrong", &[], body)),
        (403, 4.into())
    );
    assert_eq!(code(send(&server, HEC, &token, &[], b"{")), (400, 6.into()));
}

#[test]
fn a_body_of_which_nothing_can_be_stored_is_400_and_says_where() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let cases: [(&str, &str, &str); 17] = [
        (STRUCTURED, "nonsense", "humio-structured JSON at byte 0"),
        (STRUCTURED, "", "humio-structured JSON at byte 0"),
        (STRUCTURED, "{}", "humio-structured"),
        (STRUCTURED, "[{", "humio-structured JSON at byte 2"),
        (STRUCTURED, r#"[{"events":[{}"#, "[0].events"),
        (STRUCTURED, r#"[{"messages":["x"]}]"#, "[0].messages"),
        (STRUCTURED, r#"[{"events":7}]"#, "[0].events"),
        (STRUCTURED, r#"[{"tags":{"a":}}]"#, "[0].tags"),
        (UNSTRUCTURED, "\"x\"", "humio-unstructured"),
        (UNSTRUCTURED, r#"[{"events":[{}]}]"#, "[0].events"),
        (HEC, "x", "Invalid data format"),
        (HEC, r#"{"time":1}"#, "Event field is required"),
        (HEC, r#"{"event":""}"#, "Event field cannot be blank"),
        (OTLP, "{", "OTLP JSON at byte 1"),
        (OTLP, r#"{"resourceLogs":7}"#, "`resourceLogs`"),
        (OTLP, r#"{"resource_logs":[]}"#, "`resource_logs`"),
        (OTLP, "[]", "OTLP JSON"),
    ];
    for (path, body, part) in cases {
        let answer = send(&server, path, &token, &JSON, body.as_bytes());
        assert_eq!(answer.status, 400, "{path} {body}: {answer:?}");
        let problem = problem(&answer);
        assert!(problem.contains(part), "{path} {body}: {problem}");
    }
    let kind = ["-H", "Content-Type: application/x-protobuf"];
    let answer = send(&server, OTLP, &token, &kind, b"\x0a\xffnot protobuf");
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(problem(&answer).contains("OTLP protobuf"), "{answer:?}");
    let kind = ["-H", "Content-Type: text/plain"];
    let answer = send(&server, OTLP, &token, &kind, b"x");
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(problem(&answer).contains("Content-Type"), "{answer:?}");
    assert_eq!(found(&server, "*"), [] as [Value; 0]);
}

#[test]
fn a_body_that_is_not_packed_as_it_says_is_400() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let plain = br#"[{"messages":["x"]}]"#;
    let cut = |packed: Vec<u8>| packed[..packed.len() - 4].to_vec();
    for (encoding, body, part) in [
        ("gzip", plain.to_vec(), "Content-Encoding: gzip"),
        ("zstd", plain.to_vec(), "Content-Encoding: zstd"),
        ("gzip", cut(gzip(plain)), "Content-Encoding: gzip"),
        ("zstd", cut(zstd(plain)), "Content-Encoding: zstd"),
        ("br", plain.to_vec(), "send gzip, zstd"),
        ("gzip, zstd", plain.to_vec(), "send gzip, zstd"),
    ] {
        let encoding = format!("Content-Encoding: {encoding}");
        let answer = send(&server, UNSTRUCTURED, &token, &["-H", &encoding], &body);
        assert_eq!(answer.status, 400, "{encoding}: {answer:?}");
        assert!(problem(&answer).contains(part), "{answer:?}");
    }
    assert_eq!(found(&server, "*"), [] as [Value; 0]);
}

#[test]
fn a_body_that_is_too_large_is_413_packed_or_not() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let plain = vec![b' '; 32 * MIB + 1];
    let chunked = ["-H", "Transfer-Encoding: chunked"];
    // A bomb of bombs: each member unpacks to a MiB.
    let members: Vec<u8> = gzip(&vec![b' '; MIB]).repeat(40_000 / 1000);
    let cases: [(&[&str], &[u8]); 5] = [
        (&[], &plain),
        (&chunked, &plain),
        (
            &["-H", "Content-Encoding: gzip"],
            &gzip(&vec![b' '; 200 * MIB]),
        ),
        (
            &["-H", "Content-Encoding: zstd"],
            &zstd(&vec![b' '; 200 * MIB]),
        ),
        (&["-H", "Content-Encoding: gzip"], &members),
    ];
    for (more, body) in cases {
        for path in [UNSTRUCTURED, HEC, BULK, OTLP] {
            let answer = send(&server, path, &token, more, body);
            assert_eq!(answer.status, 413, "{path} {more:?}: {answer:?}");
            assert!(problem(&answer).contains("32 MiB"), "{answer:?}");
        }
    }
    assert_eq!(found(&server, "*"), [] as [Value; 0]);
}

/// Shippers send all of a batch before they read what is answered; a connection that is closed
/// under them has them send the same again for ever.
#[test]
fn a_refusal_reaches_a_client_that_sends_its_body_to_the_end() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let length = 64 * MIB;
    for (token, status) in [(token.as_str(), "413"), ("wrong", "403")] {
        let mut stream = TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
        write!(
            stream,
            "POST {UNSTRUCTURED} HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n"
        )
        .unwrap();
        // It is answered by now, and the answer lies unread.
        stream.peek(&mut [0]).unwrap();
        let piece = vec![b' '; MIB];
        for sent in 0..64 {
            let wrote = stream.write_all(&piece);
            assert!(wrote.is_ok(), "after {sent} MiB: {wrote:?}");
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
}

/// A body within the limit whose events would not be: what all events of a group share is copied
/// to each.
#[test]
fn a_body_that_becomes_too_many_bytes_of_events_is_413() {
    let server = Server::start();
    let token = server.ingest_token("t", None);
    let long = "x".repeat(MIB);
    let many = |item: &str| vec![item; 1000].join(",");
    let records = many("{}");
    let cases = [
        (
            STRUCTURED,
            format!(
                r#"[{{"tags":{{"a":"{long}"}},"events":[{}]}}]"#,
                many(r#"{"timestamp":1,"rawstring":""}"#)
            ),
        ),
        (
            UNSTRUCTURED,
            format!(
                r#"[{{"tags":{{"a":"{long}"}},"messages":[{}]}}]"#,
                many(r#""""#)
            ),
        ),
        (
            UNSTRUCTURED,
            format!(
                r#"[{{"fields":{{"a":"{long}"}},"messages":[{}]}}]"#,
                many(r#""""#)
            ),
        ),
        (
            OTLP,
            format!(
                r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"a","value":{{"stringValue":"{long}"}}}}]}},"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#
            ),
        ),
    ];
    for (path, body) in cases {
        let answer = send(&server, path, &token, &JSON, body.as_bytes());
        assert_eq!(answer.status, 413, "{path}: {answer:?}");
        assert!(problem(&answer).contains("send smaller"), "{answer:?}");
    }
    assert_eq!(found(&server, "*"), [] as [Value; 0]);
}
