//! Who may search and administer, and what must be there for it.

use std::time::Duration;

use axum::http::HeaderMap;
use backstay_global::GlobalLog;

use crate::http::auth;
use crate::http::error::ApiError;
use crate::{Engine, Phase, RepositoryName};

/// Longest wait for the newest metadata when a repository is not known yet.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);

/// The answer to who has no token.
pub(in crate::http) fn no_token() -> ApiError {
    ApiError::unauthorized(
        "this needs the admin token; send `Authorization: Bearer <token>` (the node keeps the token in the file BACKSTAY_ADMIN_TOKEN_FILE, by default admin-token.txt in its data folder)",
    )
}

/// Lets the administrator pass: no token is 401, another one 403. Answers with whose token it is.
pub(in crate::http) async fn require_admin(
    engine: &Engine,
    headers: &HeaderMap,
) -> Result<String, ApiError> {
    let Some(token) = auth::token(headers) else {
        return Err(no_token());
    };
    if let Some(name) = engine.look_up_administrator(&token).await {
        return Ok(name);
    }
    let problem = if engine.resolve_ingest_token(&token).is_some() {
        "an ingest token only sends events"
    } else {
        "this is not this node's admin token"
    };
    Err(ApiError::forbidden(format!(
        "{problem}; send the one in the node's file BACKSTAY_ADMIN_TOKEN_FILE, by default admin-token.txt in its data folder"
    )))
}

/// The metadata, if the node is ready.
pub(in crate::http) fn ready(engine: &Engine) -> Result<GlobalLog, ApiError> {
    match (engine.phase(), engine.global()) {
        (Phase::Ready | Phase::Leaving, Some(global)) => Ok(global.clone()),
        (phase, _) => Err(ApiError::not_ready(phase.to_string())),
    }
}

/// Whether there is a repository or view of that name; one that was made on another node a moment
/// ago counts.
pub(super) async fn known_repository(
    engine: &Engine,
    repository: &RepositoryName,
) -> Result<(), ApiError> {
    let global = ready(engine)?;
    let known = || {
        global.read(|state| {
            let name = repository.as_str();
            state.repository_named(name).is_some() || state.view_named(name).is_some()
        })
    };
    if known() {
        return Ok(());
    }
    let unavailable = |detail: String| crate::SearchError::Unavailable { detail };
    tokio::time::timeout(REFRESH_TIMEOUT, global.refresh())
        .await
        .map_err(|_| unavailable(format!("no answer within {} s", REFRESH_TIMEOUT.as_secs())))?
        .map_err(|error| unavailable(error.to_string()))?;
    if known() {
        return Ok(());
    }
    Err(crate::SearchError::NoRepository {
        name: repository.to_string(),
    }
    .into())
}
