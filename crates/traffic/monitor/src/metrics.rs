//! What is counted of alerts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabel {
    condition: &'static str,
}

/// Alerts, and what is told of them.
#[derive(Debug)]
pub struct Metrics {
    alerts: Family<ConditionLabel, Counter>,
    alerts_fired: Gauge,
    notifications: Family<ResultLabel, Counter>,
    notifications_pending: Gauge,
    pub(crate) writes: Counter,
}

impl Metrics {
    /// All at zero, and registered; `writes` counts how often a state was made durable, whosever.
    pub fn new(registry: &mut Registry, writes: Counter) -> Self {
        let alerts = Family::<ConditionLabel, Counter>::default();
        registry.register("alerts", "Times an alert fired or resolved", alerts.clone());
        let alerts_fired = Gauge::default();
        registry.register(
            "alerts_fired",
            "Alerts not resolved yet",
            alerts_fired.clone(),
        );
        let notifications = Family::<ResultLabel, Counter>::default();
        registry.register(
            "notifications",
            "Calls of webhooks, by what came of them",
            notifications.clone(),
        );
        let notifications_pending = Gauge::default();
        registry.register(
            "notifications_pending",
            "Notifications not delivered yet",
            notifications_pending.clone(),
        );
        Self {
            alerts,
            alerts_fired,
            notifications,
            notifications_pending,
            writes,
        }
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
}
