//! Users by REST, as Humio's Python client administers them.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use backstay_global::User;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::change::ChangeError;
use super::input::AddUser;
use super::mutations;
use crate::Engine;
use crate::http::error::ApiError;
use crate::http::query::access;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewUser {
    /// What the user signs in as, whether it is an e-mail address or not.
    email: String,
    #[serde(default)]
    is_root: bool,
    full_name: Option<String>,
}

/// `GET /api/v1/users`.
pub(super) async fn list(State(engine): State<Engine>) -> Result<Response, ApiError> {
    let users: Vec<Value> =
        access::ready(&engine)?.read(|state| state.users.iter().map(shown).collect());
    Ok(Json(users).into_response())
}

/// `POST /api/v1/users`; a user who is there already is answered with.
pub(super) async fn create(
    State(engine): State<Engine>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let global = access::ready(&engine)?;
    let new: NewUser = serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request(format!(
            "the body is not a user: {error}; send JSON such as {{\"email\":\"a@example.org\",\"isRoot\":false}}"
        ))
    })?;
    let username = new.email.clone();
    let input = AddUser {
        username: new.email,
        full_name: new.full_name,
        is_root: Some(new.is_root),
    };
    let user = match mutations::add_user(&global, input).await {
        Ok(user) => user,
        Err(error) => {
            let known = global.read(|state| {
                let mut users = state.users.iter();
                users.find(|user| user.username == username).cloned()
            });
            known.ok_or_else(|| refused(&error))?
        }
    };
    Ok(Json(shown(&user)).into_response())
}

/// `DELETE /api/v1/users/{id}`.
pub(super) async fn remove(
    State(engine): State<Engine>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let global = access::ready(&engine)?;
    let user = mutations::remove_user(&global, |user| user.id == id)
        .await
        .map_err(|error| match error.code() {
            "REJECTED" => ApiError::not_found(error.to_string()),
            _ => refused(&error),
        })?;
    Ok(Json(shown(&user)).into_response())
}

fn shown(user: &User) -> Value {
    json!({
        "userID": user.id,
        "email": user.username,
        "fullName": user.full_name,
        "isRoot": user.is_root,
    })
}

fn refused(error: &ChangeError) -> ApiError {
    match error.code() {
        "UNAVAILABLE" | "FENCED" => ApiError::not_ready(error.to_string()),
        "INTERNAL" => ApiError::internal(error.to_string()),
        _ => ApiError::bad_request(error.to_string()),
    }
}
