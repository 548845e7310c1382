//! What Splunk's HTTP Event Collector asks of a server besides taking events: patience while it
//! starts, its codes for errors, and its health
//! (<https://docs.splunk.com/Documentation/Splunk/latest/Data/TroubleshootHTTPEventCollector>).

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use backstay_ingest::IngestFormat;
use serde_json::json;

use super::Delivery;
use crate::http::error::ApiError;
use crate::{Engine, Phase};

/// Between two looks whether a node has started.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Waits while the node starts, for as long as a client may wait for its acknowledgement.
///
/// Two of Splunk's own clients (its loggers for Java and JavaScript) send again what got no answer;
/// after any answer, "Server is busy" too, they drop the batch. So there is none as long as that
/// helps, and 503 with code 9 only then, which all others send again.
async fn started(engine: &Engine) {
    let begun = Instant::now();
    let patience = engine.config().tuning.ack_timeout;
    while matches!(engine.phase(), Phase::Starting(_)) && begun.elapsed() < patience {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

pub(super) async fn events(delivery: Delivery) -> Response {
    started(&delivery.engine).await;
    delivery
        .take(IngestFormat::Hec)
        .await
        .unwrap_or_else(refused)
}

pub(super) async fn raw(delivery: Delivery) -> Response {
    started(&delivery.engine).await;
    delivery
        .take(IngestFormat::HecRaw)
        .await
        .unwrap_or_else(refused)
}

pub(super) async fn health(State(engine): State<Engine>) -> Response {
    let status = engine.status();
    if status.ok {
        return Json(json!({ "text": "HEC is healthy", "code": 17 })).into_response();
    }
    refused(ApiError::not_ready(status.reason.unwrap_or_default()))
}

/// An error of the whole request.
fn refused(error: ApiError) -> Response {
    let code = match error.status() {
        StatusCode::UNAUTHORIZED => 2,
        StatusCode::FORBIDDEN => 4,
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => 6,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => 9,
        _ => 8,
    };
    let text = error.to_string();
    let mut response = error.into_response();
    let body = Json(json!({ "text": text, "code": code })).into_response();
    *response.body_mut() = body.into_body();
    response
        .headers_mut()
        .remove(axum::http::header::CONTENT_LENGTH);
    response
}
