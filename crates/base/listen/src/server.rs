//! A server: accepts, and has each connection served.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Handle};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::exchange::{Exchange, Peer};
use crate::places::{LEAVING, Places, RESERVED};
use crate::refusals::{Refusal, Refusals};
use crate::{Limits, Tls};

/// How long to wait when the system has no connection to give: others must end first.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// A server of HTTP/1.1.
#[derive(Debug)]
pub struct Server {
    limits: Limits,
    tls: Option<Tls>,
    refusals: Refusals,
    /// Where handlers run, if not here.
    work: Option<Handle>,
}

impl Server {
    /// Files that the connections of a server can take beyond [`Limits::connections`].
    pub const MORE_FILES: u64 = (RESERVED + LEAVING) as u64;

    /// Without TLS. The name is what its metrics and logs are told by.
    pub fn new(name: &'static str, limits: Limits) -> Self {
        Self {
            limits,
            tls: None,
            refusals: Refusals::new(name),
            work: None,
        }
    }

    /// With TLS, where there is some.
    #[must_use]
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// What it refuses.
    pub fn refusals(&self) -> Refusals {
        self.refusals.clone()
    }

    /// Serves until `stop`, then lets requests end. Dropping it cuts all connections.
    ///
    /// Connections that were handed over to another protocol count until they are dropped, but they
    /// are not waited for.
    pub async fn serve(self, listener: TcpListener, router: Router, stop: CancellationToken) {
        let following = self.tls.clone().map(|tls| tokio::spawn(tls.follow()));
        let _following = following.map(AbortOnDropHandle::new);
        let places = Places::new(&self.limits, self.refusals.clone());
        let bound = self.limits.connections.max(1) + RESERVED + LEAVING;
        let files = Arc::new(Semaphore::new(bound.min(Semaphore::MAX_PERMITS)));
        let mut open = JoinSet::new();
        let next = Next {
            listener: &listener,
            files: &files,
            places: &places,
            refusals: &self.refusals,
            stop: &stop,
        };
        while let Some((stream, address, file)) = next.connection(&mut open).await {
            // Only latency is lost.
            let _ = stream.set_nodelay(true);
            let exchange = Exchange {
                peer: Peer {
                    address,
                    secure: self.tls.is_some(),
                },
                router: router.clone(),
                limits: self.limits,
                refusals: self.refusals.clone(),
                place: Arc::new(places.enter(address.ip())),
                work: self.work.clone(),
                stop: stop.clone(),
            };
            open.spawn(exchange.serve(stream, self.tls.clone(), file));
        }
        drop(listener);
        let ended = async { while open.join_next().await.is_some() {} };
        if tokio::time::timeout(self.limits.end, ended).await.is_err() {
            open.shutdown().await;
        }
    }

    /// [Serves](Self::serve) on a thread of its own, where probes are answered as well, whatever
    /// keeps the threads of this runtime busy; all other handlers run on this runtime. To abort what
    /// is returned cuts all connections, and so does the end of this runtime.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn serve_on_own_thread(
        self,
        listener: TcpListener,
        router: Router,
        stop: CancellationToken,
    ) -> io::Result<JoinHandle<()>> {
        let server = Self {
            work: Some(Handle::current()),
            ..self
        };
        // A socket belongs to the runtime that waits for it.
        let listener = listener.into_std()?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let cut = CancellationToken::new();
        let is_cut = cut.clone();
        let (ends, ended) = oneshot::channel::<()>();
        thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    match TcpListener::from_std(listener) {
                        Ok(listener) => {
                            let serving = server.serve(listener, router, stop);
                            is_cut.run_until_cancelled(serving).await;
                        }
                        Err(error) => tracing::error!(%error, "the HTTP server cannot start"),
                    }
                });
                runtime.shutdown_background();
                drop(ends);
            })?;
        let cut = cut.drop_guard();
        Ok(tokio::spawn(async move {
            let _cut = cut;
            // It only ever ends.
            let _ = ended.await;
        }))
    }
}

/// Where the next connection comes from.
struct Next<'a> {
    listener: &'a TcpListener,
    /// As many as connections can be open, with those that are about to end.
    files: &'a Arc<Semaphore>,
    places: &'a Arc<Places>,
    refusals: &'a Refusals,
    stop: &'a CancellationToken,
}

impl Next<'_> {
    /// `None` when the server is to stop.
    async fn connection(
        &self,
        open: &mut JoinSet<()>,
    ) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let mut accept = pin!(self.accept());
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                Some(_) = open.join_next() => {}
                accepted = &mut accept => return accepted,
            }
        }
    }

    async fn accept(&self) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let file = Arc::clone(self.files).acquire_owned().await.ok()?;
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => return Some((stream, address, file)),
                Err(error) => {
                    // Out of file descriptors, mostly.
                    let error = error.to_string();
                    self.refusals.add(Refusal::Unaccepted, None, Some(&error));
                    self.places.evict_one();
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
    }
}
