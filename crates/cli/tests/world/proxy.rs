//! A line to a service that can be cut, in the two ways in which lines are.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Connections end, and new ones are refused.
    Refuse,
    /// Connections stay and new ones are taken, but no byte passes.
    Silence,
}

pub struct Proxy {
    pub address: SocketAddr,
    cut: watch::Sender<Option<Cut>>,
}

impl Proxy {
    pub async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, wanted) = watch::channel(None);
        tokio::spawn(serve(listener, target, wanted));
        Self { address, cut }
    }

    pub fn cut(&self, how: Cut) {
        self.cut.send_replace(Some(how));
    }

    pub fn mend(&self) {
        self.cut.send_replace(None);
    }
}

async fn serve(listener: TcpListener, target: String, mut wanted: watch::Receiver<Option<Cut>>) {
    let address = listener.local_addr().unwrap();
    let for_connections = wanted.clone();
    let mut listener = Some(listener);
    loop {
        let Some(open) = &listener else {
            if wanted.wait_for(Option::is_none).await.is_err() {
                return;
            }
            listener = Some(TcpListener::bind(address).await.unwrap());
            continue;
        };
        tokio::select! {
            refused = wanted.wait_for(|cut| *cut == Some(Cut::Refuse)) => {
                if refused.is_err() {
                    return;
                }
                listener = None;
            }
            accepted = open.accept() => {
                let (stream, _) = accepted.unwrap();
                tokio::spawn(carry(stream, target.clone(), for_connections.clone()));
            }
        }
    }
}

/// Carries a connection. One that met a silence never speaks again, as one whose packets were lost
/// for so long does not.
async fn carry(mut from: TcpStream, target: String, mut wanted: watch::Receiver<Option<Cut>>) {
    let Ok(mut to) = TcpStream::connect(target).await else {
        return;
    };
    if wanted.borrow().is_none() {
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut from, &mut to) => return,
            _ = wanted.wait_for(Option::is_some) => {}
        }
    }
    let _ = wanted.wait_for(|cut| *cut != Some(Cut::Silence)).await;
}
