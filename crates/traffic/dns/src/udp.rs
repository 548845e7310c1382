//! DNS over UDP: threads that do nothing else, each with a socket of its own.
//!
//! The kernel spreads sources over the sockets of one address (`SO_REUSEPORT`). A thread takes
//! what has come, up to a batch, in one call, and sends the answers in another: under load the
//! calls are what costs.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Cache};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrLike, SockaddrStorage, recvmmsg, sendmmsg};
use socket2::{Domain, Protocol, Socket, Type};
use tokio_util::sync::CancellationToken;

use super::UDP_SIZE;
use super::rate::{Rate, Verdict};
use super::respond::respond_truncated;
use super::{Transport, Zone, respond};
use crate::metrics::{Metrics, Tally};

/// Datagrams taken at once.
const MAX_DATAGRAMS: usize = 64;
/// A query of more bytes than this is cut by the kernel, and then malformed. None of one question
/// and EDNS comes near it.
const MAX_QUERY_BYTES: usize = 1024;
/// What the kernel keeps for a thread that is busy.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// How long a thread waits before it looks whether it should end.
const STOP_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A socket for one thread.
///
/// # Errors
/// When the address cannot be had.
pub fn bind(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(true)?;
    // As much as the system allows.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.set_read_timeout(Some(STOP_POLL_INTERVAL))?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Answers until it is stopped.
pub fn serve(
    socket: &Socket,
    zone: &Arc<ArcSwap<Zone>>,
    rate: u32,
    metrics: &Metrics,
    stop: &CancellationToken,
) {
    let mut zone = Cache::new(Arc::clone(zone));
    let mut rate = Rate::new(rate);
    let clock = Instant::now();
    let mut queries = vec![[0_u8; MAX_QUERY_BYTES]; MAX_DATAGRAMS];
    let mut answers: Vec<Vec<u8>> = (0..MAX_DATAGRAMS)
        .map(|_| Vec::with_capacity(UDP_SIZE))
        .collect();
    let mut incoming = MultiHeaders::preallocate(MAX_DATAGRAMS, None);
    let mut outgoing = MultiHeaders::preallocate(MAX_DATAGRAMS, None);
    let mut from = Vec::with_capacity(MAX_DATAGRAMS);
    while !stop.is_cancelled() {
        match receive(socket, &mut incoming, &mut queries, &mut from) {
            Ok(()) => {}
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            Err(error) => {
                // The likes of a lack of memory: it passes, or the next start tells.
                tracing::warn!(%error, "cannot receive DNS queries");
                std::thread::sleep(STOP_POLL_INTERVAL);
                continue;
            }
        }
        let now = u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut tally = Tally::default();
        let zone = zone.load();
        let mut ready = 0;
        let mut to = [None; MAX_DATAGRAMS];
        for ((length, source), query) in from.iter().zip(&queries) {
            let (Some(source), Some(query)) = (source, query.get(..*length)) else {
                continue;
            };
            tally.queries += 1;
            let (Some(answer), Some(to)) = (answers.get_mut(ready), to.get_mut(ready)) else {
                continue;
            };
            let say = match ip(source).map(|ip| rate.ask(ip, now)) {
                Some(Verdict::Answer) => match respond(zone, query, Transport::Udp, answer) {
                    Some(rcode) => {
                        tally.answered(rcode);
                        true
                    }
                    None => {
                        tally.ignored += 1;
                        false
                    }
                },
                Some(Verdict::Truncate) => {
                    tally.limited += 1;
                    respond_truncated(query, answer)
                }
                Some(Verdict::Drop) | None => {
                    tally.limited += 1;
                    false
                }
            };
            if say {
                *to = Some(*source);
                ready += 1;
            }
        }
        let answers = answers.get(..ready).unwrap_or_default();
        let to = to.get(..ready).unwrap_or_default();
        send(socket, &mut outgoing, answers, to);
        metrics.count(Transport::Udp, &tally);
    }
}

/// Waits for one datagram and takes with it what else is there.
fn receive(
    socket: &Socket,
    headers: &mut MultiHeaders<SockaddrStorage>,
    queries: &mut [[u8; MAX_QUERY_BYTES]],
    from: &mut Vec<(usize, Option<SockaddrStorage>)>,
) -> Result<(), Errno> {
    from.clear();
    let mut slices: Vec<_> = queries
        .iter_mut()
        .map(|it| [IoSliceMut::new(it.as_mut_slice())])
        .collect();
    let received = recvmmsg(
        socket.as_raw_fd(),
        headers,
        slices.iter_mut(),
        MsgFlags::MSG_WAITFORONE,
        None,
    )?;
    from.extend(received.map(|it| (it.bytes, it.address)));
    Ok(())
}

/// Sends what can be sent. What cannot, such as an answer to port 0, is left out: the client asks
/// again.
fn send(
    socket: &Socket,
    headers: &mut MultiHeaders<SockaddrStorage>,
    mut answers: &[Vec<u8>],
    mut to: &[Option<SockaddrStorage>],
) {
    while !answers.is_empty() {
        let slices: Vec<_> = answers.iter().map(|it| [IoSlice::new(it)]).collect();
        let sent = sendmmsg(
            socket.as_raw_fd(),
            headers,
            slices.iter(),
            to,
            [],
            MsgFlags::empty(),
        );
        let done = match sent {
            Ok(sent) => sent.count().max(1),
            Err(Errno::EINTR) => 0,
            Err(_) => 1,
        };
        answers = answers.get(done..).unwrap_or_default();
        to = to.get(done..).unwrap_or_default();
    }
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    if address.len() == 0 {
        return None;
    }
    let v4 = address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))
}
