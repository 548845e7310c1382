//! The ingress proxy of a region: what the world sends to the region's address goes to the pods
//! that are ready for it.
//!
//! It watches ingresses, services, endpoints and TLS secrets of one namespace by the Kubernetes API
//! and makes a table of routes of them (`table`), which is exchanged as a whole: a request takes no
//! lock and sees one moment. While the API is away, requests go by what was known last.
//!
//! - No endpoint is ready, or none takes a connection: 503 with `Retry-After`, and nothing was
//!   done. No rule for the host or path: 404. The connection broke after something was sent: 502,
//!   and whether it was done is not known. Silence: 504 of an endpoint, 408 of the client.
//! - Which endpoint, and whether a request may be sent again, are functions without I/O
//!   (`choose`). What may have been acted on is sent again only when it is a `GET` or `HEAD`.
//! - A pod that goes gets no new requests; those under way end.
//! - Bodies are passed on as they come, both ways.
//! - `X-Forwarded-For`, `-Proto` and `-Host` say what the proxy knows; what a client says of itself
//!   in them is not passed on.
//! - `nginx.ingress.kubernetes.io/backend-protocol: HTTPS`: pods are spoken to by TLS, whatever certificate
//!   they show.
//!
//! HTTP/1.1 on both sides. Left out: HTTP/2, upgrades to other protocols (a request for one is
//! passed on without it), rewriting, annotations but one, `status.loadBalancer` (its role may
//! only read), services of type `ExternalName`, cross-namespace routes.

mod body;
mod certificates;
mod choose;
mod connection;
mod endpoint;
mod headers;
mod health;
mod host;
mod metrics;
mod problem;
mod proxy;
mod table;
mod watch;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backstay_listen::{Limits, Server, Tls, share_of_files};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::certificates::Certificates;
use crate::proxy::Proxy;

/// Files besides those of requests.
const OTHER_FILES: u64 = 256 + 3 * Server::MORE_FILES;
/// Connections for `/healthz` and `/metrics`.
const MAX_HEALTH_CONNECTIONS: usize = 64;
/// Files of a connection of a client: it has one to an endpoint, and there are two addresses.
const FILES_PER_REQUEST: usize = 4;

/// Where the ingress listens, which Ingresses it serves, and how long it waits.
#[derive(Clone, Debug)]
pub struct IngressOptions {
    /// Where to listen for HTTP.
    pub http: SocketAddr,
    /// Where to listen for HTTPS.
    pub https: Option<SocketAddr>,
    /// Where to answer `/healthz` and `/metrics`.
    pub health: Option<SocketAddr>,
    /// Where the ingresses, and all that they name, are.
    pub namespace: String,
    /// The class of the ingresses. Those that name no class are served too.
    pub class: String,
    /// Connections of clients at the same time, on each address. Where the limit of open files is
    /// too low for so many, there are fewer. Requests beyond that are answered 503.
    pub connections: usize,
    /// How long the head of a request may take.
    pub head: Duration,
    /// How long a connection may rest between requests.
    pub idle: Duration,
    /// How long a connection to an endpoint may take.
    pub connect: Duration,
    /// How long either side may be silent while a request is under way.
    pub quiet: Duration,
    /// What requests under way get to end when the proxy is to stop.
    pub end: Duration,
}

impl IngressOptions {
    /// For HTTP on this address, in the namespace `logging`.
    pub fn new(http: SocketAddr) -> Self {
        Self {
            http,
            https: None,
            health: None,
            namespace: "logging".to_owned(),
            class: "nginx".to_owned(),
            connections: 4096,
            head: Duration::from_secs(10),
            // Longer than clients keep a connection: Go's and hyper's do for 90 s.
            idle: Duration::from_secs(100),
            connect: Duration::from_secs(2),
            quiet: Duration::from_secs(60),
            // A pod has 30 s by default.
            end: Duration::from_secs(25),
        }
    }
}

/// Why the proxy does not start.
#[derive(Debug, thiserror::Error)]
pub enum IngressError {
    /// An address.
    #[error(
        "cannot listen on {address} for {what}: {source}; stop what listens there, or choose another"
    )]
    Listen {
        /// The address that could not be bound.
        address: SocketAddr,
        /// What the address is for, for the message.
        what: &'static str,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// The TLS configuration is not valid.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[source] rustls::Error),
}

/// Where a proxy listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The address for plain HTTP.
    pub http: SocketAddr,
    /// The address for HTTPS; none means no TLS.
    pub https: Option<SocketAddr>,
    /// For `/healthz` and `/metrics`.
    pub health: Option<SocketAddr>,
}

/// A proxy that has its addresses, and serves once it [runs](Self::run).
#[derive(Debug)]
pub struct Ingress {
    options: IngressOptions,
    addresses: Addresses,
    http: TcpListener,
    https: Option<TcpListener>,
    health: Option<TcpListener>,
    tls: Tls,
    /// TLS to pods that speak it.
    to_pods: rustls::ClientConfig,
}

impl Ingress {
    /// Takes its addresses.
    ///
    /// # Errors
    /// When one cannot be had.
    pub async fn bind(options: IngressOptions) -> Result<Self, IngressError> {
        let nothing = Arc::new(Certificates::default());
        let tls = backstay_listen::server_config_by(nothing).map_err(IngressError::Tls)?;
        let to_pods = backstay_tls::any_certificate().map_err(IngressError::Tls)?;
        let (http, http_at) = listen(options.http, "HTTP").await?;
        let (https, https_at) = listen_where_asked(options.https, "HTTPS").await?;
        let (health, health_at) = listen_where_asked(options.health, "health").await?;
        Ok(Self {
            options,
            addresses: Addresses {
                http: http_at,
                https: https_at,
                health: health_at,
            },
            http,
            https,
            health,
            tls: Tls::new(tls),
            to_pods,
        })
    }

    /// Where it listens (of interest when a port was given as 0).
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Routes until `stop`, then takes no more, and returns when requests under way have ended.
    pub async fn run(self, client: kube::Client, stop: CancellationToken) {
        let options = self.options;
        let proxy = Arc::new(Proxy::new(options.connect, options.quiet, self.to_pods));
        let wanted = options.connections.saturating_mul(FILES_PER_REQUEST);
        let connections = share_of_files(wanted, OTHER_FILES) / FILES_PER_REQUEST;
        if connections < options.connections {
            tracing::warn!(
                connections,
                wanted = options.connections,
                "the limit of open files allows fewer connections"
            );
        }
        let limits = Limits {
            head: options.head,
            idle: options.idle,
            stalled: Some(options.quiet),
            end: options.end,
            ..Limits::of(connections)
        };
        // Until the last request has ended.
        let ended = CancellationToken::new();
        let watching = watch::run(
            client,
            options.namespace,
            options.class,
            Arc::clone(&proxy),
            self.tls.clone(),
        );
        let watching = ended.run_until_cancelled(watching);
        let router = Arc::clone(&proxy).router();
        let plain = Server::new("http", limits);
        let secure = Server::new("https", limits).with_tls(Some(self.tls));
        let inner = Server::new("health", Limits::of(MAX_HEALTH_CONNECTIONS));
        let refusals = [&plain, &secure, &inner].map(Server::refusals);
        let http = plain.serve(self.http, router.clone(), stop.clone());
        let https = async {
            if let Some(listener) = self.https {
                secure.serve(listener, router, stop.clone()).await;
            }
        };
        let serving = async {
            tokio::join!(http, https);
            ended.cancel();
        };
        let health = async {
            if let Some(listener) = self.health {
                let router = health::router(Arc::clone(&proxy), refusals, stop.clone());
                inner.serve(listener, router, ended.clone()).await;
            }
        };
        tokio::join!(watching, serving, health);
    }
}

/// [Binds](Ingress::bind) and [runs](Ingress::run).
///
/// # Errors
/// When an address cannot be had.
pub async fn run(
    options: IngressOptions,
    client: kube::Client,
    stop: CancellationToken,
) -> Result<(), IngressError> {
    Ingress::bind(options).await?.run(client, stop).await;
    Ok(())
}

async fn listen_where_asked(
    address: Option<SocketAddr>,
    what: &'static str,
) -> Result<(Option<TcpListener>, Option<SocketAddr>), IngressError> {
    let Some(address) = address else {
        return Ok((None, None));
    };
    let (listener, at) = listen(address, what).await?;
    Ok((Some(listener), Some(at)))
}

async fn listen(
    address: SocketAddr,
    what: &'static str,
) -> Result<(TcpListener, SocketAddr), IngressError> {
    let failed = |source| IngressError::Listen {
        address,
        what,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let at = listener.local_addr().map_err(failed)?;
    Ok((listener, at))
}
