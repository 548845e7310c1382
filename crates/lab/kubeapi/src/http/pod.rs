//! Logs, and finding the container that a request means.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use serde_json::Value;

use super::Api;
use super::read::existing;
use super::request::{Call, Target};
use crate::document::{self, array, text};
use crate::runtime::{LogOptions, PodName, RuntimeError};
use crate::status::{ApiError, ApiResult};

impl From<RuntimeError> for ApiError {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::NotFound(message) | RuntimeError::BadRequest(message) => {
                Self::bad_request(message)
            }
            RuntimeError::Failed(message) => Self::internal(message),
        }
    }
}

/// The container that is meant, in Kubernetes' words where it is none.
pub(super) fn container(pod: &Value, asked: &str) -> ApiResult<PodName> {
    let name = document::name(pod);
    let containers: Vec<&str> = array(pod, "/spec/containers")
        .iter()
        .map(|container| text(container, "/name"))
        .collect();
    let container = match (asked, containers.as_slice()) {
        ("", [only]) => only,
        ("", []) => {
            return Err(ApiError::bad_request(format!(
                "pod {name} has no containers"
            )));
        }
        ("", many) => {
            return Err(ApiError::bad_request(format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                many.join(" ")
            )));
        }
        (asked, all) if all.contains(&asked) => asked,
        (asked, _) => {
            return Err(ApiError::bad_request(format!(
                "container {asked} is not valid for pod {name}"
            )));
        }
    };
    if text(pod, "/spec/nodeName").is_empty() {
        return Err(ApiError::bad_request(format!(
            "pod {name} does not have a host assigned"
        )));
    }
    Ok(PodName {
        namespace: document::namespace(pod).to_owned(),
        name: name.to_owned(),
        uid: document::uid(pod).to_owned(),
        container: container.to_owned(),
    })
}

/// The first container: a pod's ports are those of all.
pub(super) fn any_container(pod: &Value) -> ApiResult<PodName> {
    let first = array(pod, "/spec/containers")
        .first()
        .map(|container| text(container, "/name"))
        .unwrap_or_default();
    container(pod, first)
}

/// How many seconds back the log is wanted, also where it is given as a moment.
fn since(call: &Call) -> ApiResult<Option<u64>> {
    let moment = call.parameter("sinceTime");
    if moment.is_empty() {
        return call.number("sinceSeconds");
    }
    let moment = DateTime::parse_from_rfc3339(moment)
        .map_err(|error| ApiError::bad_request(format!("sinceTime: {moment:?}: {error}")))?;
    let seconds = (Utc::now() - moment.to_utc()).num_seconds();
    Ok(Some(u64::try_from(seconds).unwrap_or(0)))
}

pub(super) async fn log(api: &Api, call: &Call, target: &Target) -> ApiResult<Response> {
    if call.method != axum::http::Method::GET {
        return Err(ApiError::method_not_allowed(call.method.as_str()));
    }
    let pod = existing(api, target)?;
    let container = container(&pod, call.parameter("container"))?;
    let options = LogOptions {
        follow: call.flag("follow"),
        previous: call.flag("previous"),
        timestamps: call.flag("timestamps"),
        tail_lines: call.number("tailLines")?,
        since_seconds: since(call)?,
        limit_bytes: call.number("limitBytes")?,
    };
    let lines = api.runtime.logs(&container, &options).await?;
    let lines = lines.take_until(api.stopping.clone().cancelled_owned());
    let mut response = (StatusCode::OK, Body::from_stream(lines)).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    Ok(response)
}
