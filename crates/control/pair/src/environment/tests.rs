#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{EnvSource, EnvVar, merge_environment};
use crate::pair::SecretKey;

fn names(variables: &[EnvVar]) -> Vec<&str> {
    variables.iter().map(|it| it.name.as_str()).collect()
}

#[test]
fn what_is_there_is_replaced_in_place_and_what_is_new_comes_after_it() {
    let existing = [
        EnvVar::value("A", "1"),
        EnvVar::value("B", "2"),
        EnvVar::value("C", "3"),
    ];
    let wanted = [
        EnvVar::value("E", "5"),
        EnvVar::value("B", "new"),
        EnvVar::value("D", "4"),
    ];
    assert_eq!(
        merge_environment(&existing, &wanted),
        [
            EnvVar::value("A", "1"),
            EnvVar::value("B", "new"),
            EnvVar::value("C", "3"),
            EnvVar::value("E", "5"),
            EnvVar::value("D", "4"),
        ]
    );
}

#[test]
fn a_name_that_is_there_twice_keeps_its_first_place_and_its_last_value() {
    let existing = [
        EnvVar::value("A", "1"),
        EnvVar::value("B", "2"),
        EnvVar::value("A", "3"),
    ];
    assert_eq!(
        merge_environment(&existing, &[]),
        [EnvVar::value("A", "3"), EnvVar::value("B", "2")]
    );
}

#[test]
fn every_form_that_kubernetes_has_goes_through_unchanged() {
    let list = json!([
        { "name": "VALUE", "value": "a $(B)" },
        { "name": "EMPTY", "value": "" },
        { "name": "NOTHING" },
        { "name": "SECRET", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
        {
            "name": "OPTIONAL",
            "valueFrom": { "secretKeyRef": { "name": "s", "key": "k", "optional": true } },
        },
        { "name": "MAP", "valueFrom": { "configMapKeyRef": { "name": "m", "key": "k" } } },
        { "name": "FIELD", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
        { "name": "BOTH", "value": "x", "valueFrom": {} },
        { "name": "NULL", "value": null },
    ]);
    let read: Vec<EnvVar> = serde_json::from_value(list.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), list);
    assert_eq!(read[0].source, EnvSource::Value("a $(B)".to_owned()));
    let key = SecretKey {
        secret: "s".to_owned(),
        key: "k".to_owned(),
    };
    assert_eq!(read[3].source, EnvSource::Secret(key));
    assert!(matches!(read[4].source, EnvSource::Other(_)));
    assert!(serde_json::from_value::<Vec<EnvVar>>(json!([{ "value": "x" }])).is_err());
    assert!(serde_json::from_value::<Vec<EnvVar>>(json!([3])).is_err());
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("(value|valueFrom|secretKeyRef|name|key|x)", inner, 0..3)
                .prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    })
}

fn variable() -> impl Strategy<Value = EnvVar> {
    let source = prop_oneof![
        ".{0,4}".prop_map(EnvSource::Value),
        ("[a-z]", "[a-z]").prop_map(|(secret, key)| EnvSource::Secret(SecretKey { secret, key })),
        value().prop_map(|it| EnvSource::Other(
            json!({ "valueFrom": it, "x": 1 })
                .as_object()
                .unwrap()
                .clone()
        )),
    ];
    ("[A-F]", source).prop_map(|(name, source)| EnvVar { name, source })
}

proptest! {
    #[test]
    fn merging_is_idempotent_and_leaves_alone_what_it_need_not_touch(
        existing in prop::collection::vec(variable(), 0..8),
        wanted in prop::collection::vec(variable(), 0..8),
    ) {
        let merged = merge_environment(&existing, &wanted);
        prop_assert_eq!(&merge_environment(&merged, &wanted), &merged);
        // No name twice, and none lost or made up.
        let unique: BTreeSet<&str> = names(&merged).into_iter().collect();
        prop_assert_eq!(unique.len(), merged.len());
        let all: BTreeSet<&str> = names(&existing).into_iter().chain(names(&wanted)).collect();
        prop_assert_eq!(&unique, &all);
        // Order: as first met.
        let mut first = Vec::new();
        for name in names(&existing).into_iter().chain(names(&wanted)) {
            if !first.contains(&name) {
                first.push(name);
            }
        }
        prop_assert_eq!(names(&merged), first);
        // Values: the last wanted one, else the last that was there.
        for variable in &merged {
            let last = |list: &[EnvVar]| {
                list.iter().rev().find(|it| it.name == variable.name).cloned()
            };
            let expected = last(&wanted).or_else(|| last(&existing)).unwrap();
            prop_assert_eq!(variable, &expected);
        }
    }

    #[test]
    fn any_json_is_read_or_refused_and_what_is_read_is_written_the_same(
        name in ".{0,4}",
        mut json in value(),
    ) {
        if let Some(fields) = json.as_object_mut() {
            fields.insert("name".to_owned(), name.into());
        }
        if let Ok(read) = serde_json::from_value::<EnvVar>(json.clone()) {
            prop_assert_eq!(serde_json::to_value(&read).unwrap(), json);
        }
    }
}
