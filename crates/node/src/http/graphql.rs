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
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use bytes::Bytes;

use super::error::ApiError;
use super::query::access;
use crate::Engine;
use mutations::Mutation;
use queries::Query;

/// Deep enough for the introspection of the usual tools.
const MAX_DEPTH: usize = 20;

/// Fields of one request, each as often as it is asked for.
const MAX_COMPLEXITY: usize = 1000;

type Administration = Schema<Query, Mutation, EmptySubscription>;

/// The routes of this part.
pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/graphql", post(graphql))
        .route("/api/v1/users", get(users::list).post(users::create))
        .route("/api/v1/users/{id}", delete(users::remove))
        .layer(Extension(schema()))
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
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    access::require_admin(&engine, &headers)?;
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
