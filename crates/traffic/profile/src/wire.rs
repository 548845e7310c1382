//! From a profile to Azure's JSON.

use serde_json::{Value, json};

use super::{Endpoint, Header, Profile};
use crate::status::{EndpointMonitorStatus, ProfileMonitorStatus, profile_status};

/// The JSON of a profile, with a status for each of its endpoints.
pub fn profile_json(profile: &Profile, zone: &str, statuses: &[EndpointMonitorStatus]) -> Value {
    let monitor = &profile.monitor;
    let status: ProfileMonitorStatus = profile_status(profile.status, statuses);
    let endpoints: Vec<Value> = profile
        .endpoints
        .iter()
        .zip(statuses)
        .map(|(endpoint, status)| endpoint_json(profile, endpoint, *status))
        .collect();
    let mut monitor_config = json!({
        "profileMonitorStatus": status.as_str(),
        "protocol": monitor.protocol.as_str(),
        "port": monitor.port,
        "path": monitor.path,
        "intervalInSeconds": monitor.interval,
        "timeoutInSeconds": monitor.timeout,
        "toleratedNumberOfFailures": monitor.tolerated,
    });
    if !monitor.headers.is_empty() {
        monitor_config["customHeaders"] = headers_json(&monitor.headers);
    }
    if !monitor.expected.is_empty() {
        monitor_config["expectedStatusCodeRanges"] = json!(monitor.expected);
    }
    json!({
        "id": profile.id(),
        "name": profile.name,
        "type": "Microsoft.Network/trafficManagerProfiles",
        "location": "global",
        "tags": profile.tags,
        "properties": {
            "provisioningState": "Succeeded",
            "profileStatus": profile.status.as_str(),
            "trafficRoutingMethod": "Priority",
            "trafficViewEnrollmentStatus": "Disabled",
            "dnsConfig": {
                "relativeName": profile.relative_name,
                "fqdn": profile.fqdn(zone),
                "ttl": profile.ttl,
            },
            "monitorConfig": monitor_config,
            "endpoints": endpoints,
        },
    })
}

/// The JSON of an endpoint.
pub fn endpoint_json(
    profile: &Profile,
    endpoint: &Endpoint,
    status: EndpointMonitorStatus,
) -> Value {
    let mut properties = json!({
        "provisioningState": "Succeeded",
        "endpointStatus": endpoint.status.as_str(),
        "endpointMonitorStatus": status.as_str(),
        "target": endpoint.target.to_string(),
        "weight": endpoint.weight,
        "priority": endpoint.priority,
        "alwaysServe": endpoint.always_serve.as_str(),
    });
    if let Some(location) = &endpoint.location {
        properties["endpointLocation"] = json!(location);
    }
    if !endpoint.headers.is_empty() {
        properties["customHeaders"] = headers_json(&endpoint.headers);
    }
    json!({
        "id": profile.endpoint_id(&endpoint.name),
        "name": endpoint.name,
        "type": "Microsoft.Network/trafficManagerProfiles/externalEndpoints",
        "properties": properties,
    })
}

fn headers_json(headers: &[Header]) -> Value {
    headers
        .iter()
        .map(|it| json!({ "name": it.name, "value": it.value }))
        .collect()
}
