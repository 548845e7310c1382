//! The pair in Azure's words: resource ids, and the traffic manager's profile.

use serde_json::{Value, json};

use crate::derive::derive;
use crate::pair::{Pair, Protocol, TrafficManager};
use crate::role::Side;

impl TrafficManager {
    /// The profile's resource id.
    pub fn profile_id(&self) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Network/trafficManagerProfiles/{}",
            self.subscription, self.resource_group, self.profile
        )
    }

    /// The resource id of a side's endpoint.
    pub fn endpoint_id(&self, side: Side) -> String {
        let name = match side {
            Side::Primary => &self.primary_endpoint,
            Side::Secondary => &self.secondary_endpoint,
        };
        format!("{}/externalEndpoints/{name}", self.profile_id())
    }
}

impl Pair {
    /// The resource id of the alert that wakes the failover. It belongs to the secondary.
    pub fn alert_id(&self) -> String {
        self.monitor_id("metricAlerts", &self.traffic_manager.alert_name)
    }

    /// The resource id of what the alert calls.
    pub fn action_group_id(&self) -> String {
        self.monitor_id("actionGroups", &self.traffic_manager.action_group)
    }

    fn monitor_id(&self, kind: &str, name: &str) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Insights/{kind}/{name}",
            self.traffic_manager.subscription, self.secondary.resource_group
        )
    }
}

/// The body with which the profile is made (`Microsoft.Network/trafficManagerProfiles`, API version
/// 2022-04-01): routing by priority, both endpoints enabled.
///
/// Only for making it: put over a profile whose primary is disabled, it would send traffic back.
pub fn traffic_manager_profile(pair: &Pair) -> Value {
    let manager = &pair.traffic_manager;
    let endpoint = |side: Side| {
        let endpoint = derive(pair, side, side.usual(), false).endpoint;
        endpoint.map(|endpoint| {
            json!({
                "name": endpoint.name,
                "type": "Microsoft.Network/trafficManagerProfiles/externalEndpoints",
                "properties": {
                    "target": endpoint.target,
                    "endpointStatus": "Enabled",
                    "priority": endpoint.priority,
                },
            })
        })
    };
    let endpoints: Vec<Value> = [Side::Primary, Side::Secondary]
        .into_iter()
        .filter_map(endpoint)
        .collect();
    json!({
        "location": "global",
        "properties": {
            "profileStatus": "Enabled",
            "trafficRoutingMethod": "Priority",
            "dnsConfig": { "relativeName": manager.relative_name, "ttl": manager.ttl },
            "monitorConfig": {
                "protocol": match manager.probe_protocol {
                    Protocol::Http => "HTTP",
                    Protocol::Https => "HTTPS",
                },
                "port": manager.probe_port,
                "path": manager.probe_path,
                "intervalInSeconds": manager.interval,
                "timeoutInSeconds": manager.timeout,
                "toleratedNumberOfFailures": manager.tolerated_failures,
                // The ingress routes by host, and an endpoint may be a bare address.
                "customHeaders": [{ "name": "host", "value": pair.global_host }],
            },
            "endpoints": endpoints,
        },
    })
}
