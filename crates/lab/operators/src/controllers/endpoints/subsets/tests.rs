#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn pod(name: &str, address: &str, ready: bool, port: i64) -> DynamicObject {
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "n", "uid": format!("{name}-uid") },
        "spec": {
            "nodeName": "node",
            "containers": [{ "ports": [{ "name": "http", "containerPort": port }] }],
        },
        "status": {
            "podIP": address,
            "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
        },
    }))
    .unwrap()
}

fn service(ports: Value) -> Value {
    json!({ "spec": { "selector": { "a": "b" }, "ports": ports } })
}

fn addresses(subset: &Value, field: &str) -> Vec<String> {
    let list = array(subset, &format!("/{field}")).iter();
    list.map(|endpoint| text(endpoint, "/ip").to_owned())
        .collect()
}

#[test]
fn ready_and_unready_are_kept_apart_and_those_that_go_are_left_out() {
    let mut going = pod("going", "10.0.0.4", true, 80);
    let moment = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" });
    going.metadata.deletion_timestamp =
        serde_json::from_value(moment["deletionTimestamp"].clone()).unwrap();
    let mut ended = pod("ended", "10.0.0.5", true, 80);
    ended.data["status"]["phase"] = json!("Failed");
    let pods = [
        pod("a", "10.0.0.1", true, 80),
        pod("b", "10.0.0.2", false, 80),
        pod("none", "", true, 80),
        going,
        ended,
    ];
    let one = service(json!([{ "name": "web", "port": 8080, "targetPort": 80 }]));
    let subsets = of(&one, &pods);
    assert_eq!(subsets.as_array().unwrap().len(), 1);
    assert_eq!(addresses(&subsets[0], "addresses"), ["10.0.0.1"]);
    assert_eq!(addresses(&subsets[0], "notReadyAddresses"), ["10.0.0.2"]);
    assert_eq!(
        subsets[0]["ports"],
        json!([{ "name": "web", "port": 80, "protocol": "TCP" }])
    );
    assert_eq!(subsets[0]["addresses"][0]["targetRef"]["uid"], "a-uid");

    let mut eager = one.clone();
    eager["spec"]["publishNotReadyAddresses"] = json!(true);
    let subsets = of(&eager, &pods);
    assert_eq!(
        addresses(&subsets[0], "addresses"),
        ["10.0.0.1", "10.0.0.2"]
    );
    assert_eq!(of(&one, &[]), json!([]));
}

#[test]
fn a_ports_name_is_what_each_pod_says_it_is() {
    let pods = [
        pod("a", "10.0.0.1", true, 80),
        pod("b", "10.0.0.2", true, 81),
        pod("c", "10.0.0.3", true, 80),
    ];
    let subsets = of(
        &service(json!([{ "port": 8080, "targetPort": "http" }])),
        &pods,
    );
    assert_eq!(
        addresses(&subsets[0], "addresses"),
        ["10.0.0.1", "10.0.0.3"]
    );
    assert_eq!(addresses(&subsets[1], "addresses"), ["10.0.0.2"]);
    assert_eq!(subsets[1]["ports"][0]["port"], 81);

    let missing = of(
        &service(json!([{ "port": 8080, "targetPort": "other" }])),
        &pods,
    );
    assert_eq!(missing, json!([]));
    let itself = of(
        &service(json!([{ "port": 8080 }, { "port": 9, "targetPort": "10" }])),
        &pods,
    );
    assert_eq!(itself[0]["ports"][0]["port"], 8080);
    assert_eq!(itself[0]["ports"][1]["port"], 10);
}

#[test]
fn what_selects_nothing_is_left_alone() {
    for spec in [
        json!({}),
        json!({ "selector": {} }),
        json!({ "selector": "a" }),
        json!({ "selector": { "a": 1 } }),
    ] {
        assert_eq!(selector(&json!({ "spec": spec })), None);
    }
    let labels = selector(&service(json!([]))).unwrap();
    assert_eq!(labels["a"], "b");
}
