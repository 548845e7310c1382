//! Clients: `curl`, a client for load, and bytes on a connection.

use std::net::SocketAddr;
use std::process::Stdio;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::region::TEST_TIMEOUT;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// 0 when there was none.
    pub status: u16,
    pub head: String,
    pub body: String,
    /// `curl`'s exit code.
    pub code: i32,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The name of the pod that answered.
    pub fn pod(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["pod"].as_str().unwrap().to_owned()
    }
}

/// `curl` that is killed when it is dropped.
pub fn curl_command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["-q", "--silent", "--noproxy", "*", "--include"])
        .args(["--max-time", "90"])
        .args(arguments)
        .arg(url)
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

pub async fn curl(url: &str, arguments: &[&str]) -> Answer {
    let output = curl_command(url, arguments).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // Not that of the `100 Continue` before it.
    let mut text = text.as_str();
    while let Some((head, rest)) = text.split_once("\r\n\r\n")
        && head.starts_with("HTTP/1.1 100")
    {
        text = rest;
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    Answer {
        status: status_of(head),
        head: head.to_lowercase(),
        body: body.to_owned(),
        code: output.status.code().unwrap(),
    }
}

fn status_of(head: &str) -> u16 {
    let status = head.split(' ').nth(1);
    status.map_or(0, |status| status.parse().unwrap())
}

/// Sends these bytes and answers with what comes until the connection ends.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // What is refused at its beginning may not be read to its end.
    let _ = stream.write_all(bytes).await;
    read_to_end(&mut stream).await
}

pub async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(TEST_TIMEOUT, stream.read_to_end(&mut answer)).await;
    // The connection may also be reset.
    let _ = read.expect("the connection does not end");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A client that keeps its connections.
#[derive(Clone)]
pub struct Keeping(Client<HttpConnector, Full<Bytes>>, SocketAddr);

/// Why there is no answer.
pub type Unanswered = Box<dyn std::error::Error + Send + Sync>;

impl Keeping {
    pub fn new(address: SocketAddr) -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http(), address)
    }

    /// Status and body; or why there are none.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: &'static str,
    ) -> Result<(StatusCode, String), Unanswered> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.1))
            .body(Full::from(body))
            .unwrap();
        let answering = async {
            let answer = self
                .0
                .request(request)
                .await
                .map_err(|it| Unanswered::from(format!("{it:?}")))?;
            let status = answer.status();
            let body = answer.into_body().collect().await;
            let body = body
                .map_err(|it| Unanswered::from(format!("{it:?}")))?
                .to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        tokio::time::timeout(TEST_TIMEOUT, answering)
            .await
            .map_err(|_| Unanswered::from("no answer"))?
    }
}
