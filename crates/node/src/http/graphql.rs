//! Administration over GraphQL: repositories, ingest tokens, users, dynamic configuration.

use axum::Router;

use crate::Engine;

/// The routes of this part.
pub(super) fn routes() -> Router<Engine> {
    Router::new()
}
