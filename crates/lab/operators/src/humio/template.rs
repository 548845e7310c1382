//! What a pod of a pool looks like.
//!
//! Set for `backstay node`, unless the specification sets it itself: `POD_IP`, `POD_NAME`,
//! `BACKSTAY_BIND` and
//! `BACKSTAY_SOURCE_ADDRESS` (the pod's address), `PORT` (8080), `PUBLIC_URL`, `DIRECTORY`
//! (`/data/humio-data`, where the pod's data is mounted) and `BACKSTAY_ADMIN_TOKEN_FILE` (mounted
//! from the secret of the admin token).

use backstay_kinds::{HUMIO_OPERATOR, label};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use super::spec::{Pool, variable_name};
use crate::api::HUMIO_CLUSTER;
use crate::fingerprint;

/// The specification that a pod was made by.
pub(super) const HASH: &str = "humio.com/pod-hash";
/// How often the specification of the pool has changed.
pub(super) const REVISION: &str = "humio.com/pod-revision";
/// The pool that a pod is of.
pub(super) const POOL: &str = label::NODE_POOL;
/// The cluster that a pod is of.
pub(super) const INSTANCE: &str = label::INSTANCE;
/// The name of the port that services point to.
pub(super) const HTTP: &str = "http";

const DATA: &str = "/data/humio-data";
const TOKEN: &str = "/var/run/backstay/admin-token";
const PORT: u16 = 8080;

/// The secret of a cluster's admin token.
pub(super) fn admin_token(cluster: &str) -> String {
    format!("{cluster}-admin-token")
}

/// The labels of everything that belongs to a cluster.
pub(super) fn labels(cluster: &str) -> Map<String, Value> {
    let labels = [
        label::HUMIO,
        (INSTANCE, cluster),
        (label::MANAGED_BY, HUMIO_OPERATOR),
    ];
    let labels = labels.into_iter();
    labels
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect()
}

/// What the pods of a pool should be.
#[derive(Debug, Clone)]
pub(super) struct Template {
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
    spec: Value,
    /// Tells it from others.
    pub hash: String,
}

/// What is each pod's own.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub name: String,
    pub revision: i64,
    /// The claim of its data, where the pool has claims.
    pub claim: Option<String>,
}

impl Template {
    pub(super) fn new(cluster: &str, pool: &Pool) -> Self {
        let mut all_labels = texts(&pool.labels);
        all_labels.extend(labels(cluster));
        all_labels.insert(POOL.to_owned(), json!(pool.name));
        let annotations = texts(&pool.annotations);
        let spec = pod_spec(cluster, pool);

        // The order of variables is no reason to replace all pods of a cluster.
        let mut for_hash = spec.clone();
        if let Some(Value::Array(list)) = for_hash.pointer_mut("/containers/0/env") {
            list.sort_by(|one, other| variable_name(one).cmp(variable_name(other)));
        }
        let hash = fingerprint::of(&json!({
            "labels": all_labels,
            "annotations": annotations,
            "spec": for_hash,
        }));
        Self {
            labels: all_labels,
            annotations,
            spec,
            hash,
        }
    }

    /// A pod of it.
    pub(super) fn pod(&self, cluster: &DynamicObject, identity: &Identity) -> Value {
        let mut annotations = self.annotations.clone();
        annotations.insert(HASH.to_owned(), json!(self.hash));
        annotations.insert(REVISION.to_owned(), json!(identity.revision.to_string()));
        let mut spec = self.spec.clone();
        if let (Some(claim), Some(volume)) = (&identity.claim, spec.pointer_mut("/volumes/0")) {
            volume["persistentVolumeClaim"] = json!({ "claimName": claim });
        }
        json!({
            "metadata": {
                "name": identity.name,
                "namespace": cluster.namespace(),
                "labels": self.labels,
                "annotations": annotations,
                "ownerReferences": HUMIO_CLUSTER.owner(cluster),
            },
            "spec": spec,
        })
    }

    /// The claim of a pod's data.
    pub(super) fn claim(
        &self,
        cluster: &DynamicObject,
        name: &str,
        template: &Map<String, Value>,
    ) -> Value {
        let mut spec = template.clone();
        spec.entry("accessModes")
            .or_insert_with(|| json!(["ReadWriteOnce"]));
        json!({
            "metadata": {
                "name": name,
                "namespace": cluster.namespace(),
                "labels": self.labels,
                "ownerReferences": HUMIO_CLUSTER.owner(cluster),
            },
            "spec": spec,
        })
    }

    /// The image that its pods run.
    pub(super) fn image(&self) -> &str {
        crate::api::text(&self.spec, "/containers/0/image")
    }
}

fn texts(map: &std::collections::BTreeMap<String, String>) -> Map<String, Value> {
    let each = map.iter();
    each.map(|(key, value)| (key.clone(), json!(value)))
        .collect()
}

fn pod_spec(cluster: &str, pool: &Pool) -> Value {
    let port = port(pool);
    let mut data = match (&pool.claim, &pool.data) {
        // The pod's own claim is put in later: it is no part of what pods are compared by.
        (Some(_), _) => json!({ "persistentVolumeClaim": {} }),
        (None, Some(source)) => json!(source),
        (None, None) => json!({ "emptyDir": {} }),
    };
    data["name"] = json!("humio-data");
    let mut container = json!({
        "name": "humio",
        "image": pool.image,
        "env": environment(pool, port),
        "ports": [{ "name": HTTP, "containerPort": port, "protocol": "TCP" }],
        "readinessProbe": {
            "httpGet": { "path": "/api/v1/status", "port": port, "scheme": "HTTP" },
            "periodSeconds": 1,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "volumeMounts": [
            { "name": "humio-data", "mountPath": DATA },
            { "name": "admin-token", "mountPath": TOKEN, "readOnly": true },
        ],
    });
    let mut spec = json!({
        "terminationGracePeriodSeconds": pool.grace,
        "volumes": [
            data,
            { "name": "admin-token", "secret": { "secretName": admin_token(cluster) } },
        ],
    });
    let put = |document: &mut Value, field: &str, value: Option<Value>| {
        if let Some(value) = value {
            document[field] = value;
        }
    };
    let optional = |value: &Option<Value>| value.clone().filter(|value| !value.is_null());
    put(&mut container, "resources", optional(&pool.resources));
    put(
        &mut container,
        "envFrom",
        pool.environment_from.clone().map(Value::from),
    );
    put(
        &mut container,
        "imagePullPolicy",
        pool.image_pull_policy.clone().map(Value::from),
    );
    put(
        &mut spec,
        "nodeSelector",
        pool.node_selector.as_ref().map(|labels| json!(labels)),
    );
    put(&mut spec, "affinity", optional(&pool.affinity));
    put(&mut spec, "tolerations", optional(&pool.tolerations));
    put(
        &mut spec,
        "serviceAccountName",
        pool.service_account.clone().map(Value::from),
    );
    spec["containers"] = json!([container]);
    spec
}

/// Where the node listens: what its environment says, if that is a port.
fn port(pool: &Pool) -> u16 {
    let own = pool.environment.iter().find(|v| variable_name(v) == "PORT");
    own.and_then(|variable| variable.get("value")?.as_str()?.parse().ok())
        .unwrap_or(PORT)
}

/// The operator's own variables come first: others may refer to them.
fn environment(pool: &Pool, port: u16) -> Vec<Value> {
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let value = |name: &str, value: String| json!({ "name": name, "value": value });
    let mut list = vec![
        field("POD_IP", "status.podIP"),
        field("POD_NAME", "metadata.name"),
        value("BACKSTAY_BIND", "$(POD_IP)".to_owned()),
        // Where the pod is by its address, so are its requests.
        value("BACKSTAY_SOURCE_ADDRESS", "$(POD_IP)".to_owned()),
        value("PORT", port.to_string()),
        value("PUBLIC_URL", format!("http://$(POD_IP):{port}")),
        value("DIRECTORY", DATA.to_owned()),
        value("BACKSTAY_ADMIN_TOKEN_FILE", format!("{TOKEN}/token")),
    ];
    list.retain(|ours| {
        let name = variable_name(ours);
        pool.environment
            .iter()
            .all(|theirs| variable_name(theirs) != name)
    });
    list.extend(pool.environment.iter().cloned());
    list
}

#[cfg(test)]
mod tests;
