//! Endpoints that do what they are told, on any loopback address.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What an endpoint does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Answers with this code.
    Code(u16),
    /// Answers after so many milliseconds.
    Slow(u64),
    /// Takes the connection and never answers.
    Silent,
    /// Answers a byte at a time, for ever.
    Drip,
    /// Answers at once with a body that does not end.
    Endless,
    /// Resets the connection when it has read the request.
    Reset,
    /// Closes it without a word.
    Close,
    /// Answers what is not HTTP.
    Noise,
    /// Answers a head that does not end.
    Head,
}

#[derive(Clone)]
pub struct Fake {
    pub address: SocketAddr,
    way: Arc<Mutex<Way>>,
    from: Arc<Mutex<Vec<(IpAddr, String)>>>,
    away: Arc<Mutex<Vec<IpAddr>>>,
    turned: Arc<AtomicUsize>,
}

impl Fake {
    /// One at this address; port 0 is any.
    pub async fn at(ip: &str, port: u16, way: Way) -> Self {
        Self::listen(ip, port, way, None).await
    }

    pub async fn listen(ip: &str, port: u16, way: Way, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((ip, port)).await.unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            way: Arc::new(Mutex::new(way)),
            from: Arc::default(),
            away: Arc::default(),
            turned: Arc::default(),
        };
        let it = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, from)) = listener.accept().await {
                let (it, tls) = (it.clone(), tls.clone());
                if it.away.lock().unwrap().contains(&from.ip()) {
                    it.turned.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                tokio::spawn(async move {
                    match tls {
                        None => it.behave(stream, from.ip()).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => it.behave(stream, from.ip()).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        fake
    }

    pub fn now(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }

    /// Closes connections from these addresses at once.
    pub fn turn_away(&self, from: &[&str]) {
        *self.away.lock().unwrap() = from.iter().map(|it| it.parse().unwrap()).collect();
    }

    /// How many it has turned away.
    pub fn turned_away(&self) -> usize {
        self.turned.load(Ordering::Relaxed)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where probes came from, and what they asked.
    pub fn requests(&self) -> Vec<(IpAddr, String)> {
        self.from.lock().unwrap().clone()
    }

    async fn behave<S>(&self, mut stream: S, from: IpAddr) -> Option<()>
    where
        S: AsyncRead + AsyncWrite + Linger + Unpin,
    {
        let way = *self.way.lock().unwrap();
        let mut request = [0; 4096];
        let length = stream.read(&mut request).await.ok()?;
        let text = String::from_utf8_lossy(&request[..length]).into_owned();
        {
            let mut all = self.from.lock().unwrap();
            if all.len() < 1_000 {
                all.push((from, text));
            }
        }
        let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";
        match way {
            Way::Code(code) => {
                let answer = format!(
                    "HTTP/1.1 {code} X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).await.ok()?;
            }
            Way::Slow(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                stream.write_all(good.as_bytes()).await.ok()?;
            }
            Way::Silent => {
                // Until the other side has had enough.
                while stream.read(&mut request).await.ok()? > 0 {}
            }
            Way::Drip => {
                let mut bytes = b"HTTP/1.1 200 OK\r\nX: "
                    .iter()
                    .copied()
                    .chain(std::iter::repeat(b'x'));
                loop {
                    let byte = bytes.next()?;
                    stream.write_all(&[byte]).await.ok()?;
                    stream.flush().await.ok()?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Way::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
                loop {
                    stream.write_all(&[b'x'; 4096]).await.ok()?;
                }
            }
            Way::Reset => stream.reset(),
            Way::Close => {}
            Way::Noise => stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.ok()?,
            Way::Head => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n").await.ok()?;
                loop {
                    stream
                        .write_all(b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n")
                        .await
                        .ok()?;
                }
            }
        }
        stream.flush().await.ok()
    }
}

/// Closing with a reset instead of an end.
pub trait Linger {
    fn reset(&self);
}

impl Linger for TcpStream {
    fn reset(&self) {
        let socket = socket2::SockRef::from(self);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

impl Linger for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}
