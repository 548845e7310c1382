//! What the traffic manager counts, for Prometheus.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::dns::Transport;
use crate::dns::query::Rcode;
use crate::status::EndpointMonitorStatus;

/// How many response codes there are to count.
const RCODES: usize = 17;

/// What one batch of queries came to.
#[derive(Debug, Default)]
pub(crate) struct DnsTally {
    pub(crate) queries: u64,
    pub(crate) ignored: u64,
    pub(crate) limited: u64,
    rcodes: [u64; RCODES],
}

impl DnsTally {
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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabel {
    condition: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: u16,
}

/// All metrics of one traffic manager. All names begin with `backstay_traffic_`.
pub(crate) struct Metrics {
    registry: Registry,
    queries_udp: Counter,
    queries_tcp: Counter,
    responses: [Counter; RCODES],
    ignored: Counter,
    limited: Counter,
    probes: Family<ResultLabel, Counter>,
    probe_seconds: Histogram,
    pub(crate) probes_under_way: Gauge,
    pub(crate) endpoints: Gauge,
    statuses: Family<StatusLabel, Gauge>,
    pub(crate) profiles: Gauge,
    pub(crate) status_changes: Counter,
    pub(crate) pictures: Counter,
    requests: Family<CodeLabel, Counter>,
    pub(crate) writes: Counter,
    alerts: Family<ConditionLabel, Counter>,
    alerts_fired: Gauge,
    notifications: Family<ResultLabel, Counter>,
    notifications_pending: Gauge,
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("backstay_traffic");
        macro_rules! register {
            ($name:literal, $help:literal, $kind:ty) => {{
                let metric = <$kind>::default();
                registry.register($name, $help, metric.clone());
                metric
            }};
        }
        let queries = register!(
            "dns_queries",
            "DNS queries received",
            Family<TransportLabel, Counter>
        );
        let of = |transport| queries.get_or_create_owned(&TransportLabel { transport });
        let responses = register!(
            "dns_responses",
            "DNS answers sent, by response code",
            Family<RcodeLabel, Counter>
        );
        let responses = std::array::from_fn(|code| match rcode_name(code) {
            Some(rcode) => responses.get_or_create_owned(&RcodeLabel { rcode }),
            None => Counter::default(),
        });
        let probe_seconds = Histogram::new(exponential_buckets(0.001, 2.0, 15));
        registry.register(
            "probe_seconds",
            "Time a probe took that got an answer",
            probe_seconds.clone(),
        );
        Self {
            queries_udp: of("udp"),
            queries_tcp: of("tcp"),
            responses,
            ignored: register!("dns_ignored", "DNS messages that get no answer", Counter),
            limited: register!(
                "dns_limited",
                "DNS queries over the limit of their source",
                Counter
            ),
            probes: register!("probes", "Probes ended, by result", Family<ResultLabel, Counter>),
            probe_seconds,
            probes_under_way: register!("probes_under_way", "Probes under way", Gauge),
            endpoints: register!("monitored_endpoints", "Endpoints that are probed", Gauge),
            statuses: register!(
                "endpoints",
                "Endpoints by their monitor status",
                Family<StatusLabel, Gauge>
            ),
            profiles: register!("profiles", "Profiles", Gauge),
            status_changes: register!("status_changes", "Changes of an endpoint's status", Counter),
            pictures: register!("dns_pictures", "Pictures of the zone put in place", Counter),
            requests: register!(
                "arm_requests",
                "Requests to the Resource Manager API, by status code",
                Family<CodeLabel, Counter>
            ),
            writes: register!("state_writes", "Times the state was made durable", Counter),
            alerts: register!(
                "alerts",
                "Times an alert fired or resolved",
                Family<ConditionLabel, Counter>
            ),
            alerts_fired: register!("alerts_fired", "Alerts not resolved yet", Gauge),
            notifications: register!(
                "notifications",
                "Calls of webhooks, by what came of them",
                Family<ResultLabel, Counter>
            ),
            notifications_pending: register!(
                "notifications_pending",
                "Notifications not delivered yet",
                Gauge
            ),
            registry,
        }
    }

    pub(crate) fn count(&self, transport: Transport, tally: &DnsTally) {
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

    pub(crate) fn probed(&self, result: &'static str, took: Option<Duration>) {
        self.probes.get_or_create(&ResultLabel { result }).inc();
        if let Some(took) = took {
            self.probe_seconds.observe(took.as_secs_f64());
        }
    }

    pub(crate) fn requested(&self, code: u16) {
        self.requests.get_or_create(&CodeLabel { code }).inc();
    }

    /// An alert has fired, or resolved.
    pub(crate) fn turned(&self, fired: bool) {
        let condition = if fired { "Fired" } else { "Resolved" };
        self.alerts
            .get_or_create(&ConditionLabel { condition })
            .inc();
    }

    /// How many alerts are not resolved, and how many notifications not delivered.
    pub(crate) fn alerted(&self, fired: usize, pending: usize) {
        let count = |it| i64::try_from(it).unwrap_or(i64::MAX);
        self.alerts_fired.set(count(fired));
        self.notifications_pending.set(count(pending));
    }

    /// A call of a webhook has ended.
    pub(crate) fn notified(&self, result: &'static str) {
        self.notifications
            .get_or_create(&ResultLabel { result })
            .inc();
    }

    /// Endpoints by status, all at once.
    pub(crate) fn set_statuses(&self, count: impl Fn(EndpointMonitorStatus) -> usize) {
        for status in EndpointMonitorStatus::ALL {
            let label = StatusLabel {
                status: status.as_str(),
            };
            let count = i64::try_from(count(status)).unwrap_or(i64::MAX);
            self.statuses.get_or_create(&label).set(count);
        }
    }

    /// All metrics in the OpenMetrics text format.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
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
