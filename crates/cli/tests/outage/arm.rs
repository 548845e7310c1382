//! The Resource Manager behind a door that a test can shut.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What the door does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// It passes.
    Open,
    /// It is answered with this status, and nothing else.
    Says(u16),
    /// It is never answered.
    Hangs,
}

/// The Resource Manager, as Azure has it on a bad day.
pub struct Arm {
    pub url: String,
    door: watch::Sender<Door>,
    turned_away: Arc<AtomicUsize>,
    _runtime: Runtime,
}

#[derive(Clone)]
struct Behind {
    real: String,
    client: reqwest::Client,
    door: watch::Receiver<Door>,
    turned_away: Arc<AtomicUsize>,
}

impl Arm {
    /// In front of the one that is at `real`.
    pub fn before(real: &str) -> Self {
        // An error means that one is installed already.
        backstay_tls::install_provider();
        let runtime = Runtime::new().unwrap();
        let (door, seen) = watch::channel(Door::Open);
        let turned_away = Arc::new(AtomicUsize::new(0));
        let behind = Behind {
            real: real.trim_end_matches('/').to_owned(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            door: seen,
            turned_away: turned_away.clone(),
        };
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass).with_state(behind);
        runtime.spawn(axum::serve(listener, router).into_future());
        Self {
            url,
            door,
            turned_away,
            _runtime: runtime,
        }
    }

    /// From now on.
    pub fn set(&self, door: Door) {
        self.turned_away.store(0, Ordering::Release);
        self.door.send_replace(door);
    }

    /// How many requests were turned away since it was set.
    pub fn turned_away(&self) -> usize {
        self.turned_away.load(Ordering::Acquire)
    }
}

async fn pass(State(behind): State<Behind>, request: Request) -> Response {
    let door = *behind.door.borrow();
    if door != Door::Open {
        behind.turned_away.fetch_add(1, Ordering::AcqRel);
    }
    match door {
        Door::Open => carried(&behind, request).await,
        Door::Hangs => std::future::pending().await,
        Door::Says(status) => (
            StatusCode::from_u16(status).unwrap(),
            [(CONTENT_TYPE, "application/json"), (RETRY_AFTER, "1")],
            r#"{"error":{"code":"NotNow","message":"Not now."}}"#,
        )
            .into_response(),
    }
}

async fn carried(behind: &Behind, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut headers = head.headers;
    headers.remove(HOST);
    let answer = behind
        .client
        .request(head.method, format!("{}{}", behind.real, head.uri))
        .headers(headers)
        .body(body)
        .send()
        .await;
    let Ok(answer) = answer else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    *response.body_mut() = Body::from(answer.bytes().await.unwrap());
    response
}
