//! All of it as one process.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use backstay_listen::{
    CertificateError, Limits, Refusals, Server, Tls, allow_files, share_of_files,
};
use backstay_probe::Prober;
use backstay_token::{FileToken, TokenError};
use backstay_traffic_arm::{self as arm, Api};
use backstay_traffic_dns as dns;
use backstay_traffic_monitor::{self as monitor, Alerts, Endpoints, MonitorApi};
use backstay_traffic_state::{StateError, StateFile};
use hickory_proto::ProtoError;
use prometheus_client::registry::Registry;
use serde::Serialize;
use socket2::Socket;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{ConfigError, TrafficConfig};
use crate::manager::Manager;
use crate::metrics::{Metrics, PREFIX};
use crate::profiles::ProfilesApi;
use crate::{observe, prober};

/// File descriptors that are not probes': connections, listeners, files.
const OTHER_FILES: u64 = 1_024;
/// Connections of each of the HTTP servers at the same time.
const MAX_CONNECTIONS: usize = 256;
/// How often another free port is tried, when the system may choose one for DNS.
const MAX_PORT_ATTEMPTS: usize = 20;

/// Why a traffic manager cannot run.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// A value cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be had.
    #[error("cannot listen on {address} for {what}: {source}; is another process there? ({flag})")]
    Listen {
        /// The address that could not be bound.
        address: SocketAddr,
        /// What the address is for, for the message.
        what: &'static str,
        /// The flag that says where.
        flag: &'static str,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("the TLS certificate cannot be used: {0} (--tls-cert, --tls-key)")]
    Tls(#[from] CertificateError),
    /// TLS of probes cannot be set up.
    #[error("TLS cannot be set up for probes: {0}")]
    Probes(#[source] rustls::Error),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A name cannot be answered.
    #[error("a name cannot be answered: {0}; give a shorter zone")]
    Name(#[from] ProtoError),
    /// A part ended by itself, or could not be started.
    #[error("{what} ended: {source}")]
    Ended {
        /// The part, for the message.
        what: &'static str,
        /// Why, as far as it is known.
        #[source]
        source: io::Error,
    },
    /// Signals cannot be waited for.
    #[error("cannot wait for signals: {0}")]
    Signal(#[source] io::Error),
}

/// Where a traffic manager listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// DNS, on UDP and TCP.
    pub dns: Vec<SocketAddr>,
    /// The Resource Manager API, as the beginning of its URLs.
    pub arm: String,
    /// Metrics, events and status, likewise.
    pub observe: String,
    /// The DNS zone that is answered for.
    pub zone: String,
    /// The file with the token of the Resource Manager API.
    pub token_file: PathBuf,
}

/// A running traffic manager.
pub struct TrafficManager {
    addresses: Addresses,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    threads: Vec<thread::JoinHandle<()>>,
    terminate: Signal,
    interrupt: Signal,
}

impl TrafficManager {
    /// Reads the state, listens everywhere, and begins to probe.
    ///
    /// # Errors
    /// When something that is needed cannot be had.
    pub async fn start(config: TrafficConfig) -> Result<Self, TrafficError> {
        Self::start_with(config, |api| api).await
    }

    /// The same, with an API that also has what `more` adds to it.
    ///
    /// # Errors
    /// When something that is needed cannot be had.
    pub async fn start_with(
        config: TrafficConfig,
        more: impl FnOnce(Api) -> Api,
    ) -> Result<Self, TrafficError> {
        let mut config = config.checked()?;
        // From here on a signal ends it in order, even one that comes before it is waited for.
        let terminate = signal(SignalKind::terminate()).map_err(TrafficError::Signal)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(TrafficError::Signal)?;
        config.max_probes = with_files(config.max_probes);
        let token = FileToken::at(&config.token, "--token-file")?;
        let tls = match &config.tls {
            None => None,
            Some((certificate, key)) => Some(Tls::of_files(certificate, key)?),
        };
        let probes = Prober::new().map_err(TrafficError::Probes)?;
        let (file, saved) = StateFile::open(&config.state)?;
        let mut registry = Registry::with_prefix(PREFIX);
        let dns_metrics = Arc::new(dns::Metrics::new(&mut registry));
        let metrics = Metrics::new(&mut registry);
        let requests = arm::Metrics::new(&mut registry);
        let of_alerts = monitor::Metrics::new(&mut registry, metrics.writes.clone());
        let alerts = Alerts::open(&monitor::path_beside(&config.state), of_alerts)?;
        let manager = Manager::new(config.clone(), file, saved, Arc::new(metrics))?;

        let mut sockets = Vec::new();
        for address in &config.dns {
            sockets.push(bind_dns(*address, config.dns_workers).await?);
        }
        let (arm_listener, arm_at) = bind(config.arm, "the Resource Manager API", "--arm").await?;
        let (observe_listener, observe_at) =
            bind(config.observe, "metrics and events", "--observe").await?;

        let scheme = if tls.is_some() { "https" } else { "http" };
        let addresses = Addresses {
            dns: sockets.iter().map(|it| it.address).collect(),
            arm: format!("{scheme}://{arm_at}"),
            observe: format!("http://{observe_at}"),
            zone: config.zone.clone(),
            token_file: config.token.clone(),
        };
        if tls.is_none() && !arm_at.ip().is_loopback() {
            tracing::warn!(
                address = %arm_at,
                "the Resource Manager API is open to the network without TLS: its token can be read \
                 on the way (--tls-cert, --tls-key)"
            );
        }

        let limits = Limits::of(connections(config.max_probes));
        let arm_server = Server::new("arm", limits).with_tls(tls);
        let observe_server = Server::new("observe", limits);
        let dns_refusals = Refusals::new("dns");
        let stop = CancellationToken::new();
        let (mut tasks, mut threads) = (JoinSet::new(), Vec::new());
        for Bound { tcp, udp, .. } in sockets {
            for socket in udp {
                threads.push(udp_thread(socket, &manager, &config, &dns_metrics, &stop)?);
            }
            let zone = Arc::clone(manager.zone());
            tasks.spawn(dns::tcp::serve(
                tcp,
                zone,
                Arc::clone(&dns_metrics),
                dns_refusals.clone(),
                stop.clone(),
            ));
        }
        let endpoints: Arc<dyn Endpoints> = Arc::clone(&manager) as _;
        let api = Api::new(token, requests)
            .with(ProfilesApi(Arc::clone(&manager)))
            .with(MonitorApi::new(
                Arc::clone(&alerts),
                Arc::clone(&endpoints),
                config.limits,
            ));
        let router = more(api).router();
        let refusals = [
            arm_server.refusals(),
            observe_server.refusals(),
            dns_refusals,
        ];
        let observe = observe::router(
            Arc::clone(&manager),
            Arc::new(registry),
            refusals,
            stop.clone(),
        );
        tasks.spawn(arm_server.serve(arm_listener, router, stop.clone()));
        tasks.spawn(observe_server.serve(observe_listener, observe, stop.clone()));
        tasks.spawn(prober::run(Arc::clone(&manager), probes, stop.clone()));
        let watching = monitor::watch(Arc::clone(&alerts), endpoints, stop.clone());
        let delivering = monitor::deliver(alerts, stop.clone());
        let keeping = manager.run(stop.clone());
        tasks.spawn(async move {
            tokio::join!(watching, delivering, keeping);
        });
        Ok(Self {
            addresses,
            stop,
            tasks,
            threads,
            terminate,
            interrupt,
        })
    }

    /// Where it listens (of interest when a port was given as 0).
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Runs until SIGTERM or SIGINT, and ends.
    ///
    /// # Errors
    /// When a part of it ends by itself.
    pub async fn run_until_signal(mut self) -> Result<(), TrafficError> {
        let ended = tokio::select! {
            _ = self.terminate.recv() => false,
            _ = self.interrupt.recv() => false,
            _ = self.tasks.join_next() => true,
        };
        self.shut_down().await;
        if ended {
            return Err(TrafficError::Ended {
                what: "a part of the traffic manager",
                source: io::Error::other("it should not have"),
            });
        }
        Ok(())
    }

    /// Stops everything, and writes down what is known of endpoints.
    pub async fn shut_down(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        for thread in std::mem::take(&mut self.threads) {
            // It looks for the end several times a second.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for TrafficManager {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn udp_thread(
    socket: Socket,
    manager: &Manager,
    config: &TrafficConfig,
    metrics: &Arc<dns::Metrics>,
    stop: &CancellationToken,
) -> Result<thread::JoinHandle<()>, TrafficError> {
    let (zone, metrics) = (Arc::clone(manager.zone()), Arc::clone(metrics));
    let (rate, stop) = (config.dns_rate, stop.clone());
    thread::Builder::new()
        .name("dns".to_owned())
        .spawn(move || dns::udp::serve(&socket, &zone, rate, &metrics, &stop))
        .map_err(|source| TrafficError::Ended {
            what: "a DNS thread",
            source,
        })
}

/// The sockets of one DNS address.
struct Bound {
    address: SocketAddr,
    tcp: TcpListener,
    udp: Vec<Socket>,
}

/// Takes an address for UDP and TCP. When the system may choose the port, one that is free for both.
async fn bind_dns(wanted: SocketAddr, workers: usize) -> Result<Bound, TrafficError> {
    let mut attempts = if wanted.port() == 0 {
        MAX_PORT_ATTEMPTS
    } else {
        1
    };
    loop {
        attempts -= 1;
        let failed = match try_bind_dns(wanted, workers).await {
            Ok(bound) => return Ok(bound),
            Err(failed) => failed,
        };
        if attempts == 0 {
            return Err(TrafficError::Listen {
                address: wanted,
                what: "DNS",
                flag: "--dns",
                source: failed,
            });
        }
    }
}

async fn try_bind_dns(wanted: SocketAddr, workers: usize) -> io::Result<Bound> {
    let tcp = TcpListener::bind(wanted).await?;
    let address = tcp.local_addr()?;
    // Several sockets can share a port, and so could those of another process of ours.
    drop(std::net::UdpSocket::bind(address)?);
    let udp = (0..workers.max(1)).map(|_| dns::udp::bind(address));
    Ok(Bound {
        address,
        tcp,
        udp: udp.collect::<io::Result<_>>()?,
    })
}

async fn bind(
    address: SocketAddr,
    what: &'static str,
    flag: &'static str,
) -> Result<(TcpListener, SocketAddr), TrafficError> {
    let listen = |source| TrafficError::Listen {
        address,
        what,
        flag,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    Ok((listener, address))
}

/// Raises the limit of open files as far as probes need it, and returns how many probes it leaves
/// room for.
fn with_files(probes: usize) -> usize {
    let left = share_of_files(probes, OTHER_FILES);
    if left < probes {
        tracing::warn!(
            probes = left,
            "the limit of open files allows fewer probes at a time than --max-probes"
        );
    }
    left
}

/// How many connections each of the two HTTP servers may have besides these probes; a quarter of
/// what is left is DNS's, and a quarter for everything else.
fn connections(probes: usize) -> usize {
    let left = allow_files(0).saturating_sub(probes as u64) / 4;
    let left = left.saturating_sub(Server::MORE_FILES).max(1);
    usize::try_from(left)
        .unwrap_or(MAX_CONNECTIONS)
        .min(MAX_CONNECTIONS)
}
