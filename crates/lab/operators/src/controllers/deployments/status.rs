//! What a deployment says of itself, so that `kubectl rollout status` and `kubectl wait` read it.

use chrono::{DateTime, Utc};
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use super::plan::{Counts, Limits, Wanted};
use crate::condition::{self, Condition};

/// The status of a deployment with so many pods.
pub(super) fn of(
    deployment: &DynamicObject,
    wanted: &Wanted,
    counts: Counts,
    now: DateTime<Utc>,
) -> Value {
    let needed = match wanted.limits {
        Limits::Recreate => wanted.replicas,
        Limits::Rolling { unavailable, .. } => wanted.replicas.saturating_sub(unavailable),
    };
    let available = counts.ready >= needed;
    let complete = counts.current == wanted.replicas
        && counts.all == wanted.replicas
        && counts.ready == wanted.replicas;
    let conditions = [
        Condition {
            kind: "Available",
            holds: available,
            reason: if available {
                "MinimumReplicasAvailable"
            } else {
                "MinimumReplicasUnavailable"
            },
            message: if available {
                "Deployment has minimum availability.".to_owned()
            } else {
                "Deployment does not have minimum availability.".to_owned()
            },
        },
        Condition {
            kind: "Progressing",
            holds: true,
            reason: if complete {
                "NewReplicaSetAvailable"
            } else {
                "ReplicaSetUpdated"
            },
            message: if complete {
                "All pods are of the newest template and available.".to_owned()
            } else {
                "Pods are being replaced or are not available yet.".to_owned()
            },
        },
    ];
    let mut status = status(deployment, &conditions, now);
    let numbers = [
        ("replicas", counts.all),
        ("updatedReplicas", counts.current),
        ("readyReplicas", counts.ready),
        ("availableReplicas", counts.ready),
        (
            "unavailableReplicas",
            wanted.replicas.saturating_sub(counts.ready),
        ),
    ];
    for (name, number) in numbers {
        // As Kubernetes: nothing is said of what is zero.
        if number > 0 {
            status.insert(name.to_owned(), json!(number));
        } else {
            status.remove(name);
        }
    }
    Value::Object(status)
}

/// The status of a deployment that cannot be followed. What runs goes on running.
pub(super) fn refused(deployment: &DynamicObject, why: String, now: DateTime<Utc>) -> Value {
    let failed = Condition {
        kind: "Progressing",
        holds: false,
        reason: "FailedCreate",
        message: why,
    };
    Value::Object(status(deployment, &[failed], now))
}

fn status(
    deployment: &DynamicObject,
    conditions: &[Condition],
    now: DateTime<Utc>,
) -> Map<String, Value> {
    let old = deployment.data.get("status");
    let old = old.cloned().unwrap_or_else(|| json!({}));
    let all = condition::with(&old, conditions, now);
    let mut status = match old {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    status.insert(
        "observedGeneration".to_owned(),
        json!(deployment.metadata.generation),
    );
    status.insert("conditions".to_owned(), all);
    status
}
