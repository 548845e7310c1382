#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};

use super::{JsonPath, crds};

#[test]
fn paths_of_columns_lead_to_their_value() {
    let document = json!({
        "metadata": { "labels": { "strimzi.io/cluster": "c" } },
        "status": {
            "conditions": [
                { "type": "Warning", "status": "False" },
                { "type": "Ready", "status": "True" },
            ],
            "list": [1, 2],
        },
    });
    for (path, value) in [
        (
            ".status.conditions[?(@.type==\"Ready\")].status",
            json!("True"),
        ),
        (
            ".status.conditions[?(@.type=='Warning')].status",
            json!("False"),
        ),
        (".metadata.labels.strimzi\\.io/cluster", json!("c")),
        (".metadata.labels['strimzi\\.io/cluster']", json!("c")),
        (".status.list[1]", json!(2)),
        (".status.list[*]", json!(1)),
    ] {
        let read = JsonPath::parse(path).unwrap();
        assert_eq!(read.first(&document), Some(&value), "{path}");
    }
    for absent in [
        ".a.b",
        ".status.list[7]",
        ".status[0]",
        ".status.conditions[?(@.type==\"X\")]",
    ] {
        assert_eq!(
            JsonPath::parse(absent).unwrap().first(&document),
            None,
            "{absent}"
        );
    }
    for wrong in [
        "",
        "a",
        ".",
        "..",
        ".a[",
        ".a[x]",
        ".a[?(@.b=c)]",
        ".a[?(@.b==\"c)]",
        ".a\\",
    ] {
        assert_eq!(JsonPath::parse(wrong), None, "{wrong}");
    }
}

/// A definition whose types are held against a table of its paths: what the real one says, one path a
/// line (path, type, `required`, constraints).
fn holds_to(table: &str, plural: &str) {
    let all = crds();
    let definition = all
        .iter()
        .find(|crd| crd["spec"]["names"]["plural"] == plural)
        .unwrap();
    let root = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut lines = 0;
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('\t');
        let path = fields.next().unwrap();
        let kind = fields.next().unwrap();
        let required = fields.next() == Some("required");
        let constraints = fields.next().unwrap_or_default();
        let (mut holder, mut schema) = (root, root);
        let mut last = "";
        for part in path.split('.') {
            last = part.trim_end_matches("[]");
            holder = schema;
            schema = &schema["properties"][last];
            if part.ends_with("[]") {
                schema = &schema["items"];
            }
        }
        let is = |name: &str| schema["type"] == name;
        let item = |name: &str| is("array") && schema["items"]["type"] == name;
        let right = match kind {
            "map of string" => is("object") && schema["additionalProperties"]["type"] == "string",
            "int-or-string" => schema["x-kubernetes-int-or-string"] == true,
            "[]string" => item("string"),
            "[]integer" => item("integer"),
            // A type of Kubernetes: it has fields.
            _ if kind.starts_with("[]core/v1 ") => {
                item("object") && schema["items"]["properties"].is_object()
            }
            _ if kind.starts_with("core/v1 ") => is("object") && schema["properties"].is_object(),
            name => is(name),
        };
        assert!(right, "{path} is no {kind}: {schema}");
        let needed = holder["required"]
            .as_array()
            .is_some_and(|names| names.contains(&json!(last)));
        assert_eq!(needed, required, "{path}");
        for constraint in constraints.split("; ").filter(|text| !text.is_empty()) {
            let (word, value) = constraint.split_once(' ').unwrap_or((constraint, ""));
            let said = match word {
                "enum" => schema["enum"] == json!(value.split('|').collect::<Vec<_>>()),
                "minLength" => schema["minLength"].as_u64() == value.parse().ok(),
                "default" => match &schema["default"] {
                    Value::String(text) => text == value,
                    other => {
                        serde_json::from_str(&value.to_lowercase()).ok().as_ref() == Some(other)
                    }
                },
                "CEL" => schema["x-kubernetes-validations"]
                    .as_array()
                    .is_some_and(|rules| rules.iter().any(|rule| rule["rule"] == value)),
                _ => false,
            };
            assert!(said, "{path}: {constraint}");
        }
        lines += 1;
    }
    assert!(lines > 25);
    // And it says nothing more.
    let mut said = Vec::new();
    paths(root, "", &mut said, &|path| {
        table.lines().any(|line| {
            line.strip_prefix(path).is_some_and(|rest| {
                rest.starts_with("\tcore/v1") || rest.starts_with("\t[]core/v1")
            })
        })
    });
    said.retain(|path| !["apiVersion", "kind", "metadata"].contains(&path.as_str()));
    for path in &said {
        let known = table
            .lines()
            .any(|line| line.split('\t').next() == Some(path));
        assert!(known, "{path} is not in the table");
    }
    assert_eq!(said.len(), lines);
}

/// Every path of a schema, not below those that `ends`.
fn paths(schema: &Value, above: &str, found: &mut Vec<String>, ends: &dyn Fn(&str) -> bool) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    for (name, property) in properties {
        let path = crate::schema::child(above, name);
        found.push(path.clone());
        if ends(&path) {
            continue;
        }
        if property["type"] == "array" {
            paths(&property["items"], &format!("{path}[]"), found, ends);
        } else {
            paths(property, &path, found, ends);
        }
    }
}

#[test]
fn the_shipped_definitions_are_valid_and_those_of_logscale_say_what_the_real_ones_say() {
    let all = crds();
    let names: Vec<&str> = all.iter().map(super::name).collect();
    assert_eq!(
        names,
        [
            "humioclusters.core.humio.com",
            "humiobootstraptokens.core.humio.com",
            "kafkas.kafka.strimzi.io",
            "kafkanodepools.kafka.strimzi.io",
            "strimzipodsets.core.strimzi.io",
            "kafkatopics.kafka.strimzi.io",
        ]
    );
    for mut definition in all {
        super::complete(&mut definition);
        let mut causes = Vec::new();
        super::check(&definition, None, &mut causes);
        assert_eq!(causes, [], "{}", super::name(&definition));
        assert!(!definition.to_string().contains("$ref"));
        assert!(definition.to_string().len() < crate::document::MAX_DOCUMENT_BYTES / 2);
    }
    holds_to(
        include_str!("tests/humiocluster-fields.tsv"),
        "humioclusters",
    );
    holds_to(
        include_str!("tests/humiobootstraptoken-fields.tsv"),
        "humiobootstraptokens",
    );
}
