//! A host's HTTP API, for what is to come as clients send it.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::host::Host;
use crate::server::{Answer, exchange};

/// The API of one host, served for as long as the host runs.
pub struct Api(SocketAddr);

/// A batch as it is sent.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: &'static str,
    pub content_type: &'static str,
    /// Its idempotency key.
    pub key: String,
    pub body: Vec<u8>,
}

impl Api {
    pub fn of(host: &Host) -> Self {
        let router = backstay_node::http::router(host.engine.clone());
        Self(host.run(async move {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move { axum::serve(listener, router).await });
            address
        }))
    }

    fn call(&self, line: &str, headers: &str, body: &[u8]) -> Answer {
        exchange(self.0, line, headers, body)
    }

    /// A new ingest token for the repository `humio`.
    pub fn ingest_token(&self, host: &Host) -> String {
        let admin = std::fs::read_to_string(&host.engine.config().admin_token_file).unwrap();
        let query = r#"mutation { addIngestTokenV3(input: {repositoryName: "humio", name: "t"}) { token } }"#;
        let headers = format!(
            "Authorization: Bearer {}\r\nContent-Type: application/json\r\n",
            admin.trim()
        );
        let body = json!({ "query": query }).to_string();
        let answer = self.call("POST /graphql", &headers, body.as_bytes());
        let made: Value = answer.json();
        let token = made["data"]["addIngestTokenV3"]["token"].as_str();
        token.unwrap_or_else(|| panic!("{made}")).to_owned()
    }

    /// Sends until it is taken.
    pub fn send(&self, token: &str, request: &Request) -> Answer {
        let headers = format!(
            "Authorization: Bearer {token}\r\nContent-Type: {}\r\nIdempotency-Key: {}\r\n",
            request.content_type, request.key
        );
        loop {
            let answer = self.call(&format!("POST {}", request.path), &headers, &request.body);
            if ![429, 503].contains(&answer.status) {
                return answer;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// A metric without labels.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.call("GET /metrics", "", b"").body;
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let (_, value) = lines
            .find(|(of, _)| *of == name)
            .unwrap_or_else(|| panic!("{text}"));
        value.parse().unwrap()
    }
}
