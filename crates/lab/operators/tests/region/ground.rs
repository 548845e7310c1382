//! A region that is looked at by one client: what is asked many times is not asked by `kubectl`.

use std::path::PathBuf;
use std::time::Duration;

use hyper::{Method, Request};
use kube::Client;
use serde_json::{Value, json};

use crate::Region;
use crate::lab::TEST_TIMEOUT;

/// A region, and the one client by which it is looked at.
pub struct Ground {
    pub region: Region,
    pub client: Client,
    pub kubeconfig: PathBuf,
}

impl Ground {
    pub async fn start() -> Self {
        let region = Region::start().await;
        Self {
            client: region.client().await,
            kubeconfig: region.kubeconfig(),
            region,
        }
    }
}

/// One request, by its path.
pub async fn ask(ground: &Ground, method: Method, path: &str, body: &Value) -> kube::Result<Value> {
    let kind = if method == Method::PATCH {
        "application/merge-patch+json"
    } else {
        "application/json"
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(body.to_string().into_bytes())
        .unwrap();
    ground.client.clone().request(request).await
}

/// Where documents of a kind are; without a name, all of them.
pub fn path(namespace: &str, plural: &str, name: &str) -> String {
    let group = match plural {
        "deployments" => "apis/apps/v1",
        "humioclusters" => "apis/core.humio.com/v1alpha1",
        "kafkas" => "apis/kafka.strimzi.io/v1beta2",
        "strimzipodsets" => "apis/core.strimzi.io/v1beta2",
        _ => "api/v1",
    };
    let place = if namespace.is_empty() {
        format!("/{group}/{plural}")
    } else {
        format!("/{group}/namespaces/{namespace}/{plural}")
    };
    if name.is_empty() {
        place
    } else {
        format!("{place}/{name}")
    }
}

pub async fn apply(ground: &Ground, documents: &[Value]) {
    for document in documents {
        let plural = match document["kind"].as_str().unwrap() {
            "Endpoints" => "endpoints".to_owned(),
            kind => format!("{}s", kind.to_lowercase()),
        };
        let metadata = &document["metadata"];
        let namespace = metadata["namespace"].as_str().unwrap_or_default();
        let name = metadata["name"].as_str().unwrap();
        let all = path(namespace, &plural, "");
        if ask(ground, Method::POST, &all, document).await.is_err() {
            let one = path(namespace, &plural, name);
            ask(ground, Method::PATCH, &one, document).await.unwrap();
        }
    }
}

pub fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

pub async fn get(ground: &Ground, namespace: &str, plural: &str, name: &str) -> Value {
    let path = path(namespace, plural, name);
    ask(ground, Method::GET, &path, &Value::Null).await.unwrap()
}

/// Until a document, or all of a kind, is as it should be.
pub async fn until(
    ground: &Ground,
    (namespace, plural, name): (&str, &str, &str),
    holds: impl Fn(&Value) -> bool,
) {
    let mut last = Value::Null;
    let wait = async {
        loop {
            last = get(ground, namespace, plural, name).await;
            if holds(&last) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(TEST_TIMEOUT, wait).await.is_err() {
        panic!("{namespace} {plural} {name} is {last:#}");
    }
}

pub fn items(list: &Value) -> &[Value] {
    list["items"].as_array().unwrap()
}
