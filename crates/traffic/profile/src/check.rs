//! From a client's JSON to a profile, by Azure's rules.

use serde::Deserialize;
use serde_json::Value;

use super::endpoints::{WireEndpoint, check_endpoints, endpoint, has_priority, next_priority};
use super::{
    Header, MAX_HEADERS, MAX_RANGES, MonitorConfig, MonitorLimits, PROFILE, Profile, Protocol,
    StatusRange, Switch,
};
use backstay_resource::Invalid;
use backstay_resource::body::read_resource;
use backstay_resource::text::shown;

/// What is known before the body is read.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The subscription's id in the request.
    pub subscription: &'a str,
    /// The resource group of the request.
    pub resource_group: &'a str,
    /// The name of the profile.
    pub profile: &'a str,
    /// The zone in which names are made.
    pub zone: &'a str,
    /// Which monitor settings are allowed.
    pub limits: MonitorLimits,
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

/// Reads a profile.
///
/// # Errors
/// When Azure would refuse it, or when it needs what is not built.
pub fn parse_profile(context: Context<'_>, body: Value) -> Result<Profile, Invalid> {
    let (tags, properties): (_, WireProperties) = read_resource(PROFILE, body)?;
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
        tags,
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
            "dnsConfig.relativeName '{}' is not a valid DNS label: 1 to 63 letters, digits and hyphens, with \
             no hyphen at its ends.",
            shown(&name)
        )))
    }
}

fn monitor(wire: WireMonitor, limits: MonitorLimits) -> Result<MonitorConfig, Invalid> {
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
        MonitorLimits::Azure => match interval {
            30 => (30, 5, 10),
            10 => (10, 5, 9),
            other => {
                return Err(Invalid::bad(format!(
                    "monitorConfig.intervalInSeconds is {other}; it is 30 or 10."
                )));
            }
        },
        MonitorLimits::Lab => {
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
                "monitorConfig.expectedStatusCodeRanges: {min}-{max} is not a range within 100-999."
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
        "monitorConfig.path '{}' is not a valid path: it begins with '/' and has at most 1024 printable \
         characters and no spaces.",
        shown(&path)
    )))
}

pub(super) fn headers(given: Option<Vec<Header>>, place: &str) -> Result<Vec<Header>, Invalid> {
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
                "{place}: '{}' is not a valid name of a header.",
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

pub(super) fn label(text: &str) -> bool {
    let inner = |it: u8| it.is_ascii_alphanumeric() || it == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
