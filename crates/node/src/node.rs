//! The listener and the engine as one process.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Extension;
use backstay_listen::{CertificateError, Limits, Server, Tls, share_of_files};
use futures::future::try_join_all;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::{NodeConfig, TlsFiles};
use crate::engine::{Engine, EngineError};
use crate::http::{AuthorityError, Peers};
use crate::own_log::OwnLogLines;

/// Connections that a node serves at the same time, where the limit of open files allows them.
const CONNECTIONS: usize = 4096;
/// Likewise on the port of Elasticsearch's API.
const ELASTIC_CONNECTIONS: usize = 1024;
/// Files that are not connections of clients: those to the bucket and to other nodes, segments, what
/// the node keeps in its folder.
const OTHER_FILES: u64 = 256 + Server::MORE_FILES;
/// Who takes nothing of an answer for so long is gone.
const STALLED: Duration = Duration::from_secs(120);
/// Longest wait, once drained, for connections to end where nobody else serves: all that answers
/// has been answered, and a cluster that is stopped as a whole is to be started elsewhere.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// A running node: its engine and its HTTP server.
pub struct Node {
    engine: Engine,
    signals: Signals,
    address: SocketAddr,
    elastic_address: Option<SocketAddr>,
    stop: CancellationToken,
    servers: Vec<JoinHandle<()>>,
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Why a node cannot run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The port cannot be had.
    #[error(
        "cannot listen on {address}: {source}; is another process there? (PORT, ELASTIC_PORT, BACKSTAY_BIND)"
    )]
    Listen {
        /// The address that it was to listen on.
        address: SocketAddr,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// The listener ended with an error while the node served.
    #[error("the HTTP server cannot run: {0}")]
    Serve(#[source] std::io::Error),
    /// The certificate cannot be used.
    #[error(
        "{variable}: {source}; a node reads PEM: have the certificate's chain as tls.crt and its key as tls.key beside the keystore (one of Java, or PKCS #12, is not read itself), or name two files with BACKSTAY_TLS_CERT_FILE and BACKSTAY_TLS_KEY_FILE"
    )]
    Certificate {
        /// The variable that names it.
        variable: &'static str,
        /// The file, and what is wrong with it.
        #[source]
        source: Box<CertificateError>,
    },
    /// The authorities that other nodes are trusted by cannot be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Signals cannot be waited for.
    #[error("cannot wait for signals: {0}")]
    Signal(#[source] std::io::Error),
    /// The engine could not start or go on.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

async fn listen(bind: IpAddr, port: u16) -> Result<(TcpListener, SocketAddr), NodeError> {
    let address = SocketAddr::new(bind, port);
    let listening = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    listening
        .await
        .map_err(|source| NodeError::Listen { address, source })
}

fn certificate(files: &TlsFiles) -> Result<Tls, NodeError> {
    let TlsFiles {
        certificate,
        key,
        named_by,
    } = files;
    Tls::of_files(certificate, key).map_err(|source| NodeError::Certificate {
        variable: named_by,
        source: Box::new(source),
    })
}

impl Node {
    /// Listens, and begins to load the state. Returns as soon as it listens; requests are
    /// answered 503 until [`Engine::ready`].
    ///
    /// # Errors
    /// When the port or the data folder cannot be had.
    pub async fn start(config: NodeConfig) -> Result<Self, NodeError> {
        Self::start_with(config, None).await
    }

    /// The same, with the log of this process, which becomes events of the repository `humio` unless the
    /// configuration says that it does not.
    ///
    /// # Errors
    /// As above.
    pub async fn start_with(
        config: NodeConfig,
        own_log: Option<OwnLogLines>,
    ) -> Result<Self, NodeError> {
        // Before anybody can know that the node is there: a signal that comes early is not lost.
        let signals = Signals::new().map_err(NodeError::Signal)?;
        let tls = config.tls.as_ref().map(certificate).transpose()?;
        let peers = Peers::new(config.authority.clone())?;
        let (listener, address) = listen(config.bind, config.port).await?;
        let elastic = match config.elastic_port {
            Some(port) => Some(listen(config.bind, port).await?),
            None => None,
        };
        let elastic_address = elastic.as_ref().map(|(_, address)| *address);
        let engine = Engine::new(config)?;
        engine.start();
        if let Some(lines) = own_log.filter(|_| engine.config().own_log) {
            engine.store_own_log(lines);
        }
        let stop = CancellationToken::new();
        let of_elastic = elastic.as_ref().map_or(0, |_| ELASTIC_CONNECTIONS);
        let connections = share_of_files(CONNECTIONS + of_elastic, OTHER_FILES);
        let of_elastic = connections * of_elastic / (CONNECTIONS + of_elastic);
        let limits = |connections| Limits {
            stalled: Some(STALLED),
            // Until `shut_down` cuts it.
            end: engine.config().tuning.drain.max(LAST_ANSWERS),
            ..Limits::of(connections)
        };
        let server = Server::new("api", limits(connections - of_elastic)).with_tls(tls.clone());
        let router = crate::http::router_with(engine.clone(), peers.clone())
            .layer(Extension(server.refusals()));
        // Searches may keep all threads of this runtime busy, and probes are to be answered.
        let mut servers = vec![
            server
                .serve_on_own_thread(listener, router, stop.clone())
                .map_err(NodeError::Serve)?,
        ];
        if let Some((listener, address)) = elastic {
            let server = Server::new("elastic", limits(of_elastic.max(1))).with_tls(tls);
            let router = crate::http::elastic(engine.clone(), peers);
            let serving = server.serve_on_own_thread(listener, router, stop.clone());
            servers.push(serving.map_err(NodeError::Serve)?);
            tracing::info!(%address, "listening for Elasticsearch's clients");
        }
        tracing::info!(%address, connections, "listening");
        Ok(Self {
            engine,
            signals,
            address,
            elastic_address,
            stop,
            servers,
        })
    }

    /// The engine behind the HTTP server.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where it listens (of interest when the port was given as 0).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for Elasticsearch's clients, if it does (`ELASTIC_PORT`).
    pub fn elastic_address(&self) -> Option<SocketAddr> {
        self.elastic_address
    }

    /// Runs until SIGTERM or SIGINT, drains, and ends.
    ///
    /// # Errors
    /// When the engine cannot start or the listener breaks.
    pub async fn run_until_signal(mut self) -> Result<(), NodeError> {
        let failed = tokio::select! {
            () = self.signals.recv() => None,
            why = self.engine.failed() => Some(why),
        };
        self.shut_down().await?;
        match failed {
            Some(why) => Err(EngineError::Start(why).into()),
            None => Ok(()),
        }
    }

    /// Hands over to other nodes, drains and ends. While others take over, requests are served;
    /// those that come later are answered 503. What is under way is answered, for as long as the
    /// settings allow where others serve meanwhile. Connections on which nothing moves are cut: a
    /// sender that has stopped must not keep the process alive.
    ///
    /// # Errors
    /// When the listener broke.
    pub async fn shut_down(mut self) -> Result<(), NodeError> {
        let others_serve = self.engine.retire().await;
        self.engine.drain().await;
        self.stop.cancel();
        let limit = if others_serve {
            self.engine.config().tuning.drain
        } else {
            LAST_ANSWERS
        };
        match timeout(limit, try_join_all(&mut self.servers)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(NodeError::Serve(std::io::Error::other(error))),
            Err(_) => {
                tracing::warn!("connections are still open; they are cut");
                self.servers.iter().for_each(JoinHandle::abort);
                Ok(())
            }
        }
    }
}
