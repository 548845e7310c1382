//! What webhooks are sent.
//!
//! Source: <https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema> (the
//! tables "Essentials fields" and "Metric alerts context fields", and the sample of a metric alert
//! with a static threshold from `Platform`), and for receivers without it
//! <https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-non-common-schema-definitions>.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::alert::{Alert, MonitorCondition, written};
use super::rule::{DIMENSION, METRIC, MetricAlert};
use crate::METRIC_ALERT;
use backstay_traffic_profile::PROFILE;

/// The cause of a turn: the `alertContext` except for the properties that an action adds.
pub(super) fn context(
    rule: &MetricAlert,
    alert: &Alert,
    values: &[f64],
    now: DateTime<Utc>,
) -> Value {
    let criteria = rule.criteria.iter().zip(values);
    let all_of: Vec<Value> = criteria
        .map(|(criterion, value)| {
            // In the words of the rule, if it names one.
            let named = criterion.dimensions.iter().find_map(|it| it.one());
            let endpoint = named.or(alert.subject.endpoint.as_deref());
            let dimensions: Vec<Value> = endpoint
                .iter()
                .map(|it| json!({ "name": DIMENSION, "value": it }))
                .collect();
            json!({
                "metricName": METRIC,
                "metricNamespace": PROFILE.to_string(),
                "operator": criterion.operator,
                // A string, as in Azure's sample.
                "threshold": criterion.threshold.to_string(),
                "timeAggregation": criterion.aggregation,
                "dimensions": dimensions,
                "metricValue": value,
                "webTestName": null,
            })
        })
        .collect();
    json!({
        "conditionType": rule.style.as_str(),
        "condition": {
            "windowSize": rule.window,
            "allOf": all_of,
            "windowStartTime": written(now - rule.window.duration()),
            "windowEndTime": written(now),
        },
    })
}

/// A notification in the common alert schema.
pub(super) fn common(alert: &Alert, properties: &BTreeMap<String, String>) -> Value {
    let target = &alert.subject.target;
    let (group, name) = alert.subject.place();
    let mut essentials = json!({
        "alertId": alert.path(),
        "alertRule": alert.rule.name,
        "alertRuleId": alert.rule.path(METRIC_ALERT),
        "severity": format!("Sev{}", alert.severity),
        "signalType": "Metric",
        "monitorCondition": alert.condition,
        "monitoringService": "Platform",
        "alertTargetIDs": [target],
        "configurationItems": [name],
        "targetResourceGroup": group,
        "targetResourceType": PROFILE.to_string().to_ascii_lowercase(),
        "originAlertId": alert.origin(),
        "firedDateTime": written(alert.fired),
        "description": alert.description,
        "essentialsVersion": "1.0",
        "alertContextVersion": "1.0",
    });
    if let Some(resolved) = alert.resolved {
        essentials["resolvedDateTime"] = json!(written(resolved));
    }
    let mut context = alert.context.clone();
    context["properties"] = custom(properties);
    json!({
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {
            "essentials": essentials,
            "alertContext": context,
            "customProperties": custom(properties),
        },
    })
}

/// A notification in the older schema of metric alerts.
pub(super) fn older(alert: &Alert, properties: &BTreeMap<String, String>) -> Value {
    let target = &alert.subject.target;
    let (group, name) = alert.subject.place();
    let status = match alert.condition {
        MonitorCondition::Fired => "Activated",
        MonitorCondition::Resolved => "Deactivated",
    };
    json!({
        "schemaId": "AzureMonitorMetricAlert",
        "data": {
            "version": "2.0",
            "properties": custom(properties),
            "status": status,
            "context": {
                "timestamp": written(alert.modified),
                "id": alert.rule.path(METRIC_ALERT),
                "name": alert.rule.name,
                "description": alert.description,
                "conditionType": alert.context["conditionType"],
                "severity": alert.severity.to_string(),
                "condition": alert.context["condition"],
                "subscriptionId": alert.rule.subscription,
                "resourceGroupName": group,
                "resourceName": name,
                "resourceType": PROFILE.to_string(),
                "resourceId": target,
            },
        },
    })
}

fn custom(properties: &BTreeMap<String, String>) -> Value {
    if properties.is_empty() {
        Value::Null
    } else {
        json!(properties)
    }
}
