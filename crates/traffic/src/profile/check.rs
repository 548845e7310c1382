//! From a client's JSON to a profile, by Azure's rules.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::{
    Endpoint, Header, MAX_ENDPOINTS, MAX_HEADERS, MAX_RANGES, MonitorConfig, Profile, Protocol,
    StatusRange, Switch, Target,
};
use crate::config::Limits;

/// Why a request is refused: an Azure error code and a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// As Azure's `error.code`.
    pub code: &'static str,
    /// As Azure's `error.message`.
    pub message: String,
}

impl Invalid {
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self {
            code: "BadRequest",
            message: message.into(),
        }
    }
}

/// What is known before the body is read.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The subscription's id.
    pub subscription: &'a str,
    /// The resource group.
    pub resource_group: &'a str,
    /// The profile's name.
    pub profile: &'a str,
    /// The zone in which names are made.
    pub zone: &'a str,
    /// Which monitor settings are allowed.
    pub limits: Limits,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireProfile {
    location: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    properties: Option<WireProperties>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireProperties {
    profile_status: Option<Switch>,
    traffic_routing_method: Option<String>,
    traffic_view_enrollment_status: Option<Switch>,
    max_return: Option<u64>,
    dns_config: Option<WireDns>,
    monitor_config: Option<WireMonitor>,
    endpoints: Option<Vec<WireEndpoint>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDns {
    relative_name: Option<String>,
    ttl: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMonitor {
    protocol: Option<String>,
    port: Option<i64>,
    path: Option<String>,
    interval_in_seconds: Option<i64>,
    timeout_in_seconds: Option<i64>,
    tolerated_number_of_failures: Option<i64>,
    custom_headers: Option<Vec<Header>>,
    expected_status_code_ranges: Option<Vec<StatusRange>>,
}

#[derive(Deserialize)]
struct WireEndpoint {
    name: Option<String>,
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

/// Reads a profile.
///
/// # Errors
/// When Azure would refuse it, or when it needs what is not built.
pub fn parse_profile(context: Context<'_>, body: Value) -> Result<Profile, Invalid> {
    let wire: WireProfile = read(body)?;
    match wire.location.as_deref() {
        None => {
            return Err(Invalid {
                code: "LocationRequired",
                message: "The location property is required for this definition.".to_owned(),
            });
        }
        Some(location) if location.eq_ignore_ascii_case("global") => {}
        Some(location) => {
            return Err(Invalid {
                code: "LocationNotAvailableForResourceType",
                message: format!(
                    "The provided location '{location}' is not available for resource type \
                     'Microsoft.Network/trafficmanagerprofiles'. List of available regions for the \
                     resource type is 'global'."
                ),
            });
        }
    }
    let properties = wire
        .properties
        .ok_or_else(|| Invalid::bad("'properties' is missing."))?;
    routing(properties.traffic_routing_method.as_deref())?;
    if properties.traffic_view_enrollment_status == Some(Switch::Enabled) {
        return Err(Invalid::bad(
            "Traffic View is not offered by this server; set trafficViewEnrollmentStatus to Disabled.",
        ));
    }
    if properties.max_return.is_some_and(|it| it != 0) {
        return Err(Invalid::bad(
            "maxReturn is of MultiValue routing, which this server does not offer; leave it out.",
        ));
    }
    let dns = properties
        .dns_config
        .ok_or_else(|| Invalid::bad("'properties.dnsConfig' is missing."))?;
    let relative_name = relative_name(dns.relative_name)?;
    let ttl = dns.ttl.unwrap_or(60);
    let ttl = u32::try_from(ttl)
        .ok()
        .filter(|it| i32::try_from(*it).is_ok())
        .ok_or_else(|| {
            Invalid::bad(format!(
                "dnsConfig.ttl is {ttl}; it is 0 to 2147483647 seconds."
            ))
        })?;
    let monitor = monitor(
        properties.monitor_config.unwrap_or_default(),
        context.limits,
    )?;
    let mut profile = Profile {
        subscription: context.subscription.to_owned(),
        resource_group: context.resource_group.to_owned(),
        name: context.profile.to_owned(),
        tags: wire.tags.unwrap_or_default(),
        status: properties.profile_status.unwrap_or(Switch::Enabled),
        relative_name,
        ttl,
        monitor,
        endpoints: Vec::new(),
    };
    let endpoints = properties.endpoints.unwrap_or_default();
    let with_priority = endpoints.iter().filter(|it| has_priority(it)).count();
    if with_priority != 0 && with_priority != endpoints.len() {
        return Err(Invalid::bad(
            "If 'priority' is given for one endpoint, it must be given for all.",
        ));
    }
    for wire in endpoints {
        let name = wire
            .name
            .clone()
            .ok_or_else(|| Invalid::bad("An endpoint has no 'name'."))?;
        let next = next_priority(&profile)?;
        profile.endpoints.push(endpoint(&name, wire, next)?);
    }
    check_endpoints(&profile, context.zone)?;
    Ok(profile)
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

fn read<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, Invalid> {
    serde_json::from_value(body).map_err(|error| Invalid {
        code: "InvalidRequestContent",
        message: format!(
            "The request content was invalid and could not be deserialized: '{error}'."
        ),
    })
}

fn routing(method: Option<&str>) -> Result<(), Invalid> {
    let Some(method) = method else {
        return Err(Invalid::bad(
            "'properties.trafficRoutingMethod' is missing; give 'Priority'.",
        ));
    };
    if method.eq_ignore_ascii_case("Priority") {
        return Ok(());
    }
    let others = [
        "Performance",
        "Weighted",
        "Geographic",
        "MultiValue",
        "Subnet",
    ];
    match others.iter().find(|it| it.eq_ignore_ascii_case(method)) {
        Some(other) => Err(Invalid::bad(format!(
            "trafficRoutingMethod '{other}' is not offered by this server, which routes by \
             'Priority' alone."
        ))),
        None => Err(Invalid::bad(format!(
            "trafficRoutingMethod '{method}' is none of Azure's; give 'Priority'."
        ))),
    }
}

fn relative_name(name: Option<String>) -> Result<String, Invalid> {
    let name =
        name.ok_or_else(|| Invalid::bad("'properties.dnsConfig.relativeName' is missing."))?;
    if label(&name) {
        Ok(name.to_ascii_lowercase())
    } else {
        Err(Invalid::bad(format!(
            "dnsConfig.relativeName '{}' is no DNS label: 1 to 63 letters, digits and hyphens, with \
             no hyphen at its ends.",
            shown(&name)
        )))
    }
}

fn monitor(wire: WireMonitor, limits: Limits) -> Result<MonitorConfig, Invalid> {
    let protocol = match wire.protocol.as_deref() {
        None => Protocol::Http,
        Some(it) if it.eq_ignore_ascii_case("http") => Protocol::Http,
        Some(it) if it.eq_ignore_ascii_case("https") => Protocol::Https,
        Some(it) if it.eq_ignore_ascii_case("tcp") => Protocol::Tcp,
        Some(it) => {
            return Err(Invalid::bad(format!(
                "monitorConfig.protocol '{}' is none of HTTP, HTTPS and TCP.",
                shown(it)
            )));
        }
    };
    let port = wire.port.unwrap_or(80);
    let port = u16::try_from(port)
        .ok()
        .filter(|it| *it > 0)
        .ok_or_else(|| Invalid::bad(format!("monitorConfig.port is {port}; it is 1 to 65535.")))?;
    let path = match (protocol, wire.path.filter(|it| !it.is_empty())) {
        (Protocol::Tcp, None) => None,
        (Protocol::Tcp, Some(_)) => {
            return Err(Invalid::bad(
                "monitorConfig.path must not be given when the protocol is TCP.",
            ));
        }
        (_, None) => {
            return Err(Invalid::bad(
                "monitorConfig.path is needed when the protocol is HTTP or HTTPS; '/' is the root.",
            ));
        }
        (_, Some(path)) => Some(checked_path(path)?),
    };
    let interval = wire.interval_in_seconds.unwrap_or(30);
    let seconds = |value: i64, name: &str, least: u32, most: u32| {
        u32::try_from(value)
            .ok()
            .filter(|it| (least..=most).contains(it))
            .ok_or_else(|| {
                Invalid::bad(format!(
                    "monitorConfig.{name} is {value}; it is {least} to {most} here."
                ))
            })
    };
    let (interval, least, most) = match limits {
        Limits::Azure => match interval {
            30 => (30, 5, 10),
            10 => (10, 5, 9),
            other => {
                return Err(Invalid::bad(format!(
                    "monitorConfig.intervalInSeconds is {other}; it is 30 or 10."
                )));
            }
        },
        Limits::Lab => {
            let interval = seconds(interval, "intervalInSeconds", 1, 3600)?;
            (interval, 1, interval)
        }
    };
    let timeout = match wire.timeout_in_seconds {
        // 10 s of 30, 9 s of 10.
        None => interval.saturating_sub(1).clamp(1, 10),
        Some(timeout) => seconds(timeout, "timeoutInSeconds", least, most)?,
    };
    let tolerated = seconds(
        wire.tolerated_number_of_failures.unwrap_or(3),
        "toleratedNumberOfFailures",
        0,
        9,
    )?;
    let expected = wire.expected_status_code_ranges.unwrap_or_default();
    if protocol == Protocol::Tcp && !expected.is_empty() {
        return Err(Invalid::bad(
            "monitorConfig.expectedStatusCodeRanges must not be given when the protocol is TCP.",
        ));
    }
    if expected.len() > MAX_RANGES {
        return Err(Invalid::bad(format!(
            "monitorConfig.expectedStatusCodeRanges has more than {MAX_RANGES} ranges."
        )));
    }
    for StatusRange { min, max } in &expected {
        if min > max || *min < 100 || *max > 999 {
            return Err(Invalid::bad(format!(
                "monitorConfig.expectedStatusCodeRanges: {min}-{max} is no range within 100-999."
            )));
        }
    }
    Ok(MonitorConfig {
        protocol,
        port,
        path,
        interval,
        timeout,
        tolerated,
        headers: headers(wire.custom_headers, "monitorConfig.customHeaders")?,
        expected,
    })
}

/// A path goes into a request line as it is, so it holds nothing that could end one.
fn checked_path(path: String) -> Result<String, Invalid> {
    let plain = path.bytes().all(|it| it.is_ascii_graphic());
    if path.starts_with('/') && plain && path.len() <= 1024 {
        return Ok(path);
    }
    Err(Invalid::bad(format!(
        "monitorConfig.path '{}' is no path: it begins with '/' and has at most 1024 printable \
         characters and no spaces.",
        shown(&path)
    )))
}

fn headers(given: Option<Vec<Header>>, place: &str) -> Result<Vec<Header>, Invalid> {
    let given = given.unwrap_or_default();
    if given.len() > MAX_HEADERS {
        return Err(Invalid::bad(format!(
            "{place} has more than {MAX_HEADERS} headers."
        )));
    }
    for Header { name, value } in &given {
        let token = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it);
        if name.is_empty() || name.len() > 256 || !name.bytes().all(token) {
            return Err(Invalid::bad(format!(
                "{place}: '{}' is no name of a header.",
                shown(name)
            )));
        }
        if value.len() > 4096 || !value.bytes().all(|it| it == b' ' || it.is_ascii_graphic()) {
            return Err(Invalid::bad(format!(
                "{place}: the value of '{name}' is not of at most 4096 printable characters."
            )));
        }
        let framing = ["connection", "content-length", "transfer-encoding"];
        if framing.iter().any(|it| it.eq_ignore_ascii_case(name)) {
            return Err(Invalid::bad(format!(
                "{place}: '{name}' is set by the probe itself."
            )));
        }
    }
    Ok(given)
}

fn has_priority(wire: &WireEndpoint) -> bool {
    wire.properties
        .as_ref()
        .is_some_and(|it| it.priority.is_some())
}

fn endpoint(name: &str, wire: WireEndpoint, next: u32) -> Result<Endpoint, Invalid> {
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
fn check_endpoints(profile: &Profile, zone: &str) -> Result<(), Invalid> {
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

/// Whether a resource may be called so: it is a part of a URL and of a resource id.
pub(crate) fn check_resource_name(name: &str, what: &str) -> Result<(), Invalid> {
    let plain = |it: char| it.is_ascii_alphanumeric() || "-_.() ".contains(it);
    if (1..=260).contains(&name.len()) && name.chars().all(plain) && name.trim() == name {
        return Ok(());
    }
    Err(Invalid {
        code: "InvalidResourceName",
        message: format!(
            "Resource name '{}' of the {what} is invalid: 1 to 260 letters, digits, hyphens, \
             underscores, dots, parentheses and inner spaces.",
            shown(name)
        ),
    })
}

fn label(text: &str) -> bool {
    let inner = |it: u8| it.is_ascii_alphanumeric() || it == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// What a client sent, short enough and plain enough for a message.
fn shown(text: &str) -> String {
    text.chars()
        .take(100)
        .flat_map(char::escape_debug)
        .collect()
}
