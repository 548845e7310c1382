#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::operations;

fn applied(old: &Value, operations: &[Value]) -> Value {
    let patch: json_patch::Patch = serde_json::from_value(json!(operations)).unwrap();
    let mut document = json!({ "spec": old });
    json_patch::patch(&mut document, &patch).unwrap();
    document["spec"].take()
}

/// Without fields that are null, which are not there for Kubernetes.
fn without_null(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_null(value)))
            .collect(),
        Value::Array(list) => list.iter().map(without_null).collect(),
        other => other.clone(),
    }
}

#[test]
fn a_variable_is_changed_in_its_place_if_it_is_what_was_read() {
    let variable = |name: &str, value: &str| json!({ "name": name, "value": value });
    let list = |all: &[Value]| json!({ "commonEnvironmentVariables": all });
    let old = list(&[variable("A", "1"), variable("B", "2"), variable("C", "3")]);
    let new = list(&[variable("A", "1"), variable("B", "x"), variable("C", "3")]);
    let at = "/spec/commonEnvironmentVariables/1";
    assert_eq!(
        operations("/spec", &old, &new),
        [
            json!({ "op": "test", "path": format!("{at}/name"), "value": "B" }),
            json!({ "op": "test", "path": format!("{at}/value"), "value": "2" }),
            json!({ "op": "replace", "path": format!("{at}/value"), "value": "x" }),
        ]
    );
    let more = list(&[
        variable("A", "1"),
        variable("B", "2"),
        variable("C", "3"),
        variable("D", "4"),
    ]);
    let at = "/spec/commonEnvironmentVariables/3";
    let added = [json!({ "op": "add", "path": at, "value": variable("D", "4") })];
    assert_eq!(operations("/spec", &old, &more), added);
    assert_eq!(
        operations("/spec", &more, &old),
        [
            json!({ "op": "test", "path": at, "value": variable("D", "4") }),
            json!({ "op": "remove", "path": at }),
        ]
    );
    // From a value to a secret.
    let secret =
        json!({ "name": "B", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } });
    let new = list(&[variable("A", "1"), secret, variable("C", "3")]);
    assert_eq!(applied(&old, &operations("/spec", &old, &new)), new);
    // Whoever has changed it meanwhile is not written over.
    let theirs = list(&[
        variable("A", "1"),
        variable("B", "theirs"),
        variable("C", "3"),
    ]);
    let patch: json_patch::Patch =
        serde_json::from_value(json!(operations("/spec", &old, &new))).unwrap();
    let mut document = json!({ "spec": theirs });
    json_patch::patch(&mut document, &patch).unwrap_err();
    assert_eq!(document["spec"], theirs);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..4_i32).prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    let key = prop_oneof![Just("name".to_owned()), "[a-c~/]{1,2}"];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_there_becomes_what_is_wanted(old in any_json(), new in any_json()) {
        let (old, new) = (without_null(&old), without_null(&new));
        let operations = operations("/spec", &old, &new);
        prop_assert_eq!(operations.is_empty(), old == new);
        prop_assert_eq!(applied(&old, &operations), new);
    }
}
