//! What the proxy counts, for Prometheus.

use std::fmt;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::table::Table;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    backend: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    backend: String,
}

/// All that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    answers: Family<Answer, Counter>,
    retries: Family<Of, Counter>,
    endpoints: Family<Of, Gauge>,
    in_flight: Gauge,
    tables: Counter,
    watch_errors: Counter,
}

/// A request in flight.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut all = Self {
            registry: Registry::with_prefix("backstay_ingress"),
            answers: Family::default(),
            retries: Family::default(),
            endpoints: Family::default(),
            in_flight: Gauge::default(),
            tables: Counter::default(),
            watch_errors: Counter::default(),
        };
        let registry = &mut all.registry;
        registry.register("requests", "Requests answered", all.answers.clone());
        registry.register(
            "retries",
            "Requests sent to another endpoint after one failed",
            all.retries.clone(),
        );
        registry.register(
            "endpoints",
            "Ready endpoints of a backend",
            all.endpoints.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests whose answer has not ended",
            all.in_flight.clone(),
        );
        registry.register(
            "tables",
            "Times the routes were exchanged",
            all.tables.clone(),
        );
        registry.register(
            "watch_errors",
            "Times the Kubernetes API could not be watched",
            all.watch_errors.clone(),
        );
        all
    }

    /// An answer's head was sent. `backend` is empty for a request that leads nowhere.
    pub(crate) fn answered(&self, backend: &str, code: u16) {
        let backend = backend.to_owned();
        self.answers.get_or_create(&Answer { backend, code }).inc();
    }

    pub(crate) fn retried(&self, backend: &str) {
        let backend = backend.to_owned();
        self.retries.get_or_create(&Of { backend }).inc();
    }

    pub(crate) fn watch_failed(&self) {
        self.watch_errors.inc();
    }

    /// One more request is in flight, until what is returned is dropped.
    pub(crate) fn count(&self) -> Counted {
        self.in_flight.inc();
        Counted(self.in_flight.clone())
    }

    /// There are other routes now.
    pub(crate) fn exchanged(&self, table: &Table) {
        self.tables.inc();
        self.endpoints.clear();
        for (backend, endpoints) in table.backends() {
            let backend = backend.to_owned();
            let count = i64::try_from(endpoints).unwrap_or(i64::MAX);
            self.endpoints.get_or_create(&Of { backend }).set(count);
        }
    }

    /// As Prometheus reads it.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
