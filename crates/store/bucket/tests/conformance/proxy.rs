//! A line to a service that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections while it is up; while it is down it ends all there are and accepts none.
pub struct Proxy {
    /// Where it listens when it is up.
    pub address: SocketAddr,
    up: Arc<watch::Sender<bool>>,
    down: watch::Receiver<bool>,
}

impl Proxy {
    pub async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (up, mut wanted) = watch::channel(true);
        let for_connections = wanted.clone();
        let up = Arc::new(up);
        // Whether there really is no listener any more.
        let (is_down, down) = watch::channel(false);
        tokio::spawn(async move {
            let mut listener = Some(listener);
            loop {
                let Some(open) = &listener else {
                    if wanted.wait_for(|up| *up).await.is_err() {
                        return;
                    }
                    listener = Some(TcpListener::bind(address).await.unwrap());
                    is_down.send_replace(false);
                    continue;
                };
                tokio::select! {
                    changed = wanted.wait_for(|up| !*up) => {
                        if changed.is_err() {
                            return;
                        }
                        listener = None;
                        is_down.send_replace(true);
                    }
                    accepted = open.accept() => {
                        let (stream, _) = accepted.unwrap();
                        tokio::spawn(forward(stream, target.clone(), for_connections.clone()));
                    }
                }
            }
        });
        Self { address, up, down }
    }

    /// Cuts the line; returns when it is cut.
    pub async fn cut(&self) {
        self.up.send_replace(false);
        self.down.clone().wait_for(|down| *down).await.unwrap();
    }

    /// Mends it.
    pub fn mend(&self) {
        self.up.send_replace(true);
    }
}

async fn forward(mut from: TcpStream, target: String, mut wanted: watch::Receiver<bool>) {
    let Ok(mut to) = TcpStream::connect(target).await else {
        return;
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
        _ = wanted.wait_for(|up| !*up) => {}
    }
}
