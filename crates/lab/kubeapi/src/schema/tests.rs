#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};

use super::built_in::JSON;
use super::*;
use crate::kind::KINDS;

/// What is wrong with `value`, as `field: message`.
fn problems(schema: Value, value: Value) -> Vec<String> {
    let (schema, wrong) = parse(&schema);
    assert_eq!(wrong, [], "the schema itself");
    let mut causes = Vec::new();
    schema.check(&value, "", &mut causes);
    causes
        .into_iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect()
}

fn object(properties: Value) -> Value {
    json!({ "type": "object", "properties": properties })
}

#[test]
fn every_built_in_kind_has_a_schema_and_every_reference_leads_somewhere() {
    for kind in KINDS.iter().filter(|kind| !kind.custom) {
        assert!(kind.schema().is_some(), "{}", kind.schema_name());
    }
    fn references(json: &Value, found: &mut Vec<String>) {
        match json {
            Value::Object(map) => {
                if let Some(Value::String(name)) = map.get("$ref") {
                    found.push(name.clone());
                }
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    JSON.values().for_each(|json| references(json, &mut found));
    assert!(JSON.len() > 200 && found.len() > 300);
    for name in found {
        assert!(built_in(&name).is_some(), "{name}");
    }
}

#[test]
fn a_wrong_value_is_told_in_kubernetes_words() {
    let schema = json!({
        "type": "object",
        "required": ["license"],
        "properties": {
            "count": { "type": "integer", "minimum": 1, "maximum": 5 },
            "name": { "type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]*$" },
            "policy": { "type": "string", "enum": ["None", "OnNodeDelete"] },
            "port": { "x-kubernetes-int-or-string": true,
                      "anyOf": [{ "type": "integer" }, { "type": "string" }] },
            "maybe": { "type": "string", "nullable": true },
            "pools": {
                "type": "array", "maxItems": 2,
                "items": object(json!({ "name": { "type": "string" } })),
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            },
            "license": { "type": "object" },
        },
    });
    let wrong = |value: Value| {
        let mut value = value;
        if value.get("license").is_none() {
            value["license"] = json!({});
        }
        problems(schema.clone(), value)
    };
    for (value, expected) in [
        (
            json!({ "count": "3" }),
            "count: Invalid value: \"string\": count in body must be of type integer: \"string\"",
        ),
        (
            json!({ "count": 1.5 }),
            "count: Invalid value: \"number\": count in body must be of type integer: \"number\"",
        ),
        (
            json!({ "count": 0 }),
            "count: Invalid value: 0: count in body should be greater than or equal to 1",
        ),
        (
            json!({ "count": 6 }),
            "count: Invalid value: 6: count in body should be less than or equal to 5",
        ),
        (
            json!({ "name": "a" }),
            "name: Invalid value: \"a\": name in body should be at least 2 chars long",
        ),
        (
            json!({ "name": "abcde" }),
            "name: Too long: may not be more than 4 bytes",
        ),
        (
            json!({ "name": "AB" }),
            "name: Invalid value: \"AB\": name in body should match '^[a-z]*$'",
        ),
        (
            json!({ "policy": "Never" }),
            "policy: Unsupported value: \"Never\": supported values: \"None\", \"OnNodeDelete\"",
        ),
        (
            json!({ "port": true }),
            "port: Invalid value: \"boolean\": port in body must be of type integer,string: \"boolean\"",
        ),
        (
            json!({ "name": null }),
            "name: Invalid value: \"null\": name in body must be of type string: \"null\"",
        ),
        (
            json!({ "pools": [{ "name": "a" }, { "name": "a" }] }),
            "pools[1]: Duplicate value: {\"name\":\"a\"}",
        ),
        (
            json!({ "pools": [{ "name": "a" }, { "name": "b" }, { "name": "c" }] }),
            "pools: Too many: 3: must have at most 2 items",
        ),
        (
            json!({ "pools": [{ "name": 1 }] }),
            "pools[0].name: Invalid value: \"integer\": pools[0].name in body must be of type string: \"integer\"",
        ),
    ] {
        assert_eq!(wrong(value), [expected]);
    }
    assert_eq!(
        problems(schema.clone(), json!({})),
        ["license: Required value"]
    );
    let good = json!({ "count": 3.0, "port": "http", "maybe": null, "policy": "None" });
    assert_eq!(wrong(good), [""; 0]);
}

#[test]
fn the_rules_of_the_shipped_definitions_are_checked() {
    let budget = json!({
        "type": "object",
        "properties": {
            "minAvailable": { "x-kubernetes-int-or-string": true },
            "maxUnavailable": { "x-kubernetes-int-or-string": true },
        },
        "x-kubernetes-validations": [
            { "rule": "!has(self.minAvailable) || !has(self.maxUnavailable)", "message": "not both" },
            { "rule": "has(self.minAvailable) || has(self.maxUnavailable)" },
        ],
    });
    let wrong = |value| problems(object(json!({ "b": budget })), json!({ "b": value }));
    assert_eq!(wrong(json!({ "minAvailable": 1 })), [""; 0]);
    assert_eq!(
        wrong(json!({ "minAvailable": 1, "maxUnavailable": "50%" })),
        ["b: Invalid value: \"object\": not both"]
    );
    assert_eq!(
        wrong(json!({})),
        [
            "b: Invalid value: \"object\": failed rule: has(self.minAvailable) || has(self.maxUnavailable)"
        ]
    );
}

#[test]
fn choices_between_schemas_are_checked() {
    let one = json!({ "type": "object", "properties": {
        "v": { "type": "string", "oneOf": [{ "pattern": "^a" }, { "pattern": "b$" }] },
    }});
    assert_eq!(problems(one.clone(), json!({ "v": "ac" })), [""; 0]);
    assert_eq!(
        problems(one, json!({ "v": "ab" })),
        ["v: Invalid value: \"\": \"v\" must validate one and only one schema (oneOf)"]
    );
}

#[test]
fn what_no_schema_names_is_removed_and_named() {
    let (schema, _) = parse(&json!({
        "type": "object",
        "properties": {
            "spec": object(json!({
                "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                          "properties": { "known": object(json!({})) } },
                "labels": { "type": "object", "additionalProperties": { "type": "string" } },
                "pools": { "type": "array", "items": object(json!({ "name": { "type": "string" } })) },
            })),
        },
    }));
    let mut document = json!({
        "apiVersion": "g/v1", "kind": "K", "metadata": { "name": "n", "labels": {}, "odd": 1 },
        "more": 1,
        "spec": {
            "free": { "any": { "thing": 1 }, "known": { "x": 1 } },
            "labels": { "a": "b" },
            "pools": [{ "name": "p" }, { "name": "q", "nodeSelector": {} }],
        },
    });
    let mut unknown = Vec::new();
    schema.prune_document(&mut document, &mut unknown);
    assert_eq!(
        unknown,
        [
            "more",
            "spec.free.known.x",
            "spec.pools[1].nodeSelector",
            "metadata.odd"
        ]
    );
    assert_eq!(
        document,
        json!({
            "apiVersion": "g/v1", "kind": "K", "metadata": { "name": "n", "labels": {} },
            "spec": {
                "free": { "any": { "thing": 1 }, "known": {} },
                "labels": { "a": "b" },
                "pools": [{ "name": "p" }, { "name": "q" }],
            },
        })
    );
}

#[test]
fn defaults_are_filled_in_at_every_depth() {
    let (schema, _) = parse(&object(json!({
        "spec": object(json!({
            "nodeCount": { "type": "integer", "default": 0 },
            "pools": { "type": "array", "items": object(json!({
                "on": { "type": "boolean", "default": false },
            })) },
            "deep": { "type": "object", "default": {}, "properties": {
                "name": { "type": "string", "default": "" },
            }},
        })),
    })));
    let mut document = json!({ "spec": { "nodeCount": null, "pools": [{}, { "on": true }] } });
    schema.fill(&mut document);
    assert_eq!(
        document,
        json!({ "spec": {
            "nodeCount": 0, "pools": [{ "on": false }, { "on": true }], "deep": { "name": "" },
        }})
    );
    // What is not there gets nothing below it.
    let mut empty = json!({});
    schema.fill(&mut empty);
    assert_eq!(empty, json!({}));
}

#[test]
fn a_built_in_kind_is_decoded_as_go_does() {
    let deployment = built_in("io.k8s.api.apps.v1.Deployment").unwrap();
    let container =
        |fields: Value| json!({ "spec": { "template": { "spec": { "containers": [fields] } } } });
    let said = |value: Value| deployment.mistyped("Deployment", &value, "");
    for (value, expected) in [
        (
            container(json!({ "env": [{ "name": "A", "value": true }] })),
            "json: cannot unmarshal bool into Go struct field EnvVar.spec.template.spec.containers.env.value of type string",
        ),
        (
            json!({ "spec": { "replicas": "1" } }),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            json!({ "spec": { "replicas": 1.5 } }),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            json!({ "metadata": { "labels": { "a": 1 } } }),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            container(json!({ "env": { "name": "A" } })),
            "json: cannot unmarshal object into Go struct field Container.spec.template.spec.containers.env of type []v1.EnvVar",
        ),
        (
            container(json!({ "livenessProbe": [] })),
            "json: cannot unmarshal array into Go struct field Container.spec.template.spec.containers.livenessProbe of type v1.Probe",
        ),
    ] {
        assert_eq!(said(value).as_deref(), Some(expected));
    }
    let good = container(json!({
        "name": "c", "env": [{ "name": "A", "value": null }],
        "livenessProbe": { "httpGet": { "port": "http" } },
        "readinessProbe": { "httpGet": { "port": 8080 } },
        "resources": { "limits": { "cpu": 1, "memory": "1Gi" } },
    }));
    assert_eq!(said(good), None);
    let secret = built_in("io.k8s.api.core.v1.Secret").unwrap();
    let data = json!({ "data": { "k": "cGxhaW4=" } });
    assert_eq!(secret.mistyped("Secret", &data, ""), None);
    let data = json!({ "data": { "k": "pl*in" } });
    assert_eq!(
        secret.mistyped("Secret", &data, "").as_deref(),
        Some("illegal base64 data at input byte 2")
    );
}

#[test]
fn a_schema_that_is_not_structural_is_refused_with_its_place() {
    let (_, causes) = parse(&object(json!({
        "a": { "properties": {} },
        "b": { "type": "array" },
        "c": { "type": "text" },
        "d": { "type": "string", "pattern": "(" },
        "e": { "type": "object", "properties": { "x": { "type": "string" } },
               "additionalProperties": { "type": "string" } },
    })));
    let said: Vec<String> = causes
        .iter()
        .map(|cause| format!("{} {}", cause.reason, cause.field))
        .collect();
    assert_eq!(
        said,
        [
            "FieldValueRequired properties[a].type",
            "FieldValueRequired properties[b].items",
            "FieldValueNotSupported properties[c].type",
            "FieldValueInvalid properties[d].pattern",
            "FieldValueForbidden properties[e].additionalProperties",
        ]
    );
    // However deep it is, it ends.
    let mut deep = json!({ "type": "object" });
    for _ in 0..80 {
        deep = object(json!({ "p": deep }));
    }
    assert_eq!(parse(&deep).1.len(), 1);
}
