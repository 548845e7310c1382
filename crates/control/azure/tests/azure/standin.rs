//! A server that answers what a test says, and remembers what it was asked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

/// What is answered to one request.
#[derive(Clone, Debug)]
pub enum Reply {
    Say(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Says in its answer whatever it was sent: header and body.
    Echo(u16),
    Hang,
}

impl Reply {
    pub fn json(status: u16, body: serde_json::Value) -> Self {
        Self::Say(status, Vec::new(), body.to_string().into_bytes())
    }

    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let error = serde_json::json!({ "code": code, "message": message });
        Self::json(status, serde_json::json!({ "error": error }))
    }
}

#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }
}

#[derive(Default)]
struct Script {
    next: VecDeque<Reply>,
    always: Option<Reply>,
    asked: Vec<Asked>,
}

#[derive(Clone)]
pub struct StandIn {
    pub address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl StandIn {
    /// Answers with `next` one after the other, and then always with `always`.
    pub async fn start(next: impl IntoIterator<Item = Reply>, always: Reply) -> Self {
        let script = Arc::new(Mutex::new(Script {
            next: next.into_iter().collect(),
            always: Some(always),
            asked: Vec::new(),
        }));
        let router = Router::new().fallback(answer).with_state(script.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, script }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.script.lock().unwrap().asked.clone()
    }

    /// Answers with these before anything else.
    pub fn then(&self, next: impl IntoIterator<Item = Reply>) {
        self.script.lock().unwrap().next.extend(next);
    }

    pub fn always(&self, reply: Reply) {
        self.script.lock().unwrap().always = Some(reply);
    }
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let asked = Asked {
        method: parts.method,
        path: parts.uri.path_and_query().unwrap().to_string(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let reply = {
        let mut script = script.lock().unwrap();
        script.asked.push(asked.clone());
        script.next.pop_front().or(script.always.clone()).unwrap()
    };
    match reply {
        Reply::Hang => std::future::pending().await,
        Reply::Echo(status) => {
            let message = format!("{:?} {}", asked.headers, asked.body);
            let error = serde_json::json!({
                "error": { "code": asked.header("authorization"), "message": message },
                "error_description": message,
            });
            let status = StatusCode::from_u16(status).unwrap();
            (status, error.to_string()).into_response()
        }
        Reply::Say(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).unwrap()
        }
    }
}

/// Passes connections on to a server, but the first `broken` ones are cut after the request was
/// read.
pub async fn cutting(server: SocketAddr, broken: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for at in 0.. {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                if at < broken {
                    let mut bytes = [0; 16];
                    let _ = client.read(&mut bytes).await;
                    // What has not been read makes the system send a reset.
                    return;
                }
                let mut server = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    format!("http://{address}")
}
