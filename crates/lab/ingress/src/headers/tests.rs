#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        })
        .collect()
}

fn peer(secure: bool) -> Peer {
    Peer {
        address: "127.0.0.9:1234".parse().unwrap(),
        secure,
    }
}

#[test]
fn what_is_for_one_connection_stays_on_it() {
    let mut all = headers(&[
        ("connection", "close, X-Secret , upgrade"),
        ("x-secret", "1"),
        ("upgrade", "websocket"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("proxy-authorization", "Basic x"),
        ("authorization", "Bearer x"),
        ("accept", "*/*"),
    ]);
    without_hop(&mut all);
    let left = headers(&[("authorization", "Bearer x"), ("accept", "*/*")]);
    assert_eq!(all, left);
}

#[test]
fn connection_takes_out_nothing_that_says_what_the_message_is() {
    let mut all = headers(&[
        ("connection", "host, content-length, b c, ,"),
        ("host", "a"),
        ("content-length", "3"),
    ]);
    without_hop(&mut all);
    assert_eq!(all, headers(&[("host", "a"), ("content-length", "3")]));
}

#[test]
fn what_a_client_says_of_itself_is_replaced() {
    let mut all = headers(&[
        ("host", "other"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-for", "10.0.0.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "else"),
        ("forwarded", "for=10.0.0.1"),
        ("expect", "100-continue"),
        ("content-length", "3"),
        ("accept", "*/*"),
    ]);
    let host = HeaderValue::from_static("logs.example.com:8080");
    of_request(&mut all, &host, peer(false));
    let expected = headers(&[
        ("host", "logs.example.com:8080"),
        ("x-forwarded-for", "127.0.0.9"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "logs.example.com:8080"),
        ("accept", "*/*"),
    ]);
    assert_eq!(all, expected);
    of_request(&mut all, &host, peer(true));
    assert_eq!(all["x-forwarded-proto"], "https");
}

#[test]
fn a_request_that_could_have_a_body_says_when_it_has_none() {
    for (method, says) in [
        (Method::POST, true),
        (Method::PUT, true),
        (Method::PATCH, true),
        (Method::GET, false),
        (Method::DELETE, false),
    ] {
        let mut all = HeaderMap::new();
        without_body(&mut all, &method);
        assert_eq!(all.contains_key(CONTENT_LENGTH), says, "{method}");
    }
}
