//! The few requests that are made of the watch, of Patroni and of etcd, all on this machine.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nobody on this machine takes longer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends a request. HTTP/1.0, so that an answer ends with the connection and comes in no chunks.
pub(super) async fn send(address: &str, request: &str, body: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let text = format!(
        "{request} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await?;
    Ok(stream)
}

/// The JSON that is at a path; nothing, while there is none.
pub(super) async fn json(address: &str, path: &str) -> Option<serde_json::Value> {
    let asked = async {
        let mut stream = send(address, &format!("GET {path}"), "").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    };
    tokio::time::timeout(REQUEST_TIMEOUT, asked)
        .await
        .ok()
        .flatten()
}
