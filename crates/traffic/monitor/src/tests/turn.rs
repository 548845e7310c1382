use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::{TARGET, group, rule};
use crate::alert::{AlertState, MonitorCondition};
use crate::evaluate::{Subject, Turn, Turned};
use crate::rule::MetricAlert;
use crate::store::{AlertsState, Configured};
use crate::turn::{ALERT_RETENTION, MAX_ALERTS, MAX_PENDING, take};
use backstay_traffic_state::Content;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn state(rule: &MetricAlert) -> AlertsState {
    let mut state = AlertsState::default();
    let receivers = json!({ "webhookReceivers": [
        { "name": "new", "serviceUri": "http://a/?code=s3cret", "useCommonAlertSchema": true },
        { "name": "old", "serviceUri": "http://b/" },
    ] });
    group(receivers).keep(&mut state).unwrap();
    rule.clone().keep(&mut state).unwrap();
    state
}

fn turned(turn: Turn) -> Turned {
    Turned {
        subject: Subject {
            target: TARGET.to_ascii_lowercase(),
            endpoint: Some("primary".to_owned()),
        },
        turn,
        values: vec![if turn == Turn::Fire { 0.0 } else { 1.0 }],
    }
}

fn ids() -> impl FnMut() -> Uuid {
    let mut last = 0;
    move || {
        last += 1;
        Uuid::from_u128(last)
    }
}

/// Field by field as in the sample of the page, "Sample alert payload" and "Sample metric alert
/// with a static threshold when the monitoringService = `Platform`".
#[test]
fn receivers_are_told_in_the_common_schema() {
    let rule = rule(|_| {});
    let mut state = state(&rule);
    let mut ids = ids();
    take(&mut state, &rule, &[turned(Turn::Fire)], at(0), &mut ids);
    take(
        &mut state,
        &rule,
        &[turned(Turn::Resolve)],
        at(90),
        &mut ids,
    );
    let told: Vec<_> = state
        .pending
        .iter()
        .map(|it| it.receiver.as_str())
        .collect();
    assert_eq!(told, ["new", "old", "new", "old"]);
    let alert = state.alerts.values().next().unwrap();
    let target = TARGET.to_ascii_lowercase();
    let rule_id =
        "/subscriptions/S/resourceGroups/Dr/providers/Microsoft.Insights/metricAlerts/Rule";
    let mut expected = json!({
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {
            "essentials": {
                "alertId": format!("/subscriptions/S/providers/Microsoft.AlertsManagement/alerts/{}", alert.id),
                "alertRule": "Rule",
                "alertRuleId": rule_id,
                "severity": "Sev1",
                "signalType": "Metric",
                "monitorCondition": "Fired",
                "monitoringService": "Platform",
                "alertTargetIDs": [target],
                "configurationItems": ["logs"],
                "targetResourceGroup": "dr",
                "targetResourceType": "microsoft.network/trafficmanagerprofiles",
                "originAlertId": alert.origin(),
                "firedDateTime": "2027-01-15T08:00:00.000000Z",
                "description": "the primary is down",
                "essentialsVersion": "1.0",
                "alertContextVersion": "1.0",
            },
            "alertContext": {
                "properties": { "key": "value" },
                "conditionType": "SingleResourceMultipleMetricCriteria",
                "condition": {
                    "windowSize": "PT5M",
                    "allOf": [{
                        "metricName": "ProbeAgentCurrentEndpointStateByProfileResourceId",
                        "metricNamespace": "Microsoft.Network/trafficManagerProfiles",
                        "operator": "LessThan",
                        "threshold": "1",
                        "timeAggregation": "Maximum",
                        "dimensions": [{ "name": "EndpointName", "value": "primary" }],
                        "metricValue": 0.0,
                        "webTestName": null,
                    }],
                    "windowStartTime": "2027-01-15T07:55:00.000000Z",
                    "windowEndTime": "2027-01-15T08:00:00.000000Z",
                },
            },
            "customProperties": { "key": "value" },
        },
    });
    assert_eq!(state.pending[0].body, expected);
    let data = &mut expected["data"];
    data["essentials"]["monitorCondition"] = json!("Resolved");
    data["essentials"]["resolvedDateTime"] = json!("2027-01-15T08:01:30.000000Z");
    let condition = &mut data["alertContext"]["condition"];
    condition["allOf"][0]["metricValue"] = json!(1.0);
    condition["windowStartTime"] = json!("2027-01-15T07:56:30.000000Z");
    condition["windowEndTime"] = json!("2027-01-15T08:01:30.000000Z");
    assert_eq!(state.pending[2].body, expected);
    let old = &state.pending[1].body;
    assert_eq!(old["schemaId"], "AzureMonitorMetricAlert");
    assert_eq!(old["data"]["status"], "Activated");
    assert_eq!(old["data"]["context"]["resourceName"], "logs");
    assert_eq!(state.pending[3].body["data"]["status"], "Deactivated");
    assert!(!format!("{state:?}").contains("s3cret"));
}

#[test]
fn nothing_fires_twice_and_a_rule_that_has_changed_is_not_heard() {
    let rule = rule(|_| {});
    let mut state = state(&rule);
    let mut ids = ids();
    let proposed = [turned(Turn::Fire)];
    for _ in 0..3 {
        assert_eq!(
            take(&mut state, &rule, &proposed, at(0), &mut ids),
            proposed
        );
        assert_eq!((state.alerts.len(), state.pending.len()), (1, 2));
    }
    let mut changed = rule.clone();
    changed.enabled = false;
    changed.clone().keep(&mut state).unwrap();
    for stale in [&rule, &changed] {
        let resolve = [turned(Turn::Resolve)];
        assert_eq!(take(&mut state, stale, &resolve, at(9), &mut ids), []);
    }
    let alert = state.alerts.values().next().unwrap();
    assert_eq!(alert.condition, MonitorCondition::Fired);
    // Deleted and made again, it is another rule, and fires again.
    let key = rule.key();
    state.rules.remove(&key);
    MetricAlert::forgotten(&key, &mut state);
    assert_eq!(take(&mut state, &rule, &proposed, at(9), &mut ids), []);
    rule.clone().keep(&mut state).unwrap();
    assert_eq!(
        take(&mut state, &rule, &proposed, at(9), &mut ids),
        proposed
    );
    assert_eq!(state.alerts.len(), 2);
}

#[test]
fn a_group_that_is_off_or_gone_tells_nobody() {
    let rule = rule(|_| {});
    let webhook = json!([{ "name": "a", "serviceUri": "http://a/" }]);
    let mut state = state(&rule);
    group(json!({ "enabled": false, "webhookReceivers": webhook }))
        .keep(&mut state)
        .unwrap();
    take(&mut state, &rule, &[turned(Turn::Fire)], at(0), ids());
    assert_eq!((state.alerts.len(), state.pending.len()), (1, 0));
    state.groups.clear();
    take(&mut state, &rule, &[turned(Turn::Resolve)], at(0), ids());
    let alert = state.alerts.values().next().unwrap();
    assert_eq!(alert.condition, MonitorCondition::Resolved);
    assert!(state.pending.is_empty());
}

#[test]
fn what_is_over_is_forgotten_and_what_is_fired_is_not() {
    let mut rule = rule(|_| {});
    rule.auto_mitigate = false;
    let mut state = state(&rule);
    let mut ids = ids();
    let many = i64::try_from(MAX_ALERTS).unwrap() + 50;
    for second in 0..many {
        take(
            &mut state,
            &rule,
            &[turned(Turn::Fire)],
            at(second),
            &mut ids,
        );
    }
    assert_eq!(state.alerts.len(), MAX_ALERTS);
    assert_eq!(state.pending.len(), MAX_PENDING);
    assert!(state.alerts.values().all(|it| it.fired >= at(50)));
    // One that is held stays for as long as it takes, closed or not.
    rule.auto_mitigate = true;
    rule.clone().keep(&mut state).unwrap();
    take(&mut state, &rule, &[turned(Turn::Fire)], at(many), &mut ids);
    let held = state.alerts.values_mut().find(|it| it.held).unwrap();
    Arc::make_mut(held).change_state(AlertState::Closed, "seen", at(many));
    let later = at(many) + ALERT_RETENTION + TimeDelta::days(1);
    take(&mut state, &rule, &[turned(Turn::Fire)], later, &mut ids);
    assert_eq!(state.alerts.len(), 1);
    take(&mut state, &rule, &[turned(Turn::Resolve)], later, &mut ids);
    assert_eq!(state.alerts.len(), 1);
    let alert = state.alerts.values().next().unwrap();
    assert_eq!(alert.state, AlertState::Closed);
    let history = alert.history_json();
    let events: Vec<_> = history["properties"]["modifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["modificationEvent"].as_str().unwrap())
        .collect();
    assert_eq!(
        events,
        ["MonitorConditionChange", "StateChange", "AlertCreated"]
    );
    take(
        &mut state,
        &rule,
        &[turned(Turn::Resolve)],
        later + ALERT_RETENTION,
        &mut ids,
    );
    assert!(state.alerts.is_empty());
}

#[test]
fn what_is_written_is_read() {
    let rule = rule(|_| {});
    let mut state = state(&rule);
    take(
        &mut state,
        &rule,
        &[turned(Turn::Fire)],
        Utc::now(),
        Uuid::new_v4,
    );
    let bytes = state.written(1).unwrap();
    assert_eq!(AlertsState::read(&bytes).unwrap(), state);
}
