//! Listens for HTTP/1.1, with TLS or without, and lets nobody hold up the others.
//!
//! `axum::serve` accepts without end, has no deadline for a request's head, and knows no TLS. Every
//! server that is open to more than one friend needs the same few things around it, so they are
//! here once:
//! - so many connections at a time, and who comes then waits in the system's queue;
//! - TLS handshakes beside each other, each with a deadline; the certificate can be exchanged while
//!   connections are open ([`Tls`]);
//! - a deadline and a limit for the head of a request, and one for a client that takes nothing of
//!   what it is sent;
//! - a client that is refused in the midst of its request is read on for a while, so that it gets to
//!   see the refusal;
//! - an end: nothing new is accepted, requests under way are answered, what is still open at the
//!   deadline is cut.
//!
//! [`serve`] is all of that; [`allow_files`] makes room for so many connections.

mod connection;
mod files;
mod rest;
mod tls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use connection::Connection;
pub use files::allow_files;
use rest::Rest;
pub use tls::{Tls, server_config, server_config_by};

/// How long to wait when the system has no connection to give: others must end first.
const AGAIN: Duration = Duration::from_millis(100);

/// What a server puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time; more wait until others end.
    pub connections: usize,
    /// A handshake that takes longer is none.
    pub handshake: Duration,
    /// A connection is closed when the head of its next request is not there after so long, so
    /// this also is how long it may rest between two requests. Clients that keep connections
    /// should keep them for less.
    pub head: Duration,
    /// The head of a request may have so many bytes; a longer one is answered 431.
    pub head_bytes: usize,
    /// A client that takes nothing of what it is sent for so long is cut off. `None` lets it rest:
    /// somebody may read a log page by page.
    pub stalled: Option<Duration>,
    /// What requests under way get to end, once the server is stopped.
    pub end: Duration,
}

impl Default for Limits {
    /// For a server that few talk to, with clients that keep their connections (hyper's do for
    /// 90 s).
    fn default() -> Self {
        Self {
            connections: 256,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(120),
            head_bytes: 64 << 10,
            stalled: None,
            end: Duration::from_secs(5),
        }
    }
}

/// Who is at the other end of the connection; each request has it among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Whether it came by TLS.
    pub secure: bool,
}

/// Serves until `stop`, then lets requests end. Dropping it cuts all connections.
///
/// Connections that were handed over to another protocol count until they are dropped, but they
/// are not waited for.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut open = JoinSet::new();
    while let Some((stream, address, place)) = next(&listener, &places, &mut open, &stop).await {
        // Only latency is lost.
        let _ = stream.set_nodelay(true);
        let one = One {
            peer: Peer {
                address,
                secure: tls.is_some(),
            },
            router: router.clone(),
            limits,
            stop: stop.clone(),
        };
        open.spawn(one.serve(stream, tls.clone(), place));
    }
    drop(listener);
    let ended = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.end, ended).await.is_err() {
        open.shutdown().await;
    }
}

/// The next connection, once there is a place for it. `None` when the server is to stop.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    open: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let accept = async {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, address)) => return Some((stream, address, place)),
                Err(error) => {
                    // Out of file descriptors, mostly.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    };
    let mut accept = pin!(accept);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            Some(_) = open.join_next() => {}
            accepted = &mut accept => return accepted,
        }
    }
}

/// One connection.
struct One {
    peer: Peer,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
}

impl One {
    async fn serve(self, stream: TcpStream, tls: Option<Tls>, place: OwnedSemaphorePermit) {
        match tls {
            None => self.answer(stream, place).await,
            Some(tls) => {
                if let Some(stream) = self.shake_hands(stream, &tls).await {
                    self.answer(stream, place).await;
                }
            }
        }
    }

    async fn answer(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        place: OwnedSemaphorePermit,
    ) {
        let stream = Connection::new(stream, self.limits.stalled, place);
        let (peer, router) = (self.peer, self.router);
        let answer = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let mut router = router.clone();
            async move {
                let response = router.call(Rest::of(request).map(Body::new)).await;
                response.map_err(|never: Infallible| never)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_header_size(self.limits.head_bytes)
            .serve_connection(TokioIo::new(stream), answer)
            .with_upgrades();
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %peer.address, %error, "a connection broke");
        }
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
        tls: &Tls,
    ) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
        let shaking = tokio::time::timeout(self.limits.handshake, tls.acceptor().accept(stream));
        let shaken = tokio::select! {
            shaken = shaking => shaken,
            () = self.stop.cancelled() => return None,
        };
        let peer = self.peer.address;
        match shaken {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "a TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!(%peer, "a TLS handshake took too long");
                None
            }
        }
    }
}
