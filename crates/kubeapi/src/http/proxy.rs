//! A request to a port of a pod, by way of the API server.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, header};
use axum::response::{IntoResponse, Response};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::Api;
use super::pod::any_container;
use super::read::existing;
use super::request::Target;
use crate::document::{array, text};
use crate::status::{ApiError, ApiResult};

/// Headers of one connection, not of the request.
const OF_CONNECTION: [header::HeaderName; 6] = [
    header::CONNECTION,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

pub(super) async fn proxy(
    api: &Api,
    target: &Target,
    parts: Parts,
    body: Body,
) -> ApiResult<Response> {
    let (name, port) = split_name(&target.name)?;
    let pod = existing(
        api,
        &Target {
            name: name.to_owned(),
            ..target.clone()
        },
    )?;
    let port = match port {
        "" => first_port(&pod),
        text => text
            .parse()
            .ok()
            .or_else(|| named_port(&pod, text))
            .ok_or_else(|| ApiError::bad_request(format!("no port {text:?} in pod {name}")))?,
    };
    let container = any_container(&pod)?;
    let failed = |error: &dyn std::fmt::Display| {
        ApiError::unavailable(format!("error trying to reach service: {error}"))
    };
    let stream = api
        .runtime
        .connect(&container, port)
        .await
        .map_err(|error| failed(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(&error))?;
    let stopping = api.stopping.clone();
    tokio::spawn(async move { stopping.run_until_cancelled(connection).await });

    let path = match parts.uri.query() {
        Some(query) => format!("/{}?{query}", target.rest),
        None => format!("/{}", target.rest),
    };
    let mut request = Request::builder()
        .method(parts.method)
        .uri(path)
        .body(body)
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    *request.headers_mut() = parts.headers;
    let headers = request.headers_mut();
    for name in OF_CONNECTION {
        headers.remove(name);
    }
    // The token is for this server, not for the pod.
    headers.remove(header::AUTHORIZATION);
    headers.insert(header::HOST, HeaderValue::from_static("localhost"));
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| failed(&error))?;
    let (mut parts, body) = answer.into_parts();
    for name in OF_CONNECTION {
        parts.headers.remove(name);
    }
    Ok(Response::from_parts(parts, Body::new(body)).into_response())
}

/// `[scheme:]name[:port]`.
fn split_name(name: &str) -> ApiResult<(&str, &str)> {
    let parts: Vec<&str> = name.split(':').collect();
    match parts.as_slice() {
        [name] | ["http" | "", name] => Ok((name, "")),
        [name, port] | ["http" | "", name, port] => Ok((name, port)),
        _ => Err(ApiError::bad_request(format!(
            "invalid pod request {name:?}"
        ))),
    }
}

fn ports(pod: &serde_json::Value) -> impl Iterator<Item = (&str, u16)> {
    array(pod, "/spec/containers")
        .iter()
        .flat_map(|container| array(container, "/ports"))
        .filter_map(|port| {
            let number = port.get("containerPort")?.as_u64()?;
            Some((text(port, "/name"), u16::try_from(number).ok()?))
        })
}

fn first_port(pod: &serde_json::Value) -> u16 {
    ports(pod).next().map_or(80, |(_, port)| port)
}

fn named_port(pod: &serde_json::Value, name: &str) -> Option<u16> {
    ports(pod)
        .find(|(known, _)| *known == name)
        .map(|(_, port)| port)
}
