#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::spec::read;
use super::*;

fn kafka() -> DynamicObject {
    serde_json::from_value(json!({
        "metadata": { "name": "logs", "namespace": "logging", "uid": "u" },
    }))
    .unwrap()
}

fn brokers(storage: Value) -> Brokers {
    read(&json!({ "kafka": { "replicas": 2, "storage": storage } })).unwrap()
}

#[test]
fn names_and_labels_are_those_of_the_runbook() {
    let claims = json!({ "type": "persistent-claim", "size": "1Gi" });
    let set = pod_set(&kafka(), &brokers(claims.clone()));
    assert_eq!(set["metadata"]["name"], "logs-kafka");
    let pod = &set["spec"]["pods"][1];
    assert_eq!(pod["metadata"]["name"], "logs-kafka-1");
    for (label, value) in [
        ("strimzi.io/cluster", "logs"),
        ("strimzi.io/kind", "Kafka"),
        ("strimzi.io/name", "logs-kafka"),
        ("strimzi.io/component-type", "kafka"),
        ("app.kubernetes.io/managed-by", "strimzi-cluster-operator"),
    ] {
        assert_eq!(pod["metadata"]["labels"][label], value);
    }
    let claim = &pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"];
    assert_eq!(claim, "data-logs-kafka-1");

    let made = super::claims(&kafka(), &brokers(claims));
    assert_eq!(made[1].0, "data-logs-kafka-1");
    assert_eq!(
        made[1].1["metadata"]["labels"]["strimzi.io/cluster"],
        "logs"
    );
    assert_eq!(made[1].1["metadata"].get("ownerReferences"), None);
    assert_eq!(made[1].1["spec"]["resources"]["requests"]["storage"], "1Gi");
    let owned = json!({ "type": "persistent-claim", "deleteClaim": true });
    let made = super::claims(&kafka(), &brokers(owned));
    assert_eq!(made[0].1["metadata"]["ownerReferences"][0]["kind"], "Kafka");
    assert!(super::claims(&kafka(), &brokers(json!({ "type": "ephemeral" }))).is_empty());

    assert_eq!(bootstrap(&kafka()).0, "logs-kafka-bootstrap");
    let (name, secret) = authority(&kafka(), "pem");
    assert_eq!(name, "logs-cluster-ca-cert");
    assert_eq!(secret["stringData"]["ca.crt"], "pem");
}

#[test]
fn a_changed_pod_has_another_revision() {
    let revision = |brokers: &Brokers| {
        let set = pod_set(&kafka(), brokers);
        set["spec"]["pods"][0]["metadata"]["annotations"][REVISION].clone()
    };
    let one = brokers(json!({ "type": "ephemeral" }));
    let mut other = one.clone();
    assert_eq!(revision(&one), revision(&other));
    other.count = 5;
    assert_eq!(revision(&one), revision(&other));
    other.image = "other".to_owned();
    assert_ne!(revision(&one), revision(&other));
}
