//! DNS over TCP (RFC 7766): messages with their length in front, several on one connection.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use backstay_listen::{Refusal, Refusals};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Transport, Zone, respond};
use crate::metrics::{Metrics, Tally};

/// Connections at the same time, and of one source.
const MAX_CONNECTIONS: usize = 256;
const MAX_CONNECTIONS_PER_SOURCE: usize = 32;
/// A client that says nothing, or takes nothing, for so long is gone.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages of one connection, after which it is closed.
const MAX_MESSAGES: usize = 10_000;
/// A query is far shorter.
const MAX_QUERY_BYTES: u16 = 4096;

/// Who is connected, and how often.
#[derive(Debug, Default)]
struct Connected(Mutex<HashMap<IpAddr, usize>>);

/// A place among the connections, given back when dropped.
struct Place {
    connected: Arc<Connected>,
    source: IpAddr,
}

impl Connected {
    fn enter(self: &Arc<Self>, source: IpAddr) -> Option<Place> {
        let mut sources = self.0.lock();
        let all: usize = sources.values().sum();
        let of_source = sources.get(&source).copied().unwrap_or(0);
        if all >= MAX_CONNECTIONS || of_source >= MAX_CONNECTIONS_PER_SOURCE {
            return None;
        }
        sources.insert(source, of_source + 1);
        Some(Place {
            connected: Arc::clone(self),
            source,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sources = self.connected.0.lock();
        match sources.get_mut(&self.source) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                sources.remove(&self.source);
            }
        }
    }
}

/// Answers until it is stopped.
pub async fn serve(
    listener: TcpListener,
    zone: Arc<ArcSwap<Zone>>,
    metrics: Arc<Metrics>,
    refusals: Refusals,
    stop: CancellationToken,
) {
    let connected = Arc::new(Connected::default());
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, source) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: wait until some are back.
                let error = error.to_string();
                refusals.add(Refusal::Unaccepted, None, Some(&error));
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(place) = connected.enter(source.ip()) else {
            refusals.add(Refusal::Crowded, Some(source.ip()), None);
            continue;
        };
        let (zone, metrics, stop) = (Arc::clone(&zone), Arc::clone(&metrics), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                // A client that went away is no event.
                _ = converse(stream, &zone, &metrics) => {}
                () = stop.cancelled() => {}
            }
            drop(place);
        });
    }
    tasks.close();
    tasks.wait().await;
}

async fn converse(
    mut stream: TcpStream,
    zone: &ArcSwap<Zone>,
    metrics: &Metrics,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut query, mut answer) = (Vec::new(), Vec::new());
    for _ in 0..MAX_MESSAGES {
        let read = async {
            let length = stream.read_u16().await?;
            if length > MAX_QUERY_BYTES {
                return Err(std::io::ErrorKind::InvalidData.into());
            }
            query.resize(usize::from(length), 0);
            stream.read_exact(&mut query).await
        };
        tokio::time::timeout(IDLE_TIMEOUT, read).await??;
        let rcode = respond(&zone.load(), &query, Transport::Tcp, &mut answer);
        let mut tally = Tally::default();
        tally.queries = 1;
        let Some(rcode) = rcode else {
            tally.ignored = 1;
            metrics.count(Transport::Tcp, &tally);
            return Ok(());
        };
        tally.answered(rcode);
        metrics.count(Transport::Tcp, &tally);
        // An answer is below 65536 bytes: it has a handful of records.
        let length = u16::try_from(answer.len()).unwrap_or(u16::MAX);
        let framed = [&length.to_be_bytes(), answer.as_slice()].concat();
        tokio::time::timeout(IDLE_TIMEOUT, stream.write_all(&framed)).await??;
    }
    Ok(())
}
