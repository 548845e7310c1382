//! Nodes go when no pod has needed them for a while. Since when is written on the node itself.

mod idle;

use std::sync::Arc;

use chrono::Utc;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, ListParams};
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use serde_json::{Value, json};

use super::ControllerOptions;
use super::scheduler::place;
use crate::api::{Exact, NODE, Objects, POD, RunError, text};
use crate::condition::timestamp;
use crate::{drive, pod};
use idle::Idle;

/// Since when no pod needs this node.
pub(super) const UNNEEDED: &str = "backstay.dev/unneeded-since";
/// A node that was made for a pod, and may go when there is none.
pub(super) const MADE: &str = "backstay.dev/autoscaled";

/// What makes a node one that is needed.
pub(super) fn needed() -> Value {
    json!({ "metadata": { "annotations": { UNNEEDED: null } } })
}

struct Nodes {
    objects: Objects,
    options: ControllerOptions,
}

pub(super) async fn run(objects: Objects, options: ControllerOptions) {
    let made = watcher::Config::default().labels(&format!("{MADE}=true"));
    let controller = drive::controller(&objects, NODE, "", made);
    let placed = watcher::Config::default().fields("spec.nodeName!=");
    let pods = objects.api(POD, "");
    let controller = controller.watches_with(pods, POD.resource(), placed, |pod| {
        let node = text(&pod.data, "/spec/nodeName");
        Some(ObjectRef::new_with(node, NODE.resource()))
    });
    let nodes = Arc::new(Nodes { objects, options });
    drive::run("nodes", controller, nodes, reconcile).await;
}

async fn reconcile(known: Arc<DynamicObject>, nodes: Arc<Nodes>) -> Result<Action, RunError> {
    let objects = &nodes.objects;
    // The node is read before its pods: it is removed only in this version, and a pod that comes
    // to a node that is on its way out changes the node first.
    let Some(node) = objects.fresh(NODE, &known).await? else {
        return Ok(Action::await_change());
    };
    let has_pods = is_needed(&nodes, &node).await?;
    let since = pod::annotation(&node, UNNEEDED);
    Ok(
        match idle::decide(has_pods, since, nodes.options.idle_node, Utc::now()) {
            Idle::Leave => Action::await_change(),
            Idle::Needed => {
                objects.change(NODE, &node, needed()).await?;
                Action::await_change()
            }
            Idle::Mark(now) => {
                let mark = json!({ "metadata": { "annotations": { UNNEEDED: timestamp(now) } } });
                objects.change(NODE, &node, mark).await?;
                Action::await_change()
            }
            Idle::Wait(rest) => Action::requeue(rest),
            Idle::Remove => {
                let why = "no pod has needed it for a while";
                objects.delete(NODE, &Exact::unchanged(&node), why).await?;
                Action::await_change()
            }
        },
    )
}

/// Whether there are pods on the node, or one that is about to come.
async fn is_needed(nodes: &Nodes, node: &DynamicObject) -> Result<bool, RunError> {
    let here = ListParams::default().fields(&format!("spec.nodeName={}", node.name_any()));
    if !nodes
        .objects
        .list(POD, "", &here.limit(1))
        .await?
        .is_empty()
    {
        return Ok(true);
    }
    let waiting = ListParams::default().fields("spec.nodeName=");
    let waiting = nodes.objects.list(POD, "", &waiting).await?;
    Ok(waiting.iter().any(|pod| {
        place::choose(&pod.data["spec"], &nodes.options)
            .is_ok_and(|pool| place::is_of_pool(node, &pool))
    }))
}
