#![allow(clippy::unwrap_used, clippy::expect_used)]

mod courier;
mod evaluate;
mod model;
mod turn;
mod wire;

use serde_json::{Value, json};

use super::rule::MetricAlert;
use backstay_resource::ResourceName;
use backstay_traffic_profile::MonitorLimits;
use backstay_traffic_profile::PROFILE;

const TARGET: &str =
    "/subscriptions/S/resourceGroups/Dr/providers/Microsoft.Network/trafficManagerProfiles/Logs";
const GROUP: &str =
    "/subscriptions/S/resourceGroups/Dr/providers/Microsoft.Insights/actionGroups/G";

fn id(name: &str) -> ResourceName {
    ResourceName {
        subscription: "S".to_owned(),
        resource_group: "Dr".to_owned(),
        name: name.to_owned(),
    }
}

/// A rule as Terraform's `azurerm_monitor_metric_alert` sends it: the primary is down.
fn body() -> Value {
    json!({
        "location": "global",
        "tags": { "by": "test" },
        "properties": {
            "description": "the primary is down",
            "severity": 1,
            "enabled": true,
            "scopes": [TARGET],
            "evaluationFrequency": "PT1M",
            "windowSize": "PT5M",
            "criteria": {
                "odata.type": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
                "allOf": [{
                    "criterionType": "StaticThresholdCriterion",
                    "name": "Metric1",
                    "metricName": "ProbeAgentCurrentEndpointStateByProfileResourceId",
                    "metricNamespace": "Microsoft.Network/trafficManagerProfiles",
                    "operator": "LessThan",
                    "threshold": 1,
                    "timeAggregation": "Maximum",
                    "dimensions": [
                        { "name": "EndpointName", "operator": "Include", "values": ["primary"] }
                    ],
                }],
            },
            "autoMitigate": true,
            "actions": [{ "actionGroupId": GROUP, "webHookProperties": { "key": "value" } }],
        },
    })
}

fn parsed(body: Value) -> MetricAlert {
    MetricAlert::parse(id("Rule"), body, MonitorLimits::Lab).unwrap()
}

/// The rule above with these parts of its properties changed.
fn rule(change: impl FnOnce(&mut Value)) -> MetricAlert {
    let mut body = body();
    change(&mut body["properties"]);
    parsed(body)
}

fn group(properties: Value) -> super::group::ActionGroup {
    let mut all = json!({ "groupShortName": "dr", "enabled": true });
    for (name, value) in properties.as_object().unwrap() {
        all[name] = value.clone();
    }
    let body = json!({ "location": "Global", "properties": all });
    super::group::ActionGroup::parse(id("G"), body).unwrap()
}

#[test]
fn ids_are_read_in_either_case() {
    let read = ResourceName::read(PROFILE, &TARGET.to_ascii_uppercase()).unwrap();
    assert_eq!(read.key(PROFILE), TARGET.to_ascii_lowercase());
    for wrong in ["", "/", GROUP, &format!("{TARGET}/more"), &TARGET[1..]] {
        assert_eq!(ResourceName::read(PROFILE, wrong), None, "{wrong}");
    }
}
