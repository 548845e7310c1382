//! Servers as pods: each has a loopback address of its own, and port 8080.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Json, Response};
use backstay_listen::{Limits, Server, Tls};
use futures::StreamExt as _;
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::region::TEST_TIMEOUT;

/// A loopback address that nobody else has, and its port 8080.
pub async fn own_listener() -> TcpListener {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    for _ in 0..1000 {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) as u32;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mixed = std::process::id()
            .wrapping_mul(2_654_435_761)
            .wrapping_add(now.unwrap().subsec_nanos())
            .wrapping_add(number.wrapping_mul(40_503));
        // 127.128.0.0/9 is nobody's in a lab.
        let [_, b, c, d] = mixed.to_be_bytes();
        let address = SocketAddr::from(([127, 128 | b, c, d.clamp(1, 254)], 8080));
        if let Ok(listener) = TcpListener::bind(address).await {
            return listener;
        }
    }
    panic!("no loopback address is free");
}

/// An address that nothing listens at.
pub async fn nobody() -> SocketAddr {
    own_listener().await.local_addr().unwrap()
}

pub struct Pod {
    pub address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Pod {
    /// Answers everything with its name and what it was asked.
    pub async fn echo(name: &str) -> Self {
        let name = name.to_owned();
        Self::serve(Router::new().fallback(move |request| echo(name.clone(), request))).await
    }

    /// The same by TLS, with a certificate that nobody knows, for a name that nobody uses.
    pub async fn secure(name: &str) -> Self {
        let made =
            rcgen::generate_simple_self_signed(vec!["nobody.example.com".to_owned()]).unwrap();
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let config = backstay_listen::server_config(vec![made.cert.der().clone()], key).unwrap();
        let name = name.to_owned();
        let router = Router::new().fallback(move |request| echo(name.clone(), request));
        let listener = own_listener().await;
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = Server::new("pod", Limits::of(64)).with_tls(Some(Tls::new(config)));
        let serving = tokio::spawn(server.serve(listener, router, stop.clone()));
        Self {
            address,
            stop,
            serving,
        }
    }

    pub async fn serve(router: Router) -> Self {
        let listener = own_listener().await;
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = tokio::spawn(async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await
                .unwrap();
        });
        Self {
            address,
            stop,
            serving,
        }
    }

    /// Does with each connection what it is told; `count` counts them.
    pub async fn raw<F: Future<Output = ()> + Send + 'static>(
        count: Arc<AtomicUsize>,
        treat: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = own_listener().await;
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(treat(stream));
            }
        });
        Self {
            address,
            stop: CancellationToken::new(),
            serving,
        }
    }

    /// Answers what is under way, and ends.
    pub async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(TEST_TIMEOUT, self.serving)
            .await
            .unwrap()
            .unwrap();
    }
}

async fn echo(pod: String, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let headers: Map<String, Value> = head
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), json!(value))
        })
        .collect();
    Json(json!({
        "pod": pod,
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "headers": headers,
        "bytes": count(body).await,
    }))
    .into_response()
}

/// How many bytes a body has; what was not sent in the end does not count.
pub async fn count(body: Body) -> u64 {
    let mut stream = body.into_data_stream();
    let mut bytes = 0;
    while let Some(part) = stream.next().await {
        match part {
            Ok(part) => bytes += part.len() as u64,
            Err(_) => return u64::MAX,
        }
    }
    bytes
}
