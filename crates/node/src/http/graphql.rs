//! Administration over GraphQL: repositories, ingest tokens, users, dynamic configuration.
//!
//! Names and shapes are LogScale's, as far as they go. What another node changed a moment ago is
//! seen here within a heartbeat; what is changed here is judged by the newest state.
//!
//! humio-operator asks for the licence, and installs the first one, before it has a token: what is [`open`] to
//! everybody.
//!
//! Humio's older clients administer users by REST; [`users`] answers those.

mod accounts;
mod change;
mod cost;
mod hosts;
mod input;
mod license;
mod mutations;
mod open;
mod queries;
mod types;
mod users;

use async_graphql::{EmptySubscription, MergedObject, Schema};
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

/// Where it is asked.
const GRAPHQL: &str = "/graphql";

/// Deep enough for the introspection of the usual tools.
const MAX_DEPTH: usize = 20;

/// Fields of one request, each as often as it is asked for.
const MAX_COMPLEXITY: usize = 1000;

/// What can be asked.
#[derive(MergedObject)]
struct Query(
    queries::Basics,
    hosts::Queries,
    license::Queries,
    accounts::Queries,
);

/// What can be changed.
#[derive(MergedObject)]
struct Mutation(
    mutations::Basics,
    hosts::Mutations,
    license::Mutations,
    accounts::Mutations,
);

type Administration = Schema<Query, Mutation, EmptySubscription>;

/// Whose token came with a request; nobody's where there was none.
#[derive(Clone)]
struct Asker(Option<String>);

/// Longest request of administration.
const MAX_REQUEST_BYTES: usize = 512 << 10;

/// The routes of this part.
pub(super) fn routes(engine: &Engine) -> Router<Engine> {
    Router::new()
        .route(GRAPHQL, post(graphql))
        .route("/api/v1/users", get(users::list).post(users::create))
        .route("/api/v1/users/{id}", delete(users::remove))
        .layer(Extension(schema()))
        .layer(from_fn_with_state(engine.clone(), administered))
}

/// Lets the administrator pass, and reads what that one sends. Of others, nothing is read; of who has no
/// token, no more than an [`open`] question can be.
async fn administered(
    State(engine): State<Engine>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let is_open = request.uri().path() == GRAPHQL && open::may_be_read(request.headers());
    let (asker, longest) = if is_open {
        (Asker(None), open::MAX_REQUEST_BYTES)
    } else {
        let name = access::require_admin(&engine, request.headers()).await?;
        (Asker(Some(name)), MAX_REQUEST_BYTES)
    };
    let (mut parts, body) = request.into_parts();
    let (body, _held) = small::read(&engine, MemoryUse::Administration, longest, body).await?;
    parts.extensions.insert(asker);
    Ok(next.run(Request::from_parts(parts, body.into())).await)
}

fn schema() -> Administration {
    let query = Query(
        queries::Basics,
        hosts::Queries,
        license::Queries,
        accounts::Queries,
    );
    let mutation = Mutation(
        mutations::Basics,
        hosts::Mutations,
        license::Mutations,
        accounts::Mutations,
    );
    Schema::build(query, mutation, EmptySubscription)
        .limit_depth(MAX_DEPTH)
        .limit_complexity(MAX_COMPLEXITY)
        .finish()
}

async fn graphql(
    State(engine): State<Engine>,
    Extension(schema): Extension<Administration>,
    Extension(asker): Extension<Asker>,
    body: Bytes,
) -> Result<Response, ApiError> {
    if asker.0.is_none() && !open::is_open(&body) {
        return Err(access::no_token());
    }
    let global = access::ready(&engine)?;
    let mut request: async_graphql::Request = serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request(format!(
            "the body is not a GraphQL request: {error}; send JSON such as {{\"query\":\"{{ meta {{ version }} }}\"}}"
        ))
    })?;
    cost::check(&mut request).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let request = request.data(global).data(engine).data(asker);
    let answer = schema.execute(request).await;
    Ok(Json(answer).into_response())
}

#[cfg(test)]
mod tests;
