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
    ] {
        let chosen = choose(Some(&selector), &options);
        match (chosen, node) {
            (Ok(place), Ok(node)) => {
                assert_eq!(place.node, node);
                assert_eq!(place.labels["topology.kubernetes.io/region"], "eastus2");
                assert_eq!(place.labels["kubernetes.io/hostname"], node);
            }
            (Err(why), Err(wanted)) => assert!(why.to_string().contains(wanted), "{why}"),
            (chosen, _) => panic!("{selector}: {chosen:?}"),
        }
    }
}
