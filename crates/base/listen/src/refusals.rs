//! What a server has refused, for its metrics and for the log.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The log is told of one kind of refusal no more often; the counters count each.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Why a connection or a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// There were too many connections with requests under way; it was answered 503.
    Crowded,
    /// It waited for a request, and its place was given to a connection that had one.
    Evicted,
    /// It had no request in time.
    Silent,
    /// The head of its request did not come in time.
    SlowHead,
    /// The body of its request came too slowly; it was answered 408.
    SlowBody,
    /// Its TLS handshake took too long.
    Handshake,
    /// It took nothing of what it was sent.
    Stalled,
    /// The system could not accept it: mostly for want of file descriptors.
    Unaccepted,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Crowded,
        Self::Evicted,
        Self::Silent,
        Self::SlowHead,
        Self::SlowBody,
        Self::Handshake,
        Self::Stalled,
        Self::Unaccepted,
    ];

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crowded => "crowded",
            Self::Evicted => "evicted",
            Self::Silent => "silent",
            Self::SlowHead => "slow_head",
            Self::SlowBody => "slow_body",
            Self::Handshake => "handshake",
            Self::Stalled => "stalled",
            Self::Unaccepted => "unaccepted",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Crowded => "too many requests are under way; more are answered 503",
            Self::Evicted => "connections without a request make room for those that have one",
            Self::Silent => "connections on which nothing comes are closed",
            Self::SlowHead => "connections on which a request's head comes too slowly are closed",
            Self::SlowBody => "requests whose bodies come too slowly are answered 408",
            Self::Handshake => "TLS handshakes take too long and are cut off",
            Self::Stalled => "clients that take nothing of what they are sent are cut off",
            Self::Unaccepted => "cannot accept a connection; is the limit of open files too low?",
        }
    }
}

/// The connections and refusals of one server. Copies are of the same.
#[derive(Clone, Debug)]
pub struct Refusals(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    server: &'static str,
    open: AtomicU64,
    counts: [AtomicU64; Refusal::ALL.len()],
    /// When the log was last told of each, and of how many.
    logged: Mutex<[Option<(Instant, u64)>; Refusal::ALL.len()]>,
}

impl Refusals {
    /// None yet, of the server of this name (a label of its metrics).
    pub fn new(server: &'static str) -> Self {
        Self(Arc::new(Inner {
            server,
            open: AtomicU64::new(0),
            counts: Default::default(),
            logged: Mutex::default(),
        }))
    }

    /// How many of a kind there were.
    pub fn count(&self, refusal: Refusal) -> u64 {
        self.0.counts[refusal as usize].load(Relaxed)
    }

    /// How many connections were open when one last came or went.
    pub fn open(&self) -> u64 {
        self.0.open.load(Relaxed)
    }

    pub(crate) fn set_open(&self, open: usize) {
        self.0.open.store(open as u64, Relaxed);
    }

    /// Counts one, and tells the log if it was not told a moment ago.
    pub fn add(&self, refusal: Refusal, peer: Option<IpAddr>, error: Option<&str>) {
        let at = refusal as usize;
        let count = self.0.counts[at].fetch_add(1, Relaxed) + 1;
        let mut all = self.0.logged.lock();
        let before = match all[at] {
            Some((when, _)) if when.elapsed() < LOG_INTERVAL => return,
            Some((_, before)) => before,
            None => 0,
        };
        all[at] = Some((Instant::now(), count));
        drop(all);
        tracing::warn!(
            server = self.0.server,
            refusal = refusal.as_str(),
            count = count.saturating_sub(before),
            peer = peer.map(tracing::field::display),
            error,
            "{}",
            refusal.sentence()
        );
    }
}

/// The metrics of some servers of one process, as families of OpenMetrics without its end.
fn metrics(servers: &[&Refusals]) -> String {
    let (open, refused) = ("backstay_http_connections", "backstay_http_refused");
    let mut text = format!("# HELP {open} Connections, by server.\n# TYPE {open} gauge\n");
    // Writing into a string cannot fail.
    for it in servers {
        let _ = writeln!(text, "{open}{{server=\"{}\"}} {}", it.0.server, it.open());
    }
    let help = "Connections and requests refused before a handler saw them whole, by reason.";
    let _ = writeln!(text, "# HELP {refused} {help}\n# TYPE {refused} counter");
    for it in servers {
        for refusal in Refusal::ALL {
            let (server, reason) = (it.0.server, refusal.as_str());
            let count = it.count(refusal);
            let _ = writeln!(
                text,
                "{refused}_total{{server=\"{server}\",reason=\"{reason}\"}} {count}"
            );
        }
    }
    text
}

/// Puts the metrics of some servers before the end of an exposition.
pub(crate) fn with_metrics(exposition: &str, servers: &[&Refusals]) -> String {
    const END: &str = "# EOF\n";
    let begin = exposition.strip_suffix(END).unwrap_or(exposition);
    format!("{begin}{}{END}", metrics(servers))
}

#[cfg(test)]
mod tests;
