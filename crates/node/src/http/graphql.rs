//! Administration over GraphQL: repositories, ingest tokens, users, dynamic configuration.
//!
//! Names and shapes are LogScale's, as far as they go. What another node changed a moment ago is
//! seen here within a heartbeat; what is changed here is judged by the newest state.
//!
//! Humio's older clients administer users by REST; [`users`] answers those.

mod change;
mod cost;
mod input;
mod mutations;
mod queries;
mod types;
mod users;

use async_graphql::{EmptySubscription, Schema};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use bytes::Bytes;

use super::error::ApiError;
use super::query::access;
use super::small;
use crate::Engine;
use crate::memory::MemoryUse;
use mutations::Mutation;
use queries::Query;

/// Deep enough for the introspection of the usual tools.
const MAX_DEPTH: usize = 20;

/// Fields of one request, each as often as it is asked for.
const MAX_COMPLEXITY: usize = 1000;

type Administration = Schema<Query, Mutation, EmptySubscription>;

/// Longest request of administration.
const MAX_REQUEST_BYTES: usize = 512 << 10;

/// The routes of this part.
pub(super) fn routes(engine: &Engine) -> Router<Engine> {
    Router::new()
        .route("/graphql", post(graphql))
        .route("/api/v1/users", get(users::list).post(users::create))
        .route("/api/v1/users/{id}", delete(users::remove))
        .layer(Extension(schema()))
        .layer(from_fn_with_state(engine.clone(), administered))
}

/// Lets the administrator pass, and reads what that one sends: of others, nothing is read.
async fn administered(
    State(engine): State<Engine>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    access::require_admin(&engine, request.headers())?;
    let (parts, body) = request.into_parts();
    let (body, _held) =
        small::read(&engine, MemoryUse::Administration, MAX_REQUEST_BYTES, body).await?;
    Ok(next.run(Request::from_parts(parts, body.into())).await)
}

fn schema() -> Administration {
    Schema::build(Query, Mutation, EmptySubscription)
        .limit_depth(MAX_DEPTH)
        .limit_complexity(MAX_COMPLEXITY)
        .finish()
}

async fn graphql(
    State(engine): State<Engine>,
    Extension(schema): Extension<Administration>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let global = access::ready(&engine)?;
    let mut request: async_graphql::Request = serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request(format!(
            "the body is not a GraphQL request: {error}; send JSON such as {{\"query\":\"{{ meta {{ version }} }}\"}}"
        ))
    })?;
    cost::check(&mut request).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let answer = schema.execute(request.data(global)).await;
    Ok(Json(answer).into_response())
}

#[cfg(test)]
mod tests;
