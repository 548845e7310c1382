//! Passes requests on to the node that answers them.
//!
//! A load balancer knows nothing of partitions and roles. Only the owner of a key's partition can
//! tell whether a batch was stored before, and not every node searches; so a node that gets what is
//! another's hands it over as it came, once.

mod clients;

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response as HttpResponse, StatusCode};
use axum::response::{IntoResponse, Response};
use backstay_report::with_causes;
use bytes::Bytes;

use crate::config::Authority;
use crate::http::error::ApiError;
pub use clients::AuthorityError;
use clients::Clients;

/// A request that was passed on once is not passed on again: two nodes that disagree about who
/// answers it must not send it in circles.
const FORWARDED: HeaderName = HeaderName::from_static("backstay-forwarded");
/// An answer to a request that was passed on: nothing was done, another node may do it.
const NOT_STORED: HeaderName = HeaderName::from_static("backstay-not-stored");
/// Likewise: it is refused, and no other node, nor another try soon, would do better.
const REFUSED_FOR_GOOD: HeaderName = HeaderName::from_static("backstay-lasting");

/// Headers of one connection (RFC 9110, 7.6.1), and those that are written for each of them. All others
/// are for whoever answers: each protocol has some of its own, such as Splunk's channel.
const CONNECTION_HEADERS: [HeaderName; 15] = [
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    FORWARDED,
    NOT_STORED,
    REFUSED_FOR_GOOD,
];

/// Connections to the other nodes of the cluster. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    clients: Arc<Clients>,
}

/// Why another node has not answered a request.
#[derive(Debug)]
pub(super) enum NotAnswered {
    /// It has surely done nothing, so another one may be asked.
    NotStored(ApiError),
    /// It may have done what was asked.
    Perhaps(ApiError),
}

/// Whether another node has passed this request on.
pub(super) fn is_forwarded(parts: &Parts) -> bool {
    parts.headers.contains_key(FORWARDED)
}

/// The answer to a node that has passed a request on which was not even looked at.
pub(super) fn not_stored(error: ApiError) -> Response {
    let mut response = error.into_response();
    let headers = response.headers_mut();
    headers.insert(NOT_STORED, HeaderValue::from_static("1"));
    response
}

/// The answer to a node that has passed a request on which is refused for good reason.
pub(super) fn lasting(error: ApiError) -> Response {
    let mut response = error.into_response();
    let headers = response.headers_mut();
    headers.insert(REFUSED_FOR_GOOD, HeaderValue::from_static("1"));
    response
}

impl Peers {
    /// They are trusted by this, or by the system's authorities.
    pub(crate) fn new(authority: Option<Authority>) -> Result<Self, AuthorityError> {
        let clients = Arc::new(Clients::new(authority)?);
        Ok(Self { clients })
    }

    /// Sends the request to the node at `url`, and answers what it answers, as it comes.
    pub(super) async fn forward(
        &self,
        url: &str,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Response, NotAnswered> {
        let path = parts
            .uri
            .path_and_query()
            .map_or("/", axum::http::uri::PathAndQuery::as_str);
        let target = format!("{}{path}", url.trim_end_matches('/'));
        let client = self.clients.get().map_err(|error| {
            NotAnswered::NotStored(ApiError::internal(format!("no HTTP client: {error}")))
        })?;
        let mut request = client
            .request(parts.method.clone(), target)
            .header(FORWARDED, "1");
        for (name, value) in end_to_end(&parts.headers) {
            request = request.header(name, value);
        }
        let answer = request.body(body).send().await.map_err(|error| {
            let was_sent = !error.is_connect();
            let error = ApiError::not_ready(format!(
                "the node at {url} has to do this and does not answer ({}); send it again, a batch with the same idempotency key",
                with_causes(&error.without_url())
            ));
            if was_sent { NotAnswered::Perhaps(error) } else { NotAnswered::NotStored(error) }
        })?;
        let is_not_stored = answer.headers().contains_key(NOT_STORED);
        let is_lasting = answer.headers().contains_key(REFUSED_FOR_GOOD);
        if !is_lasting && (is_not_stored || answer.status() == StatusCode::SERVICE_UNAVAILABLE) {
            let text = answer.text().await.unwrap_or_default();
            let error =
                ApiError::not_ready(format!("the node at {url} says: {}", error_text(&text)));
            return Err(if is_not_stored {
                NotAnswered::NotStored(error)
            } else {
                NotAnswered::Perhaps(error)
            });
        }
        let mut response = HttpResponse::builder().status(answer.status());
        for (name, value) in end_to_end(answer.headers()) {
            response = response.header(name, HeaderValue::clone(value));
        }
        if let Some(length) = answer.headers().get(CONTENT_LENGTH) {
            response = response.header(CONTENT_LENGTH, HeaderValue::clone(length));
        }
        response
            .body(Body::from_stream(answer.bytes_stream()))
            .map_err(|error| NotAnswered::Perhaps(ApiError::internal(error.to_string())))
    }
}

/// The headers that are for the other end.
fn end_to_end(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    headers.iter().filter(move |(name, _)| {
        !CONNECTION_HEADERS.contains(name) && !named.iter().any(|it| it == name.as_str())
    })
}

/// What another node's refusal says.
fn error_text(text: &str) -> String {
    let document: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    document["error"].as_str().unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests;
