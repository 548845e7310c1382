#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use super::super::spec::pools;
use super::*;

fn template(spec: Value) -> Template {
    Template::new("logscale", &pools("logscale", &spec).unwrap()[0])
}

fn with(variables: Value) -> Template {
    template(json!({ "nodeCount": 1, "environmentVariables": variables }))
}

fn cluster() -> DynamicObject {
    serde_json::from_value(json!({
        "metadata": { "name": "logscale", "namespace": "logging", "uid": "u" },
    }))
    .unwrap()
}

fn identity(claim: Option<&str>) -> Identity {
    Identity {
        name: "logscale-core-abcdef".to_owned(),
        revision: 2,
        claim: claim.map(str::to_owned),
    }
}

fn variable<'a>(pod: &'a Value, name: &str) -> Vec<&'a Value> {
    let list = pod
        .pointer("/spec/containers/0/env")
        .unwrap()
        .as_array()
        .unwrap();
    list.iter().filter(|v| variable_name(v) == name).collect()
}

#[test]
fn a_pod_has_what_the_runbook_looks_for() {
    let pod = with(json!([{ "name": "A", "value": "b" }])).pod(&cluster(), &identity(None));
    let metadata = &pod["metadata"];
    for (label, value) in [
        ("app.kubernetes.io/name", "humio"),
        ("app.kubernetes.io/instance", "logscale"),
        ("app.kubernetes.io/managed-by", "humio-operator"),
        ("humio.com/node-pool", "logscale"),
        ("humio.com/feature", "OperatorInternal"),
    ] {
        assert_eq!(metadata["labels"][label], value);
    }
    assert_eq!(metadata["annotations"]["humio.com/pod-revision"], "2");
    assert_eq!(metadata["ownerReferences"][0]["uid"], "u");
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["name"], "humio");
    assert_eq!(
        container["readinessProbe"]["httpGet"]["path"],
        "/api/v1/status"
    );
    assert_eq!(container["readinessProbe"]["httpGet"]["port"], 8080);
    assert_eq!(
        variable(&pod, "PUBLIC_URL")[0]["value"],
        "http://$(THIS_POD_IP):$(HUMIO_PORT)"
    );
    assert_eq!(metadata["annotations"]["productVersion"], "unknown");
    assert_eq!(variable(&pod, "HUMIO_PORT")[0]["value"], "8080");
    assert_eq!(
        container["ports"][1],
        json!({ "name": "es", "containerPort": 9200, "protocol": "TCP" })
    );
    assert_eq!(variable(&pod, "A")[0]["value"], "b");
    assert_eq!(
        pod["spec"]["volumes"][0],
        json!({ "name": "humio-data", "emptyDir": {} })
    );
    assert_eq!(
        pod["spec"]["volumes"][1]["secret"]["secretName"],
        "logscale-admin-token"
    );
    // What is referred to comes before what refers to it.
    let names: Vec<&str> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(variable_name)
        .collect();
    let place = |name: &str| names.iter().position(|n| *n == name).unwrap();
    assert!(
        place("THIS_POD_IP") < place("BACKSTAY_BIND") && place("HUMIO_PORT") < place("PUBLIC_URL")
    );
    assert_eq!(names[0], "A", "the specification's own come first");
}

#[test]
fn the_specification_has_the_last_word_on_variables() {
    let pod = with(json!([
        { "name": "PORT", "value": "9000" },
        { "name": "PUBLIC_URL", "value": "https://logs.example.com" },
    ]))
    .pod(&cluster(), &identity(None));
    assert_eq!(variable(&pod, "PORT").len(), 1);
    assert_eq!(
        variable(&pod, "PUBLIC_URL")[0]["value"],
        "https://logs.example.com"
    );
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["ports"][0]["containerPort"], 9000);
    assert_eq!(container["readinessProbe"]["httpGet"]["port"], 9000);
    let odd = with(json!([{ "name": "PORT", "value": "http" }])).pod(&cluster(), &identity(None));
    assert_eq!(
        odd["spec"]["containers"][0]["ports"][0]["containerPort"],
        8080
    );
}

/// `humiocluster_pod_hasher.go`: the order of variables is part of it.
#[test]
fn a_change_gives_another_hash_and_so_does_an_order() {
    let a = json!({ "name": "A", "value": "a" });
    let b = json!({ "name": "B", "value": "b" });
    let hash = |list: Value| with(list).hash;
    assert_ne!(hash(json!([a, b])), hash(json!([b, a])));
    assert_ne!(hash(json!([a])), hash(json!([a, b])));
    let secret =
        json!({ "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } });
    assert_ne!(hash(json!([a])), hash(json!([secret])));
    let base = template(json!({ "nodeCount": 1 })).hash;
    assert_eq!(
        base,
        template(json!({ "nodeCount": 5 })).hash,
        "a number is no change of a pod"
    );
    let strategy = json!({ "nodeCount": 1, "updateStrategy": { "type": "OnDelete" } });
    assert_eq!(base, template(strategy).hash);
    for change in [
        json!({ "image": "backstay/node:2" }),
        json!({ "nodeSelector": { "agentpool": "a" } }),
        json!({ "podLabels": { "a": "b" } }),
        json!({ "podAnnotations": { "a": "b" } }),
        json!({ "resources": { "limits": { "cpu": 1 } } }),
        json!({ "terminationGracePeriodSeconds": 5 }),
        json!({ "dataVolumePersistentVolumeClaimSpecTemplate": { "accessModes": ["ReadWriteOnce"] } }),
    ] {
        let mut spec = json!({ "nodeCount": 1 });
        spec.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        assert_ne!(base, template(spec).hash, "{change}");
    }
}

#[test]
fn each_pod_has_its_own_claim_and_the_same_hash() {
    let spec = json!({
        "nodeCount": 1,
        "dataVolumePersistentVolumeClaimSpecTemplate": { "resources": { "requests": { "storage": "1Gi" } } },
    });
    let pool = pools("logscale", &spec).unwrap().remove(0);
    let template = Template::new("logscale", &pool);
    let pod = template.pod(&cluster(), &identity(Some("mine")));
    assert_eq!(
        pod["spec"]["volumes"][0],
        json!({ "name": "humio-data", "persistentVolumeClaim": { "claimName": "mine" } })
    );
    let claim = template.claim(&cluster(), "mine", pool.claim.as_ref().unwrap());
    assert_eq!(claim["spec"]["accessModes"], json!(["ReadWriteOnce"]));
    assert_eq!(
        claim["metadata"]["labels"]["humio.com/node-pool"],
        "logscale"
    );
}

#[test]
fn labels_of_the_specification_do_not_hide_the_operators() {
    let spec =
        json!({ "nodeCount": 1, "podLabels": { "humio.com/node-pool": "other", "team": "a" } });
    let pod = template(spec).pod(&cluster(), &identity(None));
    assert_eq!(pod["metadata"]["labels"]["humio.com/node-pool"], "logscale");
    assert_eq!(pod["metadata"]["labels"]["team"], "a");
}

/// A runbook turns to rolling updates first: that alone must replace nothing.
#[test]
fn how_pods_are_replaced_is_no_reason_to_replace_them() {
    let of = |strategy: Value| {
        let mut spec = json!({ "nodeCount": 1, "environmentVariables": [] });
        spec["updateStrategy"] = strategy;
        template(spec).hash
    };
    let hash = of(Value::Null);
    for kind in ["RollingUpdate", "ReplaceAllOnUpdate", "OnDelete"] {
        assert_eq!(of(json!({ "type": kind })), hash, "{kind}");
    }
    assert_ne!(with(json!([{ "name": "A", "value": "b" }])).hash, hash);
}
