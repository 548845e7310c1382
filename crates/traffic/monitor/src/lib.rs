//! Azure Monitor, as far as it is about the health of endpoints: its alerts, and their API.
//!
//! A metric alert (`rule`) watches one metric of profiles, whether an endpoint is up, over a
//! sliding window (`series`), is evaluated on its own schedule (`evaluate`), and fires or
//! resolves; each time, the webhooks of its action groups (`group`) are told, in the common
//! alert schema (`schema`). What has fired is an `alert`, which people acknowledge and close.
//!
//! Receivers can be tried out without an alert (`trial`).
//!
//! Pure are the evaluation, what comes of it (`turn`), and when a webhook is called again
//! (`courier`). Around them: `store`, in which everything is durable before it counts;
//! [`watch()`], which evaluates; [`deliver()`], which calls webhooks. An alert that fires and what is
//! to be sent of it are one write: after a kill it has fired and is told, or neither. A call that
//! was answered just before a kill may be made again; receivers know it by its alert id and
//! condition.
//!
//! Sources of the API: <https://learn.microsoft.com/rest/api/monitor/metric-alerts>,
//! <https://learn.microsoft.com/rest/api/monitor/action-groups>,
//! <https://learn.microsoft.com/rest/api/monitor/alertsmanagement/alerts>.

mod alert;
mod api;
mod courier;
mod deliver;
mod evaluate;
mod group;
mod metrics;
mod period;
mod rule;
mod rule_wire;
mod schema;
mod series;
mod store;
mod trial;
mod turn;
mod watch;

use backstay_resource::ResourceType;

pub use api::MonitorApi;
pub use deliver::run as deliver;
pub use metrics::Metrics;
pub use store::{Alerts, path_beside};
pub use watch::{Endpoints, run as watch};

/// The type of metric alerts.
pub const METRIC_ALERT: ResourceType = ResourceType {
    namespace: "Microsoft.Insights",
    name: "metricAlerts",
};
/// The type of action groups.
pub const ACTION_GROUP: ResourceType = ResourceType {
    namespace: "Microsoft.Insights",
    name: "actionGroups",
};
/// The type of alerts that have fired.
pub const ALERT: ResourceType = ResourceType {
    namespace: "Microsoft.AlertsManagement",
    name: "alerts",
};

#[cfg(test)]
mod tests;
