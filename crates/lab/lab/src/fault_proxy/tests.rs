#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::{FaultProxy, Mode, Rules};
use crate::client::http_client;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Longer than a request takes on the slowest machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Long enough to see that nothing comes.
const QUIET_PERIOD: Duration = Duration::from_millis(300);

async fn behind() -> (FaultProxy, String) {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let to = listener.local_addr().unwrap();
    let echo = Router::new().route("/", post(async |body: String| body));
    tokio::spawn(async move { axum::serve(listener, echo).await });
    let proxy = FaultProxy::open(ANY, to).await.unwrap();
    let url = format!("http://{}/", proxy.address());
    (proxy, url)
}

async fn ask(http: &reqwest::Client, url: &str, body: &str) -> reqwest::Result<(u16, String)> {
    let answer = http.post(url).body(body.to_owned()).send().await?;
    let status = answer.status().as_u16();
    Ok((status, answer.text().await?))
}

#[tokio::test]
async fn an_open_proxy_passes_everything_on() {
    let (_proxy, url) = behind().await;
    let http = http_client().unwrap();
    let body = "x".repeat(1 << 20);
    assert_eq!(ask(&http, &url, &body).await.unwrap(), (200, body));
}

#[tokio::test]
async fn a_cut_proxy_says_nothing_and_goes_on_when_it_is_opened() {
    let (proxy, url) = behind().await;
    let http = http_client().unwrap();
    assert_eq!(ask(&http, &url, "before").await.unwrap().1, "before");
    proxy.set(Rules::all(Mode::Cut));
    // One over the connection that is there, one over its own.
    let other = http_client().unwrap();
    let mut waiting = [
        Box::pin(ask(&http, &url, "held")),
        Box::pin(ask(&other, &url, "held")),
    ];
    for one in &mut waiting {
        assert!(timeout(QUIET_PERIOD, one).await.is_err());
    }
    proxy.set(Rules::all(Mode::Open));
    for one in waiting {
        assert_eq!(
            timeout(REQUEST_TIMEOUT, one).await.unwrap().unwrap().1,
            "held"
        );
    }
}

#[tokio::test]
async fn a_proxy_that_denies_answers_as_azure_does() {
    let (proxy, url) = behind().await;
    let http = http_client().unwrap();
    assert_eq!(ask(&http, &url, "before").await.unwrap().0, 200);
    proxy.set(Rules::all(Mode::Denied));
    for body in ["small".to_owned(), "x".repeat(4 << 20)] {
        // The connection that was open when it was denied breaks off, and only that one.
        let answer = match ask(&http, &url, &body).await {
            Ok(answer) => answer,
            Err(_) => ask(&http, &url, &body).await.unwrap(),
        };
        assert_eq!(answer.0, 403, "{answer:?}");
        assert!(answer.1.contains("AuthorizationFailure"), "{answer:?}");
    }
    proxy.set(Rules::all(Mode::Open));
    assert_eq!(
        ask(&http, &url, "after").await.unwrap(),
        (200, "after".into())
    );
}

#[tokio::test]
async fn a_slow_proxy_takes_its_time() {
    let (proxy, url) = behind().await;
    let http = http_client().unwrap();
    proxy.set(Rules::all(Mode::Slow(200)));
    let start = std::time::Instant::now();
    assert_eq!(ask(&http, &url, "slow").await.unwrap().1, "slow");
    // There and back; a floor, not a limit.
    assert!(start.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn nobody_behind_it_is_an_error_at_once() {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let nowhere = listener.local_addr().unwrap();
    drop(listener);
    let proxy = FaultProxy::open(ANY, nowhere).await.unwrap();
    let url = format!("http://{}/", proxy.address());
    let http = http_client().unwrap();
    let answer = timeout(REQUEST_TIMEOUT, ask(&http, &url, "x")).await;
    assert!(answer.unwrap().is_err());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_proxy_tells_apart_who_comes() {
    let (proxy, url) = behind().await;
    proxy.set(Rules {
        networks: [([127, 9, 9], Mode::Denied)].into(),
        others: Mode::Open,
    });
    // Installs what TLS is made of, for the clients below too.
    http_client().unwrap();
    let from = |address: [u8; 4]| {
        let client = reqwest::Client::builder()
            .no_proxy()
            .local_address(std::net::IpAddr::from(address));
        client.build().unwrap()
    };
    assert_eq!(ask(&from([127, 9, 9, 1]), &url, "x").await.unwrap().0, 403);
    assert_eq!(ask(&from([127, 9, 8, 1]), &url, "x").await.unwrap().0, 200);
}
