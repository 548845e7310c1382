//! What the name server counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::Transport;
use crate::query::Rcode;

/// How many response codes there are to count.
const RCODES: usize = 17;

/// What one batch of queries came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Queries received.
    pub(crate) queries: u64,
    /// Messages that got no answer.
    pub(crate) ignored: u64,
    /// Queries over the limit of their source.
    pub(crate) limited: u64,
    rcodes: [u64; RCODES],
}

impl Tally {
    pub(crate) fn answered(&mut self, rcode: Rcode) {
        if let Some(count) = self.rcodes.get_mut(rcode as usize) {
            *count += 1;
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransportLabel {
    transport: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RcodeLabel {
    rcode: &'static str,
}

/// Queries and answers, of all sockets together.
#[derive(Debug)]
pub struct Metrics {
    queries_udp: Counter,
    queries_tcp: Counter,
    responses: [Counter; RCODES],
    ignored: Counter,
    limited: Counter,
}

impl Metrics {
    /// All at zero, and registered.
    pub fn new(registry: &mut Registry) -> Self {
        let queries = Family::<TransportLabel, Counter>::default();
        registry.register("dns_queries", "DNS queries received", queries.clone());
        let of = |transport| queries.get_or_create_owned(&TransportLabel { transport });
        let responses = Family::<RcodeLabel, Counter>::default();
        registry.register(
            "dns_responses",
            "DNS answers sent, by response code",
            responses.clone(),
        );
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        Self {
            queries_udp: of("udp"),
            queries_tcp: of("tcp"),
            responses: std::array::from_fn(|code| match rcode_name(code) {
                Some(rcode) => responses.get_or_create_owned(&RcodeLabel { rcode }),
                None => Counter::default(),
            }),
            ignored: counter("dns_ignored", "DNS messages that get no answer"),
            limited: counter("dns_limited", "DNS queries over the limit of their source"),
        }
    }

    pub(crate) fn count(&self, transport: Transport, tally: &Tally) {
        let queries = match transport {
            Transport::Udp => &self.queries_udp,
            Transport::Tcp => &self.queries_tcp,
        };
        queries.inc_by(tally.queries);
        for (counter, count) in self.responses.iter().zip(tally.rcodes) {
            if count > 0 {
                counter.inc_by(count);
            }
        }
        if tally.ignored > 0 {
            self.ignored.inc_by(tally.ignored);
        }
        if tally.limited > 0 {
            self.limited.inc_by(tally.limited);
        }
    }
}

fn rcode_name(code: usize) -> Option<&'static str> {
    let named = [
        (Rcode::NoError, "NOERROR"),
        (Rcode::FormErr, "FORMERR"),
        (Rcode::NxDomain, "NXDOMAIN"),
        (Rcode::NotImp, "NOTIMP"),
        (Rcode::Refused, "REFUSED"),
        (Rcode::BadVers, "BADVERS"),
    ];
    let found = named.into_iter().find(|(rcode, _)| *rcode as usize == code);
    found.map(|(_, name)| name)
}
