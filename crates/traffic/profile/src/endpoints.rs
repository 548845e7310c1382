//! From a client's JSON to an endpoint, and what endpoints of one profile must have in common.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::check::{headers, label};
use super::{Endpoint, Header, MAX_ENDPOINTS, Profile, Switch, Target};
use backstay_resource::Invalid;
use backstay_resource::body::{check_resource_name, read};
use backstay_resource::text::shown;

#[derive(Deserialize)]
pub(super) struct WireEndpoint {
    pub(super) name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    properties: Option<WireEndpointProperties>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEndpointProperties {
    target: Option<String>,
    target_resource_id: Option<String>,
    endpoint_status: Option<Switch>,
    priority: Option<i64>,
    weight: Option<i64>,
    endpoint_location: Option<String>,
    always_serve: Option<Switch>,
    custom_headers: Option<Vec<Header>>,
    geo_mapping: Option<Vec<Value>>,
    subnets: Option<Vec<Value>>,
}

/// Reads an endpoint and returns its profile with it.
///
/// # Errors
/// When Azure would refuse it, or when it needs what is not built.
pub fn parse_endpoint(
    profile: &Profile,
    name: &str,
    body: Value,
    zone: &str,
) -> Result<Profile, Invalid> {
    let wire: WireEndpoint = read(body)?;
    if let Some(given) = wire.name.as_deref()
        && !given.eq_ignore_ascii_case(name)
    {
        return Err(Invalid::bad(format!(
            "The endpoint is called '{given}' in the body and '{name}' in the URL."
        )));
    }
    let mut changed = profile.clone();
    let place = profile
        .endpoints
        .iter()
        .position(|it| it.name.eq_ignore_ascii_case(name));
    let kept = place.and_then(|it| profile.endpoints.get(it));
    let priority = match kept {
        Some(old) => old.priority,
        None => next_priority(profile)?,
    };
    // The name keeps the case in which it was made.
    let name = kept.map_or(name, |old| &old.name);
    let endpoint = endpoint(name, wire, priority)?;
    match place.and_then(|it| changed.endpoints.get_mut(it)) {
        Some(old) => *old = endpoint,
        None => changed.endpoints.push(endpoint),
    }
    check_endpoints(&changed, zone)?;
    Ok(changed)
}

/// The priority of a new endpoint that asks for none: behind all others, as Azure does it.
///
/// # Errors
/// When there is none left.
pub fn next_priority(profile: &Profile) -> Result<u32, Invalid> {
    let taken: BTreeSet<u32> = profile.endpoints.iter().map(|it| it.priority).collect();
    let behind = taken.last().map_or(1, |last| last + 1);
    std::iter::once(behind)
        .chain(1..=1000)
        .find(|it| *it <= 1000 && !taken.contains(it))
        .ok_or_else(|| Invalid::bad("No priority from 1 to 1000 is left in this profile."))
}

pub(super) fn has_priority(wire: &WireEndpoint) -> bool {
    wire.properties
        .as_ref()
        .is_some_and(|it| it.priority.is_some())
}

pub(super) fn endpoint(name: &str, wire: WireEndpoint, next: u32) -> Result<Endpoint, Invalid> {
    check_resource_name(name, "endpoint")?;
    if let Some(kind) = wire.kind {
        let short = kind.rsplit('/').next().unwrap_or_default();
        if !short.eq_ignore_ascii_case("externalEndpoints") {
            return Err(Invalid::bad(format!(
                "Endpoint '{name}' is of type '{}'; this server offers externalEndpoints alone.",
                shown(&kind)
            )));
        }
    }
    let properties = wire
        .properties
        .ok_or_else(|| Invalid::bad(format!("Endpoint '{name}' has no 'properties'.")))?;
    if properties
        .target_resource_id
        .is_some_and(|it| !it.is_empty())
    {
        return Err(Invalid::bad(format!(
            "Endpoint '{name}' has a targetResourceId, which external endpoints do not have; give \
             its name or address as 'target'."
        )));
    }
    for (given, field, method) in [
        (&properties.geo_mapping, "geoMapping", "Geographic"),
        (&properties.subnets, "subnets", "Subnet"),
    ] {
        if given.as_ref().is_some_and(|it| !it.is_empty()) {
            return Err(Invalid::bad(format!(
                "Endpoint '{name}' has '{field}', which is of {method} routing."
            )));
        }
    }
    let target = properties
        .target
        .ok_or_else(|| Invalid::bad(format!("Endpoint '{name}' has no 'target'.")))?;
    let bounded = |value: Option<i64>, default: u32, field: &str| match value {
        None => Ok(default),
        Some(value) => u32::try_from(value)
            .ok()
            .filter(|it| (1..=1000).contains(it))
            .ok_or_else(|| {
                Invalid::bad(format!(
                    "Endpoint '{name}': {field} is {value}; it is 1 to 1000."
                ))
            }),
    };
    Ok(Endpoint {
        name: name.to_owned(),
        target: parse_target(name, target)?,
        status: properties.endpoint_status.unwrap_or(Switch::Enabled),
        priority: bounded(properties.priority, next, "priority")?,
        weight: bounded(properties.weight, 1, "weight")?,
        location: properties.endpoint_location,
        always_serve: properties.always_serve.unwrap_or(Switch::Disabled),
        headers: headers(properties.custom_headers, "customHeaders")?,
    })
}

fn parse_target(endpoint: &str, target: String) -> Result<Target, Invalid> {
    match Target::from(target) {
        Target::Name(name) => {
            let name = name.strip_suffix('.').unwrap_or(&name).to_ascii_lowercase();
            // A name of digits alone at its end would be taken for an address by clients.
            let last = name.rsplit('.').next().unwrap_or_default();
            let numeric = last.bytes().all(|it| it.is_ascii_digit());
            let labels = name.split('.').all(|it| label(&it.replace('_', "a")));
            if name.len() <= 253 && labels && !numeric {
                return Ok(Target::Name(name));
            }
            Err(Invalid::bad(format!(
                "Endpoint '{endpoint}': target '{}' is neither a DNS name nor an address without a \
                 port.",
                shown(&name)
            )))
        }
        address => Ok(address),
    }
}

/// What concerns endpoints together.
pub(super) fn check_endpoints(profile: &Profile, zone: &str) -> Result<(), Invalid> {
    if profile.endpoints.len() > MAX_ENDPOINTS {
        return Err(Invalid::bad(format!(
            "A profile has at most {MAX_ENDPOINTS} endpoints."
        )));
    }
    let (mut names, mut priorities, mut addresses) =
        (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
    let mut kinds = BTreeSet::new();
    let own = Target::Name(profile.fqdn(zone));
    for endpoint in &profile.endpoints {
        let name = &endpoint.name;
        if !names.insert(name.to_ascii_lowercase()) {
            return Err(Invalid::bad(format!(
                "There are two endpoints called '{name}'."
            )));
        }
        if let Some(other) = priorities.insert(endpoint.priority, name) {
            return Err(Invalid::bad(format!(
                "Endpoints '{other}' and '{name}' both have priority {}.",
                endpoint.priority
            )));
        }
        kinds.insert(match endpoint.target {
            Target::Address(std::net::IpAddr::V4(_)) => "IPv4 address",
            Target::Address(std::net::IpAddr::V6(_)) => "IPv6 address",
            Target::Name(_) => "DNS name",
        });
        if let Target::Address(address) = endpoint.target
            && let Some(other) = addresses.insert(address, name)
        {
            return Err(Invalid::bad(format!(
                "Endpoints '{other}' and '{name}' both have the target {address}."
            )));
        }
        if endpoint.target == own {
            return Err(Invalid::bad(format!(
                "Endpoint '{name}' points to the name of its own profile."
            )));
        }
    }
    if kinds.len() > 1 {
        let kinds: Vec<_> = kinds.into_iter().collect();
        return Err(Invalid::bad(format!(
            "The endpoints of a profile have one kind of target; here are {}.",
            kinds.join(" and ")
        )));
    }
    Ok(())
}
