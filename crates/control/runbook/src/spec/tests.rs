#![allow(clippy::unwrap_used)]

use backstay_pair::{Derived, Dr, EnvVar, EnvironmentField, Pair, Side, derive};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{SpecError, asleep, grown, rolling, with_environment};

fn pair() -> Pair {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../deploy/backstay.example.toml"
    );
    let mut pair = Pair::read(path.as_ref(), []).unwrap();
    // As the manual types it; the vendor's list has tests of its own below.
    pair.secondary.environment_field = EnvironmentField::Own;
    pair
}

fn active() -> Derived {
    let pair = pair();
    derive(&pair, Side::Secondary, Dr::Active, true).keep_recovery(&pair)
}

fn standby() -> Derived {
    derive(&pair(), Side::Secondary, Dr::Standby, false)
}

/// A standby as a pair's own manifests make it, and with what somebody has added by hand.
fn there() -> Value {
    let mut environment = serde_json::to_value(standby().cluster_environment()).unwrap();
    let more = json!([
        { "name": "HUMIO_OPTS", "value": "-Xmx2g" },
        { "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
        { "name": "NODE_ROLES", "value": "all" },
    ]);
    environment
        .as_array_mut()
        .unwrap()
        .extend(more.as_array().unwrap().clone());
    json!({
        "image": "humio/humio-core:1.2.3",
        "nodeCount": 1,
        "license": { "secretKeyRef": { "name": "l", "key": "d" } },
        "resources": { "limits": { "memory": "2Gi" } },
        "nodeSelector": { "agentpool": "lsdigestnode" },
        "targetReplicationFactor": 1,
        "autoRebalancePartitions": false,
        "updateStrategy": { "type": "ReplaceAllOnUpdate", "minReadySeconds": 5 },
        "environmentVariables": environment,
    })
}

fn promoted() -> Value {
    let spec = rolling(&there()).unwrap();
    let spec = grown(&spec, &active(), 3).unwrap();
    let wanted = active().cluster_environment();
    with_environment(&spec, &wanted, EnvironmentField::Own).unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    let all = list.as_array().unwrap().iter();
    all.map(|it| it["name"].as_str().unwrap()).collect()
}

fn value<'a>(list: &'a Value, name: &str) -> &'a Value {
    let found = list
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == name);
    &found.unwrap_or_else(|| panic!("{name} is not there"))["value"]
}

#[test]
fn pods_are_replaced_one_by_one_and_nothing_else_changes() {
    let spec = rolling(&there()).unwrap();
    let strategy = json!({ "type": "RollingUpdate", "minReadySeconds": 5 });
    assert_eq!(spec["updateStrategy"], strategy);
    let mut expected = there();
    expected["updateStrategy"] = strategy;
    assert_eq!(spec, expected);
}

#[test]
fn a_promoted_cluster_has_pools_like_its_own_and_keeps_what_it_recovered_from() {
    let spec = promoted();
    assert_eq!(spec["nodeCount"], 3);
    assert_eq!(spec["targetReplicationFactor"], 2);
    assert_eq!(spec["autoRebalancePartitions"], true);
    assert_eq!(spec["license"], there()["license"]);
    let environment = &spec["environmentVariables"];
    assert_eq!(value(environment, "ENABLE_ALERTS"), "true");
    assert_eq!(value(environment, "NODE_ROLES"), "all");
    // The secondary reads its history out of the primary's bucket.
    assert_eq!(
        value(environment, "AZURE_RECOVER_FROM_BUCKET"),
        "primarylogscalecontainer"
    );
    let pools = spec["nodePools"].as_array().unwrap();
    assert_eq!(pools.len(), 2);
    for (pool, name, roles, node) in [
        (&pools[0], "ui", "httponly", "logscale-ui"),
        (&pools[1], "ingest-only", "ingestonly", "logscale-ingest"),
    ] {
        assert_eq!(pool["name"], name);
        let own = &pool["spec"];
        assert_eq!(own["nodeCount"], 2);
        assert_eq!(own["image"], "humio/humio-core:1.2.3");
        assert_eq!(own["resources"], there()["resources"]);
        assert_eq!(own["nodeSelector"], json!({ "k8s-app": node }));
        assert_eq!(own["updateStrategy"]["type"], "RollingUpdate");
        assert!(own.get("license").is_none() && own.get("targetReplicationFactor").is_none());
        assert_eq!(value(&own["environmentVariables"], "NODE_ROLES"), roles);
        assert_eq!(value(&own["environmentVariables"], "ENABLE_ALERTS"), "true");
        assert_eq!(value(&own["environmentVariables"], "HUMIO_OPTS"), "-Xmx2g");
    }
}

/// Pods of the pools would be made twice if their variables followed later.
#[test]
fn pools_that_wait_without_nodes_have_an_active_regions_variables_when_they_get_some() {
    let sleeping = asleep(&promoted(), &standby()).unwrap();
    let pools = |spec: &Value| spec["nodePools"].as_array().unwrap().clone();
    for pool in pools(&sleeping) {
        assert_eq!(pool["spec"]["nodeCount"], 0);
        let environment = &pool["spec"]["environmentVariables"];
        assert_eq!(value(environment, "ENABLE_ALERTS"), "false");
    }
    let awake = grown(&sleeping, &active(), 3).unwrap();
    let wanted = active().cluster_environment();
    let whole = with_environment(&awake, &wanted, EnvironmentField::Own).unwrap();
    assert_eq!(pools(&awake), pools(&whole));
    // Those that have nodes keep what they were made with until all are replaced.
    let again = grown(
        &with_environment(
            &awake,
            &standby().cluster_environment(),
            EnvironmentField::Own,
        )
        .unwrap(),
        &active(),
        3,
    )
    .unwrap();
    for pool in pools(&again) {
        let environment = &pool["spec"]["environmentVariables"];
        assert_eq!(value(environment, "ENABLE_ALERTS"), "false");
    }
}

/// A standby as the vendor's Terraform makes it.
fn vendors() -> (Value, Derived) {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../deploy/backstay.example.toml"
    );
    let pair = Pair::read(path.as_ref(), []).unwrap();
    let derived = derive(&pair, Side::Secondary, Dr::Standby, false);
    let pool = |pool: &backstay_pair::NodePool| json!({ "name": pool.name, "spec": { "nodeCount": 0, "environmentVariables": pool.environment() } });
    let spec = json!({
        "nodeCount": 1,
        "targetReplicationFactor": 1,
        "autoRebalancePartitions": false,
        "commonEnvironmentVariables": derived.cluster_environment(),
        "nodePools": derived.node_pools.iter().map(pool).collect::<Vec<_>>(),
    });
    let active = derive(&pair, Side::Secondary, Dr::Active, true).keep_recovery(&pair);
    (spec, active)
}

#[test]
fn the_vendors_list_is_edited_where_it_is_and_no_second_one_is_made() {
    let (there, active) = vendors();
    let wanted = active.cluster_environment();
    // Whatever the pair's file says: the list that is there.
    for field in [EnvironmentField::Common, EnvironmentField::Own] {
        let spec = with_environment(&there, &wanted, field).unwrap();
        let mut expected = there.clone();
        for variable in expected["commonEnvironmentVariables"]
            .as_array_mut()
            .unwrap()
        {
            if variable["name"] == "ENABLE_ALERTS" {
                variable["value"] = json!("true");
            }
        }
        // Order and all else stay.
        assert_eq!(spec, expected);
        let more = [EnvVar::value("NEW", "1")];
        let spec = with_environment(&there, &more, field).unwrap();
        assert_eq!(
            names(&spec["commonEnvironmentVariables"]).last(),
            Some(&"NEW")
        );
        assert!(spec.get("environmentVariables").is_none());
        assert_eq!(spec["nodePools"], there["nodePools"]);
    }
    // Where somebody has put a variable into a pool's own list, it is changed there.
    let mut moved = there.clone();
    moved["environmentVariables"] = json!([{ "name": "BY_HAND", "value": "0" }]);
    let more = [EnvVar::value("BY_HAND", "1")];
    let spec = with_environment(&moved, &more, EnvironmentField::Common).unwrap();
    assert_eq!(value(&spec["environmentVariables"], "BY_HAND"), "1");
    assert_eq!(
        spec["commonEnvironmentVariables"],
        there["commonEnvironmentVariables"]
    );
}

#[test]
fn a_variable_that_two_lists_have_is_told_unless_they_agree() {
    let (mut there, active) = vendors();
    let wanted = active.cluster_environment();
    there["environmentVariables"] = json!([{ "name": "ENABLE_ALERTS", "value": "false" }]);
    let error = with_environment(&there, &wanted, EnvironmentField::Common).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ENABLE_ALERTS is in spec.commonEnvironmentVariables and, with another value, in \
         spec.environmentVariables, which wins; take it out of one of them"
    );
    there["environmentVariables"][0]["value"] = json!("true");
    with_environment(&there, &wanted, EnvironmentField::Common).unwrap();
}

#[test]
fn a_pool_of_the_vendors_grows_and_is_never_made() {
    let (there, active) = vendors();
    let spec = grown(&there, &active, 3).unwrap();
    for pool in spec["nodePools"].as_array().unwrap() {
        assert_eq!(pool["spec"]["nodeCount"], 2);
    }
    let mut without = there;
    without["nodePools"].as_array_mut().unwrap().pop();
    let error = grown(&without, &active, 3).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the HumioCluster declares no pool \"ingest-only\"; declare"),
        "{error}"
    );
}

#[test]
fn counts_come_before_the_environment() {
    let spec = grown(&there(), &active(), 3).unwrap();
    assert_eq!(
        spec["environmentVariables"],
        there()["environmentVariables"]
    );
}

#[test]
fn a_standby_is_what_it_was_but_for_what_is_nobodys() {
    let spec = asleep(&promoted(), &standby()).unwrap();
    let mut expected = there();
    expected["updateStrategy"]["type"] = json!("RollingUpdate");
    // Pools stay, without nodes.
    let mut pools = promoted()["nodePools"].clone();
    for pool in pools.as_array_mut().unwrap() {
        pool["spec"]["nodeCount"] = json!(0);
        for variable in pool["spec"]["environmentVariables"].as_array_mut().unwrap() {
            if variable["name"] == "ENABLE_ALERTS" {
                variable["value"] = json!("false");
            }
        }
    }
    expected["nodePools"] = pools;
    assert_eq!(spec, expected);
}

#[test]
fn no_name_is_there_twice_in_any_list() {
    let spec = promoted();
    let mut lists = vec![&spec["environmentVariables"]];
    let pools = spec["nodePools"].as_array().unwrap();
    lists.extend(pools.iter().map(|it| &it["spec"]["environmentVariables"]));
    for list in lists {
        let mut all = names(list);
        all.sort_unstable();
        let before = all.len();
        all.dedup();
        assert_eq!(all.len(), before);
    }
}

#[test]
fn what_is_no_specification_is_said_without_a_value() {
    let wrong = json!({ "environmentVariables": "hunter2" });
    let wanted = [EnvVar::value("A", "1")];
    for error in [
        with_environment(&wrong, &wanted, EnvironmentField::Own).unwrap_err(),
        grown(&json!({ "nodePools": 3 }), &active(), 1).unwrap_err(),
        rolling(&json!("hunter2")).unwrap_err(),
        rolling(&json!({ "nodePools": [{ "name": "ui" }] })).unwrap_err(),
    ] {
        let error = backstay_report::with_causes(&error);
        assert!(!error.contains("hunter2"), "{error}");
    }
}

/// What makes one specification of another.
type Change<'a> = &'a dyn Fn(&Value) -> Result<Value, SpecError>;

/// Anything that could stand in a HumioCluster.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-zA-Z_]{0,12}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("nodePools".to_owned()),
        Just("spec".to_owned()),
        Just("name".to_owned()),
        Just("environmentVariables".to_owned()),
        Just("nodeCount".to_owned()),
        "[a-z]{1,6}",
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(name.clone(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_there_each_is_the_same_when_done_again(spec in any_json()) {
        let (active, standby) = (active(), standby());
        let environment = active.cluster_environment();
        let all: [Change<'_>; 5] = [
            &rolling,
            &|spec| grown(spec, &active, 2),
            &|spec| with_environment(spec, &environment, EnvironmentField::Own),
            &|spec| with_environment(spec, &environment, EnvironmentField::Common),
            &|spec| asleep(spec, &standby),
        ];
        for change in all {
            if let Ok(once) = change(&spec) {
                prop_assert_eq!(change(&once).ok(), Some(once.clone()));
            }
        }
    }

    /// Round after round, nothing grows.
    #[test]
    fn promoted_and_put_to_sleep_again_and_again_it_does_not_grow(rounds in 1_usize..4) {
        let (active, standby) = (active(), standby());
        let mut spec = there();
        let mut first = None;
        for _ in 0..rounds {
            spec = grown(&rolling(&spec).unwrap(), &active, 3).unwrap();
            spec = with_environment(&spec, &active.cluster_environment(), EnvironmentField::Own)
                .unwrap();
            spec = asleep(&spec, &standby).unwrap();
            let first = first.get_or_insert_with(|| spec.clone());
            prop_assert_eq!(&spec, first);
        }
    }
}
