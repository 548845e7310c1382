//! Alert rules, fired alerts and account keys, against the real traffic manager.

use backstay_azure::{AlertState, AzureError, FiredAlert, MonitorCondition};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::traffic_manager::{Lab, profile};
use crate::{PROFILE, deadline, id};

const RULE: &str =
    "/subscriptions/5e55/resourceGroups/dr/providers/Microsoft.Insights/metricAlerts/dr-alert";

/// As the pair's Terraform has it, evaluated every second.
fn rule() -> Value {
    json!({
        "location": "global",
        "properties": {
            "description": "the primary is down", "severity": 1, "enabled": true,
            "scopes": [PROFILE],
            "evaluationFrequency": "PT1S", "windowSize": "PT1S",
            "criteria": {
                "odata.type": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
                "allOf": [{
                    "criterionType": "StaticThresholdCriterion", "name": "down",
                    "metricNamespace": "Microsoft.Network/trafficManagerProfiles",
                    "metricName": "ProbeAgentCurrentEndpointStateByProfileResourceId",
                    "operator": "LessThan", "threshold": 1, "timeAggregation": "Maximum",
                    "dimensions": [
                        { "name": "EndpointName", "operator": "Include", "values": ["primary"] },
                    ],
                }],
            },
            "autoMitigate": true,
            "actions": [],
        },
    })
}

async fn until_open(lab: &Lab) -> Vec<FiredAlert> {
    while !deadline().passed() {
        let open = lab
            .client
            .fired_alerts(&id(RULE), deadline())
            .await
            .unwrap();
        if !open.is_empty() {
            return open;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("no alert has fired");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_fires_its_rule_is_switched_off_and_it_is_closed() {
    let lab = Lab::start().await;
    let error = lab
        .client
        .metric_alert(&id(RULE), deadline())
        .await
        .unwrap_err();
    assert!(matches!(error, AzureError::NotFound { .. }), "{error}");
    // Nothing listens on its port, and nothing is tolerated.
    let mut profile = profile("Enabled");
    let monitor = &mut profile["properties"]["monitorConfig"];
    for (name, value) in [
        ("intervalInSeconds", 1),
        ("timeoutInSeconds", 1),
        ("toleratedNumberOfFailures", 0),
    ] {
        monitor[name] = json!(value);
    }
    lab.put(PROFILE, profile).await;
    lab.put_at(RULE, "2018-03-01", rule()).await;
    // Another rule's alerts are not ours to close.
    let other = RULE.replace("dr-alert", "other-dr-alert");
    lab.put_at(&other, "2018-03-01", rule()).await;

    let read = lab
        .client
        .metric_alert(&id(RULE), deadline())
        .await
        .unwrap();
    assert!(read.enabled);
    assert_eq!(read.scopes, [PROFILE]);
    let open = tokio::time::timeout(crate::HANG, until_open(&lab))
        .await
        .unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(
        (open[0].condition, open[0].state),
        (MonitorCondition::Fired, AlertState::New)
    );
    let off = lab
        .client
        .set_metric_alert(&id(RULE), false, deadline())
        .await
        .unwrap();
    assert!(!off.enabled);
    assert_eq!(off.scopes, read.scopes);
    for _ in 0..2 {
        lab.client
            .close_alert(&open[0].id, deadline())
            .await
            .unwrap();
    }
    let open = lab
        .client
        .fired_alerts(&id(RULE), deadline())
        .await
        .unwrap();
    assert_eq!(open, []);
    let on = lab
        .client
        .set_metric_alert(&id(RULE), true, deadline())
        .await
        .unwrap();
    assert!(on.enabled);
}

#[tokio::test]
async fn the_keys_of_an_account_are_handed_out() {
    let lab = Lab::with_accounts(Some(json!({ "accounts": [{
        "subscription": "5e55", "resourceGroup": "dr", "name": "primaryacct",
        "location": "centralus", "keys": [{ "name": "key1", "value": "c2VjcmV0LWtleQ==" }],
    }] })))
    .await;
    let account = |name: &str| {
        id(&format!(
            "/subscriptions/5e55/resourceGroups/dr/providers/Microsoft.Storage/storageAccounts/{name}"
        ))
    };
    let keys = lab
        .client
        .account_keys(&account("primaryacct"), deadline())
        .await
        .unwrap();
    assert_eq!(keys[0].value.expose_secret(), "c2VjcmV0LWtleQ==");
    let error = lab
        .client
        .account_keys(&account("nobody"), deadline())
        .await
        .unwrap_err();
    assert!(matches!(error, AzureError::NotFound { .. }), "{error}");
}
