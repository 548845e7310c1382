//! One request: where it goes, there and back.

use std::error::Error as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Method, Uri, Version, header};
use axum::response::Response;
use axum::{Extension, Router};
use backstay_listen::Peer;
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;

use crate::body::{Download, Lent, Upload};
use crate::choose::{Failure, again};
use crate::connection::{self, Connector};
use crate::endpoint::{Endpoint, InFlight};
use crate::headers;
use crate::host;
use crate::metrics::{Counted, Metrics};
use crate::problem::Problem;
use crate::table::{Backend, Route, Table};

/// A connection to an endpoint is kept for so long without a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// So many of them to each.
const MAX_IDLE_CONNECTIONS: usize = 256;

/// What every request needs.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// `None` until the first is known.
    pub table: ArcSwapOption<Table>,
    pub metrics: Metrics,
    client: Client<Connector, Lent>,
    quiet: Duration,
}

impl Proxy {
    /// `connect` is the deadline for a connection to an endpoint, `quiet` for either side to move; `tls` is
    /// for endpoints that speak it.
    pub(crate) fn new(connect: Duration, quiet: Duration, tls: rustls::ClientConfig) -> Self {
        let connector = connection::connector(connect, tls);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .build(connector);
        Self {
            table: ArcSwapOption::empty(),
            metrics: Metrics::new(),
            client,
            quiet,
        }
    }

    /// Passes on everything.
    pub(crate) fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(forward).with_state(self)
    }

    /// Where a request goes now.
    fn backend(&self, wanted: &Wanted) -> Result<Arc<Backend>, Problem> {
        let table = self.table.load();
        let table = table.as_ref().ok_or(Problem::NotKnown)?;
        match table.route(&wanted.host, wanted.path.path()) {
            Route::To(backend) => Ok(Arc::clone(backend)),
            Route::NoHost => Err(Problem::UnknownHost(wanted.host.clone())),
            Route::NoPath => Err(Problem::UnknownPath {
                host: wanted.host.clone(),
                path: wanted.path.path().to_owned(),
            }),
        }
    }

    /// Sends the request to an endpoint, and to another one as long as that is safe.
    async fn send(
        &self,
        wanted: &Wanted,
        parts: &Parts,
        upload: &Upload,
        name: &mut String,
    ) -> Result<(hyper::Response<Incoming>, InFlight), Problem> {
        let mut tried: Vec<SocketAddr> = Vec::new();
        let mut last = None;
        loop {
            // Looked up each time: pods may have come and gone.
            let backend = self.backend(wanted)?;
            backend.name.clone_into(name);
            let Some(endpoint) = backend.choose(&tried) else {
                return Err(match last {
                    Some(failure) => Problem::of(failure, name),
                    None => Problem::NoEndpoint(backend.problem.clone()),
                });
            };
            if last.is_some() {
                self.metrics.retried(name);
            }
            let in_flight = Arc::clone(&endpoint).enter();
            let failure = match self
                .attempt(wanted, parts, upload, &backend, &endpoint)
                .await
            {
                Ok(response) => return Ok((response, in_flight)),
                Err(failure) => failure,
            };
            tracing::debug!(backend = name, endpoint = %endpoint.address(), ?failure, "an attempt failed");
            if failure == Failure::Unsent {
                endpoint.refused();
            }
            tried.push(endpoint.address());
            if !again(&parts.method, failure, upload.is_taken(), tried.len()) {
                return Err(Problem::of(failure, name));
            }
            last = Some(failure);
        }
    }

    async fn attempt(
        &self,
        wanted: &Wanted,
        parts: &Parts,
        upload: &Upload,
        backend: &Backend,
        endpoint: &Endpoint,
    ) -> Result<hyper::Response<Incoming>, Failure> {
        let uri = Uri::builder()
            .scheme(backend.scheme)
            .authority(endpoint.address().to_string())
            .path_and_query(wanted.path.clone())
            .build();
        let mut request = hyper::Request::new(upload.lend());
        *request.method_mut() = parts.method.clone();
        // An address and a path make an address with a path.
        *request.uri_mut() = uri.map_err(|_| Failure::Unsent)?;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = parts.headers.clone();
        let mut answer = pin!(self.client.request(request));
        loop {
            let (moved, _) = upload.progress();
            tokio::select! {
                answer = answer.as_mut() => return answer.map_err(|error| why(&error)),
                () = tokio::time::sleep_until(moved + self.quiet) => {}
            }
            let (moved, client_is_next) = upload.progress();
            if moved + self.quiet <= Instant::now() {
                return Err(if client_is_next {
                    Failure::ClientSilent
                } else {
                    Failure::Silent
                });
            }
        }
    }
}

/// How far a request got that has no answer.
fn why(error: &legacy::Error) -> Failure {
    // "Canceled" is a request that was still waiting for its turn when the connection ended; hyper
    // gives it back unsent.
    let unsent = error
        .source()
        .and_then(|source| source.downcast_ref::<hyper::Error>())
        .is_some_and(hyper::Error::is_canceled);
    if error.is_connect() || unsent {
        Failure::Unsent
    } else {
        Failure::Unanswered
    }
}

/// What a request asks for.
#[derive(Debug)]
struct Wanted {
    /// To look it up by.
    host: String,
    /// As the client wrote it.
    written: HeaderValue,
    path: PathAndQuery,
}

impl Wanted {
    fn of(parts: &Parts) -> Result<Self, Problem> {
        if parts.method == Method::CONNECT {
            return Err(Problem::Method(parts.method.clone()));
        }
        let written = match parts.uri.authority() {
            // An absolute address goes before the header (RFC 9112, section 3.2.2).
            Some(authority) => {
                // Not with the user and password that may stand before it.
                let host = authority.as_str().rsplit('@').next().unwrap_or_default();
                HeaderValue::from_str(host).map_err(|_| Problem::Host)?
            }
            None => {
                let mut hosts = parts.headers.get_all(header::HOST).iter();
                match (hosts.next(), hosts.next()) {
                    (Some(host), None) => host.clone(),
                    _ => return Err(Problem::Host),
                }
            }
        };
        let host = written.to_str().ok().and_then(host::normal);
        let path = match parts.uri.path_and_query() {
            None => PathAndQuery::from_static("/"),
            Some(path) => path.clone(),
        };
        if !path.path().starts_with('/') {
            return Err(Problem::Path);
        }
        Ok(Self {
            host: host.ok_or(Problem::Host)?,
            written,
            path,
        })
    }
}

async fn forward(
    State(proxy): State<Arc<Proxy>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let counted = proxy.metrics.count();
    let mut name = String::new();
    let response = match answer(&proxy, peer, request, &mut name, counted).await {
        Ok(response) => response,
        Err(problem) => problem.answer(),
    };
    proxy.metrics.answered(&name, response.status().as_u16());
    response
}

async fn answer(
    proxy: &Proxy,
    peer: Peer,
    request: Request,
    name: &mut String,
    counted: Counted,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let wanted = Wanted::of(&parts)?;
    headers::of_request(&mut parts.headers, &wanted.written, peer);
    if body.is_end_stream() {
        headers::without_body(&mut parts.headers, &parts.method);
    }
    let upload = Upload::new(body);
    let (response, in_flight) = proxy.send(&wanted, &parts, &upload, name).await?;
    let (mut head, body) = response.into_parts();
    headers::without_hop(&mut head.headers);
    head.version = Version::HTTP_11;
    let body = Download::new(body, proxy.quiet, in_flight, counted);
    Ok(Response::from_parts(head, Body::new(body)))
}
