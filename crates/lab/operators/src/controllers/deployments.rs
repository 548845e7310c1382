//! Deployments: pods of the template, as many as wanted, replaced when it changes.

mod plan;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use kube::core::Selector;
use kube::runtime::controller::Action;
use kube::runtime::watcher;
use serde_json::{Value, json};

use crate::api::{self, DEPLOYMENT, Exact, Objects, POD, RunError};
use crate::invalid::{Invalid, Problem};
use crate::{drive, fingerprint, pod};
use plan::{Limits, Seen, Wanted};

/// What tells the pods of one template from those of another.
const HASH: &str = "pod-template-hash";
/// A run that has not ended after so many steps leaves the rest to the next.
const MAX_STEPS: usize = 64;
const REQUEUE_DELAY: Duration = Duration::from_millis(50);

pub(super) async fn run(objects: Objects) {
    let controller = drive::controller(&objects, DEPLOYMENT, "", watcher::Config::default());
    let controller = drive::owning(controller, &objects, &[POD], "");
    drive::run("deployments", controller, Arc::new(objects), reconcile).await;
}

async fn reconcile(known: Arc<DynamicObject>, objects: Arc<Objects>) -> Result<Action, RunError> {
    let Some(deployment) = objects.fresh(DEPLOYMENT, &known).await? else {
        return Ok(Action::await_change());
    };
    let (wanted, selector) = match read(&deployment) {
        Ok(read) => read,
        Err(why) => {
            let status = status::refused(&deployment, why.to_string(), Utc::now());
            objects
                .write_status(DEPLOYMENT, &deployment, status)
                .await?;
            return Ok(Action::await_change());
        }
    };
    let namespace = deployment.namespace().unwrap_or_default();
    let mut taken = Vec::new();
    for _ in 0..MAX_STEPS {
        let pods = objects.list(POD, &namespace, &selector).await?;
        let uid = deployment.uid();
        let pods: Vec<DynamicObject> = pods
            .into_iter()
            .filter(|pod| api::controller(pod).map(|owner| &owner.uid) == uid.as_ref())
            .collect();
        let seen: Vec<Seen> = pods.iter().map(|pod| seen(pod, &wanted.hash)).collect();
        let plan = plan::plan(&wanted, &seen);
        if plan.is_rest() {
            let counts = plan::count(&seen);
            let status = status::of(&deployment, &wanted, counts, Utc::now());
            objects
                .write_status(DEPLOYMENT, &deployment, status)
                .await?;
            return Ok(Action::await_change());
        }
        for at in plan.delete {
            if let Some(pod) = pods.get(at) {
                let why = "no more wanted by its deployment";
                objects.delete(POD, &Exact::of(pod), why).await?;
            }
        }
        if plan.create > 0 {
            let name = next_name(&deployment, &wanted, &pods, &taken);
            let document = pod_of(&deployment, &wanted, &name);
            if !objects.create(POD, &namespace, document).await? {
                taken.push(name);
            }
        }
    }
    Ok(Action::requeue(REQUEUE_DELAY))
}

/// What a deployment wants, and what selects its pods.
fn read(deployment: &DynamicObject) -> Result<(Wanted, ListParams), Invalid> {
    let spec = &deployment.data["spec"];
    let selector: LabelSelector = api::read("spec.selector", spec["selector"].clone())?;
    let selector =
        Selector::try_from(selector).map_err(|error| Problem::from(error).at("spec.selector"))?;
    if selector.selects_all() {
        return Err(Problem::SelectsAll.at("spec.selector"));
    }
    let template = &spec["template"];
    let place = "spec.template.metadata.labels";
    let labels: BTreeMap<String, String> =
        api::read(place, template["metadata"]["labels"].clone())?;
    if !kube::core::SelectorExt::matches(&selector, &labels) {
        return Err(Problem::NotSelected.at(place));
    }
    let replicas: i64 = match spec.get("replicas") {
        None | Some(Value::Null) => 1,
        Some(replicas) => api::read("spec.replicas", replicas.clone())?,
    };
    let replicas =
        usize::try_from(replicas).map_err(|_| Problem::Pods(replicas).at("spec.replicas"))?;
    let wanted = Wanted {
        replicas,
        hash: fingerprint::of(template),
        limits: Limits::read(&spec["strategy"], replicas)?,
    };
    Ok((wanted, ListParams::default().labels(&selector.to_string())))
}

fn seen(pod: &DynamicObject, hash: &str) -> Seen {
    Seen {
        current: pod::label(pod, HASH) == hash,
        life: pod::life(pod),
        made: pod::age_rank(pod),
        name: pod.name_any(),
    }
}

fn next_name(
    deployment: &DynamicObject,
    wanted: &Wanted,
    pods: &[DynamicObject],
    taken: &[String],
) -> String {
    let uid = deployment.uid().unwrap_or_default();
    let version = deployment.resource_version().unwrap_or_default();
    let pods: Vec<String> = pods.iter().filter_map(ResourceExt::uid).collect();
    let seed: Vec<&str> = [uid.as_str(), version.as_str()]
        .into_iter()
        .chain(pods.iter().map(String::as_str))
        .collect();
    let hash: String = wanted.hash.chars().take(10).collect();
    let prefix = format!("{}-{hash}-", deployment.name_any());
    fingerprint::name(&prefix, 5, &seed, taken)
}

fn pod_of(deployment: &DynamicObject, wanted: &Wanted, name: &str) -> Value {
    let mut document = deployment.data["spec"]["template"].clone();
    let metadata = &mut document["metadata"];
    metadata["name"] = json!(name);
    metadata["namespace"] = json!(deployment.namespace());
    metadata["ownerReferences"] = DEPLOYMENT.owner(deployment);
    metadata["labels"][HASH] = json!(wanted.hash);
    document
}
