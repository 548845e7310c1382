//! LogScale's HTTP API over the [`Engine`](crate::Engine).

/// All routes; they answer 503 for as long as the engine is not ready.
pub fn router(engine: crate::Engine) -> axum::Router {
    axum::Router::new().with_state(engine)
}
