//! A request to a port of a pod, or of one of a service's pods, by way of the API server.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, header};
use axum::response::{IntoResponse, Response};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::Api;
use super::pod::any_container;
use super::read::existing;
use super::request::Target;
use crate::document::{array, text};
use crate::kind;
use crate::runtime::PodName;
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
    let (container, port) = destination(api, target)?;
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

/// The pod that is meant, and its port.
fn destination(api: &Api, target: &Target) -> ApiResult<(PodName, u16)> {
    let (name, port) = split_name(&target.name)?;
    let named = |plural, name: &str| {
        let kind = kind::find("", "v1", plural).ok_or_else(ApiError::no_such_resource)?;
        let (namespace, name) = (target.namespace.clone(), name.to_owned());
        let (subresource, rest) = (String::new(), String::new());
        existing(
            api,
            &Target {
                kind,
                namespace,
                name,
                subresource,
                rest,
            },
        )
    };
    if target.kind.plural == "services" {
        let service = named("services", name)?;
        let none = || ApiError::unavailable(format!("no endpoints available for service {name:?}"));
        let endpoints = named("endpoints", name).map_err(|_| none())?;
        let (pod, port) = endpoint(&service, &endpoints, port).ok_or_else(none)?;
        let pod = named("pods", pod).map_err(|_| none())?;
        return Ok((any_container(&pod)?, port));
    }
    let pod = named("pods", name)?;
    let port = match port {
        "" => first_port(&pod),
        text => text
            .parse()
            .ok()
            .or_else(|| named_port(&pod, text))
            .ok_or_else(|| ApiError::bad_request(format!("no port {text:?} in pod {name}")))?,
    };
    Ok((any_container(&pod)?, port))
}

/// A ready pod behind a service's port, which is given by name, by number, or is the first.
fn endpoint<'a>(service: &Value, endpoints: &'a Value, port: &str) -> Option<(&'a str, u16)> {
    let wanted = array(service, "/spec/ports").iter().find(|entry| {
        let number = entry["port"].as_u64();
        let by_number = port.parse().ok().is_some_and(|port| number == Some(port));
        port.is_empty() || text(entry, "/name") == port || by_number
    })?;
    array(endpoints, "/subsets").iter().find_map(|subset| {
        let port = array(subset, "/ports")
            .iter()
            .find(|entry| text(entry, "/name") == text(wanted, "/name"))?;
        let pod = array(subset, "/addresses")
            .iter()
            .map(|address| text(address, "/targetRef/name"))
            .find(|pod| !pod.is_empty())?;
        Some((pod, u16::try_from(port["port"].as_u64()?).ok()?))
    })
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

fn ports(pod: &Value) -> impl Iterator<Item = (&str, u16)> {
    array(pod, "/spec/containers")
        .iter()
        .flat_map(|container| array(container, "/ports"))
        .filter_map(|port| {
            let number = port.get("containerPort")?.as_u64()?;
            Some((text(port, "/name"), u16::try_from(number).ok()?))
        })
}

fn first_port(pod: &Value) -> u16 {
    ports(pod).next().map_or(80, |(_, port)| port)
}

fn named_port(pod: &Value, name: &str) -> Option<u16> {
    ports(pod)
        .find(|(known, _)| *known == name)
        .map(|(_, port)| port)
}
