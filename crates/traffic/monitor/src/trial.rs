//! Test notifications: whether receivers answer, without an alert.
//!
//! Source: <https://learn.microsoft.com/rest/api/monitor/action-groups/create-notifications-at-action-group-resource-level>.
//! As in Azure, whoever asks says whom to tell; the group alone is where it is asked. What is sent
//! is Azure's own sample of the kind (a rule and a subscription that do not exist, fired years ago:
//! <https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-payload-samples>), so that no
//! receiver takes it for a disaster. It goes the way of every notification, retries included.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::alert::written;
use super::group::{Receiver, receivers};
use super::store::AlertsState;
use super::turn::Notification;
use crate::ACTION_GROUP;
use backstay_resource::Invalid;
use backstay_resource::ResourceName;
use backstay_resource::text::shown;

/// Tests that are remembered, and for how long.
const MAX_TRIALS: usize = 100;
const TRIAL_RETENTION: TimeDelta = TimeDelta::days(1);
/// The one kind of alert that fires here.
const ALERT_TYPE: &str = "metricstaticthreshold";

/// A test, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Trial {
    pub(crate) id: Uuid,
    /// The action group, in lower case.
    pub(crate) group: String,
    created: DateTime<Utc>,
    actions: Vec<Action>,
}

/// One receiver of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    mechanism: String,
    name: String,
    ended: Option<Ended>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ended {
    at: DateTime<Utc>,
    /// Why it could not be told.
    failed: Option<String>,
}

/// What is asked for: whom to tell.
pub(crate) struct Request {
    called: Vec<(&'static str, Receiver)>,
    /// Receivers that this server cannot call, by kind and name, and why.
    others: Vec<(String, String, &'static str)>,
}

impl Request {
    /// Reads the body.
    pub(crate) fn parse(body: Value) -> Result<Self, Invalid> {
        let Value::Object(mut body) = body else {
            return Err(Invalid::bad("the body is not an object."));
        };
        let of_type = body.remove("alertType");
        let of_type = of_type.as_ref().and_then(Value::as_str).unwrap_or_default();
        if !of_type.eq_ignore_ascii_case(ALERT_TYPE) {
            return Err(Invalid::bad(format!(
                "alertType '{}' is not '{ALERT_TYPE}', the only kind of alert that this server has.",
                shown(of_type)
            )));
        }
        let mut list = |kind: &str| -> Result<Option<Vec<Map<String, Value>>>, Invalid> {
            let Some(list) = body.remove(kind).filter(|it| !it.is_null()) else {
                return Ok(None);
            };
            serde_json::from_value(list)
                .map(Some)
                .map_err(|_| Invalid::bad(format!("{kind} is not a list of receivers.")))
        };
        let webhooks = receivers(list("webhookReceivers")?, "serviceUri")?;
        let functions = receivers(list("azureFunctionReceivers")?, "httpTriggerUrl")?;
        let both = webhooks.into_iter().map(|it| ("Webhook", it));
        let both = both.chain(functions.into_iter().map(|it| ("AzureFunction", it)));
        let (mut called, mut others) = (Vec::new(), Vec::new());
        for (mechanism, receiver) in both {
            if receiver.entra {
                const WHY: &str = "this server has no Entra token for it";
                others.push((format!("Secure{mechanism}"), receiver.name, WHY));
            } else {
                called.push((mechanism, receiver));
            }
        }
        for (kind, list) in body.iter().filter(|(kind, _)| kind.ends_with("Receivers")) {
            for receiver in list.as_array().into_iter().flatten() {
                let name = receiver.get("name").and_then(Value::as_str);
                let name = shown(name.unwrap_or_default()).to_string();
                others.push((
                    kind.clone(),
                    name,
                    "this server calls webhooks and functions",
                ));
            }
        }
        if called.is_empty() && others.is_empty() {
            return Err(Invalid::bad("there is no receiver to be told."));
        }
        Ok(Self { called, others })
    }

    /// Puts down the test, and what is to be told for it.
    pub(crate) fn keep(
        self,
        state: &mut AlertsState,
        group: &ResourceName,
        now: DateTime<Utc>,
    ) -> Arc<Trial> {
        let id = Uuid::new_v4();
        let mut actions = Vec::new();
        for (mechanism, receiver) in self.called {
            state.pending.push(Arc::new(Notification {
                id: Uuid::new_v4(),
                alert: id,
                receiver: receiver.name.clone(),
                uri: receiver.uri.clone(),
                body: sample(receiver.common_schema),
            }));
            actions.push(Action {
                mechanism: mechanism.to_owned(),
                name: receiver.name,
                ended: None,
            });
        }
        actions.extend(
            self.others
                .into_iter()
                .map(|(mechanism, name, why)| Action {
                    mechanism,
                    name,
                    ended: Some(Ended {
                        at: now,
                        failed: Some(why.to_owned()),
                    }),
                }),
        );
        let trial = Arc::new(Trial {
            id,
            group: group.key(ACTION_GROUP),
            created: now,
            actions,
        });
        state.trials.insert(id, Arc::clone(&trial));
        prune(state, now);
        trial
    }
}

/// Forgets those whose time is over, and the oldest ones where there are too many.
fn prune(state: &mut AlertsState, now: DateTime<Utc>) {
    let old = |it: &Arc<Trial>| now.signed_duration_since(it.created) >= TRIAL_RETENTION;
    state.trials.retain(|_, it| !old(it));
    while state.trials.len() > MAX_TRIALS {
        let oldest = state.trials.values().min_by_key(|it| it.created);
        let Some(oldest) = oldest.map(|it| it.id) else {
            return;
        };
        state.trials.remove(&oldest);
    }
}

impl Trial {
    /// A receiver was told, or it was given up.
    pub(super) fn ended(&mut self, receiver: &str, failed: Option<&str>, now: DateTime<Utc>) {
        let action = self.actions.iter_mut().find(|it| it.name == receiver);
        if let Some(action) = action {
            action.ended = Some(Ended {
                at: now,
                failed: failed.map(str::to_owned),
            });
        }
    }

    /// Whether nobody is to be told any more.
    pub(crate) fn is_over(&self) -> bool {
        self.actions.iter().all(|it| it.ended.is_some())
    }

    /// In Azure's JSON.
    pub(crate) fn json(&self) -> Value {
        let last = self.actions.iter().filter_map(|it| it.ended.as_ref());
        let last = last.map(|it| it.at).max().filter(|_| self.is_over());
        let details: Vec<Value> = self.actions.iter().map(Action::json).collect();
        json!({
            "context": {
                "notificationSource": "Microsoft.Insights/TestNotification",
                "contextType": "Microsoft.Insights/MetricAlert",
            },
            "state": if self.is_over() { "Complete" } else { "InProgress" },
            "createdTime": written(self.created),
            "completedTime": last.map(written),
            "actionDetails": details,
        })
    }
}

impl Action {
    fn json(&self) -> Value {
        let status = match &self.ended {
            None => "Pending",
            Some(Ended { failed: None, .. }) => "Succeeded",
            Some(_) => "Failed",
        };
        let ended = self.ended.as_ref();
        json!({
            "MechanismType": self.mechanism,
            "Name": self.name,
            "Status": status,
            "SubState": "Default",
            "SendTime": ended.map(|it| written(it.at)),
            "Detail": ended.and_then(|it| it.failed.as_deref()),
        })
    }
}

/// What a receiver is sent.
fn sample(common_schema: bool) -> Value {
    const NOBODY: &str = "11111111-1111-1111-1111-111111111111";
    let target = format!(
        "/subscriptions/{NOBODY}/resourcegroups/test-rg/providers/microsoft.storage/storageaccounts/test-storageaccount"
    );
    let rule = format!(
        "/subscriptions/{NOBODY}/resourceGroups/test-RG/providers/microsoft.insights/metricAlerts/test-metricAlertRule"
    );
    let condition = json!({
        "windowSize": "PT5M",
        "allOf": [{
            "metricName": "Transactions",
            "metricNamespace": "Microsoft.Storage/storageAccounts",
            "operator": "GreaterThan",
            "threshold": "0",
            "timeAggregation": "Total",
            "dimensions": [{ "name": "ApiName", "value": "GetBlob" }],
            "metricValue": 100,
            "webTestName": null,
        }],
    });
    const STYLE: &str = "SingleResourceMultipleMetricCriteria";
    if !common_schema {
        return json!({
            "schemaId": "AzureMonitorMetricAlert",
            "data": {
                "version": "2.0",
                "properties": null,
                "status": "Activated",
                "context": {
                    "timestamp": "2021-11-15T09:35:12.9703687Z",
                    "id": rule,
                    "name": "test-metricAlertRule",
                    "description": "Alert rule description",
                    "conditionType": STYLE,
                    "severity": "3",
                    "condition": condition,
                    "subscriptionId": NOBODY,
                    "resourceGroupName": "test-RG",
                    "resourceName": "test-storageAccount",
                    "resourceType": "Microsoft.Storage/storageAccounts",
                    "resourceId": target,
                },
            },
        });
    }
    json!({
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {
            "essentials": {
                "alertId": format!("/subscriptions/{NOBODY}/providers/Microsoft.AlertsManagement/alerts/12345678-1234-1234-1234-1234567890ab"),
                "alertRule": "test-metricAlertRule",
                "severity": "Sev3",
                "signalType": "Metric",
                "monitorCondition": "Fired",
                "monitoringService": "Platform",
                "alertTargetIDs": [target],
                "configurationItems": ["test-storageAccount"],
                "originAlertId": format!("{NOBODY}_test-RG_microsoft.insights_metricAlerts_test-metricAlertRule_1234567890"),
                "firedDateTime": "2021-11-15T09:35:24.3468506Z",
                "description": "Alert rule description",
                "essentialsVersion": "1.0",
                "alertContextVersion": "1.0",
            },
            "alertContext": {
                "properties": null,
                "conditionType": STYLE,
                "condition": condition,
            },
            "customProperties": null,
        },
    })
}
