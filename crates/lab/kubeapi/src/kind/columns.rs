//! Cells of `kubectl get` that are more than a value at a place. They follow
//! `pkg/printers/internalversion` of Kubernetes in what they print.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::Cell;
use crate::document::{array, is_deleting, strings, text};

impl Cell {
    /// What it shows of `document`.
    pub(crate) fn show(&self, document: &Value, now: DateTime<Utc>) -> Value {
        match self {
            Self::At(pointer) => document.pointer(pointer).cloned().unwrap_or(Value::Null),
            Self::AtOr(pointer, other) => match document.pointer(pointer) {
                None | Some(Value::Null) => json!(other),
                Some(Value::String(text)) if text.is_empty() => json!(other),
                Some(value) => value.clone(),
            },
            Self::Condition(kind) => condition(document, kind).map_or(Value::Null, |c| json!(c)),
            Self::Age(pointer) => json!(age(text(document, pointer), now)),
            Self::Path(path, moment) => match path.first(document) {
                Some(Value::String(text)) if *moment => json!(age(text, now)),
                Some(value) => value.clone(),
                None => Value::Null,
            },
            Self::Of(show) => show(document),
        }
    }
}

/// How long ago a moment was, as `kubectl` prints it; `<unknown>` for what is no moment.
pub(crate) fn age(moment: &str, now: DateTime<Utc>) -> String {
    let Ok(moment) = DateTime::parse_from_rfc3339(moment) else {
        return "<unknown>".to_owned();
    };
    let seconds = (now - moment.to_utc()).num_seconds();
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{small_unit}"),
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => pair(days, "d", hours % 24, "h"),
        () if days < 730 => format!("{days}d"),
        () if days < 2920 => pair(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

fn condition<'a>(document: &'a Value, kind: &str) -> Option<&'a str> {
    array(document, "/status/conditions")
        .iter()
        .find(|condition| text(condition, "/type") == kind)
        .map(|condition| text(condition, "/status"))
}

fn number(document: &Value, pointer: &str) -> i64 {
    document
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

fn joined(mut parts: Vec<String>) -> Value {
    if parts.is_empty() {
        return json!("<none>");
    }
    let more = parts.len().saturating_sub(3);
    parts.truncate(3);
    let mut all = parts.join(",");
    if more > 0 {
        all.push_str(&format!(" + {more} more..."));
    }
    json!(all)
}

fn pairs(map: Option<&Value>) -> Value {
    let Some(Value::Object(map)) = map else {
        return json!("<none>");
    };
    let pairs: Vec<String> = map
        .iter()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if pairs.is_empty() {
        json!("<none>")
    } else {
        json!(pairs.join(","))
    }
}

pub(super) fn none(_: &Value) -> Value {
    json!("<none>")
}

pub(super) fn pod_ready(pod: &Value) -> Value {
    let ready = array(pod, "/status/containerStatuses")
        .iter()
        .filter(|status| status["ready"] == true)
        .count();
    json!(format!("{ready}/{}", array(pod, "/spec/containers").len()))
}

pub(super) fn pod_status(pod: &Value) -> Value {
    let mut status = text(pod, "/status/reason");
    if status.is_empty() {
        status = text(pod, "/status/phase");
    }
    let mut status = status.to_owned();
    for container in array(pod, "/status/containerStatuses").iter().rev() {
        let waiting = text(container, "/state/waiting/reason");
        let ended = text(container, "/state/terminated/reason");
        if !waiting.is_empty() {
            waiting.clone_into(&mut status);
        } else if !ended.is_empty() {
            ended.clone_into(&mut status);
        } else if container.pointer("/state/terminated").is_some() {
            status = match number(container, "/state/terminated/signal") {
                0 => format!(
                    "ExitCode:{}",
                    number(container, "/state/terminated/exitCode")
                ),
                signal => format!("Signal:{signal}"),
            };
        }
    }
    if is_deleting(pod) && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
        "Terminating".clone_into(&mut status);
    }
    json!(status)
}

pub(super) fn pod_restarts(pod: &Value) -> Value {
    let statuses = array(pod, "/status/containerStatuses");
    let restarts: i64 = statuses
        .iter()
        .map(|status| number(status, "/restartCount"))
        .sum();
    let last = statuses
        .iter()
        .map(|status| text(status, "/lastState/terminated/finishedAt"))
        .max()
        .unwrap_or_default();
    if restarts > 0 && !last.is_empty() {
        json!(format!("{restarts} ({} ago)", age(last, Utc::now())))
    } else {
        json!(restarts.to_string())
    }
}

/// Where a balancer lets the world in.
fn balanced_at(document: &Value) -> String {
    let places: Vec<&str> = array(document, "/status/loadBalancer/ingress")
        .iter()
        .map(|entry| match text(entry, "/ip") {
            "" => text(entry, "/hostname"),
            ip => ip,
        })
        .collect();
    places.join(",")
}

pub(super) fn service_external(service: &Value) -> Value {
    let balanced = balanced_at(service);
    if !balanced.is_empty() {
        return json!(balanced);
    }
    let external = strings(service, "/spec/externalIPs");
    if !external.is_empty() {
        return json!(external.join(","));
    }
    match text(service, "/spec/type") {
        "LoadBalancer" => json!("<pending>"),
        "ExternalName" => json!(text(service, "/spec/externalName")),
        _ => json!("<none>"),
    }
}

pub(super) fn service_ports(service: &Value) -> Value {
    let ports: Vec<String> = array(service, "/spec/ports")
        .iter()
        .map(|port| {
            let protocol = match text(port, "/protocol") {
                "" => "TCP",
                protocol => protocol,
            };
            match number(port, "/nodePort") {
                0 => format!("{}/{protocol}", number(port, "/port")),
                node => format!("{}:{node}/{protocol}", number(port, "/port")),
            }
        })
        .collect();
    if ports.is_empty() {
        json!("<none>")
    } else {
        json!(ports.join(","))
    }
}

pub(super) fn service_selector(service: &Value) -> Value {
    pairs(service.pointer("/spec/selector"))
}

pub(super) fn endpoints(endpoints: &Value) -> Value {
    let mut all = Vec::new();
    for subset in array(endpoints, "/subsets") {
        for address in array(subset, "/addresses") {
            let ip = text(address, "/ip");
            let ports = array(subset, "/ports");
            if ports.is_empty() {
                all.push(ip.to_owned());
            }
            all.extend(
                ports
                    .iter()
                    .map(|port| format!("{ip}:{}", number(port, "/port"))),
            );
        }
    }
    joined(all)
}

fn count(document: &Value, pointer: &str) -> usize {
    match document.pointer(pointer) {
        Some(Value::Object(map)) => map.len(),
        Some(Value::Array(list)) => list.len(),
        _ => 0,
    }
}

pub(super) fn data_count(document: &Value) -> Value {
    json!(count(document, "/data") + count(document, "/binaryData"))
}

pub(super) fn secret_count(document: &Value) -> Value {
    json!(count(document, "/secrets"))
}

pub(super) fn claim_status(claim: &Value) -> Value {
    if is_deleting(claim) {
        json!("Terminating")
    } else {
        json!(text(claim, "/status/phase"))
    }
}

pub(super) fn access_modes(claim: &Value) -> Value {
    let modes: Vec<&str> = strings(claim, "/spec/accessModes")
        .into_iter()
        .map(|mode| match mode {
            "ReadWriteOnce" => "RWO",
            "ReadOnlyMany" => "ROX",
            "ReadWriteMany" => "RWX",
            "ReadWriteOncePod" => "RWOP",
            other => other,
        })
        .collect();
    json!(modes.join(","))
}

pub(super) fn node_status(node: &Value) -> Value {
    let mut status = match condition(node, "Ready") {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if node.pointer("/spec/unschedulable") == Some(&json!(true)) {
        status.push_str(",SchedulingDisabled");
    }
    json!(status)
}

pub(super) fn node_roles(node: &Value) -> Value {
    let Some(Value::Object(labels)) = node.pointer("/metadata/labels") else {
        return json!("<none>");
    };
    let roles: Vec<&str> = labels
        .keys()
        .filter_map(|key| key.strip_prefix("node-role.kubernetes.io/"))
        .filter(|role| !role.is_empty())
        .collect();
    if roles.is_empty() {
        json!("<none>")
    } else {
        json!(roles.join(","))
    }
}

pub(super) fn node_internal(node: &Value) -> Value {
    array(node, "/status/addresses")
        .iter()
        .find(|address| text(address, "/type") == "InternalIP")
        .map_or(json!("<none>"), |address| json!(text(address, "/address")))
}

pub(super) fn event_last_seen(event: &Value) -> Value {
    let places = [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/eventTime",
        "/firstTimestamp",
        "/metadata/creationTimestamp",
    ];
    let last = places
        .iter()
        .map(|place| text(event, place))
        .find(|moment| !moment.is_empty())
        .unwrap_or_default();
    json!(age(last, Utc::now()))
}

pub(super) fn event_object(event: &Value) -> Value {
    json!(format!(
        "{}/{}",
        text(event, "/involvedObject/kind").to_lowercase(),
        text(event, "/involvedObject/name")
    ))
}

pub(super) fn ready_of_replicas(workload: &Value) -> Value {
    json!(format!(
        "{}/{}",
        number(workload, "/status/readyReplicas"),
        number(workload, "/spec/replicas")
    ))
}

fn containers(workload: &Value, field: &str) -> Value {
    let all: Vec<&str> = array(workload, "/spec/template/spec/containers")
        .iter()
        .map(|container| text(container, field))
        .collect();
    json!(all.join(","))
}

pub(super) fn template_containers(workload: &Value) -> Value {
    containers(workload, "/name")
}

pub(super) fn template_images(workload: &Value) -> Value {
    containers(workload, "/image")
}

pub(super) fn label_selector(workload: &Value) -> Value {
    match crate::selector::of_workload(workload).as_str() {
        "" => json!("<none>"),
        selector => json!(selector),
    }
}

pub(super) fn slice_ports(slice: &Value) -> Value {
    let ports = array(slice, "/ports").iter();
    joined(
        ports
            .map(|port| number(port, "/port").to_string())
            .collect(),
    )
}

pub(super) fn slice_endpoints(slice: &Value) -> Value {
    let addresses = array(slice, "/endpoints")
        .iter()
        .flat_map(|endpoint| strings(endpoint, "/addresses"));
    joined(addresses.map(str::to_owned).collect())
}

pub(super) fn ingress_hosts(ingress: &Value) -> Value {
    let rules = array(ingress, "/spec/rules");
    let hosts: Vec<&str> = rules
        .iter()
        .map(|rule| text(rule, "/host"))
        .filter(|host| !host.is_empty())
        .collect();
    match hosts.len() {
        0 => json!("*"),
        1..=3 => json!(hosts.join(",")),
        // As kubectl counts it: rules, not hosts.
        _ => json!(format!(
            "{} + {} more...",
            hosts[..3].join(","),
            rules.len() - 3
        )),
    }
}

pub(super) fn ingress_address(ingress: &Value) -> Value {
    json!(balanced_at(ingress))
}

pub(super) fn ingress_ports(ingress: &Value) -> Value {
    match array(ingress, "/spec/tls").len() {
        0 => json!("80"),
        _ => json!("80, 443"),
    }
}
