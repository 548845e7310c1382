//! A `Kafka`'s specification, read and checked.

use serde::Deserialize;
use serde_json::Value;

use crate::invalid::{Invalid, Problem};

const MAX_BROKERS: usize = 100;
const IMAGE: &str = "backstay/kafka";

/// What there should be of a Kafka cluster.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Brokers {
    pub count: usize,
    pub image: String,
    pub version: Option<String>,
    pub storage: Storage,
    pub resources: Option<Value>,
    pub pod: PodTemplate,
}

/// Where a broker keeps its log.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Storage {
    /// It goes with the pod.
    Ephemeral,
    /// It stays, in a claim.
    Claim {
        size: Option<String>,
        class: Option<String>,
        /// The claim goes with the `Kafka`.
        goes_with_owner: bool,
    },
}

/// What `spec.kafka.template.pod` may say.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodTemplate {
    pub affinity: Option<Value>,
    pub tolerations: Option<Value>,
    pub termination_grace_period_seconds: Option<i64>,
}

#[derive(Deserialize)]
struct KafkaSpec {
    replicas: Option<i64>,
    image: Option<String>,
    version: Option<String>,
    storage: Option<StorageSpec>,
    resources: Option<Value>,
    template: Option<Template>,
}

#[derive(Deserialize)]
struct Template {
    pod: Option<PodTemplate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StorageSpec {
    #[serde(rename = "type")]
    kind: String,
    size: Option<String>,
    class: Option<String>,
    delete_claim: Option<bool>,
}

/// Reads `spec`, or says what is wrong with it.
pub(super) fn read(spec: &Value) -> Result<Brokers, Invalid> {
    let Some(kafka) = spec.get("kafka").and_then(Value::as_object) else {
        return Err(Problem::Missing("give it at least replicas").at("spec.kafka"));
    };
    let kafka: KafkaSpec = crate::api::read("spec.kafka", Value::Object(kafka.clone()))?;
    let Some(count) = kafka.replicas else {
        let problem = Problem::Missing("say how many brokers there should be");
        return Err(problem.at("spec.kafka.replicas"));
    };
    let count = usize::try_from(count)
        .ok()
        .filter(|count| (1..=MAX_BROKERS).contains(count))
        .ok_or_else(|| {
            let (least, most) = (1, MAX_BROKERS);
            Problem::Count { count, least, most }.at("spec.kafka.replicas")
        })?;
    Ok(Brokers {
        count,
        image: kafka
            .image
            .filter(|image| !image.is_empty())
            .unwrap_or_else(|| IMAGE.to_owned()),
        version: kafka.version,
        storage: storage(kafka.storage)?,
        resources: kafka.resources.filter(|resources| !resources.is_null()),
        pod: kafka
            .template
            .and_then(|template| template.pod)
            .unwrap_or_default(),
    })
}

fn storage(spec: Option<StorageSpec>) -> Result<Storage, Invalid> {
    let Some(spec) = spec else {
        return Ok(Storage::Claim {
            size: None,
            class: None,
            goes_with_owner: false,
        });
    };
    match spec.kind.as_str() {
        "ephemeral" => Ok(Storage::Ephemeral),
        "persistent-claim" => Ok(Storage::Claim {
            size: spec.size,
            class: spec.class,
            goes_with_owner: spec.delete_claim.unwrap_or(false),
        }),
        other => Err(Problem::Unknown {
            value: other.to_owned(),
            known: "persistent-claim or ephemeral",
        }
        .at("spec.kafka.storage.type")),
    }
}

#[cfg(test)]
mod tests;
