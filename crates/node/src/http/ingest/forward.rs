//! Passes a batch on to the node that must take it.
//!
//! Only the owner of a key's partition can tell whether the batch was stored before, so a node
//! that gets it from a load balancer hands the request over as it came, once.

use std::sync::OnceLock;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, RETRY_AFTER, USER_AGENT,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response as HttpResponse};
use axum::response::Response;
use bytes::Bytes;

use crate::http::error::ApiError;

/// A request that was passed on once is not passed on again: two nodes that disagree about an
/// owner must not send a batch in circles.
const PASSED_ON: HeaderName = HeaderName::from_static("backstay-passed-on");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Elasticsearch's clients take no answer without it.
pub(super) const ELASTIC_PRODUCT: HeaderName = HeaderName::from_static("x-elastic-product");

/// What the other node gets of the request's headers.
const KEPT: [HeaderName; 5] = [
    AUTHORIZATION,
    CONTENT_ENCODING,
    CONTENT_TYPE,
    IDEMPOTENCY_KEY,
    USER_AGENT,
];

/// Connections to the other nodes of the cluster. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Peers {
    client: std::sync::Arc<OnceLock<reqwest::Client>>,
}

impl Peers {
    fn client(&self) -> Result<&reqwest::Client, ApiError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(60))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| ApiError::internal(format!("no HTTP client: {error}")))?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Sends the request to the node at `url`, and answers what it answers.
    pub(super) async fn pass_on(
        &self,
        url: &str,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Response, ApiError> {
        if parts.headers.contains_key(PASSED_ON) {
            return Err(ApiError::not_ready(
                "the batch's partition is between two owners; send it again with the same idempotency key",
            ));
        }
        let path = parts
            .uri
            .path_and_query()
            .map_or("/", axum::http::uri::PathAndQuery::as_str);
        let target = format!("{}{path}", url.trim_end_matches('/'));
        let mut request = self
            .client()?
            .request(parts.method.clone(), target)
            .header(PASSED_ON, "1");
        for name in KEPT {
            if let Some(value) = parts.headers.get(&name) {
                request = request.header(name, value);
            }
        }
        let unreachable = |error: reqwest::Error| {
            ApiError::not_ready(format!(
                "the node at {url} must take this batch and does not answer ({}); send it again with the same idempotency key",
                error.without_url()
            ))
        };
        let answer = request.body(body).send().await.map_err(unreachable)?;
        let mut response = HttpResponse::builder().status(answer.status());
        for name in [CONTENT_TYPE, RETRY_AFTER, ELASTIC_PRODUCT] {
            if let Some(value) = answer.headers().get(&name) {
                response = response.header(name, HeaderValue::clone(value));
            }
        }
        let body = answer.bytes().await.map_err(unreachable)?;
        response
            .body(Body::from(body))
            .map_err(|error| ApiError::internal(error.to_string()))
    }
}
