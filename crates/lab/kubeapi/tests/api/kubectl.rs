//! Real `kubectl`: the commands of the runbook, verbatim except for names, and what people use
//! besides them.

mod besides;

use serde_json::{Value, json};

use crate::Region;
use crate::agent::NODE;
use crate::pod;
use backstay_testkit::kubernetes::{no_kubectl, until};

/// What the runbook's commands find: namespaces, operators, a cluster, its secret, services, nodes.
async fn provision(region: &Region) {
    let deployment = |namespace: &str, name: &str| {
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": name, "namespace": namespace },
            "spec": {
                "replicas": 0,
                "selector": { "matchLabels": { "app": name } },
                "template": {
                    "metadata": { "labels": { "app": name } },
                    "spec": { "containers": [{ "name": name, "image": "operator:1" }] },
                },
            },
        })
    };
    let node = |pool: &str| {
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": { "name": format!("aks-{pool}-0"), "labels": { "agentpool": pool } },
        })
    };
    let list = json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "logging" } },
            { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "logging-ingress" } },
            node("lsuinode"),
            node("lsingestnode"),
            node("ui"),
            deployment("logging", "humio-operator"),
            deployment("logging", "strimzi-cluster-operator"),
            deployment("logging-ingress", "ingress-nginx-controller"),
            {
                "apiVersion": "core.humio.com/v1alpha1",
                "kind": "HumioCluster",
                "metadata": { "name": "logscale", "namespace": "logging" },
                "spec": {
                    "nodeCount": 1,
                    "environmentVariables": [
                        { "name": "BUCKET_STORAGE_MULTIPLE_ENDPOINTS", "value": "true" },
                    ],
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": { "name": "logscale-admin-token", "namespace": "logging" },
                "stringData": { "token": "s3cret" },
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": { "name": "logscale", "namespace": "logging" },
                "spec": {
                    "selector": { "app.kubernetes.io/name": "humio" },
                    "ports": [{ "port": 8080 }],
                },
            },
        ],
    });
    region.kubectl_with("apply -f -", &list.to_string()).await;
}

/// A pod as the operator makes it, on the agent's node.
async fn humio_pod(region: &Region, name: &str, port: u16) {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "logging",
            "labels": {
                "app.kubernetes.io/name": "humio",
                "app.kubernetes.io/managed-by": "humio-operator",
            },
        },
        "spec": { "nodeName": NODE, "containers": [pod::container(port)] },
    });
    region.kubectl_with("apply -f -", &pod.to_string()).await;
}

async fn kafka(region: &Region) {
    let labels = json!({ "strimzi.io/cluster": "kafka", "strimzi.io/component-type": "kafka" });
    let list = json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": { "name": "kafka-0", "namespace": "logging", "labels": labels },
                "spec": { "nodeName": NODE, "containers": [{ "name": "kafka", "image": "kafka" }] },
            },
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": { "name": "data-kafka-0", "namespace": "logging", "labels": labels },
                "spec": { "accessModes": ["ReadWriteOnce"] },
            },
            {
                "apiVersion": "core.strimzi.io/v1beta2",
                "kind": "StrimziPodSet",
                "metadata": { "name": "kafka", "namespace": "logging", "labels": labels },
                "spec": { "pods": [] },
            },
        ],
    });
    region.kubectl_with("apply -f -", &list.to_string()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runbook_verbatim() {
    if no_kubectl() {
        return;
    }
    let region = Region::start().await;
    provision(&region).await;
    let port = pod::free_port().await;

    // Stage 1: the standby's environment.
    let variables = region
        .shell(
            "kubectl get humiocluster -n logging -o jsonpath='{.items[0].spec.environmentVariables}'",
        )
        .await
        .ok();
    let variables: Value = serde_json::from_str(&variables).unwrap();
    assert_eq!(variables[0]["value"], "true");

    // Stage 2: the operator up, pods looked at.
    let scaled = region
        .kubectl("--context aks-secondary -n logging scale deploy humio-operator --replicas=1")
        .await;
    assert_eq!(scaled, "deployment.apps/humio-operator scaled\n");
    let nothing = region
        .shell("kubectl --context aks-secondary -n logging get pods")
        .await;
    assert_eq!(nothing.code, Some(0));
    assert_eq!(nothing.err, "No resources found in logging namespace.\n");
    let mut watched = region.spawn(&[
        "--context",
        "aks-secondary",
        "-n",
        "logging",
        "get",
        "pods",
        "--watch",
    ]);
    humio_pod(&region, "logscale-core-abcde", port).await;
    let seen = until(&mut watched, "Running").await;
    watched.kill().await.unwrap();
    let row: Vec<&str> = seen.last().unwrap().split_whitespace().collect();
    assert_eq!(row[..4], ["logscale-core-abcde", "1/1", "Running", "0"]);
    assert!(seen[0].starts_with("NAME"), "{seen:?}");

    // The snapshot, read within the pod.
    region.kubectl("config use-context aks-secondary").await;
    let name = region
        .shell("kubectl -n logging get pod -l app.kubernetes.io/name=humio -o jsonpath='{.items[0].metadata.name}'")
        .await
        .ok();
    assert_eq!(name, "logscale-core-abcde");
    let snapshot = region.folder().join("global-data-snapshot.json");
    std::fs::write(&snapshot, "{\n  \"readOnly\": true\n".repeat(100)).unwrap();
    let head = region
        .shell(&format!(
            "POD={name}; kubectl -n logging exec \"$POD\" -c humio -- cat {} | head -60",
            snapshot.display()
        ))
        .await
        .ok();
    assert_eq!(head.lines().count(), 60);

    // Stage 3: node pools, services.
    for pool in ["lsuinode", "lsingestnode"] {
        let mut watched = region.spawn(&[
            "--context",
            "aks-secondary",
            "get",
            "nodes",
            "-l",
            &format!("agentpool={pool}"),
            "--watch",
        ]);
        until(&mut watched, &format!("aks-{pool}-0")).await;
        watched.kill().await.unwrap();
    }
    let nodes = region
        .kubectl("--context aks-secondary get nodes -l agentpool=ui")
        .await;
    assert!(nodes.contains("aks-ui-0") && !nodes.contains("lsuinode"));
    let services = region
        .kubectl("--context aks-secondary -n logging get svc -o wide")
        .await;
    assert!(
        services.contains("app.kubernetes.io/name=humio"),
        "{services}"
    );

    // Failback, phases 1 and 2.
    region
        .kubectl("-n logging annotate deployment humio-operator logscale.dr/degraded-since-epoch=1700000000")
        .await;
    region
        .shell(
            "kubectl --context aks-secondary -n logging \
             annotate deployment humio-operator \
             logscale.dr/degraded-since-epoch- \
             --overwrite",
        )
        .await
        .ok();
    let annotations = region
        .kubectl("-n logging get deploy humio-operator -o jsonpath='{.metadata.annotations}'")
        .await;
    assert!(!annotations.contains("degraded-since"), "{annotations}");
    let ingress = region
        .kubectl("--context aks-secondary -n logging-ingress get deploy")
        .await;
    assert!(ingress.contains("ingress-nginx-controller"));
    region
        .shell(
            "kubectl --context aks-secondary -n logging-ingress \
             scale deploy ingress-nginx-controller --replicas=1",
        )
        .await
        .ok();

    // Phase 3: flush on shutdown, through exec; then down.
    let flushed = region
        .shell(&format!(
            r#"set -e
            HUMIO_POD=$(kubectl --context aks-secondary -n logging \
              get pod -l app.kubernetes.io/name=humio -o jsonpath='{{.items[0].metadata.name}}')
            TOKEN=$(kubectl --context aks-secondary -n logging \
              get secret logscale-admin-token -o jsonpath='{{.data.token}}' | base64 -d)
            RESULT=$(kubectl --context aks-secondary -n logging exec "$HUMIO_POD" -- \
              curl -s -X POST http://localhost:{port}/graphql \
              -H "Content-Type: application/json" \
              -H "Authorization: Bearer $TOKEN" \
              -d '{{"query":"mutation {{ setDynamicConfig(input: {{config: FlushSegmentsAndGlobalOnShutdown, value: \"true\"}}) }}"}}')
            echo "$RESULT" | grep -q '"setDynamicConfig":true' \
              && echo "OK: flush-on-shutdown enabled" \
              || echo "ERROR: setting not applied (response: $RESULT)""#
        ))
        .await
        .ok();
    assert_eq!(flushed, "OK: flush-on-shutdown enabled\n");
    region
        .shell(
            "kubectl --context aks-secondary -n logging \
             delete pods -l app.kubernetes.io/name=humio,app.kubernetes.io/managed-by=humio-operator \
             --ignore-not-found=true",
        )
        .await
        .ok();
    region
        .shell(
            "kubectl --context aks-secondary -n logging \
             wait --for=delete pod -l app.kubernetes.io/name=humio --timeout=300s",
        )
        .await
        .ok();
    region
        .kubectl("--context aks-secondary -n logging scale deploy humio-operator --replicas=0")
        .await;

    // The environment is merged into the array, and the primary comes up cold, its log followed.
    let patched = region
        .kubectl(
            r#"-n logging patch humiocluster logscale --type=merge -p '{"spec":{"environmentVariables":[
                {"name":"BUCKET_STORAGE_MULTIPLE_ENDPOINTS","value":"true"},
                {"name":"AZURE_RECOVER_FROM_BUCKET","value":"secondary"}]}}'"#,
        )
        .await;
    assert_eq!(patched, "humiocluster.core.humio.com/logscale patched\n");
    humio_pod(&region, "logscale-core-fghij", port).await;
    region
        .kubectl("-n logging wait pod -l app.kubernetes.io/name=humio --for=condition=Ready --timeout=60s")
        .await;
    let mut followed = region.command("bash");
    followed.args([
        "-c",
        "kubectl --context aks-secondary -n logging \
         logs -l app.kubernetes.io/name=humio -c humio -f | grep --line-buffered DataSnapshotLoader",
    ]);
    // Its own group: the shell's end does not end what it started.
    let mut followed = followed.process_group(0).spawn().unwrap();
    until(&mut followed, "localAndHttpWereEmpty=true").await;
    let group = nix::unistd::Pid::from_raw(i32::try_from(followed.id().unwrap()).unwrap());
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).unwrap();
    followed.wait().await.unwrap();

    // Phase 4: the standby cleaned.
    kafka(&region).await;
    region
        .kubectl("--context aks-secondary -n logging scale deploy humio-operator --replicas=0")
        .await;
    region
        .shell(
            "kubectl --context aks-secondary -n logging delete pods \
             -l app.kubernetes.io/name=humio --ignore-not-found=true",
        )
        .await
        .ok();
    region
        .shell(
            "kubectl --context aks-secondary -n logging \
             wait --for=delete pod -l app.kubernetes.io/name=humio --timeout=180s",
        )
        .await
        .ok();
    region
        .kubectl(
            "--context aks-secondary -n logging scale deploy strimzi-cluster-operator --replicas=0",
        )
        .await;
    region
        .shell(
            "kubectl --context aks-secondary -n logging \
             wait pod -l strimzi.io/component-type=kafka --for=condition=Ready --timeout=300s",
        )
        .await
        .ok();
    region
        .shell(
            "kubectl --context aks-secondary -n logging delete pods \
             -l strimzi.io/cluster --force --grace-period=0 --ignore-not-found=true",
        )
        .await
        .ok();
    region
        .shell(
            "kubectl --context aks-secondary -n logging \
             wait --for=delete pod -l strimzi.io/cluster --timeout=180s",
        )
        .await
        .ok();
    region
        .kubectl("--context aks-secondary -n logging delete pvc -l strimzi.io/cluster --ignore-not-found=true")
        .await;
    region
        .kubectl(
            "--context aks-secondary -n logging delete strimzipodset --all --ignore-not-found=true",
        )
        .await;
    let left = region
        .shell("kubectl --context aks-secondary -n logging get pvc -l strimzi.io/cluster 2>/dev/null | grep -q .")
        .await;
    assert_eq!(left.code, Some(1), "{left:?}");
    region
        .kubectl(
            "--context aks-secondary -n logging scale deploy strimzi-cluster-operator --replicas=1",
        )
        .await;
    region.stop().await;
}
