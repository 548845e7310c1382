#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::net::TcpListener;

use axum::http::Request;
use backstay_bucket::{Bucket, BucketConfig, Role};

use super::*;

/// What each protocol's clients send and what nodes answer arrives at the other end, and nothing that
/// belongs to a connection.
#[tokio::test]
async fn all_headers_but_those_of_the_connection_go_both_ways() {
    // As in a node, whose bucket is open before it has a client: that chooses the provider of TLS.
    let folder = tempfile::tempdir().unwrap();
    let key = "a generated secret".to_owned().into();
    let config = BucketConfig::local(folder.path(), key, Role::Own);
    Bucket::open(config).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"\r\n\r\nbody") {
            let mut piece = [0; 1024];
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "it ends early");
            got.extend_from_slice(&piece[..count]);
        }
        let answer = "HTTP/1.1 401 X\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\
            WWW-Authenticate: Bearer\r\nRetry-After: 3\r\nX-Elastic-Product: Elasticsearch\r\n\
            Keep-Alive: timeout=5\r\nConnection: close, x-hop\r\nX-Hop: 1\r\n\r\nno";
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(got).unwrap().to_ascii_lowercase()
    });
    let sent = [
        ("accept", "*/*"),
        ("authorization", "Splunk token"),
        ("content-encoding", "gzip"),
        ("content-type", "text/plain"),
        ("idempotency-key", "k"),
        ("user-agent", "shipper/1"),
        (
            "x-splunk-request-channel",
            "0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba",
        ),
        ("x-opaque-id", "of the client"),
    ];
    let mut request = Request::post("/services/collector?x=1");
    for (name, value) in sent {
        request = request.header(name, value);
    }
    let dropped = [
        ("host", "public.example.com"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("expect", "100-continue"),
        ("connection", "close, X-Only-Here"),
        ("x-only-here", "1"),
        ("content-length", "9999"),
    ];
    for (name, value) in dropped {
        request = request.header(name, value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let answer = Peers::default()
        .forward(&url, &parts, Bytes::from("body"))
        .await
        .unwrap();
    let got = other.join().unwrap();
    assert!(got.starts_with("post /services/collector?x=1 "), "{got}");
    let has = |name: &str, value: &str| {
        let line = format!("\r\n{name}: {}\r\n", value.to_ascii_lowercase());
        got.matches(&line).count()
    };
    for (name, value) in sent {
        assert_eq!(has(name, value), 1, "{name}: {got}");
    }
    for (name, value) in dropped {
        assert_eq!(has(name, value), 0, "{name}: {got}");
    }
    assert_eq!(has("backstay-forwarded", "1"), 1, "{got}");
    assert_eq!(answer.status(), 401);
    let headers = answer.headers();
    for (name, value) in [
        ("www-authenticate", "Bearer"),
        ("retry-after", "3"),
        ("x-elastic-product", "Elasticsearch"),
        ("content-type", "text/plain"),
        ("content-length", "2"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    for name in ["keep-alive", "connection", "x-hop"] {
        assert!(!headers.contains_key(name), "{name}");
    }
}
