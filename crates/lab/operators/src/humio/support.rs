//! What stands next to the pods of a cluster: the admin token, which is made where it is missing and
//! never replaced, and the services, which are put right whenever they are not as they should be.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value, json};

use super::spec::{INTERNAL, Pool};
use super::template::{FEATURE, POOL, PORTS, admin_token, labels};
use crate::api::{Exact, HUMIO_CLUSTER, Objects, RunError, SECRET, SERVICE, text};

pub(super) async fn ensure(
    objects: &Objects,
    cluster: &DynamicObject,
    pools: impl Iterator<Item = &Pool> + Clone,
) -> Result<(), RunError> {
    ensure_token(objects, cluster).await?;
    let name = cluster.name_any();
    let all = labels(&name);
    let mut internal = all.clone();
    internal.insert(FEATURE.to_owned(), json!(INTERNAL));
    let (headless, own) = (format!("{name}-headless"), format!("{name}-internal"));
    ensure_service(objects, cluster, &headless, all.clone()).await?;
    ensure_service(objects, cluster, &own, internal).await?;
    // A lab's own routing services still have the names of the others.
    for pool in pools.filter(|pool| pool.name == name) {
        if pool.count == 0 {
            forget_service(objects, cluster, &pool.name).await?;
            continue;
        }
        let mut selector = all.clone();
        selector.insert(POOL.to_owned(), json!(pool.name));
        ensure_service(objects, cluster, &pool.name, selector).await?;
    }
    Ok(())
}

/// A pool without nodes loses its service, whoever made it (`cleanupUnusedService` in
/// `humiocluster_controller.go`).
async fn forget_service(
    objects: &Objects,
    cluster: &DynamicObject,
    name: &str,
) -> Result<(), RunError> {
    let namespace = cluster.namespace().unwrap_or_default();
    if let Some(service) = objects.get(SERVICE, &namespace, name).await? {
        objects
            .delete(SERVICE, &Exact::of(&service), "its pool has no nodes")
            .await?;
    }
    Ok(())
}

/// The token is random, and in this secret only.
async fn ensure_token(objects: &Objects, cluster: &DynamicObject) -> Result<(), RunError> {
    let namespace = cluster.namespace().unwrap_or_default();
    let name = admin_token(&cluster.name_any());
    match objects.get(SECRET, &namespace, &name).await? {
        // Two operators at once: whose comes second is told that there is one.
        None => {
            let mut secret = document(cluster, &name);
            secret["data"] = json!({ "token": new_token()? });
            objects.create(SECRET, &namespace, secret).await?;
        }
        Some(secret) if text(&secret.data, "/data/token").is_empty() => {
            let token = json!({ "data": { "token": new_token()? } });
            objects.change(SECRET, &secret, token).await?;
        }
        Some(_) => {}
    }
    Ok(())
}

/// As a secret holds it.
fn new_token() -> Result<String, RunError> {
    Ok(STANDARD.encode(random()?))
}

/// A text that nobody guesses.
pub(super) fn random() -> Result<String, RunError> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| RunError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Made where it is missing. One that somebody has changed, or made himself, gets the operator's labels
/// and selector again; its ports stay as they are (`servicesMatch` and `updateService` in
/// `humiocluster_services.go`).
async fn ensure_service(
    objects: &Objects,
    cluster: &DynamicObject,
    name: &str,
    selector: Map<String, Value>,
) -> Result<(), RunError> {
    let namespace = cluster.namespace().unwrap_or_default();
    let mut service = document(cluster, name);
    service["spec"] = service_spec(selector, name.ends_with("-headless"));
    let Some(found) = objects.get(SERVICE, &namespace, name).await? else {
        objects.create(SERVICE, &namespace, service).await?;
        return Ok(());
    };
    let flag = |spec: &Value| spec["publishNotReadyAddresses"].as_bool().unwrap_or(false);
    let own = json!(found.metadata.labels.clone().unwrap_or_default());
    let is_right = own == service["metadata"]["labels"]
        && found.data["spec"]["selector"] == service["spec"]["selector"]
        && flag(&found.data["spec"]) == flag(&service["spec"]);
    if is_right {
        return Ok(());
    }
    let mut found = found;
    found.metadata.labels = serde_json::from_value(service["metadata"]["labels"].take()).ok();
    found.metadata.annotations = None;
    found.data["spec"]["selector"] = service["spec"]["selector"].take();
    found.data["spec"]["publishNotReadyAddresses"] = json!(flag(&service["spec"]));
    objects.replace(SERVICE, &found).await
}

fn service_spec(selector: Map<String, Value>, headless: bool) -> Value {
    let ports = PORTS.map(
        |(name, port)| json!({ "name": name, "port": port, "targetPort": port, "protocol": "TCP" }),
    );
    let mut spec = json!({ "type": "ClusterIP", "selector": selector, "ports": ports });
    if headless {
        // Nodes find each other before they are ready.
        spec["clusterIP"] = json!("None");
        spec["publishNotReadyAddresses"] = json!(true);
    }
    spec
}

/// What belongs to a cluster and is called `name`.
pub(super) fn document(cluster: &DynamicObject, name: &str) -> Value {
    json!({
        "metadata": {
            "name": name,
            "namespace": cluster.namespace(),
            "labels": labels(&cluster.name_any()),
            "ownerReferences": HUMIO_CLUSTER.owner(cluster),
        },
    })
}
