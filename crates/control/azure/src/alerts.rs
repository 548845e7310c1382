//! The rule that wakes a failover, and the alerts that it has fired.
//!
//! Sources: <https://learn.microsoft.com/rest/api/monitor/metric-alerts> (2018-03-01) and
//! <https://learn.microsoft.com/rest/api/monitor/alertsmanagement/alerts> (2019-05-05-preview).

use backstay_retry::Deadline;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::{Call, Got};
use crate::{AzureError, Client, ResourceId};

const RULES_API_VERSION: &str = "2018-03-01";
const ALERTS_API_VERSION: &str = "2019-05-05-preview";
/// No list has more pages, unless it goes in circles.
const MAX_PAGES: usize = 1000;

/// A metric alert rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricAlert {
    /// The resource id, with subscription and group.
    pub id: ResourceId,
    /// Whether it is evaluated at all.
    pub enabled: bool,
    /// What it watches.
    pub scopes: Vec<String>,
    /// Whom it tells: ids of action groups.
    pub action_groups: Vec<String>,
}

#[derive(Deserialize)]
struct WireRule {
    properties: WireRuleProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRuleProperties {
    enabled: bool,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    actions: Vec<WireAction>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAction {
    action_group_id: String,
}

/// Whether the cause of an alert is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum MonitorCondition {
    /// What the rule looks for is so.
    Fired,
    /// It is not.
    Resolved,
    /// Something that is new to us.
    #[serde(other)]
    Unknown,
}

/// What people have done about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum AlertState {
    /// Nobody has looked at it yet.
    New,
    /// Someone looks at it.
    Acknowledged,
    /// It is done with.
    Closed,
    /// Something that is new to us.
    #[serde(other)]
    Unknown,
}

/// An alert that has fired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiredAlert {
    /// The resource id, with subscription and group.
    pub id: ResourceId,
    /// The rule's id, as Azure writes it.
    pub rule: String,
    /// Whether its cause is still there.
    pub condition: MonitorCondition,
    /// What people have done about it.
    pub state: AlertState,
    /// When it fired, as Azure writes it.
    pub fired: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireList {
    value: Vec<WireAlert>,
    next_link: Option<String>,
}

#[derive(Deserialize)]
struct WireAlert {
    id: String,
    properties: WireAlertProperties,
}

#[derive(Deserialize)]
struct WireAlertProperties {
    essentials: Essentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Essentials {
    monitor_condition: MonitorCondition,
    alert_state: AlertState,
    alert_rule: String,
    #[serde(default)]
    start_date_time: String,
}

impl Client {
    /// Reads a rule.
    ///
    /// # Errors
    /// See [`AzureError`].
    pub async fn metric_alert(
        &self,
        id: &ResourceId,
        deadline: Deadline,
    ) -> Result<MetricAlert, AzureError> {
        self.rule(
            id,
            Method::GET,
            None,
            "Microsoft.Insights/metricAlerts/read",
            deadline,
        )
        .await
    }

    /// Switches a rule on or off, and says how it is then.
    ///
    /// # Errors
    /// See [`AzureError`].
    pub async fn set_metric_alert(
        &self,
        id: &ResourceId,
        enabled: bool,
        deadline: Deadline,
    ) -> Result<MetricAlert, AzureError> {
        let body = json!({ "properties": { "enabled": enabled } });
        let needs = "Microsoft.Insights/metricAlerts/write";
        self.rule(id, Method::PATCH, Some(body), needs, deadline)
            .await?;
        self.metric_alert(id, deadline).await
    }

    async fn rule(
        &self,
        id: &ResourceId,
        method: Method,
        body: Option<Value>,
        needs: &'static str,
        deadline: Deadline,
    ) -> Result<MetricAlert, AzureError> {
        let call = Call {
            body,
            ..Call::new(method, id, RULES_API_VERSION, needs)
        };
        let got: Got<WireRule> = self.call(call, deadline).await?;
        let properties = got.body.properties;
        let actions = properties.actions.into_iter();
        Ok(MetricAlert {
            id: id.clone(),
            enabled: properties.enabled,
            scopes: properties.scopes,
            action_groups: actions.map(|it| it.action_group_id).collect(),
        })
    }

    /// The alerts of a rule that have fired and are neither resolved nor closed, of the last 30
    /// days: the longest that Azure answers for (its default is one).
    ///
    /// # Errors
    /// See [`AzureError`].
    pub async fn fired_alerts(
        &self,
        rule: &ResourceId,
        deadline: Deadline,
    ) -> Result<Vec<FiredAlert>, AzureError> {
        // The list is the subscription's; its alerts have ids like this one.
        let all: ResourceId = format!(
            "/subscriptions/{}/providers/Microsoft.AlertsManagement/alerts/all",
            rule.subscription()
        )
        .parse()?;
        let call = Call {
            query: &[
                ("monitorCondition", "Fired"),
                ("alertRule", rule.as_str()),
                ("timeRange", "30d"),
            ],
            ..Call::new(
                Method::GET,
                &all,
                ALERTS_API_VERSION,
                "Microsoft.AlertsManagement/alerts/read",
            )
        };
        let mut url = self.url(&call);
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop();
        }
        let answer = |problem: String| AzureError::Answer {
            resource: rule.clone(),
            endpoint: self.endpoint(),
            problem,
        };
        let mut fired = Vec::new();
        for _ in 0..MAX_PAGES {
            let got: Got<WireList> = self.call_at(&call, url, deadline).await?;
            for alert in got.body.value {
                let essentials = alert.properties.essentials;
                // A filter that a server does not know would close the alerts of others.
                let of_rule = essentials.alert_rule.eq_ignore_ascii_case(rule.as_str());
                let open = essentials.monitor_condition == MonitorCondition::Fired
                    && essentials.alert_state != AlertState::Closed;
                if of_rule && open {
                    fired.push(FiredAlert {
                        id: alert.id.parse()?,
                        rule: essentials.alert_rule,
                        condition: essentials.monitor_condition,
                        state: essentials.alert_state,
                        fired: backstay_resource::text::excerpt(&essentials.start_date_time),
                    });
                }
            }
            let Some(link) = got.body.next_link.filter(|it| !it.is_empty()) else {
                return Ok(fired);
            };
            let next = self.next_page(&link);
            url = next.ok_or_else(|| answer("with a next page on another server".to_owned()))?;
        }
        Err(answer(format!(
            "with more than {MAX_PAGES} pages of alerts"
        )))
    }

    /// Closes an alert.
    ///
    /// # Errors
    /// See [`AzureError`].
    pub async fn close_alert(&self, id: &ResourceId, deadline: Deadline) -> Result<(), AzureError> {
        let call = Call {
            below: "changestate",
            query: &[("newState", "Closed")],
            ..Call::new(
                Method::POST,
                id,
                ALERTS_API_VERSION,
                "Microsoft.AlertsManagement/alerts/changestate/action",
            )
        };
        let _: Got<Value> = self.call(call, deadline).await?;
        Ok(())
    }
}
