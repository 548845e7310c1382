//! What probes, scrapers and people ask of a node.

use axum::Router;

use crate::Engine;

/// The routes of this part.
pub(super) fn routes() -> Router<Engine> {
    Router::new()
}
