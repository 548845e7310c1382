//! LogScale's HTTP API over the [`Engine`].
//!
//! - `status`: what probes, scrapers and people ask of a node (`/api/v1/status`, `/metrics`, …);
//! - `ingest`: events in, in each of the formats that shippers speak; `parse` turns a raw line
//!   into fields;
//! - `query`: searches, streamed or as jobs that are polled;
//! - `graphql`: administration;
//! - `linger`: what is left of a refused body.

mod auth;
mod error;
mod graphql;
mod ingest;
mod linger;
mod parse;
mod query;
mod status;

use axum::Router;
use axum::middleware::map_request;

use crate::Engine;

/// All routes; they answer 503 for as long as the engine is not ready.
pub fn router(engine: Engine) -> Router {
    Router::new()
        .merge(status::routes())
        .merge(ingest::routes())
        .merge(query::routes())
        .merge(graphql::routes())
        .with_state(engine)
        .layer(map_request(async |request| linger::linger(request)))
}
