//! The documents that a Kafka cluster becomes: pure.

use backstay_kinds::{STRIMZI_OPERATOR, label};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::spec::{Brokers, Storage};
use crate::api::{KAFKA, POD};
use crate::fingerprint;

/// The label of everything that belongs to a Kafka cluster.
pub(super) const CLUSTER: &str = "strimzi.io/cluster";
/// What the pods of a pod set are found by.
pub(super) const SET: &str = "strimzi.io/name";
/// The specification that a pod was made by.
pub(super) const REVISION: &str = "strimzi.io/revision";

/// The pod set, and how the names of pods and services begin.
pub(super) fn set_name(kafka: &DynamicObject) -> String {
    format!("{}-kafka", kafka.name_any())
}

fn pod_name(kafka: &DynamicObject, broker: usize) -> String {
    format!("{}-{broker}", set_name(kafka))
}

fn claim_name(kafka: &DynamicObject, broker: usize) -> String {
    format!("data-{}", pod_name(kafka, broker))
}

/// The labels of what belongs to a Kafka cluster and is called `name`.
pub(super) fn labels(kafka: &DynamicObject, name: &str, component: &str) -> Value {
    json!({
        CLUSTER: kafka.name_any(),
        "strimzi.io/kind": "Kafka",
        SET: name,
        "strimzi.io/component-type": component,
        label::NAME: "kafka",
        label::INSTANCE: kafka.name_any(),
        label::MANAGED_BY: STRIMZI_OPERATOR,
    })
}

fn metadata(kafka: &DynamicObject, name: &str, labels: Value) -> Value {
    json!({
        "name": name,
        "namespace": kafka.namespace(),
        "labels": labels,
        "ownerReferences": KAFKA.owner(kafka),
    })
}

/// The pod set, with the pods as they should be in its specification.
pub(super) fn pod_set(kafka: &DynamicObject, brokers: &Brokers) -> Value {
    let name = set_name(kafka);
    let pods: Vec<Value> = (0..brokers.count)
        .map(|broker| pod(kafka, brokers, broker))
        .collect();
    let labels = labels(kafka, &name, "kafka");
    json!({
        "metadata": metadata(kafka, &name, labels),
        "spec": {
            "selector": { "matchLabels": { CLUSTER: kafka.name_any(), SET: name } },
            "pods": pods,
        },
    })
}

fn pod(kafka: &DynamicObject, brokers: &Brokers, broker: usize) -> Value {
    let name = pod_name(kafka, broker);
    let volume = match &brokers.storage {
        Storage::Ephemeral => json!({ "name": "data", "emptyDir": {} }),
        Storage::Claim { .. } => json!({
            "name": "data",
            "persistentVolumeClaim": { "claimName": claim_name(kafka, broker) },
        }),
    };
    let mut container = json!({
        "name": "kafka",
        "image": brokers.image,
        "volumeMounts": [{ "name": "data", "mountPath": "/var/lib/kafka/data" }],
    });
    if let Some(resources) = &brokers.resources {
        container["resources"] = resources.clone();
    }
    let mut spec = json!({
        "containers": [container],
        "volumes": [volume],
        "terminationGracePeriodSeconds":
            brokers.pod.termination_grace_period_seconds.unwrap_or(30).max(0),
    });
    for (field, value) in [
        ("affinity", &brokers.pod.affinity),
        ("tolerations", &brokers.pod.tolerations),
    ] {
        if let Some(value) = value {
            spec[field] = value.clone();
        }
    }
    let mut labels = labels(kafka, &set_name(kafka), "kafka");
    labels["strimzi.io/pod-name"] = json!(name);
    labels["strimzi.io/controller"] = json!("strimzipodset");
    labels["strimzi.io/controller-name"] = json!(set_name(kafka));
    let revision = fingerprint::of(&json!([labels, spec]));
    json!({
        "apiVersion": POD.api_version(),
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": kafka.namespace(),
            "labels": labels,
            "annotations": { REVISION: revision },
        },
        "spec": spec,
    })
}

/// The claims of the brokers, where they have any.
pub(super) fn claims(kafka: &DynamicObject, brokers: &Brokers) -> Vec<(String, Value)> {
    let Storage::Claim {
        size,
        class,
        goes_with_owner,
    } = &brokers.storage
    else {
        return Vec::new();
    };
    let claim = |broker| {
        let name = claim_name(kafka, broker);
        let mut metadata = metadata(kafka, &name, labels(kafka, &set_name(kafka), "kafka"));
        if !goes_with_owner && let Some(metadata) = metadata.as_object_mut() {
            metadata.remove("ownerReferences");
        }
        let mut spec = json!({ "accessModes": ["ReadWriteOnce"] });
        if let Some(size) = size {
            spec["resources"] = json!({ "requests": { "storage": size } });
        }
        if let Some(class) = class {
            spec["storageClassName"] = json!(class);
        }
        (name, json!({ "metadata": metadata, "spec": spec }))
    };
    (0..brokers.count).map(claim).collect()
}

/// Where clients find the first broker.
pub(super) fn bootstrap(kafka: &DynamicObject) -> (String, Value) {
    let name = format!("{}-bootstrap", set_name(kafka));
    let labels = labels(kafka, &set_name(kafka), "kafka");
    let service = json!({
        "metadata": metadata(kafka, &name, labels),
        "spec": {
            "selector": { CLUSTER: kafka.name_any(), "strimzi.io/kind": "Kafka", SET: set_name(kafka) },
            "ports": [{ "name": "tcp-tls", "port": 9093, "targetPort": 9093, "protocol": "TCP" }],
        },
    });
    (name, service)
}

/// The secret of the certificate that clients trust.
pub(super) fn authority(kafka: &DynamicObject, pem: &str) -> (String, Value) {
    let name = authority_name(kafka);
    let labels = labels(kafka, "strimzi", "certificate-authority");
    let secret = json!({
        "metadata": metadata(kafka, &name, labels),
        "stringData": { "ca.crt": pem },
    });
    (name, secret)
}

pub(super) fn authority_name(kafka: &DynamicObject) -> String {
    format!("{}-cluster-ca-cert", kafka.name_any())
}

#[cfg(test)]
mod tests;
