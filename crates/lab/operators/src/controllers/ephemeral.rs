//! Generic ephemeral volumes: a pod's claim is made with it, belongs to it, and goes with it
//! (<https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/#generic-ephemeral-volumes>).

use std::sync::Arc;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use kube::runtime::watcher;
use serde_json::{Value, json};

use crate::api::{CLAIM, Objects, POD, RunError, array, text};
use crate::drive;

pub(super) async fn run(objects: Objects) {
    let controller = drive::controller(&objects, POD, "", watcher::Config::default());
    drive::run(
        "ephemeral-volumes",
        controller,
        Arc::new(objects),
        reconcile,
    )
    .await;
}

async fn reconcile(known: Arc<DynamicObject>, objects: Arc<Objects>) -> Result<Action, RunError> {
    if claims(&known).next().is_none() {
        return Ok(Action::await_change());
    }
    let Some(pod) = objects.fresh(POD, &known).await? else {
        return Ok(Action::await_change());
    };
    let namespace = pod.namespace().unwrap_or_default();
    for (name, claim) in claims(&pod) {
        if objects.get(CLAIM, &namespace, &name).await?.is_none() {
            objects.create(CLAIM, &namespace, claim).await?;
        }
    }
    Ok(Action::await_change())
}

/// The claims of a pod's ephemeral volumes, by name.
fn claims(pod: &DynamicObject) -> impl Iterator<Item = (String, Value)> {
    array(&pod.data, "/spec/volumes")
        .iter()
        .filter_map(|volume| {
            let template = volume.pointer("/ephemeral/volumeClaimTemplate")?;
            let name = format!("{}-{}", pod.name_any(), text(volume, "/name"));
            let mut metadata = json!({
                "name": name,
                "namespace": pod.namespace(),
                "ownerReferences": POD.owner(pod),
            });
            for field in ["labels", "annotations"] {
                if let Some(given) = template.pointer(&format!("/metadata/{field}")) {
                    metadata[field] = given.clone();
                }
            }
            Some((
                name,
                json!({ "metadata": metadata, "spec": template["spec"] }),
            ))
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_claim_is_called_as_its_pod_and_volume_and_belongs_to_the_pod() {
        let spec =
            json!({ "accessModes": ["ReadWriteOnce"], "storageClassName": "topolvm-provisioner" });
        let pod: DynamicObject = serde_json::from_value(json!({
            "metadata": { "name": "n-core-abcdef", "namespace": "logging", "uid": "u" },
            "spec": { "volumes": [
                { "name": "other", "emptyDir": {} },
                { "name": "humio-data", "ephemeral": { "volumeClaimTemplate": {
                    "metadata": { "labels": { "a": "b" } }, "spec": spec,
                } } },
            ] },
        }))
        .unwrap();
        let all: Vec<(String, Value)> = claims(&pod).collect();
        assert_eq!(all.len(), 1);
        let (name, claim) = &all[0];
        assert_eq!(name, "n-core-abcdef-humio-data");
        assert_eq!(claim["spec"], spec);
        assert_eq!(claim["metadata"]["labels"], json!({ "a": "b" }));
        let owner = &claim["metadata"]["ownerReferences"][0];
        assert_eq!(
            (&owner["kind"], &owner["uid"]),
            (&json!("Pod"), &json!("u"))
        );
    }
}
