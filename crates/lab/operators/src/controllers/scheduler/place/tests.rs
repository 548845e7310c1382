#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use super::*;

#[test]
fn a_pod_gets_the_node_of_its_pool_or_is_told_why_not() {
    let options = ControllerOptions {
        region: "eastus2".to_owned(),
        ..ControllerOptions::default()
    };
    for (selector, node) in [
        (json!(null), Ok("aks-agentpool-0")),
        (json!({}), Ok("aks-agentpool-0")),
        (json!({ "agentpool": "lsuinode" }), Ok("aks-lsuinode-0")),
        (
            json!({ "kubernetes.azure.com/agentpool": "ui", "kubernetes.io/os": "linux" }),
            Ok("aks-ui-0"),
        ),
        (json!({ "agentpool": "UI" }), Err("\"UI\"")),
        (json!({ "agentpool": "" }), Err("\"\"")),
        (json!({ "agentpool": "a".repeat(41) }), Err("at most 40")),
        (json!({ "agentpool": 3 }), Err("quote the values")),
        (json!("ui"), Err("spec.nodeSelector")),
        (json!({ "disk": "ssd" }), Err("disk=ssd")),
        (
            json!({ "agentpool": "a", "kubernetes.azure.com/agentpool": "b" }),
            Err("agentpool=b"),
        ),
        (json!({ "k8s-app": "logscale-ui" }), Ok("aks-lsuinode-0")),
    ] {
        let chosen = choose(&json!({ "nodeSelector": selector }), &options);
        match (chosen, node) {
            (Ok(pool), Ok(node)) => {
                let place = super::node(&pool, &[], &options.region);
                assert_eq!(place.node, node);
                assert_eq!(place.labels["topology.kubernetes.io/region"], "eastus2");
                assert_eq!(place.labels["kubernetes.io/hostname"], node);
            }
            (Err(why), Err(wanted)) => assert!(why.to_string().contains(wanted), "{why}"),
            (chosen, _) => panic!("{selector}: {chosen:?}"),
        }
    }
}

fn required(terms: Value) -> Value {
    let required = json!({ "nodeSelectorTerms": terms });
    json!({ "affinity": { "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": required,
    } } })
}

/// The vendor's pools, and how its Terraform asks for them.
#[test]
fn affinity_leads_to_the_pool_whose_nodes_have_the_labels() {
    let options = ControllerOptions {
        region: "eastus2".to_owned(),
        ..ControllerOptions::default()
    };
    let wanted = |key: &str, operator: &str, values: &[&str]| json!({ "key": key, "operator": operator, "values": values });
    let amd64 = wanted("kubernetes.io/arch", "In", &["amd64"]);
    let linux = wanted("kubernetes.io/os", "In", &["linux"]);
    let all = |more: Value| json!([{ "matchExpressions": [amd64, linux, more] }]);
    for (terms, pool) in [
        (
            all(wanted("k8s-app", "In", &["logscale-digest"])),
            Some("lsdigestnode"),
        ),
        (
            all(wanted("k8s-app", "In", &["logscale-ui"])),
            Some("lsuinode"),
        ),
        (
            all(wanted("k8s-app", "In", &["logscale-ingest"])),
            Some("lsingestnode"),
        ),
        (all(wanted("agentpool", "In", &["ui"])), Some("ui")),
        (all(wanted("k8s-app", "Exists", &[])), Some("lssysnode")),
        (
            all(wanted("k8s-app", "DoesNotExist", &[])),
            Some("agentpool"),
        ),
        (
            all(wanted("k8s-app", "NotIn", &["support"])),
            Some("agentpool"),
        ),
        (all(wanted("k8s-app", "In", &["nobody"])), None),
        (all(wanted("k8s-app", "Like", &["logscale-ui"])), None),
        (all(wanted("kubernetes.io/arch", "In", &["arm64"])), None),
        // One of several terms is enough; one that asks for nothing matches nothing.
        (
            json!([
                { "matchExpressions": [wanted("k8s-app", "In", &["nobody"])] },
                { "matchExpressions": [wanted("k8s-app", "In", &["strimzi"])] },
            ]),
            Some("strimzinode"),
        ),
        (json!([{}]), None),
        (
            json!([{ "matchFields": [wanted("metadata.name", "In", &["aks-lsuinode-0"])] }]),
            Some("lsuinode"),
        ),
    ] {
        match (choose(&required(terms.clone()), &options), pool) {
            (Ok(chosen), Some(pool)) => assert_eq!(chosen, pool, "{terms}"),
            (Err(why), None) => assert!(
                why.to_string()
                    .contains("didn't match Pod's node affinity/selector"),
                "{why}"
            ),
            (chosen, _) => panic!("{terms}: {chosen:?}"),
        }
    }
    let odd = json!({ "affinity": { "nodeAffinity": 3 } });
    let why = choose(&odd, &options).unwrap_err().to_string();
    assert!(why.contains("spec.affinity"), "{why}");
}

#[test]
fn pods_that_keep_apart_get_a_node_each() {
    let spec = json!({ "affinity": { "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [{
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": { "matchExpressions": [
                { "key": "app.kubernetes.io/name", "operator": "In", "values": ["humio"] },
            ] },
        }],
    } } });
    let apart = Apart::read(&spec).unwrap();
    let labels =
        |name: &str| BTreeMap::from([("app.kubernetes.io/name".to_owned(), name.to_owned())]);
    assert!(!apart.is_empty() && apart.from(&labels("humio")) && !apart.from(&labels("kafka")));
    let taken = ["aks-ui-0", "aks-ui-2", "aks-other-1"];
    assert_eq!(super::node("ui", &taken, "r").node, "aks-ui-1");
    assert!(Apart::read(&json!({})).unwrap().is_empty());
}
