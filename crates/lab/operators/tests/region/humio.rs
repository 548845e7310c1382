//! humio-operator, as the runbook drives it.

use serde_json::{Value, json};

use crate::lab::{Lab, cluster, deployment};
use backstay_testkit::kubernetes::no_kubectl;

pub const HUMIO: &str = "-l app.kubernetes.io/name=humio";

/// A lab whose operator's Deployment is there, at 0.
pub async fn standby() -> Lab {
    let lab = Lab::start().await;
    lab.apply(&[deployment(
        "logging",
        "humio-operator",
        "backstay/humio-operator:1",
        0,
    )])
    .await;
    lab
}

pub async fn scale(lab: &Lab, replicas: usize) {
    lab.kubectl(&format!(
        "--context aks-secondary -n logging scale deploy humio-operator --replicas={replicas}"
    ))
    .await;
    lab.kubectl("-n logging rollout status deploy humio-operator --timeout=120s")
        .await;
}

async fn state(lab: &Lab, wanted: &str) {
    lab.until(
        "-n logging get humiocluster logscale -o jsonpath={.status.state}",
        wanted,
    )
    .await;
}

/// Until the operator has done all of the newest specification.
pub async fn settled(lab: &Lab) {
    let what = "-n logging get humiocluster logscale -o jsonpath='{.metadata.generation} {.status.observedGeneration} {.status.state}'";
    lab.until_it(what, |out| {
        let parts: Vec<&str> = out.split(' ').collect();
        parts.len() == 3 && parts[0] == parts[1] && parts[2] == "Running"
    })
    .await;
}

async fn patch(lab: &Lab, change: &Value) {
    lab.kubectl(&format!(
        "-n logging patch humiocluster logscale --type=merge -p '{change}'"
    ))
    .await;
}

pub async fn pods(lab: &Lab) -> Vec<String> {
    lab.names(&format!("-n logging pods {HUMIO}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standby_comes_up_with_its_operator_and_lives_on_without() {
    if no_kubectl() {
        return;
    }
    let lab = standby().await;
    lab.apply(&[cluster(
        "logging",
        json!({ "nodeCount": 1, "image": "backstay/node:1" }),
    )])
    .await;
    assert!(pods(&lab).await.is_empty());
    scale(&lab, 1).await;
    state(&lab, "Running").await;
    lab.kubectl(&format!(
        "-n logging wait pod {HUMIO} --for=condition=Ready --timeout=120s"
    ))
    .await;
    let found = pods(&lab).await;
    assert_eq!(found.len(), 1);
    let name = found[0].strip_prefix("pod/logscale-core-").unwrap();
    assert!(
        name.len() == 6 && name.bytes().all(|b| b.is_ascii_lowercase()),
        "{name}"
    );
    let row = lab
        .kubectl("-n logging get humiocluster --no-headers")
        .await;
    let row: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(row[..4], ["logscale", "Running", "1", "1"]);

    // The runbook's way to the token.
    let token = lab
        .region
        .shell(
            "kubectl --context aks-secondary -n logging \
             get secret logscale-admin-token -o jsonpath='{.data.token}' | base64 -d",
        )
        .await
        .ok();
    assert!(
        token.len() == 43 && !token.contains(['+', '/', '=']),
        "not base64url"
    );
    let services = lab
        .kubectl("--context aks-secondary -n logging get svc -o wide")
        .await;
    assert!(services.contains("logscale-headless"), "{services}");
    lab.until(
        "-n logging get endpoints logscale -o jsonpath='{.subsets[*].addresses[*].targetRef.name}'",
        found[0].trim_start_matches("pod/"),
    )
    .await;

    // The operator gone: pods live on, a change is not followed, a deleted pod does not come back.
    lab.kubectl("--context aks-secondary -n logging scale deploy humio-operator --replicas=0")
        .await;
    lab.kubectl("-n logging wait --for=delete pod -l app=humio-operator --timeout=120s")
        .await;
    patch(
        &lab,
        &json!({ "spec": { "environmentVariables": [{ "name": "A", "value": "b" }] } }),
    )
    .await;
    assert_eq!(pods(&lab).await, found);
    lab.region
        .shell(
            "kubectl --context aks-primary -n logging get pods 2>/dev/null; \
             kubectl --context aks-secondary -n logging \
             delete pods -l app.kubernetes.io/name=humio,app.kubernetes.io/managed-by=humio-operator \
             --ignore-not-found=true && \
             kubectl --context aks-secondary -n logging \
             wait --for=delete pod -l app.kubernetes.io/name=humio --timeout=180s",
        )
        .await
        .ok();
    assert!(pods(&lab).await.is_empty());

    // Cold start: another pod, the same token.
    scale(&lab, 1).await;
    settled(&lab).await;
    let cold = pods(&lab).await;
    assert_eq!(cold.len(), 1);
    assert_ne!(cold, found);
    let again = lab
        .region
        .shell("kubectl -n logging get secret logscale-admin-token -o jsonpath='{.data.token}' | base64 -d")
        .await
        .ok();
    assert!(again == token, "the token has changed");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_come_and_go_and_get_their_nodes() {
    if no_kubectl() {
        return;
    }
    let lab = standby().await;
    let common = json!([{ "name": "BUCKET_STORAGE_MULTIPLE_ENDPOINTS", "value": "true" }]);
    lab.apply(&[cluster(
        "logging",
        json!({
            "nodeCount": 1,
            "commonEnvironmentVariables": common,
            "environmentVariables": [{ "name": "NODE_ROLES", "value": "all" }],
        }),
    )])
    .await;
    scale(&lab, 1).await;
    settled(&lab).await;
    let digest = pods(&lab).await;
    let pool = |name: &str, count: usize, node: &str| {
        json!({ "name": name, "spec": {
            "nodeCount": count,
            "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{ "matchExpressions": [
                    { "key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"] },
                    { "key": "k8s-app", "operator": "In", "values": [node] },
                ] }],
            } } },
            "environmentVariables": [{ "name": "NODE_ROLES", "value": "httponly" }],
        }})
    };
    let both = json!([
        pool("ui", 1, "logscale-ui"),
        pool("ingest", 2, "logscale-ingest")
    ]);
    patch(&lab, &json!({ "spec": { "nodePools": both } })).await;
    settled(&lab).await;
    for (pool, count) in [("logscale", 1), ("logscale-ui", 1), ("logscale-ingest", 2)] {
        let names = lab
            .names(&format!("-n logging pods -l humio.com/node-pool={pool}"))
            .await;
        assert_eq!(names.len(), count, "{pool}");
        assert!(
            names[0].starts_with(&format!("pod/{pool}-core-")),
            "{names:?}"
        );
    }
    assert!(
        pods(&lab).await.contains(&digest[0]),
        "the digest pod serves all the while"
    );
    for pool in ["lsuinode", "lsingestnode"] {
        let nodes = lab
            .kubectl(&format!(
                "--context aks-secondary get nodes -l agentpool={pool}"
            ))
            .await;
        assert!(nodes.contains(&format!("aks-{pool}-0")), "{nodes}");
    }
    let roles = lab
        .kubectl("-n logging get pods -l humio.com/node-pool=logscale-ui -o jsonpath='{.items[0].spec.containers[0].env[?(@.name==\"NODE_ROLES\")].value} {.items[0].spec.containers[0].env[?(@.name==\"BUCKET_STORAGE_MULTIPLE_ENDPOINTS\")].value}'")
        .await;
    assert_eq!(roles, "httponly true");

    // Fewer, then none.
    let fewer = json!([pool("ingest", 1, "logscale-ingest")]);
    patch(&lab, &json!({ "spec": { "nodePools": fewer } })).await;
    settled(&lab).await;
    lab.kubectl(
        "-n logging wait --for=delete pod -l humio.com/node-pool=logscale-ui --timeout=120s",
    )
    .await;
    lab.until_it(
        "-n logging get pods -l humio.com/node-pool=logscale-ingest -o name",
        |out| out.lines().count() == 1,
    )
    .await;
    assert!(pods(&lab).await.contains(&digest[0]));
    lab.kubectl("-n logging delete humiocluster logscale").await;
    lab.kubectl(&format!(
        "-n logging wait --for=delete pod {HUMIO} --timeout=120s"
    ))
    .await;
    assert!(lab.names("-n logging secret").await.is_empty());
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_environment_replaces_pods_as_the_strategy_says() {
    if no_kubectl() {
        return;
    }
    let lab = standby().await;
    lab.apply(&[cluster("logging", json!({ "nodeCount": 3 }))])
        .await;
    scale(&lab, 1).await;
    settled(&lab).await;
    let hash = "-n logging get pods -l app.kubernetes.io/name=humio -o jsonpath='{.items[*].metadata.annotations.humio\\.com/pod-hash}'";
    let revisions = "-n logging get pods -l app.kubernetes.io/name=humio -o jsonpath='{.items[*].metadata.annotations.humio\\.com/pod-revision}'";
    lab.until(revisions, "1 1 1").await;
    let variable = |value: &str| json!({ "spec": { "environmentVariables": [{ "name": "ENABLE_ALERTS", "value": value }] } });
    // Held, so that what happens in between can be seen.
    let hold = json!({ "metadata": { "finalizers": ["test/hold"] } });
    let free = json!({ "metadata": { "finalizers": null } });

    // All at once: none comes before the last is gone.
    let first = pods(&lab).await;
    lab.kubectl(&format!(
        "-n logging patch {} --type=merge -p '{hold}'",
        first[0]
    ))
    .await;
    patch(&lab, &variable("true")).await;
    lab.until_it(&format!("-n logging get pods {HUMIO} -o name"), |out| {
        out.trim() == first[0]
    })
    .await;
    state(&lab, "Restarting").await;
    lab.kubectl(&format!(
        "-n logging patch {} --type=merge -p '{free}'",
        first[0]
    ))
    .await;
    settled(&lab).await;
    lab.until(revisions, "2 2 2").await;
    let second = pods(&lab).await;
    assert!(second.len() == 3 && second.iter().all(|pod| !first.contains(pod)));

    // One at a time: the next one goes when all others are ready.
    patch(
        &lab,
        &json!({ "spec": { "updateStrategy": { "type": "RollingUpdate" } } }),
    )
    .await;
    settled(&lab).await;
    assert_eq!(pods(&lab).await, second, "a strategy is no change of a pod");
    let labels = json!({ "spec": { "podLabels": { "test/unready": "yes" } } });
    patch(&lab, &labels).await;
    lab.until_it(
        &format!("-n logging get pods {HUMIO},test/unready -o name"),
        |out| out.lines().count() == 1,
    )
    .await;
    state(&lab, "Restarting").await;
    let mixed = pods(&lab).await;
    assert_eq!(mixed.iter().filter(|pod| second.contains(pod)).count(), 2);
    patch(&lab, &json!({ "spec": { "podLabels": null } })).await;
    settled(&lab).await;
    let third = pods(&lab).await;
    assert_eq!(third.len(), 3);
    let kept = third.iter().filter(|pod| second.contains(pod)).count();
    assert_eq!(kept, 2, "the specification is as before, and so are these");
    patch(&lab, &variable("false")).await;
    settled(&lab).await;
    let fourth = pods(&lab).await;
    assert!(fourth.len() == 3 && fourth.iter().all(|pod| !third.contains(pod)));

    // When somebody deletes them.
    patch(
        &lab,
        &json!({ "spec": { "updateStrategy": { "type": "OnDelete" } } }),
    )
    .await;
    patch(&lab, &variable("perhaps")).await;
    lab.until_it(
        "-n logging get humiocluster logscale -o jsonpath={.status.message}",
        |out| out.contains("3 are of an older specification; delete them"),
    )
    .await;
    assert_eq!(pods(&lab).await, fourth);
    lab.kubectl(&format!("-n logging delete {}", fourth[0]))
        .await;
    lab.until_it(
        "-n logging get humiocluster logscale -o jsonpath={.status.message}",
        |out| out.contains("2 are of an older specification"),
    )
    .await;
    let out = lab.kubectl(hash).await;
    let hashes: std::collections::BTreeSet<&str> = out.split(' ').collect();
    assert_eq!(hashes.len(), 2);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_is_there_twice_changes_nothing() {
    if no_kubectl() {
        return;
    }
    let lab = standby().await;
    let one = json!({ "name": "BUCKET_STORAGE_MULTIPLE_ENDPOINTS", "value": "true" });
    lab.apply(&[cluster(
        "logging",
        json!({ "nodeCount": 2, "environmentVariables": [one] }),
    )])
    .await;
    scale(&lab, 1).await;
    settled(&lab).await;
    let before = pods(&lab).await;
    patch(
        &lab,
        &json!({ "spec": { "nodeCount": 1, "environmentVariables": [one, one] } }),
    )
    .await;
    state(&lab, "ConfigError").await;
    let message = lab
        .kubectl("-n logging get humiocluster logscale -o jsonpath={.status.message}")
        .await;
    assert!(
        message.contains("BUCKET_STORAGE_MULTIPLE_ENDPOINTS is there twice"),
        "{message}"
    );
    assert_eq!(pods(&lab).await, before);
    patch(
        &lab,
        &json!({ "spec": { "nodeCount": 2, "environmentVariables": [one] } }),
    )
    .await;
    settled(&lab).await;
    assert_eq!(pods(&lab).await, before);
    let message = lab
        .kubectl("-n logging get humiocluster logscale -o jsonpath={.status.message}")
        .await;
    assert_eq!(message, "");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_outlives_its_pod_and_is_mounted_by_the_next() {
    if no_kubectl() {
        return;
    }
    let lab = standby().await;
    lab.apply(&[cluster(
        "logging",
        json!({
            "nodeCount": 2,
            "dataVolumePersistentVolumeClaimSpecTemplate": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": "1Gi" } },
            },
        }),
    )])
    .await;
    scale(&lab, 1).await;
    settled(&lab).await;
    let claims = lab.names("-n logging pvc").await;
    assert_eq!(claims.len(), 2);
    let uids = format!("-n logging get pods {HUMIO} -o jsonpath='{{.items[*].metadata.uid}}'");
    let before = lab.kubectl(&uids).await;
    let first = pods(&lab).await.remove(0);
    // kubectl's own wait would take the next pod, which has the same name, for this one when it comes
    // between kubectl's two looks.
    lab.kubectl(&format!("-n logging delete {first} --wait=false"))
        .await;
    lab.until_it(&uids, |out| {
        let now: Vec<&str> = out.split(' ').collect();
        now.len() == 2 && now.iter().filter(|uid| before.contains(**uid)).count() == 1
    })
    .await;
    assert_eq!(lab.names("-n logging pvc").await, claims);
    let mounted = "-n logging get pods -l app.kubernetes.io/name=humio -o jsonpath='{.items[*].spec.volumes[0].persistentVolumeClaim.claimName}'";
    let out = lab.kubectl(mounted).await;
    let mut mounted: Vec<String> = out
        .split(' ')
        .map(|name| format!("persistentvolumeclaim/{name}"))
        .collect();
    mounted.sort();
    assert_eq!(mounted, claims);
    lab.stop().await;
}

/// `humiocluster_services.go`: the operator's services are its own, whoever changes or makes them.
#[tokio::test(flavor = "multi_thread")]
async fn the_operators_services_become_its_own_again() {
    if no_kubectl() {
        return;
    }
    let lab = standby().await;
    lab.apply(&[
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "logscale", "namespace": "logging", "annotations": { "mine": "yes" } },
            "spec": {
                "selector": { "app.kubernetes.io/name": "humio" },
                "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }],
            },
        }),
        cluster("logging", json!({ "nodeCount": 1 })),
    ])
    .await;
    scale(&lab, 1).await;
    settled(&lab).await;
    let selector =
        "-n logging get svc logscale -o jsonpath='{.spec.selector.humio\\.com/node-pool}'";
    lab.until(selector, "logscale").await;
    let service = lab.get("-n logging svc logscale").await;
    assert_eq!(service["metadata"]["annotations"], Value::Null);
    assert_eq!(
        service["spec"]["ports"][0]["port"], 80,
        "ports stay as they are"
    );
    let internal = lab.get("-n logging svc logscale-internal").await;
    assert_eq!(
        internal["spec"]["selector"]["humio.com/feature"],
        "OperatorInternal"
    );
    let ports: Vec<&Value> = internal["spec"]["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["port"])
        .collect();
    assert_eq!(ports, [8080, 9200]);

    // Shared routing by hand is undone.
    for (name, label) in [
        ("logscale", "humio.com/node-pool"),
        ("logscale-internal", "humio.com/feature"),
    ] {
        let shared = json!({ "spec": { "selector": { label: null } } });
        lab.kubectl(&format!(
            "-n logging patch svc {name} --type=merge -p '{shared}'"
        ))
        .await;
    }
    lab.until(selector, "logscale").await;
    lab.until(
        "-n logging get svc logscale-internal -o jsonpath='{.spec.selector.humio\\.com/feature}'",
        "OperatorInternal",
    )
    .await;

    // No nodes, no service.
    patch(&lab, &json!({ "spec": { "nodeCount": 0 } })).await;
    lab.kubectl("-n logging wait --for=delete svc logscale --timeout=120s")
        .await;
    lab.stop().await;
}
