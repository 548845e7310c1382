//! What is answered on the port for whoever looks after the proxy.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use backstay_listen::{Refusals, exposition};
use tokio_util::sync::CancellationToken;

use crate::proxy::Proxy;

/// `/healthz`: 200 while requests are taken and routes are known. `/metrics`: for Prometheus.
pub(crate) fn router(
    proxy: Arc<Proxy>,
    refusals: [Refusals; 3],
    stop: CancellationToken,
) -> Router {
    let counted = Arc::clone(&proxy);
    let health = move || async move {
        if stop.is_cancelled() {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
        } else if proxy.table.load().is_none() {
            let text = "the Kubernetes API has not said yet where requests go\n";
            (StatusCode::SERVICE_UNAVAILABLE, text)
        } else {
            (StatusCode::OK, "ok\n")
        }
    };
    let metrics = move |headers: HeaderMap| async move {
        exposition(&headers, &counted.metrics.text(), &refusals.each_ref())
    };
    Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
}
