//! Pods that come and go under load, and the proxy's own end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use hyper::{Method, StatusCode};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::sync::Notify;

use crate::client::{Keeping, curl_command};
use crate::pod::Pod;
use crate::proxy::{Proxy, until};
use crate::region::{Region, TEST_TIMEOUT};

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_pods_are_replaced_one_by_one() {
    let region = Region::with_ui().await;
    let mut pods = Vec::new();
    for _ in 0..3 {
        let pod = Pod::echo("pod").await;
        pods.push((region.add("ui", &pod).await, pod));
    }
    let proxy = Proxy::start(&region).await;
    let (enough, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut clients = Vec::new();
    for _ in 0..8 {
        let client = Keeping::new(proxy.http);
        let (enough, answered) = (enough.clone(), answered.clone());
        clients.push(tokio::spawn(async move {
            let mut failures = Vec::new();
            while !enough.load(SeqCst) {
                for (method, body) in [(Method::GET, ""), (Method::POST, "some events")] {
                    match client.send(method.clone(), "/", body).await {
                        Ok((StatusCode::OK, _)) => {}
                        other => failures.push(format!("{method} {other:?}")),
                    }
                    answered.fetch_add(1, SeqCst);
                }
            }
            failures
        }));
    }
    for _ in 0..6 {
        let before = answered.load(SeqCst);
        let pod = Pod::echo("pod").await;
        let name = region.add("ui", &pod).await;
        pods.push((name, pod));
        proxy.knows(4).await;
        let (name, old) = pods.remove(0);
        region.remove(&name).await;
        proxy.knows(3).await;
        // As a pod does when it is told to end: what it is answering first.
        old.end().await;
        until("the load goes on", || async {
            answered.load(SeqCst) > before + 100
        })
        .await;
    }
    enough.store(true, SeqCst);
    let mut failures = Vec::new();
    for client in clients {
        failures.extend(client.await.unwrap());
    }
    let answered = answered.load(SeqCst);
    assert!(answered > 600, "{answered}");
    assert!(
        failures.is_empty(),
        "{} of {answered}: {failures:?}",
        failures.len()
    );
}

/// A pod that answers `/slow` when it is told to.
struct Slow {
    pod: Pod,
    name: String,
    entered: Arc<Notify>,
    go: Arc<Notify>,
}

impl Slow {
    async fn start(region: &Region) -> Self {
        let (entered, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (entered, go) = (entered.clone(), go.clone());
            move || async move {
                entered.notify_one();
                go.notified().await;
                "done"
            }
        };
        let pod = Pod::serve(Router::new().route("/slow", any(slow))).await;
        Self {
            name: region.add("ui", &pod).await,
            pod,
            entered,
            go,
        }
    }

    /// `curl`, whose request is with the pod.
    async fn ask(&self, proxy: &Proxy) -> Child {
        let url = format!("http://{}/slow", proxy.http);
        let asking = curl_command(&url, &[]).spawn().unwrap();
        let entered = self.entered.notified();
        tokio::time::timeout(TEST_TIMEOUT, entered).await.unwrap();
        asking
    }

    /// Lets it be answered.
    async fn answer(&self, asking: Child) {
        self.go.notify_one();
        let answer = asking.wait_with_output().await.unwrap();
        assert!(answer.stdout.ends_with(b"done"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_goes_ends_what_it_is_answering() {
    let region = Region::with_ui().await;
    let old = Slow::start(&region).await;
    let proxy = Proxy::start(&region).await;
    let asking = old.ask(&proxy).await;
    let new = Pod::echo("new").await;
    region.add("ui", &new).await;
    proxy.knows(2).await;
    region.remove(&old.name).await;
    proxy.knows(1).await;
    for _ in 0..5 {
        assert_eq!(proxy.curl("/slow", &[]).await.pod(), "new");
    }
    old.answer(asking).await;
    old.pod.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_ends_when_its_last_request_has() {
    let region = Region::with_ui().await;
    let pod = Slow::start(&region).await;
    let proxy = Proxy::start(&region).await;
    let asking = pod.ask(&proxy).await;
    proxy.stop.cancel();
    until("it takes no more", || async {
        TcpStream::connect(proxy.http).await.is_err()
            && TcpStream::connect(proxy.https).await.is_err()
    })
    .await;
    let health = proxy.health("/healthz").await;
    assert_eq!((health.status, health.body.as_str()), (503, "stopping\n"));
    assert!(!proxy.running.is_finished());
    pod.answer(asking).await;
    tokio::time::timeout(TEST_TIMEOUT, proxy.running)
        .await
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(proxy.health).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_does_not_wait_for_ever() {
    let region = Region::with_ui().await;
    let pod = Slow::start(&region).await;
    let proxy = Proxy::with(&region, |options| {
        options.end = Duration::from_millis(100);
    })
    .await;
    let asking = pod.ask(&proxy).await;
    proxy.stop.cancel();
    tokio::time::timeout(TEST_TIMEOUT, proxy.running)
        .await
        .unwrap()
        .unwrap();
    let answer = asking.wait_with_output().await.unwrap();
    assert!(!answer.status.success(), "{answer:?}");
}
