//! Fault proxies: the wires of the lab, which can be cut.
//!
//! Whatever goes between a region and the world, or between a region and a bucket, goes through a
//! fault proxy: a TCP relay in the supervisor that passes bytes on until a fault is injected. So a disaster
//! needs no privileges and no changes of the machine's network, and what it hits are real
//! connections of real clients.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// What a fault proxy does with what comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Passes it on.
    #[default]
    Open,
    /// Holds it back. Connections stay open and nothing comes out of them, as when a network
    /// drops every packet: the worst kind, since no error reaches anybody.
    Cut,
    /// Passes on each piece only after so many milliseconds.
    Slow(u64),
    /// Answers every HTTP request with 403, as a storage account whose firewall or key has changed.
    Denied,
}

/// What a fault proxy does, by the network that a connection comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// With those who come from these networks, by the first three bytes of their addresses.
    pub networks: BTreeMap<[u8; 3], Mode>,
    /// For everyone else.
    pub others: Mode,
}

impl Rules {
    /// The same for all.
    pub fn all(mode: Mode) -> Self {
        Self {
            networks: BTreeMap::new(),
            others: mode,
        }
    }

    fn mode(&self, from: IpAddr) -> Mode {
        let network = match from {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                self.networks.get(&[a, b, c])
            }
            IpAddr::V6(_) => None,
        };
        network.copied().unwrap_or(self.others)
    }
}

/// More connections than this wait.
const MAX_CONNECTIONS: usize = 2048;
/// The piece that is passed on at once.
const BUFFER_BYTES: usize = 64 << 10;
/// Longest head of a request that is refused.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// How long a refused client's body is read, so that it sees the answer.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);

/// A relay from an address to another.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    rules: watch::Sender<Rules>,
    task: JoinHandle<()>,
}

impl FaultProxy {
    /// Listens, and passes on to `to`, whether or not something listens there now.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn open(listen: SocketAddr, to: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (rules, known) = watch::channel(Rules::default());
        let task = tokio::spawn(accept(listener, to, known));
        Ok(Self {
            address,
            rules,
            task,
        })
    }

    /// The address that it listens on, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it does from now on, with connections that are open too.
    pub fn set(&self, rules: Rules) {
        self.rules.send_replace(rules);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, rules: watch::Receiver<Rules>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((client, peer)) => {
                let wire = Wire {
                    rules: rules.clone(),
                    from: peer.ip(),
                };
                connections.spawn(async move {
                    // Either side's going is the end of a connection and nothing to report.
                    let _ = connection(client, to, wire).await;
                    drop(place);
                });
            }
            // The machine is out of something; it may pass.
            Err(error) => {
                tracing::warn!(%error, "a fault proxy cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// What a fault proxy does with one connection.
#[derive(Clone)]
struct Wire {
    rules: watch::Receiver<Rules>,
    from: IpAddr,
}

impl Wire {
    fn mode(&self) -> Mode {
        self.rules.borrow().mode(self.from)
    }

    /// Waits until the mode is such.
    async fn until(&mut self, such: impl Fn(Mode) -> bool) {
        let from = self.from;
        // An error means that the proxy is gone, and with it this task.
        let _ = self.rules.wait_for(|rules| such(rules.mode(from))).await;
    }

    /// Waits while it is cut.
    async fn passable(&mut self) {
        self.until(|mode| mode != Mode::Cut).await;
    }
}

async fn connection(mut client: TcpStream, to: SocketAddr, mut wire: Wire) -> io::Result<()> {
    wire.passable().await;
    if wire.mode() == Mode::Denied {
        return deny(&mut client).await;
    }
    let server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let mut denied = wire.clone();
    tokio::select! {
        both = async {
            tokio::try_join!(
                relay(client_in, server_out, wire.clone()),
                relay(server_in, client_out, wire.clone()),
            )
        } => both.map(|_| ()),
        // What is under way breaks off; the client's next request is refused in so many words.
        () = denied.until(|mode| mode == Mode::Denied) => Ok(()),
    }
}

async fn relay(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut wire: Wire,
) -> io::Result<()> {
    let mut piece = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut piece).await?;
        wire.passable().await;
        let slow = match wire.mode() {
            Mode::Slow(millis) => Some(Duration::from_millis(millis)),
            _ => None,
        };
        if let Some(slow) = slow {
            sleep(slow).await;
            wire.passable().await;
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(piece.get(..read).unwrap_or_default()).await?;
    }
}

/// Azure's answer to who may not
/// (<https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes>).
async fn deny(client: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = client.read(&mut piece).await?;
        if read == 0 || head.len() > MAX_HEAD_BYTES {
            return Ok(());
        }
        head.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
    let body = Bytes::from_static(
        b"<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>AuthorizationFailure</Code>\
          <Message>This request is not authorized to perform this operation.</Message></Error>",
    );
    let answer = format!(
        "HTTP/1.1 403 This request is not authorized to perform this operation.\r\n\
         x-ms-error-code: AuthorizationFailure\r\nContent-Type: application/xml\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(answer.as_bytes()).await?;
    client.write_all(&body).await?;
    client.shutdown().await?;
    let rest = async { while client.read(&mut piece).await.is_ok_and(|read| read > 0) {} };
    // Whoever still sends after that has the answer, or never looks.
    let _ = timeout(LINGER_TIMEOUT, rest).await;
    Ok(())
}

#[cfg(test)]
mod tests;
