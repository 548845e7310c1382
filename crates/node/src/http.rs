//! LogScale's HTTP API over the [`Engine`].
//!
//! - `status`: what probes, scrapers and people ask of a node (`/api/v1/status`, `/metrics`, …);
//! - `ingest`: events in; the formats that shippers speak are [`backstay_ingest`]'s;
//! - `query`: searches, streamed or as jobs that are polled;
//! - `graphql`: administration;
//! - `small`: reads the bodies of what is no events;
//! - `peers`: passes on what another node answers.

mod auth;
mod error;
mod graphql;
mod ingest;
mod peers;
mod query;
mod small;
mod status;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::{Extension, Router};

use crate::{Engine, Phase};
pub use peers::AuthorityError;
pub(crate) use peers::Peers;

/// All routes; they answer 503 for as long as the engine is not ready. Other nodes that come by TLS are
/// trusted by the system's authorities.
pub fn router(engine: Engine) -> Router {
    router_with(engine, Peers::default())
}

/// The same, with the way to other nodes.
pub(crate) fn router_with(engine: Engine, peers: Peers) -> Router {
    Router::new()
        .merge(ingest::routes())
        .merge(query::routes(&engine))
        .merge(graphql::routes(&engine))
        .layer(Extension(peers))
        // Only what is before it: a probe is not somebody who still sends.
        .layer(from_fn_with_state(engine.clone(), noted))
        .merge(status::routes())
        .with_state(engine)
}

/// What the port of Elasticsearch's API answers.
pub(crate) fn elastic(engine: Engine, peers: Peers) -> Router {
    ingest::elastic_at_root()
        .layer(Extension(peers))
        .layer(from_fn_with_state(engine.clone(), noted))
        .fallback(status::unknown)
        .with_state(engine)
}

/// Notes that a client asks something. One that asks a node that ends is told to connect again, and
/// so finds another one.
async fn noted(State(engine): State<Engine>, request: Request, next: Next) -> Response {
    engine.note_request();
    let mut response = next.run(request).await;
    if matches!(engine.phase(), Phase::Leaving | Phase::Draining) {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}
