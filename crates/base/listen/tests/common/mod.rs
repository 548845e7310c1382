//! A server, and clients that do no more than they are told.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use backstay_listen::{Limits, Refusal, Refusals, Server, Tls, server_config};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

pub use backstay_testkit::until;

/// Nothing takes longer unless it hangs.
pub const HANG: Duration = Duration::from_secs(60);

pub struct Served {
    pub address: SocketAddr,
    pub refusals: Refusals,
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
}

impl Served {
    pub async fn start(router: Router, tls: Option<Tls>, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = Server::new("test", limits).with_tls(tls);
        let refusals = server.refusals();
        let task = tokio::spawn(server.serve(listener, router, stop.clone()));
        Self {
            address,
            refusals,
            stop,
            task,
        }
    }

    /// The same, on a thread of its own.
    pub async fn start_apart(router: Router, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = Server::new("test", limits);
        let refusals = server.refusals();
        let serving = server.serve_on_own_thread(listener, router, stop.clone());
        Self {
            address,
            refusals,
            stop,
            task: serving.unwrap(),
        }
    }

    /// How many of a kind were refused.
    pub fn count(&self, refusal: Refusal) -> u64 {
        self.refusals.count(refusal)
    }

    /// Connects from another address of this machine.
    pub async fn connect_from(&self, last: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, last], 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

pub struct Certificate(CertifiedKey<rcgen::KeyPair>);

impl Certificate {
    pub fn new(name: &str) -> Self {
        Self(generate_simple_self_signed(vec![name.to_owned()]).unwrap())
    }

    pub fn config(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.0.signing_key.serialize_der()).unwrap();
        server_config(vec![self.0.cert.der().clone()], key).unwrap()
    }

    pub fn tls(&self) -> Tls {
        Tls::new(self.config())
    }

    /// Connects as a client that trusts this certificate and no other.
    pub async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        tokio::time::timeout(HANG, connecting).await.unwrap()
    }
}

/// A request for `/` on a connection that stays open; answers with head and body.
pub async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    ask_for(stream, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await
}

/// A request on a connection that stays open; answers with head and body.
pub async fn ask_for(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !is_whole(&answer) {
        let mut part = [0; 4096];
        let read = tokio::time::timeout(HANG, stream.read(&mut part)).await;
        let read = read.unwrap().unwrap();
        assert_ne!(
            read,
            0,
            "ended after {:?}",
            String::from_utf8_lossy(&answer)
        );
        answer.extend_from_slice(&part[..read]);
    }
    String::from_utf8(answer).unwrap()
}

fn is_whole(answer: &[u8]) -> bool {
    let answer = String::from_utf8_lossy(answer);
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    body.len() >= length
}

/// What comes until the connection ends.
pub async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    let read = tokio::time::timeout(HANG, stream.read_to_end(&mut all)).await;
    // A connection may also be reset.
    let _ = read.unwrap();
    String::from_utf8(all).unwrap()
}
