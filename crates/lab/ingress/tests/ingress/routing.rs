//! Where requests go, and what comes with them.

use serde_json::json;

use crate::pod::Pod;
use crate::proxy::{Proxy, until};
use crate::region::Region;

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_by_host_and_path() {
    let region = Region::start().await;
    let (ui, ingest) = (Pod::echo("ui").await, Pod::echo("ingest").await);
    region.service("ui", "ui").await;
    region.service("ingest", "ingest").await;
    region.add("ui", &ui).await;
    region.add("ingest", &ingest).await;
    let rules = [
        ("logs.example.com", "/", "ui"),
        ("logs.example.com", "/api/v1/ingest", "ingest"),
        ("*.ingest.example.com", "/", "ingest"),
    ];
    region.ingress("logs", &rules).await;
    let proxy = Proxy::start(&region).await;
    for (host, path, status, pod) in [
        ("logs.example.com", "/", 200, "ui"),
        ("LOGS.example.com:8080", "/search?q=a%20b", 200, "ui"),
        ("logs.example.com", "/api/v1/ingest/hec", 200, "ingest"),
        ("logs.example.com", "/api/v1/ingested", 200, "ui"),
        ("a.ingest.example.com", "/x", 200, "ingest"),
        (
            "ingest.example.com",
            "/x",
            404,
            "no ingress has a rule for the host",
        ),
        (
            "other.example.com",
            "/",
            404,
            "no ingress has a rule for the host",
        ),
    ] {
        let answer = proxy.curl(path, &["-H", &format!("Host: {host}")]).await;
        assert_eq!(answer.status, status, "{host}{path}: {answer:?}");
        if status == 200 {
            assert_eq!(answer.pod(), pod, "{host}{path}");
            assert_eq!(answer.json()["target"], path);
        } else {
            let error = answer.json()["error"].as_str().unwrap().to_owned();
            assert!(error.contains(pod), "{error}");
        }
    }
    // Routes change while it runs, and with them what a path leads to.
    region
        .ingress("logs", &[("logs.example.com", "/ui", "ui")])
        .await;
    until("the path is gone", || async {
        let answer = proxy.curl("/", &["-H", "Host: logs.example.com"]).await;
        answer.status == 404 && answer.body.contains("has a path for")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_selector_is_503_until_it_is_put_right() {
    let region = Region::with_ui().await;
    let pod = Pod::echo("one").await;
    region.add("ui", &pod).await;
    let proxy = Proxy::start(&region).await;
    assert_eq!(proxy.curl("/", &[]).await.pod(), "one");

    region.service("ui", "nobody").await;
    proxy.knows(0).await;
    let answer = proxy.curl("/", &[]).await;
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
    let body = answer.json();
    assert_eq!(body["status"], 503);
    let error = body["error"].as_str().unwrap();
    assert!(
        error.contains("no pod behind the service \"ui\" is ready"),
        "{error}"
    );
    assert!(error.contains("selector"), "{error}");

    region.service("ui", "ui").await;
    proxy.knows(1).await;
    assert_eq!(proxy.curl("/", &[]).await.pod(), "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_pods_that_are_ready_are_asked() {
    let region = Region::with_ui().await;
    let (one, two) = (Pod::echo("one").await, Pod::echo("two").await);
    let first = region.add("ui", &one).await;
    let second = region.add("ui", &two).await;
    let proxy = Proxy::start(&region).await;
    let asked = || async {
        let mut pods = Vec::new();
        for _ in 0..8 {
            pods.push(proxy.curl("/", &[]).await.pod());
        }
        pods.sort();
        pods.dedup();
        pods
    };
    assert_eq!(asked().await, ["one", "two"]);
    region.set_ready(&first, false).await;
    proxy.knows(1).await;
    assert_eq!(asked().await, ["two"]);
    region.set_ready(&first, true).await;
    region.set_ready(&second, false).await;
    // From one to two to one.
    until("the first is asked", || async { asked().await == ["one"] }).await;
    region.remove(&first).await;
    proxy.knows(0).await;
    assert_eq!(proxy.curl("/", &[]).await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_told_where_a_request_comes_from() {
    let region = Region::with_ui().await;
    let pod = Pod::echo("one").await;
    region.add("ui", &pod).await;
    let proxy = Proxy::start(&region).await;
    let arguments = [
        ["-H", "Host: logs.example.com"],
        ["-H", "X-Forwarded-For: 10.0.0.1"],
        ["-H", "X-Forwarded-Proto: https"],
        ["-H", "Connection: x-mine"],
        ["-H", "X-Mine: 1"],
        ["-H", "Authorization: Bearer t"],
        ["--request", "PUT"],
        ["--data", "12345"],
    ];
    let answer = proxy.curl("/a//b/../c?d=e&f", &arguments.concat()).await;
    let answer = answer.json();
    assert_eq!(answer["method"], "PUT");
    assert_eq!(answer["bytes"], 5);
    let headers = &answer["headers"];
    assert_eq!(headers["host"], "logs.example.com");
    assert_eq!(headers["x-forwarded-host"], "logs.example.com");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["authorization"], "Bearer t");
    assert_eq!(headers["content-length"], "5");
    assert_eq!(headers["x-mine"], json!(null));
    assert_eq!(headers["connection"], json!(null));

    // Nothing is still said to be nothing.
    let answer = proxy.curl("/", &["--request", "POST"]).await;
    assert_eq!(answer.json()["headers"]["content-length"], "0");
    let answer = proxy.curl("/", &[]).await;
    assert_eq!(answer.json()["headers"]["content-length"], json!(null));

    // The path is left as it is, and answers to HEAD have the length they speak of.
    let answer = proxy.curl("/a//b/%2e%2e/c?d=e&f", &["--path-as-is"]).await;
    assert_eq!(answer.json()["target"], "/a//b/%2e%2e/c?d=e&f");
    let answer = proxy.curl("/", &["--head"]).await;
    assert_eq!((answer.status, answer.code), (200, 0), "{answer:?}");
    let length = answer.head.split("content-length: ").nth(1).unwrap();
    assert_ne!(length.split_whitespace().next(), Some("0"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_said_once_routes_are_known_and_metrics_count() {
    let mut region = Region::with_ui().await;
    region.api_stops().await;
    let proxy = Proxy::unready(&region, |_| {}).await;
    assert_eq!(proxy.health("/healthz").await.status, 503);
    let answer = proxy.curl("/", &[]).await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("not known yet"), "{answer:?}");
    region.api_starts().await;
    until("it is healthy", || async {
        proxy.health("/healthz").await.status == 200
    })
    .await;
    let pod = Pod::echo("one").await;
    region.add("ui", &pod).await;
    proxy.knows(1).await;
    assert_eq!(proxy.curl("/", &[]).await.pod(), "one");
    let requests = proxy
        .metric(r#"requests_total{backend="ui:80",code="200"}"#)
        .await;
    assert_eq!(requests, 1);
    assert_eq!(proxy.metric("requests_in_flight").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_on_while_the_api_is_away() {
    let mut region = Region::with_ui().await;
    let (one, two) = (Pod::echo("one").await, Pod::echo("two").await);
    let first = region.add("ui", &one).await;
    let proxy = Proxy::start(&region).await;
    region.api_stops().await;
    until("it is seen", || async {
        proxy.metric("watch_errors_total").await > 4
    })
    .await;
    assert_eq!(proxy.health("/healthz").await.status, 200);
    assert_eq!(proxy.curl("/", &[]).await.pod(), "one");
    region.api_starts().await;
    region.add("ui", &two).await;
    proxy.knows(2).await;
    region.remove(&first).await;
    proxy.knows(1).await;
    assert_eq!(proxy.curl("/", &[]).await.pod(), "two");
}
