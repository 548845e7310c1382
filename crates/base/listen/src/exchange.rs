//! What goes on over one connection.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tower::Service as _;

use crate::connection::Connection;
use crate::places::Place;
use crate::refusals::{Refusal, Refusals};
use crate::relay::relayed;
use crate::rest::{Rest, Slow};
use crate::seat::UnderWay;
use crate::{Limits, Tls};

/// What probes ask for; it is answered when nothing else is.
const PROBE_PATHS: [&str; 6] = [
    "/api/v1/is-node-up",
    "/api/v1/status",
    "/metrics",
    "/healthz",
    "/livez",
    "/readyz",
];
/// A connection that has lost its place and has no request under way is cut after so long.
const EVICTION_GRACE: Duration = Duration::from_millis(200);

/// Who is at the other end of the connection; each request has it among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// Whether it came by TLS.
    pub secure: bool,
}

/// A connection that is served, with what its requests share.
pub(crate) struct Exchange {
    pub(crate) peer: Peer,
    pub(crate) router: Router,
    pub(crate) limits: Limits,
    pub(crate) refusals: Refusals,
    pub(crate) place: Arc<Place>,
    pub(crate) stop: CancellationToken,
    /// Where handlers run, if not here.
    pub(crate) work: Option<Handle>,
}

impl Exchange {
    pub(crate) async fn serve(
        self,
        stream: TcpStream,
        tls: Option<Tls>,
        file: OwnedSemaphorePermit,
    ) {
        match tls {
            None => self.answer(stream, file).await,
            Some(tls) => {
                if let Some(stream) = self.shake_hands(stream, &tls).await {
                    self.answer(stream, file).await;
                }
            }
        }
    }

    async fn answer(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        file: OwnedSemaphorePermit,
    ) {
        let place = Arc::clone(&self.place);
        let refusals = self.refusals.clone();
        let stream = Connection::new(stream, self.limits, refusals, Arc::clone(&place), file);
        let (stop, peer) = (self.stop.clone(), self.peer.address);
        let head_bytes = self.limits.head_bytes;
        let asked = Arc::new(self);
        let answer = service_fn(move |request| {
            let asked = Arc::clone(&asked);
            async move { Ok::<_, Infallible>(asked.respond(request).await) }
        });
        let connection = http1::Builder::new()
            // The connection itself has deadlines.
            .header_read_timeout(None)
            .max_header_size(head_bytes)
            .serve_connection(TokioIo::new(stream), answer)
            .with_upgrades();
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = place.seat.evicted.notified() => {
                connection.as_mut().graceful_shutdown();
                loop {
                    tokio::select! {
                        ended = connection.as_mut() => break ended,
                        () = tokio::time::sleep(EVICTION_GRACE) => {}
                    }
                    // A request may have come at the last moment; it is answered.
                    if place.seat.waiting_since().is_some() {
                        return;
                    }
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection broke");
        }
    }

    async fn respond(&self, mut request: Request<Incoming>) -> Response {
        request.extensions_mut().insert(self.peer);
        match self.place.begin() {
            Some(under_way) => self.handle(request, under_way).await,
            None if is_probe(&request) => {
                let request = Rest::of(request, self.limits.body, &Slow::default(), None);
                closing(self.route(request).await)
            }
            None => {
                self.refuse(Refusal::Crowded);
                // Its body is read on for a while, so that it sees the answer.
                drop(Rest::of(request, self.limits.body, &Slow::default(), None));
                closing(crowded())
            }
        }
    }

    async fn handle(&self, request: Request<Incoming>, under_way: UnderWay) -> Response {
        let slow = Slow::default();
        let request = Rest::of(request, self.limits.body, &slow, Some(under_way.clone()));
        let response = self.route(request).await;
        let response = if slow.is_so() {
            self.refuse(Refusal::SlowBody);
            match response.status().is_success() {
                true => response,
                false => closing(too_slow(&self.limits)),
            }
        } else {
            response
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.place.seat.hand_over();
        }
        response.map(|body| {
            Body::new(Answer {
                body,
                _under_way: under_way,
            })
        })
    }

    async fn route(&self, request: Request<Rest>) -> Response {
        let mut router = self.router.clone();
        let work = self.work.as_ref().filter(|_| !is_probe(&request));
        let answering = router.call(request.map(Body::new));
        let answered = match work {
            None => answering.await,
            Some(work) => {
                let answering = work.spawn(async { answering.await.map(relayed) });
                match AbortOnDropHandle::new(answering).await {
                    Ok(answered) => answered,
                    // It panicked, or its runtime is at its end.
                    Err(error) => {
                        tracing::error!(peer = %self.peer.address, %error, "a request was not handled");
                        return closing(StatusCode::INTERNAL_SERVER_ERROR.into_response());
                    }
                }
            }
        };
        answered.unwrap_or_else(|never| match never {})
    }

    fn refuse(&self, refusal: Refusal) {
        self.refusals
            .add(refusal, Some(self.peer.address.ip()), None);
    }

    async fn shake_hands(&self, stream: TcpStream, tls: &Tls) -> Option<TlsStream<TcpStream>> {
        let shaking = tokio::time::timeout(self.limits.handshake, tls.acceptor().accept(stream));
        let shaken = tokio::select! {
            shaken = shaking => shaken,
            () = self.stop.cancelled() => return None,
            () = self.place.seat.evicted.notified() => return None,
        };
        match shaken {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(peer = %self.peer.address, %error, "a TLS handshake failed");
                None
            }
            Err(_) => {
                self.refuse(Refusal::Handshake);
                None
            }
        }
    }
}

fn is_probe<B>(request: &Request<B>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && PROBE_PATHS.contains(&request.uri().path())
}

fn crowded() -> Response {
    let seconds = HeaderValue::from_static("1");
    let why = "too many requests are under way on this server; send it again\n";
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [(RETRY_AFTER, seconds)],
        why,
    )
        .into_response()
}

fn too_slow(limits: &Limits) -> Response {
    let why = format!(
        "the body came more slowly than {} bytes a second; send it again, in smaller parts\n",
        limits.body.bytes_per_second
    );
    (StatusCode::REQUEST_TIMEOUT, why).into_response()
}

/// The connection is closed after this answer.
fn closing(mut response: Response) -> Response {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

/// An answer, which is under way until all of it is sent.
struct Answer {
    body: Body,
    _under_way: UnderWay,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
