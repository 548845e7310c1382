#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use super::*;

#[test]
fn what_there_should_be() {
    let brokers =
        read(&json!({ "kafka": { "replicas": 3 }, "zookeeper": { "replicas": 3 } })).unwrap();
    assert_eq!(
        (brokers.count, brokers.image.as_str()),
        (3, "backstay/kafka")
    );
    assert!(matches!(
        brokers.storage,
        Storage::Claim {
            goes_with_owner: false,
            ..
        }
    ));
    let spec = json!({ "kafka": {
        "replicas": 1, "image": "a:1", "version": "4.1.0",
        "storage": { "type": "persistent-claim", "size": "1Gi", "deleteClaim": true },
        "template": { "pod": { "terminationGracePeriodSeconds": 5 } },
    }});
    let brokers = read(&spec).unwrap();
    assert_eq!(brokers.version.as_deref(), Some("4.1.0"));
    assert_eq!(brokers.pod.termination_grace_period_seconds, Some(5));
    let size = Some("1Gi".to_owned());
    let storage = Storage::Claim {
        size,
        class: None,
        goes_with_owner: true,
    };
    assert_eq!(brokers.storage, storage);
    let spec = json!({ "kafka": { "replicas": 1, "storage": { "type": "ephemeral" } } });
    assert_eq!(read(&spec).unwrap().storage, Storage::Ephemeral);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (spec, wanted) in [
        (json!(null), "spec.kafka: missing"),
        (json!({ "kafka": {} }), "spec.kafka.replicas: missing"),
        (json!({ "kafka": { "replicas": 0 } }), "0 is not within 1"),
        (json!({ "kafka": { "replicas": -1 } }), "-1 is not within 1"),
        (
            json!({ "kafka": { "replicas": "3" } }),
            "spec.kafka.replicas: invalid type",
        ),
        (
            json!({ "kafka": { "replicas": 1, "storage": { "type": "jbod" } } }),
            "\"jbod\" is not known",
        ),
        (
            json!({ "kafka": { "replicas": 1, "storage": 1 } }),
            "spec.kafka.storage: invalid type",
        ),
        (
            json!({ "kafka": { "replicas": 1, "template": { "pod": 1 } } }),
            "spec.kafka.template.pod: invalid type",
        ),
    ] {
        let why = read(&spec).unwrap_err().to_string();
        assert!(why.contains(wanted), "{spec}: {why}");
    }
}
