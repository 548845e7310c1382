//! Services get endpoints: the addresses of the pods that they select, ready and not.

mod subsets;

use std::sync::Arc;

use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use kube::core::Selector;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use serde_json::json;

use crate::api::{self, ENDPOINTS, Objects, POD, RunError, SERVICE};
use crate::drive;

pub(super) async fn run(objects: Objects) {
    let controller = drive::controller(&objects, SERVICE, "", watcher::Config::default());
    let controller = drive::owning(controller, &objects, &[ENDPOINTS], "");
    let services = controller.store();
    let (pods, all) = (objects.api(POD, ""), watcher::Config::default());
    // A pod may have stopped to be selected by a change of its labels, so all are looked at.
    let controller = controller.watches_with(pods, POD.resource(), all, move |pod| {
        let namespace = pod.namespace();
        let near = services.state().into_iter();
        near.filter(move |service| service.namespace() == namespace)
            .map(|service| ObjectRef::from_obj_with(service.as_ref(), SERVICE.resource()))
            .collect::<Vec<_>>()
    });
    drive::run("endpoints", controller, Arc::new(objects), reconcile).await;
}

async fn reconcile(known: Arc<DynamicObject>, objects: Arc<Objects>) -> Result<Action, RunError> {
    let Some(service) = objects.fresh(SERVICE, &known).await? else {
        return Ok(Action::await_change());
    };
    // Without a selector the endpoints are somebody else's.
    let Some(labels) = subsets::selector(&service.data) else {
        return Ok(Action::await_change());
    };
    let (name, namespace) = (service.name_any(), service.namespace().unwrap_or_default());
    let selector = Selector::from_iter(labels).to_string();
    let how = ListParams::default().labels(&selector);
    let mut pods = objects.list(POD, &namespace, &how).await?;
    pods.sort_by_key(ResourceExt::name_any);
    let wanted = subsets::of(&service.data, &pods);

    let Some(endpoints) = objects.get(ENDPOINTS, &namespace, &name).await? else {
        let document = json!({
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": service.metadata.labels,
                "ownerReferences": SERVICE.owner(&service),
            },
            "subsets": wanted,
        });
        let made = objects.create(ENDPOINTS, &namespace, document).await?;
        return if made {
            Ok(Action::await_change())
        } else {
            Err(RunError::Overtaken {
                doing: format!("cannot make the endpoints of {name:?}"),
            })
        };
    };
    let owner = api::controller(&endpoints).map(|owner| owner.uid.clone());
    if endpoints.data.get("subsets") != Some(&wanted) || owner != service.uid() {
        let change = json!({
            "metadata": { "ownerReferences": SERVICE.owner(&service) },
            "subsets": wanted,
        });
        objects.change(ENDPOINTS, &endpoints, change).await?;
    }
    Ok(Action::await_change())
}
