#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Container, Pod};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{EnvironmentError, Facts, Holder, Holders, environment, expand, holders};
use crate::paths::Mounts;

fn pod() -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": "logscale-core-abcdef", "namespace": "logging", "uid": "u-1",
            "labels": { "humio.com/node-pool": "logscale" },
        },
        "spec": { "nodeName": "aks-ui-0", "serviceAccountName": "humio", "containers": [] },
    }))
    .unwrap()
}

fn container(env: Value, env_from: Value) -> Container {
    serde_json::from_value(json!({ "name": "humio", "env": env, "envFrom": env_from })).unwrap()
}

fn held() -> Holders {
    let values = |pairs: &[(&str, &[u8])]| {
        let pair = |(key, value): &(&str, &[u8])| ((*key).to_owned(), value.to_vec());
        pairs.iter().map(pair).collect()
    };
    Holders::from([
        (
            (Holder::Secret, "keys".into()),
            values(&[("key", b"s3cret"), ("raw", b"\xff"), ("A", b"from")]),
        ),
        (
            (Holder::ConfigMap, "settings".into()),
            values(&[("B", b"map")]),
        ),
    ])
}

type Variables = BTreeMap<String, String>;

fn resolved(env: Value, env_from: Value) -> Result<Variables, EnvironmentError> {
    let pod = pod();
    let facts = Facts {
        pod: &pod,
        address: Ipv4Addr::new(127, 71, 11, 2),
    };
    let mounts = Mounts::new([("/data".to_owned(), "/h/data".to_owned())]);
    environment(&container(env, env_from), facts, &held(), &mounts)
}

fn field(path: &str) -> Value {
    json!([{ "name": "X", "valueFrom": { "fieldRef": { "fieldPath": path } } }])
}

#[test]
fn later_variables_use_and_replace_earlier_ones() {
    let env = json!([
        { "name": "POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
        { "name": "PUBLIC_URL", "value": "http://$(POD_IP):8080" },
        { "name": "LATE", "value": "$(NEXT) $$(POD_IP)" },
        { "name": "NEXT", "value": "x" },
        { "name": "A", "value": "$(A)+" },
        { "name": "DIRECTORY", "value": "/data/humio-data" },
        { "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "keys", "key": "key" } } },
        { "name": "EMPTY" },
        { "name": "MAYBE", "valueFrom": { "secretKeyRef": { "name": "none", "key": "k", "optional": true } } },
        { "name": "MAYBE_KEY", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "k", "optional": true } } },
    ]);
    let held_values = json!([{ "configMapRef": { "name": "settings" }, "prefix": "P_" }, { "secretRef": { "name": "none", "optional": true } }]);
    let mut env_with_a = env.as_array().unwrap().clone();
    env_with_a.insert(0, json!({ "name": "A", "value": "1" }));
    let variables = resolved(Value::Array(env_with_a), held_values).unwrap();
    let expected = [
        ("A", "1+"),
        ("DIRECTORY", "/h/data/humio-data"),
        ("EMPTY", ""),
        ("KEY", "s3cret"),
        ("LATE", "$(NEXT) $(POD_IP)"),
        ("NEXT", "x"),
        ("POD_IP", "127.71.11.2"),
        ("PUBLIC_URL", "http://127.71.11.2:8080"),
        ("P_B", "map"),
    ];
    let expected: BTreeMap<String, String> = expected
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    assert_eq!(variables, expected);
}

#[test]
fn fields_of_the_pod() {
    for (path, value) in [
        ("metadata.name", "logscale-core-abcdef"),
        ("metadata.namespace", "logging"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['humio.com/node-pool']", "logscale"),
        ("metadata.annotations['none']", ""),
        ("spec.nodeName", "aks-ui-0"),
        ("spec.serviceAccountName", "humio"),
        ("status.podIP", "127.71.11.2"),
    ] {
        assert_eq!(
            resolved(field(path), json!([])).unwrap()["X"],
            value,
            "{path}"
        );
    }
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let of = |kind: &str, name: &str, key: &str| json!([{ "name": "X", "valueFrom": { kind: { "name": name, "key": key } } }]);
    for (env, env_from, message) in [
        (
            of("secretKeyRef", "none", "k"),
            json!([]),
            "secret \"none\" not found",
        ),
        (
            of("secretKeyRef", "keys", "k"),
            json!([]),
            "couldn't find key k in Secret logging/keys",
        ),
        (
            of("configMapKeyRef", "none", "k"),
            json!([]),
            "configmap \"none\" not found",
        ),
        (
            of("configMapKeyRef", "settings", "k"),
            json!([]),
            "couldn't find key k in ConfigMap logging/settings",
        ),
        (
            json!([]),
            json!([{ "secretRef": { "name": "none" } }]),
            "secret \"none\" not found",
        ),
        (
            of("secretKeyRef", "keys", "raw"),
            json!([]),
            "the value of X is not text",
        ),
        (
            field("status.hostIP"),
            json!([]),
            "X: field status.hostIP is not supported",
        ),
        (field("metadata.labels['"), json!([]), "is not supported"),
        (
            json!([{ "name": "X", "valueFrom": {} }]),
            json!([]),
            "X: only secretKeyRef",
        ),
        (
            json!([{ "name": "a=b", "value": "" }]),
            json!([]),
            "\"a=b\" cannot be the name",
        ),
        (
            json!([{ "name": "X", "value": "a\u{0}b" }]),
            json!([]),
            "the value of X is not text",
        ),
    ] {
        let error = resolved(env, env_from).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert!(!error.contains("s3cret"));
    }
}

#[test]
fn what_is_needed_is_known_before_it_is_read() {
    let env = json!([
        { "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
        { "name": "B", "valueFrom": { "configMapKeyRef": { "name": "m", "key": "k" } } },
    ]);
    let from = json!([{ "secretRef": { "name": "t" } }, { "configMapRef": { "name": "m" } }]);
    let all: Vec<_> = holders(&container(env, from)).into_iter().collect();
    let expected = [
        (Holder::Secret, "s"),
        (Holder::Secret, "t"),
        (Holder::ConfigMap, "m"),
    ];
    assert_eq!(
        all,
        expected.map(|(holder, name)| (holder, name.to_owned()))
    );
}

/// The table of `expansion_test.go` of Kubernetes, the cases that differ in kind.
#[test]
fn references_are_expanded_as_kubernetes_does() {
    let variables = [("VAR_A", "A"), ("VAR_REF", "$(VAR_A)"), ("VAR_EMPTY", "")];
    let variables = variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    for (text, expanded) in [
        ("$(VAR_A)", "A"),
        ("___$(VAR_A)___", "___A___"),
        ("$(VAR_A)_$(VAR_A)", "A_A"),
        ("$(VAR_REF)", "$(VAR_A)"),
        ("foo$(VAR_EMPTY)bar", "foobar"),
        ("$$(VAR_A)", "$(VAR_A)"),
        ("$$$(VAR_A)", "$A"),
        ("$$$$(VAR_A)", "$$(VAR_A)"),
        ("$(VAR_DNE)", "$(VAR_DNE)"),
        ("$VAR_A", "$VAR_A"),
        ("${VAR_A}", "${VAR_A}"),
        ("$(VAR_A", "$(VAR_A"),
        ("$", "$"),
        ("a$", "a$"),
        ("$)", "$)"),
        ("\\$(VAR_A)", "\\A"),
    ] {
        assert_eq!(expand(text, &variables), expanded, "{text}");
    }
}

proptest! {
    #[test]
    fn text_without_references_stays(text in "[^$]*") {
        prop_assert_eq!(expand(&text, &BTreeMap::new()), text);
    }

    #[test]
    fn any_text_expands(text in any::<String>(), name in "[A-Z]{1,3}", value in any::<String>()) {
        let variables = BTreeMap::from([(name.clone(), value.clone())]);
        let doubled = text.replace('$', "$$");
        prop_assert_eq!(expand(&doubled, &variables), text.clone());
        let _ = expand(&text, &variables);
        prop_assert_eq!(expand(&format!("{doubled}$({name})"), &variables), format!("{text}{value}"));
    }
}
