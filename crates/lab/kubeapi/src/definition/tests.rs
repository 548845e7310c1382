#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use super::JsonPath;

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
