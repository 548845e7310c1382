//! Many connections at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use axum::Router;
use axum::routing::any;
use backstay_listen::allow_files;
use hyper::{Method, StatusCode};
use tokio::sync::Semaphore;

use crate::client::Keeping;
use crate::pod::Pod;
use crate::proxy::{Proxy, until};
use crate::region::Region;

const MANY: usize = 1000;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_at_the_same_time() {
    // Client, both sides of the proxy, and pod are all in this process.
    let files = allow_files(8192);
    assert!(files >= 6000, "only {files} files may be open: ulimit -Hn");
    let region = Region::with_ui().await;
    let (inside, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let mut pods = Vec::new();
    for _ in 0..4 {
        let (inside, go) = (inside.clone(), go.clone());
        let wait = move || async move {
            inside.fetch_add(1, SeqCst);
            go.acquire().await.unwrap().forget();
            "done"
        };
        let pod = Pod::serve(Router::new().route("/", any(wait))).await;
        region.add("ui", &pod).await;
        pods.push(pod);
    }
    let proxy = Proxy::start(&region).await;
    let client = Keeping::new(proxy.http);
    let asking: Vec<_> = (0..MANY)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.send(Method::POST, "/", "body").await })
        })
        .collect();
    until("all are with a pod", || async {
        inside.load(SeqCst) == MANY
    })
    .await;
    assert_eq!(proxy.metric("requests_in_flight").await, MANY as u64);
    go.add_permits(MANY);
    for answer in asking {
        let (status, body) = answer.await.unwrap().unwrap();
        assert_eq!((status, body.as_str()), (StatusCode::OK, "done"));
    }
    until("nothing is in flight", || async {
        proxy.metric("requests_in_flight").await == 0
    })
    .await;
}
