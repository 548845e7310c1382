//! One probe: a connection, perhaps TLS, a GET and the head of its answer.
//!
//! Source: <https://learn.microsoft.com/azure/traffic-manager/traffic-manager-monitoring>. A status
//! code within the expected ranges is health, anything else is not, and redirects are answers like
//! any other. Certificates are not verified: "HTTPS monitoring doesn't verify whether your TLS/SSL
//! certificate is valid, it only checks that the certificate is present". For TCP, a connection is
//! health. The host header is the endpoint's name unless a custom header says otherwise
//! (<https://learn.microsoft.com/azure/traffic-manager/traffic-manager-faqs>).
//!
//! Everything is bounded: the time as a whole, whatever the endpoint does meanwhile, and the bytes
//! that are read. A connection ends with its probe.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::monitor::{Header, MonitorConfig, Protocol, Target};

/// The head of an answer is shorter.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// So much of a body is taken, so that a well-behaved endpoint sees an end and no reset.
const MAX_BODY_BYTES: usize = 64 << 10;
/// And for so long.
const MAX_BODY_TIME: Duration = Duration::from_millis(100);

/// What to probe, and what to expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// What an attempt consists of.
    pub protocol: Protocol,
    /// The endpoint: an address, or a name that is resolved for each attempt.
    pub target: Target,
    /// The endpoint's port.
    pub port: u16,
    /// The longest wait.
    pub timeout: Duration,
    request: Vec<u8>,
    monitor: MonitorConfig,
}

impl Spec {
    /// The probe of an endpoint, which may have custom headers of its own.
    pub fn new(monitor: &MonitorConfig, target: &Target, headers: &[Header]) -> Self {
        Self {
            protocol: monitor.protocol,
            target: target.clone(),
            port: monitor.port,
            timeout: Duration::from_secs(u64::from(monitor.timeout)),
            request: request(monitor, target, headers),
            monitor: monitor.clone(),
        }
    }

    /// Whether the other asks the same of the same endpoint, be it at other times.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        self.protocol == other.protocol
            && self.target == other.target
            && self.port == other.port
            && self.request == other.request
            && self.monitor.expected == other.monitor.expected
    }

    /// From the beginning of one probe to that of the next.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(u64::from(self.monitor.interval))
    }

    /// What is expected, and how many failures are tolerated.
    pub fn monitor(&self) -> &MonitorConfig {
        &self.monitor
    }
}

/// Why an endpoint is not healthy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// Its name has no address.
    #[error("its name cannot be resolved: {0}")]
    Resolve(Box<str>),
    /// No connection came about, for this reason.
    #[error("cannot connect: {0}")]
    Connect(ErrorKind),
    /// The TLS handshake failed; the text says how.
    #[error("TLS failed: {0}")]
    Tls(Box<str>),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(ErrorKind),
    /// It closed before it answered.
    #[error("it closed the connection without an answer")]
    Closed,
    /// What answered does not speak HTTP.
    #[error("its answer is not HTTP")]
    NotHttp,
    /// A head without end.
    #[error("the head of its answer is longer than 16 KiB or has more than 128 lines")]
    Head,
    /// Another status code than those that are expected.
    #[error("HTTP {0}")]
    Status(u16),
}

/// What a probe came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is healthy.
    Healthy,
    /// It is not.
    Failed(ProbeError),
    /// It says nothing about the endpoint: the reason is on our side.
    Void(&'static str),
}

/// Why there is no health: the endpoint, or we.
enum Fault {
    Endpoint(ProbeError),
    Ours(&'static str),
}

impl From<ProbeError> for Fault {
    fn from(error: ProbeError) -> Self {
        Self::Endpoint(error)
    }
}

/// What probes need.
#[derive(Clone)]
pub struct Prober {
    resolver: Result<Arc<TokioResolver>, Arc<str>>,
    tls: TlsConnector,
}

impl Prober {
    /// With the system's name servers and hosts file.
    ///
    /// # Errors
    /// When rustls cannot be set up.
    pub fn new() -> Result<Self, rustls::Error> {
        let resolver = TokioResolver::builder_tokio().and_then(|mut builder| {
            let options = builder.options_mut();
            options.timeout = Duration::from_secs(2);
            options.attempts = 2;
            options.cache_size = 4096;
            builder.build()
        });
        Ok(Self {
            // Addresses can be probed without one.
            resolver: resolver
                .map(Arc::new)
                .map_err(|error| Arc::from(error.to_string())),
            tls: TlsConnector::from(Arc::new(crate::tls::of_probes()?)),
        })
    }

    /// Probes once, from `source` if given. Returns how long it took until the verdict.
    pub async fn probe(&self, spec: &Spec, source: Option<IpAddr>) -> (Outcome, Duration) {
        let begun = Instant::now();
        let result = tokio::time::timeout(spec.timeout, self.attempt(spec, source, begun)).await;
        let took = begun.elapsed();
        match result {
            Ok(Ok(took)) => (Outcome::Healthy, took),
            Ok(Err(Fault::Ours(why))) => (Outcome::Void(why), took),
            Ok(Err(Fault::Endpoint(error))) => (Outcome::Failed(error), took),
            Err(_) => (timed_out(spec.timeout, took), took),
        }
    }

    async fn attempt(
        &self,
        spec: &Spec,
        source: Option<IpAddr>,
        begun: Instant,
    ) -> Result<Duration, Fault> {
        let stream = self.connect(spec, source).await?;
        let tls = match spec.protocol {
            Protocol::Tcp => return Ok(begun.elapsed()),
            Protocol::Http => return ask(stream, spec, begun).await,
            Protocol::Https => &self.tls,
        };
        let name = match &spec.target {
            Target::Address(address) => ServerName::from(*address),
            Target::Name(name) => ServerName::try_from(name.clone())
                .map_err(|_| ProbeError::Tls("the target's name cannot be sent".into()))?,
        };
        let stream = tls
            .connect(name, stream)
            .await
            .map_err(|error| ProbeError::Tls(short(&error.to_string())))?;
        ask(stream, spec, begun).await
    }

    async fn connect(&self, spec: &Spec, source: Option<IpAddr>) -> Result<TcpStream, Fault> {
        let addresses: Vec<IpAddr> = match &spec.target {
            Target::Address(address) => vec![*address],
            Target::Name(name) => self.resolve(name).await?,
        };
        let mut last = Fault::Endpoint(ProbeError::Resolve("no address".into()));
        for address in addresses {
            if source.is_some_and(|it| it.is_ipv4() != address.is_ipv4()) {
                last = Fault::Ours("the vantage point's address is of the other IP version");
                continue;
            }
            match connect(SocketAddr::new(address, spec.port), source).await {
                Ok(stream) => return Ok(stream),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ProbeError> {
        let failed = |why: &str| ProbeError::Resolve(short(why));
        let resolver = self.resolver.as_ref().map_err(|error| failed(error))?;
        // The last dot: no search list.
        let found = resolver
            .lookup_ip(format!("{name}."))
            .await
            .map_err(|error| failed(&error.to_string()))?;
        Ok(found.iter().take(4).collect())
    }
}

impl std::fmt::Debug for Prober {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prober").finish_non_exhaustive()
    }
}

/// What it means that the timer went off after `took`.
///
/// A timer that goes off far too late says that this process or machine was stopped meanwhile, or
/// had no time; the endpoint may have answered long ago.
fn timed_out(timeout: Duration, took: Duration) -> Outcome {
    let grace = (timeout / 2).max(Duration::from_secs(1));
    if took > timeout + grace {
        Outcome::Void("the clock jumped")
    } else {
        Outcome::Failed(ProbeError::Timeout(timeout))
    }
}

async fn connect(to: SocketAddr, source: Option<IpAddr>) -> Result<TcpStream, Fault> {
    let socket = if to.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let socket = socket.map_err(|_| Fault::Ours("no socket is left"))?;
    if let Some(source) = source {
        socket
            .bind(SocketAddr::new(source, 0))
            .map_err(|_| Fault::Ours("the vantage point's address cannot be used"))?;
    }
    match socket.connect(to).await {
        Ok(stream) => Ok(stream),
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
            Err(Fault::Ours("no local port is left"))
        }
        Err(error) => Err(ProbeError::Connect(error.kind()).into()),
    }
}

/// Sends the request, reads the head of the answer, and judges it.
async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    spec: &Spec,
    begun: Instant,
) -> Result<Duration, Fault> {
    let broken = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => ProbeError::Closed,
        kind => ProbeError::Broken(kind),
    };
    stream.write_all(&spec.request).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let mut head = Vec::with_capacity(1024);
    let code = loop {
        if let Some(code) = status(&mut head)? {
            break code;
        }
        if head.len() >= MAX_HEAD_BYTES {
            return Err(ProbeError::Head.into());
        }
        let room = u64::try_from(MAX_HEAD_BYTES - head.len()).unwrap_or(0);
        let read = (&mut stream).take(room).read_buf(&mut head).await;
        if read.map_err(broken)? == 0 {
            return Err(ProbeError::Closed.into());
        }
    };
    let took = begun.elapsed();
    // Whatever comes of this, the verdict stands.
    let _ = tokio::time::timeout(MAX_BODY_TIME, async {
        let mut rest = (&mut stream).take(MAX_BODY_BYTES as u64);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    })
    .await;
    if spec.monitor.expects(code) {
        Ok(took)
    } else {
        Err(ProbeError::Status(code).into())
    }
}

/// The status code, when the head is there as a whole. Interim answers (1xx) are passed over.
fn status(head: &mut Vec<u8>) -> Result<Option<u16>, ProbeError> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(head) {
            Ok(httparse::Status::Partial) => return Ok(None),
            Ok(httparse::Status::Complete(length)) => match response.code {
                Some(100..=199) => {
                    head.drain(..length);
                }
                Some(code) => return Ok(Some(code)),
                None => return Err(ProbeError::NotHttp),
            },
            Err(httparse::Error::TooManyHeaders) => return Err(ProbeError::Head),
            Err(_) => return Err(ProbeError::NotHttp),
        }
    }
}

/// The request, with the endpoint's custom headers before the profile's and both before ours.
fn request(monitor: &MonitorConfig, target: &Target, headers: &[Header]) -> Vec<u8> {
    let Some(path) = &monitor.path else {
        return Vec::new();
    };
    let host = match target {
        Target::Address(IpAddr::V6(address)) => format!("[{address}]"),
        other => other.to_string(),
    };
    let own = [
        ("Host", host.as_str()),
        (
            "User-Agent",
            concat!("backstay-probe/", env!("CARGO_PKG_VERSION")),
        ),
        ("Accept", "*/*"),
    ];
    let custom = headers.iter().chain(&monitor.headers);
    let custom = custom.map(|Header { name, value }| (name.as_str(), value.as_str()));
    let mut headers: Vec<(&str, &str)> = Vec::new();
    for (name, value) in custom.chain(own) {
        let known = headers.iter().any(|(it, _)| it.eq_ignore_ascii_case(name));
        if !known {
            headers.push((name, value));
        }
    }
    let mut text = format!("GET {path} HTTP/1.1\r\n");
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.push_str("Connection: close\r\n\r\n");
    text.into_bytes()
}

fn short(text: &str) -> Box<str> {
    text.chars().take(160).collect::<String>().into()
}
