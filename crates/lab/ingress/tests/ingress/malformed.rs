//! Requests that are not as they should be.

use crate::client::raw;
use crate::pod::Pod;
use crate::proxy::Proxy;
use crate::region::Region;

/// What a request of these bytes is answered; an empty text when the connection just ends.
async fn answers(proxy: &Proxy, request: &[u8]) -> String {
    let answer = raw(proxy.http, request).await;
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_and_harm_nobody() {
    let region = Region::with_ui().await;
    let pod = Pod::echo("one").await;
    region.add("ui", &pod).await;
    let proxy = Proxy::start(&region).await;
    let large = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Large: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X: y\r\n".repeat(5000)
    );
    let end = "Connection: close\r\n\r\n";
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"\r\n\r\n\r\n\r\nnonsense\r\n\r\n".to_vec(), "400"),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
            "400",
        ),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n".to_vec(), "400"),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: b\r\n\r\n".to_vec(),
            "400",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n".to_vec(),
            "400",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"
                .to_vec(),
            "400",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: other\r\n\r\nab".to_vec(),
            "400",
        ),
        (large.into_bytes(), "431"),
        (many.into_bytes(), "431"),
        (format!("GET / HTTP/1.1\r\n{end}").into_bytes(), "400"),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n{end}").into_bytes(),
            "400",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: a b\r\n{end}").into_bytes(),
            "400",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: \r\n{end}").into_bytes(),
            "400",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: \u{e9}\r\n{end}").into_bytes(),
            "400",
        ),
        (
            format!("OPTIONS * HTTP/1.1\r\nHost: a\r\n{end}").into_bytes(),
            "400",
        ),
        (
            format!("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n{end}").into_bytes(),
            "501",
        ),
        (
            format!("GET http://a/x HTTP/1.1\r\nHost: b\r\n{end}").into_bytes(),
            "200",
        ),
        (
            format!("GET / HTTP/1.0\r\nHost: a\r\n{end}").into_bytes(),
            "200",
        ),
        (
            format!("BREW / HTTP/1.1\r\nHost: a\r\n{end}").into_bytes(),
            "200",
        ),
    ];
    for (request, status) in cases {
        let answer = answers(&proxy, &request).await;
        let shown = String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned();
        assert_eq!(
            answer.split(' ').nth(1),
            Some(status),
            "{shown:?}: {answer}"
        );
    }
    assert_eq!(proxy.curl("/", &[]).await.pod(), "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_of_an_absolute_address_counts() {
    let region = Region::with_ui().await;
    let pod = Pod::echo("one").await;
    region.add("ui", &pod).await;
    let proxy = Proxy::start(&region).await;
    let request = "GET http://user:pass@logs.example.com:80/x?y HTTP/1.1\r\nHost: other\r\n\
                   Connection: close\r\n\r\n";
    let answer = raw(proxy.http, request.as_bytes()).await;
    assert!(
        answer.contains(r#""host":"logs.example.com:80""#),
        "{answer}"
    );
    assert!(answer.contains(r#""target":"/x?y""#), "{answer}");
    assert!(!answer.contains("pass"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_second_request_is_smuggled_in_a_first() {
    let region = Region::with_ui().await;
    let pod = Pod::echo("one").await;
    region.add("ui", &pod).await;
    let proxy = Proxy::start(&region).await;
    // By the length, the second request is the first one's body; by the chunks, it is its own.
    let request = "POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\
                   Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
                   GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = raw(proxy.http, request.as_bytes()).await;
    // Both sides read it alike: a request without a body at the pod, and then what is left is for
    // the proxy to read, or it is refused.
    let first = answer.matches(r#""target":"/first""#).count();
    let refused = answer.starts_with("HTTP/1.1 400 ");
    assert!(first == 1 || refused, "{answer}");
    assert!(!answer.contains(r#""content-length":"60""#), "{answer}");
    if first == 1 {
        assert!(answer.contains(r#""bytes":0"#), "{answer}");
    }
}
