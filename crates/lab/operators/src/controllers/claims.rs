//! Claims become bound: the folder that stands for the volume is made by whoever mounts it.

use std::sync::Arc;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use kube::runtime::watcher;
use serde_json::json;

use crate::api::{CLAIM, Objects, RunError, text};
use crate::drive;

pub(super) async fn run(objects: Objects) {
    let controller = drive::controller(&objects, CLAIM, "", watcher::Config::default());
    drive::run("claims", controller, Arc::new(objects), reconcile).await;
}

async fn reconcile(known: Arc<DynamicObject>, objects: Arc<Objects>) -> Result<Action, RunError> {
    let Some(mut claim) = objects.fresh(CLAIM, &known).await? else {
        return Ok(Action::await_change());
    };
    if text(&claim.data, "/status/phase") == "Bound" {
        return Ok(Action::await_change());
    }
    if text(&claim.data, "/spec/volumeName").is_empty() {
        let volume = format!("pvc-{}", claim.uid().unwrap_or_default());
        let named = json!({ "spec": { "volumeName": volume } });
        claim = objects.change(CLAIM, &claim, named).await?;
    }
    let spec = &claim.data["spec"];
    let mut status = json!({ "phase": "Bound", "accessModes": spec["accessModes"] });
    if let Some(requests) = spec.pointer("/resources/requests") {
        status["capacity"] = requests.clone();
    }
    objects.write_status(CLAIM, &claim, status).await?;
    Ok(Action::await_change())
}
