//! Deployments, nodes, endpoints and claims, by `kubectl`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::{Lab, deployment};
use backstay_testkit::kubernetes::no_kubectl;

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_rolled_out_scaled_and_replaced() {
    if no_kubectl() {
        return;
    }
    let lab = Lab::start().await;
    lab.apply(&[deployment("logging", "web", "a:1", 3)]).await;
    let told = lab
        .kubectl("-n logging rollout status deploy web --timeout=120s")
        .await;
    assert!(told.contains("successfully rolled out"), "{told}");
    lab.kubectl("-n logging wait --for=condition=Available deploy/web --timeout=120s")
        .await;
    let row = lab.kubectl("-n logging get deploy web --no-headers").await;
    let row: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(row[..4], ["web", "3/3", "3", "3"]);
    let pods = lab.get("-n logging pods -l app=web").await;
    for pod in pods["items"].as_array().unwrap() {
        let labels = pod["metadata"]["labels"].as_object().unwrap();
        assert!(labels.contains_key("pod-template-hash"));
        assert_eq!(pod["metadata"]["ownerReferences"][0]["kind"], "Deployment");
        assert_eq!(pod["spec"]["nodeName"], "aks-lsdigestnode-0");
    }

    // One that is deleted comes back under another name.
    let before = lab.names("-n logging pods").await;
    lab.kubectl(&format!("-n logging delete {}", before[0]))
        .await;
    lab.kubectl("-n logging rollout status deploy web --timeout=120s")
        .await;
    lab.until(
        "-n logging get deploy web -o jsonpath={.status.readyReplicas}",
        "3",
    )
    .await;
    let after = lab.names("-n logging pods").await;
    assert!(!after.contains(&before[0]) && after.contains(&before[1]));

    // A new template replaces all, one that does not become ready replaces none.
    lab.kubectl("-n logging set image deploy/web web=a:2").await;
    lab.kubectl("-n logging rollout status deploy web --timeout=120s")
        .await;
    lab.until(
        "-n logging get pods -o jsonpath='{.items[*].spec.containers[0].image}'",
        "a:2 a:2 a:2",
    )
    .await;
    let good = lab.names("-n logging pods").await;
    let broken = json!({ "spec": { "template": {
        "metadata": { "labels": { "test/unready": "yes" } },
        "spec": { "containers": [{ "name": "web", "image": "a:3" }] },
    } } });
    lab.kubectl(&format!("-n logging patch deploy web -p '{broken}'"))
        .await;
    lab.until(
        "-n logging get deploy web -o jsonpath={.status.updatedReplicas}",
        "1",
    )
    .await;
    let refused = lab
        .region
        .refused("-n logging rollout status deploy web --timeout=1s")
        .await;
    assert!(refused.contains("timed out"), "{refused}");
    let now = lab.names("-n logging pods").await;
    assert!(good.iter().all(|pod| now.contains(pod)), "{good:?} {now:?}");
    lab.kubectl("-n logging wait --for=condition=Available deploy/web --timeout=120s")
        .await;
    let mended = json!({ "spec": { "template": {
        "metadata": { "labels": { "test/unready": null } },
    } } });
    lab.kubectl(&format!("-n logging patch deploy web -p '{mended}'"))
        .await;
    lab.kubectl("-n logging rollout status deploy web --timeout=120s")
        .await;

    lab.kubectl("-n logging scale deploy web --replicas=0")
        .await;
    lab.kubectl("-n logging wait --for=delete pod -l app=web --timeout=120s")
        .await;
    lab.until(
        "-n logging get deploy web -o jsonpath={.status.replicas}",
        "",
    )
    .await;
    lab.kubectl("-n logging scale deploy web --replicas=1")
        .await;
    lab.kubectl("-n logging rollout status deploy web --timeout=120s")
        .await;
    lab.kubectl("-n logging delete deploy web").await;
    lab.kubectl("-n logging wait --for=delete pod -l app=web --timeout=120s")
        .await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deployment_cannot_be_is_refused_and_others_go_on() {
    if no_kubectl() {
        return;
    }
    let lab = Lab::start().await;
    let mut wrong = deployment("logging", "wrong", "a:1", 1);
    wrong["spec"]["template"]["metadata"]["labels"] = json!({ "app": "other" });
    let mut odd = deployment("logging", "odd", "a:1", 1);
    odd["spec"]["template"]["spec"]["containers"][0]["ports"] = json!("all");
    let right = deployment("logging", "right", "a:1", 1);
    let all = lab.region.folder().join("all.json");
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [wrong, odd, right] });
    std::fs::write(&all, list.to_string()).unwrap();
    let refused = lab
        .region
        .refused(&format!("apply -f {}", all.display()))
        .await;
    for why in [
        "`selector` does not match template `labels`",
        "containers.ports of type []v1.ContainerPort",
    ] {
        assert!(refused.contains(why), "{refused}");
    }
    lab.kubectl("-n logging rollout status deploy right --timeout=120s")
        .await;
    assert_eq!(lab.names("-n logging pods -l app=other").await, [""; 0]);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_come_with_pods_and_go_without() {
    if no_kubectl() {
        return;
    }
    let lab = Lab::with(Duration::ZERO).await;
    let pool = |pool: Value| {
        let mut document = deployment("logging", "ui", "a:1", 2);
        document["spec"]["template"]["spec"]["nodeSelector"] = pool;
        document
    };
    lab.apply(&[pool(json!({ "agentpool": "lsuinode" }))]).await;
    lab.kubectl("-n logging rollout status deploy ui --timeout=120s")
        .await;
    let nodes = lab
        .kubectl("--context aks-secondary get nodes -l agentpool=lsuinode")
        .await;
    assert!(nodes.contains("aks-lsuinode-0"), "{nodes}");
    let node = lab.get("node aks-lsuinode-0").await;
    for (label, value) in [
        ("kubernetes.azure.com/agentpool", "lsuinode"),
        ("kubernetes.io/hostname", "aks-lsuinode-0"),
        ("topology.kubernetes.io/region", "eastus2"),
    ] {
        assert_eq!(node["metadata"]["labels"][label], value);
    }

    lab.kubectl("-n logging scale deploy ui --replicas=0").await;
    lab.kubectl("wait --for=delete node/aks-lsuinode-0 --timeout=120s")
        .await;
    lab.kubectl("-n logging scale deploy ui --replicas=1").await;
    lab.kubectl("-n logging rollout status deploy ui --timeout=120s")
        .await;
    lab.kubectl("get node aks-lsuinode-0").await;

    // What no node can have leaves the pod waiting, until that is mended.
    let wanted = json!({ "agentpool": "lsuinode", "disk": "ssd" });
    lab.apply(&[pool(wanted)]).await;
    let why = "-n logging get pods -o jsonpath='{.items[*].status.conditions[?(@.type==\"PodScheduled\")].message}'";
    lab.until_it(why, |out| {
        out.contains("no node of a pool has agentpool=lsuinode; disk=ssd")
    })
    .await;
    let pods = lab.get("-n logging pods").await;
    let waiting = pods["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|pod| pod["spec"]["nodeName"].is_null());
    let name = waiting.unwrap()["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let mended = json!({ "spec": { "nodeSelector": { "disk": null } } });
    lab.kubectl(&format!("-n logging patch pod {name} -p '{mended}'"))
        .await;
    lab.kubectl(&format!(
        "-n logging wait --for=condition=Ready pod/{name} --timeout=120s"
    ))
    .await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_follow_readiness_labels_and_deletion() {
    if no_kubectl() {
        return;
    }
    let lab = Lab::start().await;
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "web", "namespace": "logging" },
        "spec": {
            "selector": { "app": "web" },
            "ports": [{ "name": "http", "port": 80, "targetPort": "web" }],
        },
    });
    lab.apply(&[service, deployment("logging", "web", "a:1", 2)])
        .await;
    lab.kubectl("-n logging rollout status deploy web --timeout=120s")
        .await;
    let ready =
        "-n logging get endpoints web -o jsonpath='{.subsets[*].addresses[*].targetRef.name}'";
    let pods = lab.names("-n logging pods").await;
    let short: Vec<&str> = pods
        .iter()
        .map(|pod| pod.trim_start_matches("pod/"))
        .collect();
    lab.until(ready, &short.join(" ")).await;
    let endpoints = lab.get("-n logging endpoints web").await;
    assert_eq!(
        endpoints["subsets"][0]["ports"],
        json!([{ "name": "http", "port": 8080, "protocol": "TCP" }])
    );

    lab.kubectl(&format!("-n logging label {} test/unready=yes", pods[0]))
        .await;
    lab.until(ready, short[1]).await;
    let unready = "-n logging get endpoints web -o jsonpath='{.subsets[*].notReadyAddresses[*].targetRef.name}'";
    lab.until(unready, short[0]).await;
    lab.kubectl(&format!("-n logging label {} test/unready-", pods[0]))
        .await;
    lab.until(ready, &short.join(" ")).await;

    // One that is going is out, though it is still there and ready.
    let held = json!({ "metadata": { "finalizers": ["test/hold"] } });
    lab.kubectl(&format!(
        "-n logging patch {} --type=merge -p '{held}'",
        pods[0]
    ))
    .await;
    lab.kubectl(&format!("-n logging delete {} --wait=false", pods[0]))
        .await;
    lab.until_it(ready, |out| {
        !out.contains(short[0]) && out.split(' ').count() == 2
    })
    .await;
    let going = lab.get(&format!("-n logging {}", pods[0])).await;
    assert_eq!(going["status"]["conditions"][0]["status"], "True");
    let free = json!({ "metadata": { "finalizers": null } });
    lab.kubectl(&format!(
        "-n logging patch {} --type=merge -p '{free}'",
        pods[0]
    ))
    .await;

    // Somebody's edit is mended; another selector is followed; the endpoints go with the service.
    lab.kubectl("-n logging patch endpoints web --type=merge -p '{\"subsets\":[]}'")
        .await;
    lab.until_it(ready, |out| out.split(' ').count() == 2).await;
    lab.kubectl(
        "-n logging patch svc web --type=merge -p '{\"spec\":{\"selector\":{\"app\":\"none\"}}}'",
    )
    .await;
    lab.until(ready, "").await;
    lab.kubectl("-n logging delete svc web").await;
    lab.kubectl("-n logging wait --for=delete endpoints/web --timeout=120s")
        .await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_become_bound() {
    if no_kubectl() {
        return;
    }
    let lab = Lab::start().await;
    lab.apply(&[json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": "data", "namespace": "logging" },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": "1Gi" } },
        },
    })])
    .await;
    lab.kubectl("-n logging wait --for=jsonpath='{.status.phase}'=Bound pvc/data --timeout=120s")
        .await;
    let claim = lab.get("-n logging pvc data").await;
    let uid = claim["metadata"]["uid"].as_str().unwrap();
    assert_eq!(claim["spec"]["volumeName"], format!("pvc-{uid}"));
    assert_eq!(claim["status"]["capacity"]["storage"], "1Gi");
    lab.stop().await;
}
