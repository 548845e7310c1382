//! The endpoints of a service: pure.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::api::{array, number, text};
use crate::pod::{self, Life};

/// The labels that a service selects by, unless it selects nothing or cannot be read.
pub(super) fn selector(service: &Value) -> Option<BTreeMap<String, String>> {
    let selector = service.pointer("/spec/selector")?;
    let labels: BTreeMap<String, String> = serde_json::from_value(selector.clone()).ok()?;
    (!labels.is_empty()).then_some(labels)
}

/// `subsets` of the endpoints. Pods whose named ports have the same numbers share one.
pub(super) fn of(service: &Value, pods: &[DynamicObject]) -> Value {
    let all_count = service.pointer("/spec/publishNotReadyAddresses") == Some(&json!(true));
    let mut by_ports: BTreeMap<String, Subset> = BTreeMap::new();
    for pod in pods {
        let address = text(&pod.data, "/status/podIP");
        let life = pod::life(pod);
        if address.is_empty() || !matches!(life, Life::Ready | Life::Unready) {
            continue;
        }
        let ports = ports(service, pod);
        // A service with ports of which this pod has none.
        if ports.is_empty() && !array(service, "/spec/ports").is_empty() {
            continue;
        }
        let subset = by_ports.entry(json!(ports).to_string()).or_default();
        subset.ports = ports;
        let list = if life == Life::Ready || all_count {
            &mut subset.ready
        } else {
            &mut subset.unready
        };
        list.push(endpoint(pod, address));
    }
    by_ports.into_values().map(Subset::document).collect()
}

#[derive(Default)]
struct Subset {
    ports: Vec<Value>,
    ready: Vec<Value>,
    unready: Vec<Value>,
}

impl Subset {
    fn document(self) -> Value {
        let mut document = json!({});
        for (field, list) in [
            ("addresses", self.ready),
            ("notReadyAddresses", self.unready),
            ("ports", self.ports),
        ] {
            if !list.is_empty() {
                document[field] = Value::Array(list);
            }
        }
        document
    }
}

fn endpoint(pod: &DynamicObject, address: &str) -> Value {
    let mut endpoint = json!({
        "ip": address,
        "targetRef": {
            "kind": "Pod",
            "namespace": pod.namespace(),
            "name": pod.name_any(),
            "uid": pod.uid(),
        },
    });
    let node = text(&pod.data, "/spec/nodeName");
    if !node.is_empty() {
        endpoint["nodeName"] = json!(node);
    }
    endpoint
}

/// The service's ports as they are in this pod; a name that the pod does not have is left out.
fn ports(service: &Value, pod: &DynamicObject) -> Vec<Value> {
    let ports = array(service, "/spec/ports").iter();
    ports
        .filter_map(|port| {
            let protocol = match text(port, "/protocol") {
                "" => "TCP",
                protocol => protocol,
            };
            let target = match port.get("targetPort") {
                None | Some(Value::Null) => number(port, "/port")?,
                // What is written is a number as well as a text.
                Some(Value::String(name)) => match name.parse() {
                    Ok(number) => number,
                    Err(_) => named(pod, name)?,
                },
                Some(target) => target.as_i64()?,
            };
            let target = if target == 0 {
                number(port, "/port")?
            } else {
                target
            };
            let mut document = json!({ "port": target, "protocol": protocol });
            let name = text(port, "/name");
            if !name.is_empty() {
                document["name"] = json!(name);
            }
            Some(document)
        })
        .collect()
}

fn named(pod: &DynamicObject, name: &str) -> Option<i64> {
    array(&pod.data, "/spec/containers")
        .iter()
        .flat_map(|container| array(container, "/ports"))
        .find(|port| text(port, "/name") == name)
        .and_then(|port| number(port, "/containerPort"))
}

#[cfg(test)]
mod tests;
