//! Azure's Resource Manager API, as much of it as concerns Traffic Manager with external
//! endpoints.
//!
//! Source: <https://learn.microsoft.com/rest/api/trafficmanager/> (api-version 2022-04-01), and
//! for what is common to all resources
//! <https://learn.microsoft.com/rest/api/azure/#components-of-a-rest-api-requestresponse> and
//! <https://github.com/microsoft/api-guidelines/blob/vNext/azure/Guidelines.md> (errors, ETags).

mod error;
mod etag;
mod path;
mod profiles;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, ETAG};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use backstay_token::FileToken;
use serde_json::Value;

use crate::manager::Manager;
use error::ArmError;
use path::{Place, parse};

/// The versions of the API that are answered, all in the same way. The newest stable one that is
/// documented is 2022-04-01; 2026-09-01 is what the `az` of autumn 2026 asks for.
const VERSIONS: [&str; 13] = [
    "2015-11-01",
    "2017-03-01",
    "2017-05-01",
    "2017-09-01-preview",
    "2018-02-01",
    "2018-03-01",
    "2018-04-01",
    "2018-08-01",
    "2020-08-01",
    "2022-04-01",
    "2022-04-01-preview",
    "2024-04-01-preview",
    "2026-09-01",
];

/// The largest body: two hundred endpoints with eight long headers each fit.
const BODY: usize = 8 << 20;

#[derive(Clone)]
struct Arm {
    manager: Arc<Manager>,
    token: Arc<FileToken>,
}

/// What is answered to a request that was carried out.
struct Done {
    status: StatusCode,
    body: Option<Value>,
    etag: Option<String>,
}

impl Done {
    fn ok(body: Value) -> Self {
        Self {
            status: StatusCode::OK,
            body: Some(body),
            etag: None,
        }
    }
}

/// The API.
pub(crate) fn router(manager: Arc<Manager>, token: FileToken) -> Router {
    let token = Arc::new(token);
    Router::new()
        .fallback(handle)
        .with_state(Arm { manager, token })
}

async fn handle(State(arm): State<Arm>, request: Request) -> Response {
    let metrics = Arc::clone(arm.manager.metrics());
    let response = match answer(&arm, request).await {
        Ok(done) => {
            let mut response = match done.body {
                Some(body) => (done.status, axum::Json(body)).into_response(),
                None => done.status.into_response(),
            };
            if let Some(etag) = done.etag.and_then(|it| HeaderValue::try_from(it).ok()) {
                response.headers_mut().insert(ETAG, etag);
            }
            response
        }
        Err(error) => error.into_response(),
    };
    metrics.requested(response.status().as_u16());
    response
}

async fn answer(arm: &Arm, request: Request) -> Result<Done, ArmError> {
    authenticate(&arm.token, request.headers())?;
    let place = parse(request.uri().path())?;
    let version = api_version(request.uri())?;
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let manager = &arm.manager;
    match place {
        Place::Subscriptions => match method {
            Method::GET => Ok(Done::ok(profiles::subscriptions(manager))),
            other => Err(ArmError::method(&other)),
        },
        Place::Profiles {
            subscription,
            resource_group,
        } => {
            known(&version)?;
            match method {
                Method::GET => Ok(Done::ok(profiles::list(
                    manager,
                    &subscription,
                    resource_group.as_deref(),
                ))),
                other => Err(ArmError::method(&other)),
            }
        }
        Place::Profile(id) => {
            known(&version)?;
            match method {
                Method::GET => profiles::get(manager, &id),
                Method::DELETE => profiles::delete(manager, id, &headers).await,
                Method::PUT | Method::PATCH => {
                    let body = body(request.into_body()).await?;
                    profiles::put(manager, id, &headers, method == Method::PATCH, body).await
                }
                other => Err(ArmError::method(&other)),
            }
        }
        Place::Endpoint(id, endpoint) => {
            known(&version)?;
            match method {
                Method::GET => profiles::get_endpoint(manager, &id, &endpoint),
                Method::DELETE => profiles::delete_endpoint(manager, id, endpoint, &headers).await,
                Method::PUT | Method::PATCH => {
                    let body = body(request.into_body()).await?;
                    let patch = method == Method::PATCH;
                    profiles::put_endpoint(manager, id, endpoint, &headers, patch, body).await
                }
                other => Err(ArmError::method(&other)),
            }
        }
    }
}

/// The token comes first: who has none learns nothing, not even what there is.
fn authenticate(token: &FileToken, headers: &HeaderMap) -> Result<(), ArmError> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Err(ArmError::unauthorized(
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
        ));
    };
    let given = value.to_str().ok().and_then(|it| it.trim().split_once(' '));
    match given {
        Some((scheme, given))
            if scheme.eq_ignore_ascii_case("bearer") && token.matches(given.trim()) =>
        {
            Ok(())
        }
        _ => Err(ArmError::unauthorized(
            "InvalidAuthenticationToken",
            "The access token is invalid: give the one of the token file as 'Authorization: Bearer'.",
        )),
    }
}

fn api_version(uri: &Uri) -> Result<String, ArmError> {
    let pairs = uri.query().unwrap_or_default().split('&');
    let mut versions = pairs
        .filter_map(|it| it.split_once('='))
        .filter(|(name, _)| name.eq_ignore_ascii_case("api-version"))
        .map(|(_, value)| value.to_owned());
    versions.next().filter(|it| !it.is_empty()).ok_or_else(|| {
        ArmError::bad(
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    })
}

fn known(version: &str) -> Result<(), ArmError> {
    if VERSIONS.iter().any(|it| it.eq_ignore_ascii_case(version)) {
        return Ok(());
    }
    let shown: String = version
        .chars()
        .take(40)
        .flat_map(char::escape_debug)
        .collect();
    Err(ArmError::bad(
        "InvalidResourceType",
        format!(
            "The resource type 'trafficManagerProfiles' could not be found in the namespace \
             'Microsoft.Network' for api version '{shown}'. The supported api-versions are '{}'.",
            VERSIONS.join(",")
        ),
    ))
}

async fn body(body: Body) -> Result<Value, ArmError> {
    let bytes = to_bytes(body, BODY).await.map_err(|_| {
        ArmError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestContentTooLarge",
            format!("The request body cannot be read, or has more than {BODY} bytes."),
        )
    })?;
    let invalid = |what: String| {
        ArmError::bad(
            "InvalidRequestContent",
            format!("The request content was invalid and could not be deserialized: '{what}'."),
        )
    };
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(invalid("it is no JSON object".to_owned()))
    }
}

#[cfg(test)]
mod tests;
