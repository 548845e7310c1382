//! What stands next to the pods of a cluster: the admin token and the services. Each is made where
//! it is missing and never replaced.

use backstay_kinds::label;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value, json};

use super::template::{HTTP, admin_token, labels};
use crate::api::{HUMIO_CLUSTER, Objects, RunError, SECRET, SERVICE, text};

pub(super) async fn ensure(objects: &Objects, cluster: &DynamicObject) -> Result<(), RunError> {
    ensure_token(objects, cluster).await?;
    let name = cluster.name_any();
    ensure_service(objects, cluster, &name, false).await?;
    ensure_service(objects, cluster, &format!("{name}-headless"), true).await
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
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| RunError::Random)?;
    Ok(STANDARD.encode(URL_SAFE_NO_PAD.encode(bytes)))
}

async fn ensure_service(
    objects: &Objects,
    cluster: &DynamicObject,
    name: &str,
    headless: bool,
) -> Result<(), RunError> {
    let namespace = cluster.namespace().unwrap_or_default();
    if objects.get(SERVICE, &namespace, name).await?.is_some() {
        return Ok(());
    }
    let mut selector = labels(&cluster.name_any());
    selector.retain(|key, _| key != label::MANAGED_BY);
    let mut service = document(cluster, name);
    service["spec"] = service_spec(selector, headless);
    objects.create(SERVICE, &namespace, service).await?;
    Ok(())
}

fn service_spec(selector: Map<String, Value>, headless: bool) -> Value {
    let mut spec = json!({
        "selector": selector,
        "ports": [{ "name": HTTP, "port": 8080, "targetPort": HTTP, "protocol": "TCP" }],
    });
    if headless {
        // Nodes find each other before they are ready.
        spec["clusterIP"] = json!("None");
        spec["publishNotReadyAddresses"] = json!(true);
    }
    spec
}

fn document(cluster: &DynamicObject, name: &str) -> Value {
    json!({
        "metadata": {
            "name": name,
            "namespace": cluster.namespace(),
            "labels": labels(&cluster.name_any()),
            "ownerReferences": HUMIO_CLUSTER.owner(cluster),
        },
    })
}
