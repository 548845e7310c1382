//! What a watch counts, for Prometheus. All names begin with `backstay_failover_`.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use backstay_failover::verdict::{Endpoint, State};
use backstay_pair::Side;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::status::WatchStatus;

/// All states, so that each has a series.
const STATES: [(State, &str); 8] = [
    (State::Healthy, "healthy"),
    (State::Suspect, "suspect"),
    (State::Holding, "holding"),
    (State::FailingOver, "failing-over"),
    (State::FailedOver, "failed-over"),
    (State::Resolved, "resolved"),
    (State::Cooldown, "cooldown"),
    (State::Paused, "paused"),
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

/// The metrics.
#[derive(Default)]
pub(crate) struct Metrics {
    registry: Registry,
    state: Family<StateLabel, Gauge>,
    rounds: Counter,
    holdoff_left: Gauge<f64, AtomicU64>,
    pending_failures: Gauge,
    readiness_blockers: Gauge,
    secondary_holds_term: Gauge,
    primary_endpoint_enabled: Gauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self::default();
        let registry = metrics
            .registry
            .sub_registry_with_prefix("backstay_failover");
        registry.register("state", "1 for the state it is in", metrics.state.clone());
        registry.register("rounds", "Looks taken", metrics.rounds.clone());
        registry.register(
            "holdoff_left_seconds",
            "What is left of the holdoff; 0 if none runs",
            metrics.holdoff_left.clone(),
        );
        registry.register(
            "pending_failures",
            "Steps that should hold and could not be brought about",
            metrics.pending_failures.clone(),
        );
        registry.register(
            "standby_readiness_blockers",
            "What keeps the standby from taking over",
            metrics.readiness_blockers.clone(),
        );
        registry.register(
            "secondary_holds_term",
            "Whether the secondary holds the journal's term; -1 if that is not known",
            metrics.secondary_holds_term.clone(),
        );
        registry.register(
            "primary_endpoint_enabled",
            "Whether the primary's endpoint is enabled; -1 if that is not known",
            metrics.primary_endpoint_enabled.clone(),
        );
        metrics
    }

    pub(crate) fn show(&self, status: &WatchStatus) {
        self.rounds.inc();
        for (state, name) in STATES {
            let label = StateLabel { state: name };
            let is = i64::from(state == status.state);
            self.state.get_or_create(&label).set(is);
        }
        let left = Duration::from_millis(status.holdoff_left_ms.unwrap_or(0));
        self.holdoff_left.set(left.as_secs_f64());
        let count = |it: usize| i64::try_from(it).unwrap_or(i64::MAX);
        self.pending_failures
            .set(count(status.pending_failures.len()));
        self.readiness_blockers
            .set(count(status.readiness_blockers.len()));
        self.secondary_holds_term.set(match status.term {
            Some(Side::Secondary) => 1,
            Some(Side::Primary) => 0,
            None => -1,
        });
        self.primary_endpoint_enabled.set(match status.endpoint {
            Some(Endpoint::Enabled) => 1,
            Some(Endpoint::Disabled) => 0,
            None => -1,
        });
    }

    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
