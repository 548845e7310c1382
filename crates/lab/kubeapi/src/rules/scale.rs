//! The `scale` subresource: a workload seen as its number of replicas.

use serde_json::{Value, json};

use super::check;
use crate::document::{metadata_mut, object_mut, text};
use crate::status::{ApiError, ApiResult};
use crate::store::Key;

/// The `Scale` of a workload.
pub(crate) fn scale_of(workload: &Value) -> Value {
    let metadata = |field: &str| {
        workload
            .pointer("/metadata")
            .and_then(|metadata| metadata.get(field))
            .cloned()
            .unwrap_or(Value::Null)
    };
    let number = |pointer: &str| workload.pointer(pointer).cloned().unwrap_or(json!(0));
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata("name"),
            "namespace": metadata("namespace"),
            "uid": metadata("uid"),
            "resourceVersion": metadata("resourceVersion"),
            "creationTimestamp": metadata("creationTimestamp"),
        },
        "spec": { "replicas": number("/spec/replicas") },
        "status": {
            "replicas": number("/status/replicas"),
            "selector": crate::selector::of_workload(workload),
        },
    })
}

/// `old` with the replicas of a `Scale`.
pub(super) fn rescaled(key: &Key, old: &Value, scale: &Value) -> ApiResult<Value> {
    let replicas = match scale.pointer("/spec/replicas") {
        None | Some(Value::Null) => json!(0),
        Some(replicas) if replicas.is_i64() => replicas.clone(),
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "Scale in version \"v1\" cannot be handled as a Scale: spec.replicas is not a number: {other}"
            )));
        }
    };
    check::replicas(key, &replicas)?;
    let mut body = old.clone();
    let version = text(scale, "/metadata/resourceVersion");
    metadata_mut(&mut body).insert("resourceVersion".into(), json!(version));
    object_mut(&mut body, "spec").insert("replicas".into(), replicas);
    Ok(body)
}
