//! What Elasticsearch's clients ask of a server before they send.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use backstay_ingest::ELASTIC_PRODUCT;
use serde_json::json;

use crate::Engine;

fn elastic(mut response: Response) -> Response {
    // The official clients refuse to talk to a server that does not say this.
    let product = HeaderValue::from_static("Elasticsearch");
    response.headers_mut().insert(ELASTIC_PRODUCT, product);
    response
}

/// What a shipper asks before it sends.
pub(super) async fn about(State(engine): State<Engine>) -> Response {
    let version = &engine.config().elastic_version;
    let about = json!({
        "name": "backstay",
        "cluster_name": "backstay",
        "version": { "number": version, "build_flavor": "default" },
        "tagline": "You Know, for Search",
    });
    elastic(Json(about).into_response())
}

/// What Beats ask too.
pub(super) async fn license() -> Response {
    let license = json!({ "license": { "status": "active", "type": "basic", "mode": "basic" } });
    elastic(Json(license).into_response())
}
