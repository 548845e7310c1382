//! A `Kafka` becomes a pod set, claims, a secret and a service.

use std::sync::Arc;

use chrono::Utc;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use serde_json::{Value, json};

use super::spec::{self, Brokers};
use super::{brokers, certificate};
use crate::api::{CLAIM, KAFKA, Kind, Objects, POD_SET, RunError, SECRET, SERVICE, number};
use crate::condition::{self, Condition};
use crate::invalid::Invalid;

pub(super) async fn reconcile(
    known: Arc<DynamicObject>,
    objects: Arc<Objects>,
) -> Result<Action, RunError> {
    let Some(kafka) = objects.fresh(KAFKA, &known).await? else {
        return Ok(Action::await_change());
    };
    let brokers = match spec::read(&kafka.data["spec"]) {
        Ok(brokers) => brokers,
        Err(why) => {
            say(&objects, &kafka, None, Err(why)).await?;
            return Ok(Action::await_change());
        }
    };
    let namespace = kafka.namespace().unwrap_or_default();
    let name = brokers::authority_name(&kafka);
    if objects.get(SECRET, &namespace, &name).await?.is_none() {
        let (_, secret) = brokers::authority(&kafka, &certificate::authority()?);
        objects.create(SECRET, &namespace, secret).await?;
    }
    let (name, service) = brokers::bootstrap(&kafka);
    ensure(&objects, &namespace, SERVICE, &name, service).await?;
    for (name, claim) in brokers::claims(&kafka, &brokers) {
        ensure(&objects, &namespace, CLAIM, &name, claim).await?;
    }
    let ready = ensure_set(&objects, &kafka, &brokers).await?;
    let outcome = Ok((ready, brokers.count));
    say(&objects, &kafka, brokers.version.as_deref(), outcome).await?;
    Ok(Action::await_change())
}

async fn ensure(
    objects: &Objects,
    namespace: &str,
    kind: Kind,
    name: &str,
    document: Value,
) -> Result<(), RunError> {
    if objects.get(kind, namespace, name).await?.is_none() {
        objects.create(kind, namespace, document).await?;
    }
    Ok(())
}

/// Answers with the number of pods that are ready and as they should be.
async fn ensure_set(
    objects: &Objects,
    kafka: &DynamicObject,
    brokers: &Brokers,
) -> Result<usize, RunError> {
    let namespace = kafka.namespace().unwrap_or_default();
    let name = brokers::set_name(kafka);
    let wanted = brokers::pod_set(kafka, brokers);
    let Some(set) = objects.get(POD_SET, &namespace, &name).await? else {
        objects.create(POD_SET, &namespace, wanted).await?;
        return Ok(0);
    };
    if set.data.get("spec") != wanted.get("spec") {
        let change = json!({ "spec": wanted["spec"] });
        objects.change(POD_SET, &set, change).await?;
        return Ok(0);
    }
    let status = &set.data["status"];
    if number(status, "/observedGeneration") != set.metadata.generation {
        return Ok(0);
    }
    let count = |field| number(status, field).and_then(|count| usize::try_from(count).ok());
    let (ready, current) = (count("/readyPods"), count("/currentPods"));
    Ok(ready.unwrap_or(0).min(current.unwrap_or(0)))
}

async fn say(
    objects: &Objects,
    kafka: &DynamicObject,
    version: Option<&str>,
    outcome: Result<(usize, usize), Invalid>,
) -> Result<(), RunError> {
    let mut status = match kafka.data.get("status") {
        Some(Value::Object(map)) => Value::Object(map.clone()),
        _ => json!({}),
    };
    let ready = match outcome {
        Ok((ready, wanted)) => Condition {
            kind: "Ready",
            holds: ready >= wanted,
            reason: if ready >= wanted { "Ready" } else { "Creating" },
            message: format!("{ready} of {wanted} pods are ready"),
        },
        Err(why) => Condition {
            kind: "Ready",
            holds: false,
            reason: "InvalidResourceException",
            message: why.to_string(),
        },
    };
    status["conditions"] = condition::with(&status, &[ready], Utc::now());
    status["observedGeneration"] = json!(kafka.metadata.generation);
    if let Some(version) = version {
        status["kafkaVersion"] = json!(version);
    }
    objects.write_status(KAFKA, kafka, status).await
}
