//! strimzi-cluster-operator, as the runbook drives it.

use serde_json::{Value, json};

use crate::lab::{Lab, deployment};
use backstay_testkit::kubernetes::no_kubectl;

fn kafka(spec: Value) -> Value {
    json!({
        "apiVersion": "kafka.strimzi.io/v1beta2",
        "kind": "Kafka",
        "metadata": { "name": "logs", "namespace": "logging" },
        "spec": { "kafka": spec },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn phase_4_of_the_runbook() {
    if no_kubectl() {
        return;
    }
    let lab = Lab::start().await;
    lab.apply(&[
        deployment("logging", "humio-operator", "backstay/humio-operator:1", 1),
        deployment(
            "logging",
            "strimzi-cluster-operator",
            "backstay/strimzi-operator:1",
            1,
        ),
        kafka(json!({ "replicas": 3, "storage": { "type": "persistent-claim", "size": "1Gi" } })),
        crate::lab::cluster("logging", json!({ "nodeCount": 1 })),
    ])
    .await;
    lab.kubectl("-n logging wait kafka/logs --for=condition=Ready --timeout=120s")
        .await;
    lab.kubectl("-n logging wait --for=jsonpath='{.status.state}'=Running humiocluster/logscale --timeout=120s")
        .await;
    let names = lab
        .names("-n logging pods -l strimzi.io/component-type=kafka")
        .await;
    assert_eq!(
        names,
        ["pod/logs-kafka-0", "pod/logs-kafka-1", "pod/logs-kafka-2"]
    );
    let claims = lab.names("-n logging pvc -l strimzi.io/cluster").await;
    assert_eq!(claims[0], "persistentvolumeclaim/data-logs-kafka-0");
    let row = lab
        .kubectl("-n logging get strimzipodset --no-headers")
        .await;
    let row: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(row[..4], ["logs-kafka", "3", "3", "3"]);
    let pem = lab
        .region
        .shell("kubectl -n logging get secret logs-cluster-ca-cert -o jsonpath='{.data.ca\\.crt}' | base64 -d")
        .await
        .ok();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
    lab.kubectl("-n logging get svc logs-kafka-bootstrap").await;
    let uids = "-n logging get pods -l strimzi.io/cluster -o jsonpath='{.items[*].metadata.uid}'";
    let before = lab.kubectl(uids).await;

    for step in PHASE_4 {
        lab.region.shell(step).await.ok();
    }
    assert!(
        lab.names("-n logging pods -l strimzi.io/cluster")
            .await
            .is_empty()
    );
    assert!(lab.names("-n logging strimzipodset").await.is_empty());
    lab.region
        .shell("kubectl --context aks-secondary -n logging scale deploy strimzi-cluster-operator --replicas=1")
        .await
        .ok();
    // Who types the next command is slower than the operator. Without a pause, `kubectl wait`
    // says "no matching resources found", here as with the real operator.
    lab.until_it(
        "-n logging get pods -l strimzi.io/component-type=kafka -o name",
        |out| !out.is_empty(),
    )
    .await;
    lab.region
        .shell(
            "kubectl --context aks-secondary -n logging \
             wait pod -l strimzi.io/component-type=kafka --for=condition=Ready --timeout=300s",
        )
        .await
        .ok();
    lab.kubectl("-n logging wait kafka/logs --for=condition=Ready --timeout=120s")
        .await;
    lab.until_it(uids, |out| {
        let now: Vec<&str> = out.split_whitespace().collect();
        now.len() == 3 && now.iter().all(|uid| !before.contains(uid))
    })
    .await;
    assert_eq!(
        lab.names("-n logging pvc -l strimzi.io/cluster").await,
        claims
    );
    assert!(
        lab.names("-n logging pods -l app.kubernetes.io/name=humio")
            .await
            .is_empty()
    );
    lab.stop().await;
}

/// Phase 4, steps 2 to 6, as the runbook has them.
const PHASE_4: [&str; 8] = [
    "kubectl --context aks-secondary -n logging scale deploy humio-operator --replicas=0",
    "kubectl --context aks-secondary -n logging delete pods \
     -l app.kubernetes.io/name=humio --ignore-not-found=true
     # Wait for LogScale pods to fully terminate
     kubectl --context aks-secondary -n logging \
     wait --for=delete pod -l app.kubernetes.io/name=humio --timeout=180s",
    "kubectl --context aks-secondary -n logging scale deploy strimzi-cluster-operator --replicas=0",
    "kubectl --context aks-secondary -n logging delete pods \
     -l strimzi.io/cluster --force --grace-period=0 --ignore-not-found=true",
    "kubectl --context aks-secondary -n logging \
     wait --for=delete pod -l strimzi.io/cluster --timeout=180s",
    "kubectl --context aks-secondary -n logging delete pvc -l strimzi.io/cluster --ignore-not-found=true",
    "kubectl --context aks-secondary -n logging delete strimzipodset --all --ignore-not-found=true",
    "while kubectl --context aks-secondary -n logging get pvc -l strimzi.io/cluster 2>/dev/null | grep -q .; do
       echo \"Waiting for PVCs to be deleted...\"
       sleep 10
     done
     echo \"PVCs deleted\"",
];

#[tokio::test(flavor = "multi_thread")]
async fn brokers_come_go_and_are_replaced_one_at_a_time() {
    if no_kubectl() {
        return;
    }
    let lab = Lab::start().await;
    lab.apply(&[
        deployment(
            "logging",
            "strimzi-cluster-operator",
            "backstay/strimzi-operator:1",
            1,
        ),
        kafka(json!({ "replicas": 2, "version": "4.1.0" })),
    ])
    .await;
    let ready = "-n logging wait kafka/logs --for=condition=Ready --timeout=120s";
    lab.kubectl(ready).await;
    let count = "-n logging get pods -l strimzi.io/name=logs-kafka -o name";
    let scale = |replicas: usize| {
        format!(
            "-n logging patch kafka logs --type=merge -p '{{\"spec\":{{\"kafka\":{{\"replicas\":{replicas}}}}}}}'"
        )
    };
    lab.kubectl(&scale(3)).await;
    lab.until_it(count, |out| out.lines().count() == 3).await;
    lab.kubectl(&scale(1)).await;
    lab.until(count, "pod/logs-kafka-0").await;
    lab.kubectl(&scale(2)).await;
    lab.until_it(count, |out| out.lines().count() == 2).await;
    lab.kubectl("-n logging wait pod/logs-kafka-1 --for=condition=Ready --timeout=120s")
        .await;

    // A new image goes to one after the other.
    let image = json!({ "spec": { "kafka": { "image": "backstay/kafka:2" } } });
    lab.kubectl(&format!(
        "-n logging patch kafka logs --type=merge -p '{image}'"
    ))
    .await;
    lab.until(
        "-n logging get pods -l strimzi.io/name=logs-kafka -o jsonpath='{.items[*].spec.containers[0].image}'",
        "backstay/kafka:2 backstay/kafka:2",
    )
    .await;
    lab.kubectl(ready).await;

    lab.kubectl(
        "-n logging patch kafka logs --type=merge -p '{\"spec\":{\"kafka\":{\"replicas\":0}}}'",
    )
    .await;
    lab.kubectl("-n logging wait kafka/logs --for=condition=Ready=False --timeout=120s")
        .await;
    let why = lab
        .kubectl("-n logging get kafka logs -o jsonpath='{.status.conditions[0].message}'")
        .await;
    assert!(why.contains("spec.kafka.replicas: 0"), "{why}");
    assert_eq!(lab.kubectl(count).await.lines().count(), 2);

    lab.kubectl("-n logging delete kafka logs").await;
    lab.kubectl("-n logging wait --for=delete pod -l strimzi.io/cluster --timeout=120s")
        .await;
    let claims = lab.names("-n logging pvc -l strimzi.io/cluster=logs").await;
    assert_eq!(claims.len(), 3, "claims outlive all");
    lab.stop().await;
}
