//! What a Kafka leaves behind.

use kube::api::DeleteParams;
use serde_json::json;

use crate::lab::{Lab, deadline};

const CLUSTER: &str = "strimzi.io/cluster=logs";
const SETS: (&str, &str) = ("core.strimzi.io/v1beta2", "StrimziPodSet");

async fn claim(lab: &Lab, name: &str, cluster: &str, finalizers: &[&str]) {
    let claim = json!({
        "metadata": {
            "name": name, "labels": { "strimzi.io/cluster": cluster }, "finalizers": finalizers,
        },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    lab.make("v1", "PersistentVolumeClaim", claim).await;
}

#[tokio::test]
async fn claims_go_when_nothing_uses_them() {
    let lab = Lab::start().await;
    claim(&lab, "data-0", "logs", &[]).await;
    claim(&lab, "data-1", "logs", &["kubernetes.io/pvc-protection"]).await;
    claim(&lab, "data-2", "other", &[]).await;
    let region = lab.region("operator").await;
    let claims = region.claims(CLUSTER, deadline()).await.unwrap();
    assert_eq!(claims, ["data-0", "data-1"]);
    assert_eq!(region.delete_claims(CLUSTER, deadline()).await.unwrap(), 2);
    assert_eq!(
        region.claims(CLUSTER, deadline()).await.unwrap(),
        ["data-1"]
    );
    let free = json!({ "metadata": { "finalizers": null } });
    lab.patch("v1", "PersistentVolumeClaim", "data-1", free)
        .await;
    assert!(region.claims(CLUSTER, deadline()).await.unwrap().is_empty());
    // Nothing to be deleted is as good, and another's is not touched.
    assert_eq!(region.delete_claims(CLUSTER, deadline()).await.unwrap(), 0);
    assert_eq!(region.claims("", deadline()).await.unwrap(), ["data-2"]);
}

#[tokio::test]
async fn claims_of_nodes_say_their_pool() {
    let lab = Lab::start().await;
    for (name, pool) in [
        ("logscale-core-a", "logscale"),
        ("logscale-ui-core-b", "logscale-ui"),
    ] {
        let labels = json!({
            "app.kubernetes.io/name": "humio", "app.kubernetes.io/instance": "logscale",
            "humio.com/node-pool": pool,
        });
        let claim = json!({
            "metadata": { "name": name, "labels": labels },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
        });
        lab.make("v1", "PersistentVolumeClaim", claim).await;
    }
    claim(&lab, "data-0", "logs", &[]).await;
    let region = lab.region("operator").await;
    let nodes = "app.kubernetes.io/name=humio,app.kubernetes.io/instance=logscale";
    let claims = region.node_claims(nodes, deadline()).await.unwrap();
    let found: Vec<(&str, &str)> = claims
        .iter()
        .map(|it| (it.name.as_str(), it.node_pool.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("logscale-core-a", "logscale"),
            ("logscale-ui-core-b", "logscale-ui")
        ]
    );
    let one = format!("{nodes},humio.com/node-pool=logscale-ui");
    assert_eq!(region.delete_claims(&one, deadline()).await.unwrap(), 1);
    let left = region.node_claims(nodes, deadline()).await.unwrap();
    assert_eq!(left.len(), 1);
}

#[tokio::test]
async fn pod_sets_are_listed_and_deleted() {
    let lab = Lab::start().await;
    for (name, cluster) in [("logs-kafka", "logs"), ("other-kafka", "other")] {
        let set = json!({
            "metadata": { "name": name, "labels": { "strimzi.io/cluster": cluster } },
            "spec": { "pods": [], "selector": {} },
        });
        lab.make(SETS.0, SETS.1, set).await;
    }
    let region = lab.region("operator").await;
    let sets = region.pod_sets(CLUSTER, deadline()).await.unwrap();
    assert_eq!(sets, ["logs-kafka"]);
    for there in [1, 0] {
        let deleted = region.delete_pod_sets(CLUSTER, deadline()).await.unwrap();
        assert_eq!(deleted, there);
    }
    let left = region.pod_sets("", deadline()).await.unwrap();
    assert_eq!(left, ["other-kafka"]);
}

#[tokio::test]
async fn pods_with_labels_are_deleted_whatever_happens_to_them_meanwhile() {
    let lab = Lab::start().await;
    for name in ["a", "b", "c"] {
        lab.pod(name).await;
    }
    let kafka = json!({
        "metadata": { "name": "kafka-0", "labels": { "strimzi.io/cluster": "logs" } },
        "spec": { "nodeName": "node-1", "containers": [{ "name": "kafka", "image": "kafka" }] },
    });
    lab.make("v1", "Pod", kafka).await;
    let region = lab.region("operator").await;
    let humio = "app.kubernetes.io/name=humio";
    // Asked to end, and then made to.
    assert_eq!(
        region.delete_pods(humio, None, deadline()).await.unwrap(),
        3
    );
    let ending = region.pods(humio, deadline()).await.unwrap();
    assert!(ending.len() == 3 && ending.iter().all(|it| it.deleting));
    let pods = lab.api("v1", "Pod").await;
    pods.delete("b", &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    let rest = region
        .delete_pods(humio, Some(0), deadline())
        .await
        .unwrap();
    assert_eq!(rest, 2);
    region.wait_gone(humio, deadline()).await.unwrap();
    assert_eq!(
        region
            .delete_pods(humio, Some(0), deadline())
            .await
            .unwrap(),
        0
    );
    let left = region.pods("", deadline()).await.unwrap();
    assert_eq!(left.len(), 1);
    // Another namespace is another place.
    let ingress = region.in_namespace("logging-ingress");
    assert_eq!(ingress.namespace(), "logging-ingress");
    assert_eq!(region.namespace(), "logging");
    assert_eq!(
        ingress.delete_pods("", Some(0), deadline()).await.unwrap(),
        0
    );
    assert_eq!(region.pods("", deadline()).await.unwrap().len(), 1);
}
