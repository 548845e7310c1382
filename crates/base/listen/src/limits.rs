//! What a server puts up with.

use std::time::Duration;

/// What a server puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time. Who comes beyond that takes the place of a connection that
    /// has no request under way, or is answered 503; probes are answered in any case.
    pub connections: usize,
    /// Of those, connections from one address (IPv6: from one /64 network).
    pub per_address: usize,
    /// A handshake that takes longer is cut off.
    pub handshake: Duration,
    /// A connection is closed when the head of its first request is not there after so long, or
    /// that of a later one after up to twice as long from its first byte.
    pub head: Duration,
    /// How long a connection may rest between two requests. Clients that keep connections should
    /// keep them for less.
    pub idle: Duration,
    /// The head of a request may have so many bytes; a longer one is answered 431.
    pub head_bytes: usize,
    /// The slowest body that is waited for; a slower one is answered 408.
    pub body: LeastRate,
    /// A client that takes nothing of what it is sent for so long is cut off. `None` lets it rest:
    /// somebody may read a log page by page.
    pub stalled: Option<Duration>,
    /// What requests under way get to end, once the server is stopped.
    pub end: Duration,
}

/// How slowly the body of a request may come. Only time in which the server waits for it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeastRate {
    /// Each byte buys so much time: `1 s / bytes_per_second`.
    pub bytes_per_second: u32,
    /// The time that a body has at its beginning, and the most it can have: the longest pause.
    pub pause: Duration,
}

impl Default for LeastRate {
    fn default() -> Self {
        Self {
            bytes_per_second: 1 << 10,
            pause: Duration::from_secs(20),
        }
    }
}

impl Default for Limits {
    /// For a server that few talk to, with clients that keep their connections (hyper's do for
    /// 90 s).
    fn default() -> Self {
        Self {
            connections: 256,
            per_address: 192,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            head_bytes: 64 << 10,
            body: LeastRate::default(),
            stalled: None,
            end: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// So many connections, of which one address can have three quarters: it may be that of a proxy
    /// through which everybody comes.
    #[must_use]
    pub fn of(connections: usize) -> Self {
        Self {
            connections,
            per_address: connections - connections / 4,
            ..Self::default()
        }
    }
}
