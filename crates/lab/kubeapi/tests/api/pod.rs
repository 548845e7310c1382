//! What runs in the pods of these tests: this program, started again as a small HTTP server that
//! logs as LogScale does when it recovers.

use std::io::Write as _;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use serde_json::json;
use tokio::net::TcpListener;

const PORT: &str = "KUBEAPI_TEST_POD_PORT";

/// The container of a pod called `humio` that listens on `port`.
pub fn container(port: u16) -> serde_json::Value {
    let program = std::env::current_exe().unwrap();
    json!({
        "name": "humio",
        "image": "humio/humio-core:1.0",
        "command": [program, "--ignored", "--exact", "pod::main", "--nocapture"],
        "env": [{ "name": PORT, "value": port.to_string() }],
        "ports": [{ "name": "http", "containerPort": port }],
    })
}

/// A port that nothing listens on now.
pub async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
#[ignore = "is the program of a pod, not a test"]
async fn main() {
    let Ok(port) = std::env::var(PORT) else {
        return;
    };
    let graphql = |headers: HeaderMap, body: String| async move {
        assert!(body.contains("FlushSegmentsAndGlobalOnShutdown"));
        assert_eq!(headers["authorization"], "Bearer s3cret");
        axum::Json(json!({ "data": { "setDynamicConfig": true } }))
    };
    let app = Router::new()
        .route("/api/v1/status", get(|| async { "OK" }))
        .route("/graphql", post(graphql));
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))
        .await
        .unwrap();
    println!("DataSnapshotLoader: Checking bucket storage localAndHttpWereEmpty=true");
    std::io::stdout().flush().unwrap();
    axum::serve(listener, app).await.unwrap();
}
