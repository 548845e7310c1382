//! A `StrimziPodSet` becomes pods: those that its specification spells out, and no others.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::{DynamicObject, ListParams};
use kube::runtime::controller::Action;
use serde_json::{Value, json};

use super::brokers::{REVISION, SET};
use super::plan::{self, Named, Seen};
use crate::api::{Exact, Objects, POD, POD_SET, RunError, array, text};
use crate::pod;

const MAX_STEPS: usize = 64;
const REQUEUE_DELAY: Duration = Duration::from_millis(50);
/// A name that belongs to a pod of somebody else may come free.
const NAME_CONFLICT_DELAY: Duration = Duration::from_secs(2);

pub(super) async fn reconcile(
    known: Arc<DynamicObject>,
    objects: Arc<Objects>,
) -> Result<Action, RunError> {
    let Some(set) = objects.fresh(POD_SET, &known).await? else {
        return Ok(Action::await_change());
    };
    let namespace = set.namespace().unwrap_or_default();
    let documents = array(&set.data, "/spec/pods");
    let named: Vec<Named> = documents
        .iter()
        .map(|document| Named {
            name: text(document, "/metadata/name").to_owned(),
            revision: document["metadata"]["annotations"][REVISION]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        })
        .filter(|named| !named.name.is_empty())
        .collect();
    let how = ListParams::default().labels(&format!("{SET}={}", set.name_any()));
    for _ in 0..MAX_STEPS {
        let pods = objects.list(POD, &namespace, &how).await?;
        let seen: Vec<Seen> = pods
            .iter()
            .map(|pod| Seen {
                name: pod.name_any(),
                revision: pod::annotation(pod, REVISION).to_owned(),
                life: pod::life(pod),
            })
            .collect();
        let plan = plan::plan(&named, &seen);
        if plan.is_rest() {
            write_status(&objects, &set, &named, &seen).await?;
            return Ok(Action::await_change());
        }
        for pod in pods
            .iter()
            .filter(|pod| plan.delete.contains(&pod.name_any()))
        {
            let why = "not what its pod set says";
            objects.delete(POD, &Exact::of(pod), why).await?;
        }
        if let Some(name) = plan.create.first()
            && let Some(document) = documents.iter().find(|d| text(d, "/metadata/name") == name)
            && !create(&objects, &set, document).await?
            && is_others(&objects, &set, name).await?
        {
            write_status(&objects, &set, &named, &seen).await?;
            tracing::warn!(
                pod = name,
                "the name belongs to a pod that is not of the set"
            );
            return Ok(Action::requeue(NAME_CONFLICT_DELAY));
        }
    }
    Ok(Action::requeue(REQUEUE_DELAY))
}

async fn create(
    objects: &Objects,
    set: &DynamicObject,
    document: &Value,
) -> Result<bool, RunError> {
    let mut document = document.clone();
    document["metadata"]["namespace"] = json!(set.namespace());
    document["metadata"]["ownerReferences"] = POD_SET.owner(set);
    document["metadata"]["labels"][SET] = json!(set.name_any());
    let namespace = set.namespace().unwrap_or_default();
    objects.create(POD, &namespace, document).await
}

async fn is_others(objects: &Objects, set: &DynamicObject, name: &str) -> Result<bool, RunError> {
    let namespace = set.namespace().unwrap_or_default();
    let found = objects.get(POD, &namespace, name).await?;
    Ok(found.is_some_and(|pod| pod::label(&pod, SET) != set.name_any()))
}

async fn write_status(
    objects: &Objects,
    set: &DynamicObject,
    named: &[Named],
    seen: &[Seen],
) -> Result<(), RunError> {
    let counts = plan::count(named, seen);
    let status = json!({
        "observedGeneration": set.metadata.generation,
        "pods": counts.pods,
        "readyPods": counts.ready,
        "currentPods": counts.current,
    });
    objects.write_status(POD_SET, set, status).await
}
