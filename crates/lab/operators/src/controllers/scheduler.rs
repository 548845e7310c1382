//! Pods get nodes: the first of the pool that they ask for, made when there is none.
//!
//! A pool has one node, however many pods, since the machine below is one machine; more only where
//! pods demand by their anti-affinity that each has a node to itself.

pub(super) mod place;

use std::sync::Arc;

use chrono::Utc;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, ListParams};
use kube::runtime::controller::Action;
use kube::runtime::watcher;
use serde_json::{Value, json};

use super::ControllerOptions;
use super::nodes::{self, UNNEEDED};
use crate::api::{NODE, Objects, POD, RunError, array, text};
use crate::condition::{self, Condition};
use crate::{drive, pod};
use place::{Apart, Place};
use tokio::sync::Mutex;

struct Scheduler {
    objects: Objects,
    options: ControllerOptions,
    /// Two pods that keep away from each other are not placed at the same time.
    placing: Mutex<()>,
}

pub(super) async fn run(objects: Objects, options: ControllerOptions) {
    let waiting = watcher::Config::default().fields("spec.nodeName=");
    let controller = drive::controller(&objects, POD, "", waiting);
    let scheduler = Arc::new(Scheduler {
        objects,
        options,
        placing: Mutex::default(),
    });
    drive::run("scheduler", controller, scheduler, reconcile).await;
}

async fn reconcile(
    known: Arc<DynamicObject>,
    scheduler: Arc<Scheduler>,
) -> Result<Action, RunError> {
    let (objects, options) = (&scheduler.objects, &scheduler.options);
    let Some(pod) = objects.fresh(POD, &known).await? else {
        return Ok(Action::await_change());
    };
    if !text(&pod.data, "/spec/nodeName").is_empty() {
        return Ok(Action::await_change());
    }
    let spec = &pod.data["spec"];
    let asked = place::choose(spec, options).and_then(|pool| Ok((pool, Apart::read(spec)?)));
    let (pool, apart) = match asked {
        Ok(asked) => asked,
        Err(why) => {
            say_scheduled(objects, &pod, Some(why.to_string())).await?;
            return Ok(Action::await_change());
        }
    };
    if array(&pod.data, "/status/conditions")
        .iter()
        .any(|condition| text(condition, "/type") == SCHEDULED)
        && !condition::holds(&pod.data["status"], SCHEDULED)
    {
        // This changes the pod, so it is looked at again, and placed then.
        say_scheduled(objects, &pod, None).await?;
        return Ok(Action::await_change());
    }
    let _one = scheduler.placing.lock().await;
    let taken = nodes_of(objects, &pod, &apart).await?;
    let taken: Vec<&str> = taken.iter().map(String::as_str).collect();
    let place = place::node(&pool, &taken, &options.region);
    prepare(objects, &place).await?;
    let bound = json!({ "spec": { "nodeName": place.node } });
    objects.change(POD, &pod, bound).await?;
    tracing::info!(pod = pod.name_any(), node = place.node, "placed");
    Ok(Action::await_change())
}

/// The nodes of all pods that this one keeps away from.
async fn nodes_of(
    objects: &Objects,
    pod: &DynamicObject,
    apart: &Apart,
) -> Result<Vec<String>, RunError> {
    if apart.is_empty() {
        return Ok(Vec::new());
    }
    let namespace = pod.namespace().unwrap_or_default();
    let all = objects
        .list(POD, &namespace, &ListParams::default())
        .await?;
    let others = all.into_iter().filter(|other| {
        let labels = other.metadata.labels.clone().unwrap_or_default();
        other.uid() != pod.uid() && apart.from(&labels)
    });
    let nodes = others.map(|other| text(&other.data, "/spec/nodeName").to_owned());
    Ok(nodes.filter(|node| !node.is_empty()).collect())
}

/// Makes sure of the node before a pod counts on it. One that was about to be removed is so no
/// more: its removal is refused, since it is of the version before.
async fn prepare(objects: &Objects, place: &Place) -> Result<(), RunError> {
    match objects.get(NODE, "", &place.node).await? {
        None => {
            let node = json!({ "metadata": { "name": place.node, "labels": place.labels } });
            objects.create(NODE, "", node).await?;
        }
        Some(node) if node.metadata.deletion_timestamp.is_none() => {
            if !pod::annotation(&node, UNNEEDED).is_empty() {
                objects.change(NODE, &node, nodes::needed()).await?;
            }
        }
        Some(_) => {
            return Err(RunError::Overtaken {
                doing: format!("cannot place a pod on node {:?}", place.node),
            });
        }
    }
    Ok(())
}

const SCHEDULED: &str = "PodScheduled";

async fn say_scheduled(
    objects: &Objects,
    pod: &DynamicObject,
    why_not: Option<String>,
) -> Result<(), RunError> {
    let mut status = pod.data.get("status").cloned().unwrap_or_else(|| json!({}));
    let said = Condition {
        kind: SCHEDULED,
        holds: why_not.is_none(),
        reason: if why_not.is_some() {
            "Unschedulable"
        } else {
            "Scheduled"
        },
        message: why_not.unwrap_or_default(),
    };
    let conditions: Value = condition::with(&status, &[said], Utc::now());
    status["conditions"] = conditions;
    objects.write_status(POD, pod, status).await
}
