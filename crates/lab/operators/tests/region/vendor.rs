//! humio-operator with what only the vendor's clusters have.

use serde_json::json;

use crate::humio::{HUMIO, pods, scale, settled, standby};
use crate::lab::cluster;
use backstay_testkit::kubernetes::no_kubectl;

/// The vendor's digest pool: a generic ephemeral volume, whose claim goes with its pod, and a node for
/// each pod.
#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_digest_pods_have_a_node_and_an_ephemeral_claim_each() {
    if no_kubectl() {
        return;
    }
    let lab = standby().await;
    let claim = json!({
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "topolvm-provisioner",
        "resources": { "requests": { "storage": "1Gi" } },
    });
    let apart = json!([{
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": { "matchExpressions": [
            { "key": "app.kubernetes.io/name", "operator": "In", "values": ["humio"] },
        ] },
    }]);
    lab.apply(&[cluster("logging", json!({
        "nodeCount": 2,
        "dataVolumeSource": { "ephemeral": { "volumeClaimTemplate": { "spec": claim } } },
        "affinity": {
            "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                { "matchExpressions": [{ "key": "k8s-app", "operator": "In", "values": ["logscale-digest"] }] },
            ] } },
            "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": apart },
        },
    }))])
    .await;
    scale(&lab, 1).await;
    settled(&lab).await;
    lab.until_it(
        &format!("-n logging get pods {HUMIO} -o jsonpath='{{.items[*].spec.nodeName}}'"),
        |out| {
            let mut nodes: Vec<&str> = out.split(' ').collect();
            nodes.sort_unstable();
            nodes == ["aks-lsdigestnode-0", "aks-lsdigestnode-1"]
        },
    )
    .await;
    let of_pods = |pods: &[String]| -> Vec<String> {
        let name = |pod: &String| pod.replace("pod/", "persistentvolumeclaim/") + "-humio-data";
        pods.iter().map(name).collect()
    };
    let first = pods(&lab).await;
    assert_eq!(lab.names("-n logging pvc").await, of_pods(&first));
    lab.kubectl(&format!("-n logging delete {}", first[0]))
        .await;
    settled(&lab).await;
    lab.until_it(&format!("-n logging get pods {HUMIO} -o name"), |out| {
        out.lines().count() == 2 && !out.contains(first[0].trim_start_matches("pod/"))
    })
    .await;
    let second = pods(&lab).await;
    lab.until_it("-n logging get pvc -o name", |out| {
        let mut claims: Vec<String> = out.lines().map(str::to_owned).collect();
        claims.sort();
        claims == of_pods(&second)
    })
    .await;
    lab.stop().await;
}

/// `humiocluster_tls.go`: the secrets of a cluster with TLS, and what its pods have of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_tls_has_its_certificates() {
    if no_kubectl() {
        return;
    }
    let lab = standby().await;
    let spec = json!({ "nodeCount": 1, "tls": { "enabled": true } });
    lab.apply(&[cluster("logging", spec)]).await;
    scale(&lab, 1).await;
    settled(&lab).await;
    let pod = pods(&lab).await.remove(0).replace("pod/", "");
    let keys = async |secret: &str| -> Vec<String> {
        let secret = lab.get(&format!("-n logging secret {secret}")).await;
        secret["data"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(keys("logscale-ca-keypair").await, ["tls.crt", "tls.key"]);
    assert_eq!(keys("logscale").await, ["ca.crt", "tls.crt", "tls.key"]);
    assert_eq!(keys("logscale-keystore-passphrase").await, ["passphrase"]);
    assert_eq!(keys(&pod).await, ["ca.crt", "tls.crt", "tls.key"]);
    let made = lab.get(&format!("-n logging pod {pod}")).await;
    let container = &made["spec"]["containers"][0];
    assert_eq!(container["readinessProbe"]["httpGet"]["scheme"], "HTTPS");
    let volumes = made["spec"]["volumes"].as_array().unwrap();
    let own = volumes
        .iter()
        .find(|volume| volume["name"] == "tls-cert")
        .unwrap();
    assert_eq!(own["secret"]["secretName"], pod);
    let environment = container["env"].as_array().unwrap();
    let keystore = environment
        .iter()
        .find(|v| v["name"] == "TLS_KEYSTORE_LOCATION")
        .unwrap();
    assert_eq!(
        keystore["value"],
        "/var/lib/humio/tls-certificate-secret/keystore.jks"
    );

    // The secret of the cluster is made again, by the authority that is kept; that of a pod goes with it.
    let before = lab.get("-n logging secret logscale").await;
    lab.kubectl("-n logging delete secret logscale").await;
    lab.until_it(
        "-n logging get secret logscale -o jsonpath='{.metadata.uid}'",
        |uid| !uid.is_empty() && before["metadata"]["uid"] != uid,
    )
    .await;
    let again = lab.get("-n logging secret logscale").await;
    assert_eq!(again["data"]["ca.crt"], before["data"]["ca.crt"]);
    assert_ne!(again["data"]["tls.crt"], before["data"]["tls.crt"]);
    lab.kubectl(&format!("-n logging delete pod {pod}")).await;
    lab.kubectl(&format!(
        "-n logging wait --for=delete secret/{pod} --timeout=120s"
    ))
    .await;
    lab.stop().await;
}
