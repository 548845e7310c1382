//! Two endpoints at one port, of which the first can be made to fail.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Preferred.
pub(super) const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Answered when the first is dead.
pub(super) const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Whether the first is dead, and since when a probe knows.
#[derive(Default)]
struct State {
    dead: bool,
    told: Option<Instant>,
}

/// Both endpoints.
pub(super) struct Endpoints {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Endpoints {
    pub(super) async fn start() -> std::io::Result<Self> {
        let first = TcpListener::bind((FIRST, 0)).await?;
        let port = first.local_addr()?.port();
        let second = TcpListener::bind((SECOND, port)).await?;
        let state: Arc<Mutex<State>> = Arc::default();
        tokio::spawn(serve(first, Some(Arc::clone(&state))));
        tokio::spawn(serve(second, None));
        Ok(Self { port, state })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn revive(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    pub(super) fn kill_first(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.dead = true;
    }

    /// When a probe was first told that the first endpoint is dead.
    pub(super) fn told(&self) -> Option<Instant> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.told
    }
}

async fn serve(listener: TcpListener, state: Option<Arc<Mutex<State>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        tokio::spawn(async move {
            // A probe that goes away is no matter.
            let _ = answer(stream, state).await;
        });
    }
}

async fn answer(mut stream: TcpStream, state: Option<Arc<Mutex<State>>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    // A probe's whole request comes at once.
    if stream.read(&mut [0; 4096]).await? == 0 {
        return Ok(());
    }
    let dead = state.as_ref().is_some_and(|it| {
        let state = it.lock().unwrap_or_else(PoisonError::into_inner);
        state.dead
    });
    let head = if dead {
        "503 Service Unavailable"
    } else {
        "200 OK"
    };
    let text = format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    if let Some(state) = state.filter(|_| dead) {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.told.get_or_insert_with(Instant::now);
    }
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}
