//! What a pod of a pool looks like.
//!
//! Set unless the specification sets it itself, as `GetEnvironmentVariables` in
//! `humiocluster_defaults.go` does: `THIS_POD_IP`, `POD_NAME`, `POD_NAMESPACE`, `HUMIO_PORT` (8080),
//! `ELASTIC_PORT` (9200), `EXTERNAL_URL`, `PUBLIC_URL`. `EXTERNAL_URL` has the pod's address instead of
//! its name in the headless service, for a lab has no DNS of its own.
//!
//! Where the cluster has TLS, these are set whatever the specification says, as `constructBasePod` in
//! `humiocluster_pods.go` does: `TLS_KEYSTORE_LOCATION` and `TLS_TRUSTSTORE_LOCATION`, in the mounted secret
//! of the pod's certificate, and their passwords. No such keystores are in it; the node reads the PEM beside.
//!
//! Set for `backstay node` besides: `BACKSTAY_BIND` and `BACKSTAY_SOURCE_ADDRESS` (the pod's address),
//! `DIRECTORY` (`/data/humio-data`, where the pod's data is mounted) and `BACKSTAY_ADMIN_TOKEN_FILE`
//! (mounted from the secret of the admin token).

use backstay_kinds::{HUMIO_OPERATOR, label};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use super::spec::{INTERNAL, Pool, variable_name};
use super::tls;
use crate::api::HUMIO_CLUSTER;
use crate::fingerprint;

/// The specification that a pod was made by.
pub(super) const HASH: &str = "humio.com/pod-hash";
/// How often the specification of the pool has changed.
pub(super) const REVISION: &str = "humio.com/pod-revision";
/// The certificate that a pod was made with.
const CERTIFICATE_HASH: &str = "humio.com/certificate-hash";
/// The pool that a pod is of.
pub(super) const POOL: &str = label::NODE_POOL;
/// The cluster that a pod is of.
pub(super) const INSTANCE: &str = label::INSTANCE;
/// Which requests of the operator may go to a pod.
pub(super) const FEATURE: &str = "humio.com/feature";
/// The ports of a node, by name: LogScale's own and Elastic's.
pub(super) const PORTS: [(&str, u16); 2] = [("http", PORT), ("es", 9200)];

const TLS_VOLUME: &str = "tls-cert";
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
        if pool.is_internal {
            all_labels.insert(FEATURE.to_owned(), json!(INTERNAL));
        }
        let mut annotations = texts(&pool.annotations);
        annotations.extend(product(&pool.image));
        let spec = pod_spec(cluster, pool);
        if pool.tls {
            // What the real one hashes of a certificate: whose it is.
            let hash = fingerprint::of(&json!([cluster, pool.name]));
            annotations.insert(CERTIFICATE_HASH.to_owned(), json!(hash));
        }
        // With the order of variables, as in the real one: one that moved is a change
        // (`humiocluster_pod_hasher.go`).
        let hash = fingerprint::of(&json!({
            "labels": all_labels,
            "annotations": annotations,
            "spec": spec,
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
        let mut volumes = spec["volumes"].as_array_mut().into_iter().flatten();
        if let Some(own) = volumes.find(|volume| volume["name"] == TLS_VOLUME) {
            own["secret"]["secretName"] = json!(identity.name);
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

/// What monitoring wants to know of a pod (`AnnotationsForHumio` in `kubernetes.go`).
fn product(image: &str) -> Map<String, Value> {
    let version = image.split_once(':').map_or("unknown", |(_, tag)| tag);
    [
        ("productID", "none"),
        ("productName", "humio"),
        ("productVersion", version),
    ]
    .map(|(key, value)| (key.to_owned(), json!(value)))
    .into_iter()
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
        "env": environment(cluster, pool, port),
        "ports": PORTS.map(|(name, usual)| {
            let number = if usual == PORT { port } else { usual };
            json!({ "name": name, "containerPort": number, "protocol": "TCP" })
        }),
        "readinessProbe": pool.readiness_probe.clone().unwrap_or_else(|| readiness_probe(pool, port)),
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
    if pool.tls {
        let mount = json!({ "name": TLS_VOLUME, "mountPath": tls::MOUNT, "readOnly": true });
        // Each pod's own is put in later.
        let volume = json!({ "name": TLS_VOLUME, "secret": { "secretName": "" } });
        for (list, one) in [
            (&mut container["volumeMounts"], mount),
            (&mut spec["volumes"], volume),
        ] {
            if let Some(list) = list.as_array_mut() {
                list.push(one);
            }
        }
    }
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

/// By `/api/v1/status` and not, as in the real one, by `/api/v1/is-node-up`: what the lab's ingress
/// sends to a pod is to be answered.
fn readiness_probe(pool: &Pool, port: u16) -> Value {
    let scheme = if pool.tls { "HTTPS" } else { "HTTP" };
    json!({
        "httpGet": { "path": "/api/v1/status", "port": port, "scheme": scheme },
        "periodSeconds": 1,
        "timeoutSeconds": 5,
        "failureThreshold": 3,
    })
}

/// Where the node listens: what its environment says, if that is a port.
fn port(pool: &Pool) -> u16 {
    let named = |name| {
        pool.environment
            .iter()
            .find(move |v| variable_name(v) == name)
    };
    let own = named("PORT").or_else(|| named("HUMIO_PORT"));
    own.and_then(|variable| variable.get("value")?.as_str()?.parse().ok())
        .unwrap_or(PORT)
}

/// The specification's own come first; of two with the same name a container has the later one, so the
/// operator's are left out where it has its own.
fn environment(cluster: &str, pool: &Pool, port: u16) -> Vec<Value> {
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let value = |name: &str, value: &str| json!({ "name": name, "value": value });
    let scheme = if pool.tls { "https" } else { "http" };
    let url = format!("{scheme}://$(THIS_POD_IP):$(HUMIO_PORT)");
    let mut list = pool.environment.clone();
    let own: Vec<&str> = pool.environment.iter().map(variable_name).collect();
    // What is referred to stands before what refers to it.
    let defaults = [
        field("THIS_POD_IP", "status.podIP"),
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        value("HUMIO_PORT", &port.to_string()),
        value("ELASTIC_PORT", &PORTS[1].1.to_string()),
        value("EXTERNAL_URL", &url),
        value("PUBLIC_URL", &url),
        value("BACKSTAY_BIND", "$(THIS_POD_IP)"),
        // Where the pod is by its address, so are its requests.
        value("BACKSTAY_SOURCE_ADDRESS", "$(THIS_POD_IP)"),
        value("DIRECTORY", DATA),
        value("BACKSTAY_ADMIN_TOKEN_FILE", &format!("{TOKEN}/token")),
    ];
    let missing = defaults
        .into_iter()
        .filter(|ours| !own.contains(&variable_name(ours)));
    list.extend(missing);
    if pool.tls {
        let passphrase = json!({ "secretKeyRef": {
            "name": tls::passphrase(cluster), "key": tls::PASSPHRASE,
        } });
        list.extend(["TRUSTSTORE", "KEYSTORE"].map(|store| {
            let file = format!("{}/{}.jks", tls::MOUNT, store.to_lowercase());
            value(&format!("TLS_{store}_LOCATION"), &file)
        }));
        list.extend(["TRUSTSTORE", "KEYSTORE", "KEY"].map(
            |what| json!({ "name": format!("TLS_{what}_PASSWORD"), "valueFrom": passphrase }),
        ));
    }
    list
}

#[cfg(test)]
mod tests;
