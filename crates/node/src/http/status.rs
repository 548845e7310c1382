//! What probes, scrapers and people ask of a node.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use backstay_listen::{Refusals, exposition};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::error::ApiError;
use crate::{Engine, VERSION};

/// The routes of this part.
pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/", get(front))
        .route("/api/v1/status", get(status))
        .route("/api/v1/is-node-up", get(is_node_up))
        .route("/api/v1/config", get(config))
        .route("/metrics", get(metrics))
        .fallback(unknown)
}

#[derive(Deserialize)]
struct Depth {
    #[serde(default)]
    deep: Option<String>,
}

/// 200 when the node should get traffic. Probes read the code alone; the body is for people.
async fn status(State(engine): State<Engine>, Query(depth): Query<Depth>) -> Response {
    let status = engine.status();
    let (code, word) = if status.ok {
        (StatusCode::OK, "OK")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE")
    };
    let mut body = json!({ "status": word, "version": VERSION });
    if let Some(reason) = status.reason {
        body["reason"] = Value::String(reason);
    }
    if !status.degraded.is_empty() {
        body["degraded"] = json!(status.degraded);
    }
    if !status.not_imported.is_empty() {
        body["notImported"] = json!(status.not_imported);
    }
    if depth.deep.is_some_and(|deep| deep != "0") {
        body["parts"] = json!(status.parts);
    }
    (code, Json(body)).into_response()
}

/// 200 as soon as there is an answer at all: humio-operator takes a pod for ready by it, and has one killed
/// that does not answer. Whether the node should get traffic is what [`status`] says.
async fn is_node_up() -> &'static str {
    "true\n"
}

/// What a client may know of the configuration. No credential, and nothing that names one.
async fn config(State(engine): State<Engine>) -> Json<Value> {
    let config = engine.config();
    let cluster = engine
        .global()
        .map(|global| global.read(|state| state.cluster_id.clone()));
    Json(json!({
        "version": VERSION,
        "clusterId": cluster,
        "publicUrl": config.public_url.as_str(),
        "roles": config.roles,
        "enableAlerts": config.enable_alerts,
        "multipleEndpoints": config.multiple_endpoints,
        "bucket": { "provider": config.bucket.provider_name(), "container": config.bucket.container },
        "recoverFrom": config.recover_from.as_ref().map(|source| {
            json!({ "provider": source.provider_name(), "container": source.container })
        }),
    }))
}

async fn metrics(
    State(engine): State<Engine>,
    refusals: Option<Extension<Refusals>>,
    headers: HeaderMap,
) -> Response {
    engine.metrics().note(engine.memory());
    // Where there is a listener of our own, it counts too.
    let refusals: Vec<&Refusals> = refusals.iter().map(|it| &it.0).collect();
    exposition(&headers, &engine.metrics().encode(), &refusals)
}

async fn front(State(engine): State<Engine>) -> String {
    format!(
        "backstay {}: {}\n\n/api/v1/status  /metrics  /graphql\n",
        env!("CARGO_PKG_VERSION"),
        engine.phase()
    )
}

pub(super) async fn unknown(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is nothing at {}", uri.path()))
}
