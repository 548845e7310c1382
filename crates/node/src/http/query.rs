//! Searches, streamed or as jobs that are polled.

use axum::Router;

use crate::Engine;

/// The routes of this part.
pub(super) fn routes() -> Router<Engine> {
    Router::new()
}
