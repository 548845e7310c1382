//! The definitions that come with this crate: LogScale's and Strimzi's kinds, as their operators bring
//! them (`crds/`).
//!
//! Where they hold one of Kubernetes' own types, the documents name it (`$ref`) instead of repeating it;
//! [`crds`] puts the type in, as controller-gen does for the real ones.

use serde_json::{Map, Value, json};

use crate::schema::built_in_json;

const DOCUMENTS: [(&str, &str); 6] = [
    ("humiocluster", include_str!("../../crds/humiocluster.yaml")),
    (
        "humiobootstraptoken",
        include_str!("../../crds/humiobootstraptoken.yaml"),
    ),
    ("kafka", include_str!("../../crds/kafka.yaml")),
    (
        "kafkanodepool",
        include_str!("../../crds/kafkanodepool.yaml"),
    ),
    (
        "strimzipodset",
        include_str!("../../crds/strimzipodset.yaml"),
    ),
    ("kafkatopic", include_str!("../../crds/kafkatopic.yaml")),
];

/// What the types of Kubernetes have by default in a definition (`+default` in their source), which the
/// published schema of the built-in kinds leaves to the server's code: type, field, default as JSON.
const DEFAULTS: [(&str, &str, &str); 17] = [
    ("AzureDiskVolumeSource", "fsType", "\"ext4\""),
    ("AzureDiskVolumeSource", "readOnly", "false"),
    ("ConfigMapEnvSource", "name", "\"\""),
    ("ConfigMapKeySelector", "name", "\"\""),
    ("ConfigMapProjection", "name", "\"\""),
    ("ConfigMapVolumeSource", "name", "\"\""),
    ("ContainerPort", "protocol", "\"TCP\""),
    ("GRPCAction", "service", "\"\""),
    ("ISCSIVolumeSource", "iscsiInterface", "\"default\""),
    ("LocalObjectReference", "name", "\"\""),
    ("RBDVolumeSource", "keyring", "\"/etc/ceph/keyring\""),
    ("RBDVolumeSource", "pool", "\"rbd\""),
    ("RBDVolumeSource", "user", "\"admin\""),
    ("ScaleIOVolumeSource", "fsType", "\"xfs\""),
    ("ScaleIOVolumeSource", "storageMode", "\"ThinProvisioned\""),
    ("SecretEnvSource", "name", "\"\""),
    ("SecretKeySelector", "name", "\"\""),
];

/// The CustomResourceDefinitions of HumioCluster, HumioBootstrapToken, Kafka, KafkaNodePool,
/// StrimziPodSet and KafkaTopic, each a whole document that any Kubernetes takes.
pub fn crds() -> Vec<Value> {
    DOCUMENTS
        .iter()
        .filter_map(|(_, text)| {
            // `tests` read every one, so nothing is lost here.
            let document: Value = serde_saphyr::from_str(text).ok()?;
            Some(whole(&document))
        })
        .collect()
}

/// `schema` with the types that it names put in.
fn whole(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => match map.get("$ref") {
            Some(Value::String(name)) => named(name),
            _ => map
                .iter()
                .map(|(key, value)| (key.clone(), whole(value)))
                .collect::<Map<String, Value>>()
                .into(),
        },
        Value::Array(list) => list.iter().map(whole).collect(),
        other => other.clone(),
    }
}

/// A type of Kubernetes. None of those that are named contains itself.
fn named(name: &str) -> Value {
    let short = name.rsplit('.').next().unwrap_or(name);
    let int_or_string = || json!([{ "type": "integer" }, { "type": "string" }]);
    match short {
        "IntOrString" => {
            return json!({ "anyOf": int_or_string(), "x-kubernetes-int-or-string": true });
        }
        "Quantity" => {
            return json!({
                "anyOf": int_or_string(),
                "pattern": "^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$",
                "x-kubernetes-int-or-string": true,
            });
        }
        // What is in it is Kubernetes' affair; a definition may not say it.
        "ObjectMeta" => return json!({ "type": "object" }),
        // A volume without its name; Kubernetes publishes no schema of it by itself.
        "VolumeSource" => {
            let mut volume = named("io.k8s.api.core.v1.Volume");
            if let Some(properties) = volume["properties"].as_object_mut() {
                properties.remove("name");
            }
            if let Some(volume) = volume.as_object_mut() {
                volume.remove("required");
            }
            return volume;
        }
        _ => {}
    }
    let mut schema = whole(built_in_json(name).unwrap_or(&Value::Null));
    for (_, field, default) in DEFAULTS.iter().filter(|(of, _, _)| *of == short) {
        if let Some(property) = schema["properties"].get_mut(*field) {
            property["default"] = serde_json::from_str(default).unwrap_or_default();
        }
    }
    schema
}
