//! The documents that a region's Kubernetes is given. They are complete and carry no secret: the
//! secrets that [`Derived::secrets`] names must be there.
//!
//! The Deployments are those of the lab, whose operators and ingress are Backstay's own. A cluster
//! of AKS has the real ones, from their own charts; it takes HumioCluster, Services and Ingress.

use backstay_kinds::{HUMIO_CLUSTER, KAFKA};
use serde_json::{Map, Value, json};

use crate::derive::{Derived, NodePool};
use crate::environment::EnvVar;
use crate::pair::{EnvironmentField, NodeLabel, Pair, Region};

pub use backstay_kinds::{HUMIO_OPERATOR, STRIMZI_OPERATOR};

/// The Deployment of the ingress.
pub const INGRESS_CONTROLLER: &str = "ingress-nginx-controller";

/// LogScale's internal port, in its pods.
pub const HTTP: u16 = 8080;
/// Where the ingress controller answers `/healthz`, as ingress-nginx has it.
const INGRESS_HEALTH: u16 = 10_254;

/// What clients send events to. The paths of a single repository (`/api/v1/repositories/…/ingest`)
/// contain its name, which no prefix can say; they go where searches go.
const INGEST_PATHS: [&str; 2] = ["/api/v1/ingest", "/services/collector"];

/// How pods of an older specification are replaced: one at a time, each when the one before it is
/// ready, so that a change of the environment, as in a promotion, takes nothing out of service.
/// The operator's default is all at once.
const UPDATE_STRATEGY: &str = "RollingUpdate";

/// The variable that says what a pool's nodes do.
pub(crate) const NODE_ROLES: &str = "NODE_ROLES";

/// A Kubernetes document.
pub type Manifest = Value;

/// Everything that a region is made of, in an order in which it can be applied.
pub fn manifests(pair: &Pair, derived: &Derived) -> Vec<Manifest> {
    let region = pair.region(derived.side);
    let mut all = vec![namespace(&pair.namespace)];
    if pair.ingress_namespace != pair.namespace {
        all.push(namespace(&pair.ingress_namespace));
    }
    if derived.kafka_replicas > 0 {
        all.push(operator(
            pair,
            region,
            STRIMZI_OPERATOR,
            "strimzi-operator",
            1,
        ));
        all.push(kafka(pair, region, derived));
    }
    all.push(operator(
        pair,
        region,
        HUMIO_OPERATOR,
        "humio-operator",
        derived.operator_replicas,
    ));
    all.push(humio_cluster(pair, region, derived));
    let (services, selectors) = (&region.services, &derived.selectors);
    all.push(service(pair, &services.ui, &selectors.ui));
    all.push(service(pair, &services.ingest, &selectors.ingest));
    all.push(ingress(pair, region));
    all.push(ingress_controller(pair, region));
    all
}

fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

fn operator(pair: &Pair, region: &Region, name: &str, image: &str, replicas: u32) -> Value {
    let container = json!({
        "name": name,
        "image": format!("backstay/{image}:{}", region.version),
        "env": [{
            "name": "WATCH_NAMESPACE",
            "valueFrom": { "fieldRef": { "fieldPath": "metadata.namespace" } },
        }],
    });
    deployment(&pair.namespace, name, replicas, container)
}

fn ingress_controller(pair: &Pair, region: &Region) -> Value {
    let listen = |port: u16| std::net::SocketAddr::new(region.ingress.address, port).to_string();
    let mut env = vec![
        json!({ "name": "POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }),
        json!({
            "name": "BACKSTAY_INGRESS_HEALTH",
            "value": format!("$(POD_IP):{INGRESS_HEALTH}"),
        }),
        json!({ "name": "BACKSTAY_INGRESS_HTTP", "value": listen(region.ingress.http_port) }),
    ];
    if pair.tls_secret.is_some() {
        env.push(json!({
            "name": "BACKSTAY_INGRESS_HTTPS",
            "value": listen(region.ingress.https_port),
        }));
    }
    let container = json!({
        "name": "controller",
        "image": format!("backstay/ingress:{}", region.version),
        "env": env,
        "readinessProbe": {
            "httpGet": { "path": "/healthz", "port": INGRESS_HEALTH },
            "periodSeconds": 1,
        },
    });
    let mut controller = deployment(&pair.ingress_namespace, INGRESS_CONTROLLER, 1, container);
    // Its address is one: a new pod cannot have it before the old one is gone.
    controller["spec"]["strategy"] = json!({ "type": "Recreate" });
    controller
}

/// The label is not `app.kubernetes.io/name=humio`: services and the runbook select nodes by it.
fn deployment(namespace: &str, name: &str, replicas: u32, container: Value) -> Value {
    let labels = json!({ "app": name });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "namespace": namespace, "labels": labels },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "serviceAccountName": name, "containers": [container] },
            },
        },
    })
}

fn kafka(pair: &Pair, region: &Region, derived: &Derived) -> Value {
    json!({
        "apiVersion": KAFKA.api_version,
        "kind": KAFKA.kind,
        "metadata": { "name": region.kafka, "namespace": pair.namespace },
        "spec": {
            "kafka": {
                "replicas": derived.kafka_replicas,
                "listeners": [{ "name": "tls", "port": 9093, "type": "internal", "tls": true }],
                "storage": { "type": "persistent-claim", "size": "10Gi" },
            },
        },
    })
}

fn humio_cluster(pair: &Pair, region: &Region, derived: &Derived) -> Value {
    let environment = derived.cluster_environment();
    // A list that all pools share, or all of it in each pool's own.
    let common = derived.environment_field == EnvironmentField::Common;
    let own = |roles: Vec<EnvVar>| match common {
        true => roles,
        false => environment.iter().cloned().chain(roles).collect(),
    };
    let image = format!("backstay/node:{}", region.version);
    let pool = |pool: &NodePool| {
        json!({
            "name": pool.name,
            "spec": {
                "image": image,
                "nodeCount": pool.node_count,
                // The real operator's pools do not take it over from the cluster.
                "updateStrategy": { "type": UPDATE_STRATEGY },
                "nodeSelector": selector(&pool.node_label),
                "environmentVariables": own(pool.environment()),
            },
        })
    };
    let mut cluster = json!({
        "apiVersion": HUMIO_CLUSTER.api_version,
        "kind": HUMIO_CLUSTER.kind,
        "metadata": { "name": region.cluster, "namespace": pair.namespace },
        "spec": {
            "image": image,
            "nodeCount": derived.node_count,
            "updateStrategy": { "type": UPDATE_STRATEGY },
            "nodeSelector": selector(&derived.node_label),
            "targetReplicationFactor": derived.target_replication_factor,
            "autoRebalancePartitions": derived.auto_rebalance_partitions,
            "nodePools": derived.node_pools.iter().map(pool).collect::<Vec<_>>(),
        },
    });
    cluster["spec"][derived.environment_field.as_str()] = match common {
        true => json!(environment),
        false => json!(own(vec![EnvVar::value(NODE_ROLES, "all")])),
    };
    cluster
}

fn selector(label: &NodeLabel) -> Value {
    Value::Object(Map::from_iter([(label.key.clone(), json!(label.value))]))
}

fn service(
    pair: &Pair,
    name: &str,
    selector: &std::collections::BTreeMap<String, String>,
) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": pair.namespace },
        "spec": {
            "selector": selector,
            "ports": [{ "name": "http", "port": HTTP, "targetPort": HTTP }],
        },
    })
}

fn ingress(pair: &Pair, region: &Region) -> Value {
    let (hosts, services) = ([&pair.global_host, &region.fqdn], &region.services);
    let path = |path: &str, service: &str| {
        json!({
            "path": path,
            "pathType": "Prefix",
            "backend": {
                "service": {
                    "name": service,
                    "port": { "name": "http" },
                },
            },
        })
    };
    let mut paths: Vec<Value> = INGEST_PATHS
        .iter()
        .map(|it| path(it, &services.ingest))
        .collect();
    paths.push(path("/", &services.ui));
    let mut spec = Map::new();
    spec.insert("ingressClassName".to_owned(), json!("nginx"));
    if let Some(secret) = &pair.tls_secret {
        spec.insert(
            "tls".to_owned(),
            json!([{ "hosts": hosts, "secretName": secret }]),
        );
    }
    let rules = hosts.map(|host| json!({ "host": host, "http": { "paths": paths } }));
    spec.insert("rules".to_owned(), json!(rules));
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": region.ingress.name, "namespace": pair.namespace },
        "spec": spec,
    })
}
