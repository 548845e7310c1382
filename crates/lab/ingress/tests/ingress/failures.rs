//! Pods and clients that do not do as they should.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::routing::any;
use futures::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::client::{curl_command, raw, read_to_end};
use crate::pod::{Pod, nobody};
use crate::proxy::{Proxy, until};
use crate::region::{Region, TEST_TIMEOUT};

/// Reads a request with a body of four bytes, or none, to its end.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let whole = if text.contains("content-length: 4") {
            text.ends_with("\r\n\r\nbody")
        } else {
            text.ends_with("\r\n\r\n")
        };
        if whole {
            return text;
        }
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.unwrap();
        assert_ne!(read, 0, "{text}");
        request.extend_from_slice(&part[..read]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_takes_no_connection_is_passed_over() {
    let region = Region::with_ui().await;
    for _ in 0..2 {
        region.add_at("ui", nobody().await).await;
    }
    let pod = Pod::echo("one").await;
    region.add("ui", &pod).await;
    let proxy = Proxy::start(&region).await;
    for _ in 0..10 {
        assert_eq!(proxy.curl("/", &[]).await.pod(), "one");
        let answer = proxy.curl("/", &["--data", "12345"]).await;
        assert_eq!(answer.pod(), "one");
        assert_eq!(answer.json()["bytes"], 5);
        assert_eq!(answer.json()["method"], "POST");
    }
    assert!(proxy.metric(r#"retries_total{backend="ui:80"}"#).await > 0);
    backstay_testkit::promtool::check(&proxy.health("/metrics").await.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_no_pod_takes_a_connection_nothing_was_done_and_the_client_may_ask_again() {
    let region = Region::with_ui().await;
    for _ in 0..2 {
        region.add_at("ui", nobody().await).await;
    }
    let proxy = Proxy::start(&region).await;
    for arguments in [&[][..], &["--data", "1"][..]] {
        let answer = proxy.curl("/", arguments).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
        assert!(answer.body.contains("nothing was sent"), "{answer:?}");
    }
}

/// Two pods that take a request and break the connection; how many requests they had.
async fn two_that_break(region: &Region) -> (Arc<AtomicUsize>, [Pod; 2]) {
    let requests = Arc::new(AtomicUsize::new(0));
    let mut pods = Vec::new();
    for _ in 0..2 {
        let requests = requests.clone();
        let pod = Pod::raw(Arc::default(), move |mut stream| {
            let requests = requests.clone();
            async move {
                read_request(&mut stream).await;
                requests.fetch_add(1, SeqCst);
            }
        })
        .await;
        region.add("ui", &pod).await;
        pods.push(pod);
    }
    (requests, pods.try_into().unwrap_or_else(|_| panic!()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_sent_is_not_sent_again() {
    let region = Region::with_ui().await;
    let (requests, _pods) = two_that_break(&region).await;
    let proxy = Proxy::start(&region).await;
    let mut sent = 0;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        // Without a body, only the method says that it is a change.
        for body in [&["--data", "body"][..], &[]] {
            let arguments = [body, &["--request", method]].concat();
            let answer = proxy.curl("/", &arguments).await;
            sent += 1;
            assert_eq!(answer.status, 502, "{arguments:?}: {answer:?}");
            assert!(
                answer.body.contains("may have done what was asked"),
                "{answer:?}"
            );
            assert_eq!(requests.load(SeqCst), sent, "{arguments:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_asked_again_of_each_pod_once() {
    let region = Region::with_ui().await;
    let (requests, _pods) = two_that_break(&region).await;
    let proxy = Proxy::start(&region).await;
    let answer = proxy.curl("/", &[]).await;
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(requests.load(SeqCst), 2);
    let pod = Pod::echo("one").await;
    region.add("ui", &pod).await;
    proxy.knows(3).await;
    for _ in 0..6 {
        assert_eq!(proxy.curl("/", &[]).await.pod(), "one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_seen_to_have_broken_off() {
    for head in ["content-length: 1000", "transfer-encoding: chunked"] {
        let region = Region::with_ui().await;
        let pod = Pod::raw(Arc::default(), move |mut stream| async move {
            read_request(&mut stream).await;
            let part = if head.starts_with("content") {
                "the beginning"
            } else {
                "d\r\nthe beginning\r\n"
            };
            let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{part}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        region.add("ui", &pod).await;
        let proxy = Proxy::start(&region).await;
        let answer = proxy.curl("/", &[]).await;
        assert_eq!(answer.body, "the beginning", "{head}");
        // curl: "transfer closed with outstanding read data remaining".
        assert_eq!(answer.code, 18, "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_go_on_is_cut_off() {
    let region = Region::with_ui().await;
    let pod = Pod::raw(Arc::default(), |mut stream| async move {
        read_request(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nthe beginning";
        stream.write_all(answer).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    region.add("ui", &pod).await;
    let proxy = Proxy::with(&region, |options| {
        options.quiet = Duration::from_secs(1);
    })
    .await;
    let answer = proxy.curl("/", &[]).await;
    assert_eq!(answer.body, "the beginning");
    assert_eq!(answer.code, 18);
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_for_an_answer_is_502() {
    let region = Region::with_ui().await;
    let pod = Pod::raw(Arc::default(), |mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"nonsense\r\n\r\n").await.unwrap();
    })
    .await;
    region.add("ui", &pod).await;
    let proxy = Proxy::start(&region).await;
    assert_eq!(proxy.curl("/", &[]).await.status, 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_pod_is_504_and_a_silent_client_408() {
    let region = Region::with_ui().await;
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    let silent = move || async move {
        counted.fetch_add(1, SeqCst);
        std::future::pending::<()>().await;
    };
    let read = |body: Body| async move { crate::pod::count(body).await.to_string() };
    let router = Router::new()
        .route("/silent", any(silent))
        .route("/read", any(read));
    let pods = [Pod::serve(router.clone()).await, Pod::serve(router).await];
    for pod in &pods {
        region.add("ui", pod).await;
    }
    let proxy = Proxy::with(&region, |options| {
        options.quiet = Duration::from_secs(1);
    })
    .await;
    let answer = proxy.curl("/silent", &[]).await;
    assert_eq!(answer.status, 504, "{answer:?}");
    // Not even a question: the client has waited long enough.
    assert_eq!(requests.load(SeqCst), 1);

    let part = b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345";
    let answer = raw(proxy.http, part).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_hold_nobody_up_and_are_cut_off() {
    let region = Region::with_ui().await;
    let pod = Pod::echo("one").await;
    region.add("ui", &pod).await;
    let proxy = Proxy::with(&region, |options| {
        options.head = Duration::from_secs(2);
    })
    .await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(proxy.http).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(proxy.curl("/", &[]).await.pod(), "one");
    for mut stream in slow {
        let answer = read_to_end(&mut stream).await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }
}

/// Tells when it is dropped.
struct Tell(Arc<Notify>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_frees_its_pod() {
    let (entered, freed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let silent = {
        let (entered, freed) = (entered.clone(), freed.clone());
        move || async move {
            let _tell = Tell(freed);
            entered.notify_one();
            std::future::pending::<()>().await;
        }
    };
    let endless = {
        let (entered, freed) = (entered.clone(), freed.clone());
        move || async move {
            let tell = Tell(freed);
            entered.notify_one();
            Body::from_stream(stream::repeat(Bytes::from(vec![0; 4096])).map(move |part| {
                let _ = &tell;
                Ok::<_, std::io::Error>(part)
            }))
        }
    };
    let read = {
        let (entered, freed) = (entered.clone(), freed.clone());
        move |body: Body| async move {
            let _tell = Tell(freed);
            entered.notify_one();
            crate::pod::count(body).await.to_string()
        }
    };
    let router = Router::new()
        .route("/silent", any(silent))
        .route("/endless", any(endless))
        .route("/read", any(read));
    let region = Region::with_ui().await;
    let pod = Pod::serve(router).await;
    region.add("ui", &pod).await;
    let proxy = Proxy::start(&region).await;
    let upload = ["--upload-file", "/dev/zero"];
    for (path, arguments) in [("/silent", &[][..]), ("/endless", &[]), ("/read", &upload)] {
        let url = format!("http://{}{path}", proxy.http);
        let mut curl = curl_command(&url, arguments).spawn().unwrap();
        tokio::time::timeout(TEST_TIMEOUT, entered.notified())
            .await
            .unwrap();
        curl.kill().await.unwrap();
        let waited = tokio::time::timeout(TEST_TIMEOUT, freed.notified()).await;
        assert!(waited.is_ok(), "{path}");
        until("nothing is in flight", || async {
            proxy.metric("requests_in_flight").await == 0
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_in_the_middle_of_an_upload_is_told_why() {
    let region = Region::start().await;
    // It answers before it has read anything.
    let early = any(|| async { (StatusCode::SERVICE_UNAVAILABLE, "not now") });
    let pod = Pod::serve(Router::new().route("/early", early)).await;
    for service in ["ui", "empty"] {
        region.service(service, service).await;
    }
    region.add("ui", &pod).await;
    let rules = [("a", "/early", "ui"), ("a", "/empty", "empty")];
    region.ingress("ui", &rules).await;
    let proxy = Proxy::start(&region).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(8 << 20).unwrap();
    let file = format!("@{}", file.path().display());
    // Not asking first, as most that send logs do not.
    let upload = ["--data-binary", &file, "-H", "Expect:", "-H", "Host: a"];
    for (path, status) in [("/none", 404), ("/empty", 503), ("/early", 503)] {
        for round in 0..20 {
            let answer = proxy.curl(path, &upload).await;
            assert_eq!(answer.status, status, "{path} {round}: {answer:?}");
        }
    }
}
