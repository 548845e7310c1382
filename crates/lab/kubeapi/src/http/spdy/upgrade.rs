//! SPDY in the place of HTTP/1.1 on a connection, as `kubectl` before 1.31 asks for it.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;

use super::Session;
use crate::status::{ApiError, ApiResult};

const SPDY: &str = "SPDY/3.1";
/// The protocol over SPDY; clients name all that they speak, servers the one that is spoken.
const PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// A request to change to SPDY.
pub(in crate::http) struct Upgrade {
    protocol: &'static str,
    upgrade: OnUpgrade,
}

impl Upgrade {
    /// The request, where it is one, with the first of `protocols` that the client speaks.
    pub(in crate::http) fn of(
        parts: &mut Parts,
        protocols: &[&'static str],
    ) -> ApiResult<Option<Self>> {
        let asked = parts.headers.get(header::UPGRADE);
        if !asked.is_some_and(|asked| asked.as_bytes().eq_ignore_ascii_case(SPDY.as_bytes())) {
            return Ok(None);
        }
        let spoken: Vec<&str> = parts
            .headers
            .get_all(PROTOCOL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        let protocol = protocols
            .iter()
            .find(|protocol| spoken.contains(protocol))
            .ok_or_else(|| {
                ApiError::bad_request(format!(
                    "unable to upgrade: the protocols served are {protocols:?}"
                ))
            })?;
        let upgrade = parts
            .extensions
            .remove::<OnUpgrade>()
            .ok_or_else(|| ApiError::bad_request("unable to upgrade this connection"))?;
        Ok(Some(Self { protocol, upgrade }))
    }

    /// Answers that it is done, and runs `serve` over the connection until the server stops.
    pub(in crate::http) fn serve<F>(
        self,
        stopping: CancellationToken,
        serve: impl FnOnce(Session) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send,
    {
        let upgrade = self.upgrade;
        tokio::spawn(stopping.run_until_cancelled_owned(async move {
            match upgrade.await {
                Ok(upgraded) => serve(Session::start(TokioIo::new(upgraded))).await,
                Err(error) => tracing::debug!(%error, "a connection was not upgraded"),
            }
        }));
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        for (name, value) in [
            (header::CONNECTION, "Upgrade"),
            (header::UPGRADE, SPDY),
            (PROTOCOL, self.protocol),
        ] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
