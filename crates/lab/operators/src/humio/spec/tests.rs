#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// `NewHumioNodeManagerFromHumioNodePool` in `humiocluster_defaults.go`: of the cluster a pool takes
/// over the common variables and nothing else; `mergeEnvVars` in `humiocluster_controller.go`.
#[test]
fn a_pool_is_as_it_says_itself_but_for_the_common_variables() {
    let spec = json!({
        "nodeCount": 3,
        "image": "backstay/node:1",
        "updateStrategy": { "type": "RollingUpdate" },
        "terminationGracePeriodSeconds": 5,
        "affinity": { "nodeAffinity": {} },
        "commonEnvironmentVariables": [{ "name": "A", "value": "common" }, { "name": "B", "value": "b" }],
        "environmentVariables": [{ "name": "C", "value": "c" }],
        "nodePools": [
            { "name": "ui", "spec": {
                "nodeCount": 2,
                "image": "backstay/node:1",
                "environmentVariables": [
                    { "name": "A", "value": "own" },
                    { "name": "NODE_ROLES", "value": "httponly" },
                ],
            }},
            { "name": "ingest-only", "spec": { "image": "backstay/node:2",
                "updateStrategy": { "type": "OnDelete" },
                "nodePoolFeatures": { "allowedAPIRequestTypes": [] } } },
        ],
    });
    let pools = pools("logscale", &spec).unwrap();
    let names: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(names, ["logscale", "logscale-ui", "logscale-ingest-only"]);
    let counts: Vec<usize> = pools.iter().map(|pool| pool.count).collect();
    assert_eq!(counts, [3, 2, 0]);
    let values = |pool: &Pool| -> Vec<String> {
        let each = pool.environment.iter();
        each.map(|v| format!("{}={}", variable_name(v), v["value"].as_str().unwrap()))
            .collect()
    };
    assert_eq!(values(&pools[0]), ["C=c", "A=common", "B=b"]);
    assert_eq!(values(&pools[1]), ["A=own", "NODE_ROLES=httponly", "B=b"]);
    assert_eq!(values(&pools[2]), ["A=common", "B=b"]);
    assert_eq!(pools[0].update, UpdateType::RollingUpdate);
    assert_eq!(pools[1].update, UpdateType::ReplaceAllOnUpdate);
    assert_eq!(pools[2].update, UpdateType::OnDelete);
    assert_eq!(pools[2].image, "backstay/node:2");
    assert!(pools[0].affinity.is_some() && pools[1].affinity.is_none());
    assert_eq!((pools[0].grace, pools[1].grace), (5, 300));
    let internal: Vec<bool> = pools.iter().map(|pool| pool.is_internal).collect();
    assert_eq!(internal, [true, true, false]);
}

#[test]
fn only_pools() {
    let spec =
        json!({ "nodePools": [{ "name": "a", "spec": { "nodeCount": 1 } }, { "name": "b" }] });
    let pools = pools("c", &spec).unwrap();
    let counts: Vec<usize> = pools.iter().map(|pool| pool.count).collect();
    assert_eq!(counts, [0, 1, 0]);
    assert_eq!(pools[1].update, UpdateType::ReplaceAllOnUpdate);
    assert_eq!(pools[1].image, "backstay/node");
}

/// `getPodsStatus` in `humiocluster_pod_status.go`: rounded down, with a floor of one.
#[test]
fn so_many_pods_are_replaced_at_a_time() {
    for (amount, count, wanted) in [
        (json!(null), 5, 1),
        (json!(0), 5, 1),
        (json!(3), 5, 3),
        (json!("50%"), 1, 1),
        (json!("50%"), 3, 1),
        (json!("50%"), 4, 2),
        (json!("0%"), 9, 1),
        (json!("100%"), 9, 9),
    ] {
        let strategy =
            json!({ "type": "RollingUpdate", "maxUnavailable": amount, "minReadySeconds": 120 });
        let spec = json!({ "nodeCount": count, "updateStrategy": strategy });
        let pool = pools("c", &spec).unwrap().remove(0);
        assert_eq!(pool.max_unavailable, wanted, "{amount} of {count}");
        assert_eq!(pool.min_ready, 120);
    }
}

/// `findDuplicateEnvVars` in `humiocluster_controller.go` looks at one list only.
#[test]
fn a_name_twice_is_refused_in_the_clusters_own_list_only() {
    let twice = json!([{ "name": "A", "value": "1" }, { "name": "A", "value": "2" }]);
    let pool = json!([{ "name": "ui", "spec": { "environmentVariables": twice } }]);
    for spec in [
        json!({ "commonEnvironmentVariables": twice }),
        json!({ "nodePools": pool }),
    ] {
        assert!(pools("c", &spec).is_ok(), "{spec}");
    }
    let why = pools("c", &json!({ "environmentVariables": twice }))
        .unwrap_err()
        .to_string();
    assert!(
        why.contains("spec.environmentVariables: A is there twice"),
        "{why}"
    );
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let variables = |list: Value| json!({ "nodeCount": 1, "environmentVariables": list });
    let pool = |pool: Value| json!({ "nodeCount": 1, "nodePools": [pool] });
    for (spec, wanted) in [
        (json!(null), "spec: missing"),
        (
            json!({ "updateStrategy": { "maxUnavailable": "half" } }),
            "spec.updateStrategy.maxUnavailable: neither a number",
        ),
        (
            json!({ "dataVolumeSource": { "emptyDir": {} },
                "dataVolumePersistentVolumeClaimSpecTemplate": { "accessModes": [] } }),
            "spec.dataVolumeSource: it is there besides",
        ),
        (json!({ "nodeCount": -1 }), "spec.nodeCount: -1"),
        (
            json!({ "nodeCount": 4_000_000_000_u64 }),
            "within 0 and 1000",
        ),
        (
            json!({ "nodeCount": "many" }),
            "spec.nodeCount: invalid type",
        ),
        (
            json!({ "nodeCount": 1, "image": 3 }),
            "spec.image: invalid type",
        ),
        (
            json!({ "nodeCount": 1, "updateStrategy": { "type": "Never" } }),
            "unknown variant `Never`",
        ),
        (
            variables(json!([{ "name": "A", "value": "1" }, { "name": "A", "value": "1" }])),
            "spec.environmentVariables: A is there twice",
        ),
        (
            variables(json!([{ "name": "A", "value": true }])),
            "the value of A is not a text; quote it",
        ),
        (
            variables(json!([{ "value": "x" }])),
            "spec.environmentVariables[0]",
        ),
        (
            variables(json!([{ "name": "A=B" }])),
            "spec.environmentVariables[0]",
        ),
        (variables(json!([3])), "spec.environmentVariables[0]"),
        (
            variables(json!([{ "name": "A", "valueFrom": "secret" }])),
            "valueFrom of A",
        ),
        (
            json!({ "nodeCount": 1, "commonEnvironmentVariables": 1 }),
            "not a list",
        ),
        (
            pool(json!({ "name": "UI", "spec": { "nodeCount": 1 } })),
            "spec.nodePools[0].name: \"UI\"",
        ),
        (
            pool(json!({ "name": "ui", "spec": 3 })),
            "spec.nodePools[0].spec: not an object",
        ),
        (
            pool(json!({ "name": "a".repeat(60), "spec": { "nodeCount": 1 } })),
            "at most 63",
        ),
        (
            json!({ "nodeCount": 1, "nodePools": [
            { "name": "a", "spec": { "nodeCount": 1 } }, { "name": "a", "spec": { "nodeCount": 1 } },
        ] }),
            "spec.nodePools[1].name: a pool \"a\" is there already",
        ),
    ] {
        let why = pools("logscale", &spec).unwrap_err().to_string();
        assert!(why.contains(wanted), "{spec}: {why}");
    }
}

#[test]
fn no_value_of_a_variable_is_told() {
    for spec in [
        json!({ "nodeCount": 1, "environmentVariables": "KEY=hush" }),
        json!({ "nodeCount": 1, "environmentVariables": { "KEY": "hush" } }),
        json!({ "nodeCount": 1, "environmentVariables": ["hush"] }),
        json!({ "nodeCount": 1, "environmentVariables": [{ "name": "KEY", "value": ["hush"] }] }),
        json!({ "nodeCount": 1, "environmentVariables": [{ "name": "KEY", "valueFrom": "hush" }] }),
        json!({ "nodeCount": 1, "commonEnvironmentVariables": "hush" }),
        json!({ "nodeCount": 1, "nodePools": [{ "name": "a", "spec": {
            "nodeCount": 1, "environmentVariablesSource": "hush",
        } }] }),
    ] {
        let why = backstay_report::with_causes(&pools("c", &spec).unwrap_err());
        assert!(!why.contains("hush"), "{why}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z]{0,3}".prop_map(Value::from),
    ];
    let field = prop_oneof![
        Just("nodeCount".to_owned()),
        Just("nodePools".to_owned()),
        Just("name".to_owned()),
        Just("spec".to_owned()),
        Just("environmentVariables".to_owned()),
        Just("updateStrategy".to_owned()),
        Just("dataVolumeSource".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(field.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(spec in any_json()) {
        if let Ok(pools) = pools("c", &spec) {
            prop_assert!(!pools.is_empty());
        }
    }
}
