//! Events in, in each of the formats that shippers speak.

use axum::Router;

use crate::Engine;

/// The routes of this part.
pub(super) fn routes() -> Router<Engine> {
    Router::new()
}
