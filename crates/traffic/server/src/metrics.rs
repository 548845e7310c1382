//! What the traffic manager counts of endpoints and their profiles, for Prometheus.

use std::time::Duration;

use backstay_traffic_profile::status::EndpointMonitorStatus;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// What the names of all metrics begin with.
pub(crate) const PREFIX: &str = "backstay_traffic";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

/// Probes, and what has become of them.
#[derive(Debug)]
pub(crate) struct Metrics {
    probes: Family<ResultLabel, Counter>,
    probe_seconds: Histogram,
    pub(crate) probes_under_way: Gauge,
    pub(crate) endpoints: Gauge,
    statuses: Family<StatusLabel, Gauge>,
    pub(crate) profiles: Gauge,
    pub(crate) status_changes: Counter,
    pub(crate) pictures: Counter,
    pub(crate) writes: Counter,
}

impl Metrics {
    /// All at zero, and registered.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        macro_rules! register {
            ($name:literal, $help:literal, $kind:ty) => {{
                let metric = <$kind>::default();
                registry.register($name, $help, metric.clone());
                metric
            }};
        }
        let probe_seconds = Histogram::new(exponential_buckets(0.001, 2.0, 15));
        registry.register(
            "probe_seconds",
            "Time a probe took that got an answer",
            probe_seconds.clone(),
        );
        Self {
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
            writes: register!("state_writes", "Times the state was made durable", Counter),
        }
    }

    pub(crate) fn probed(&self, result: &'static str, took: Option<Duration>) {
        self.probes.get_or_create(&ResultLabel { result }).inc();
        if let Some(took) = took {
            self.probe_seconds.observe(took.as_secs_f64());
        }
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
}
