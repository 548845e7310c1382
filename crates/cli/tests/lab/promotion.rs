//! A promotion by hand loses not one request: while a standby that serves everything with one pod
//! becomes an active region, clients of the global name ask all the time.

use backstay_pair::Side::Secondary;
use serde_json::{Value, json};

use crate::crowd::Crowd;
use crate::runbook::{failed_over, provisioned};
use crate::world::{Logs, World, no_kubectl};

const KUBECTL: &str = "kubectl --context aks-secondary -n logging";
/// Requests between two steps.
const FLOW: u64 = 200;

#[test]
fn a_promotion_loses_not_one_request() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    provisioned(&world);
    failed_over(&world);
    let crowd = begin(&world);

    // Phase 1: shared routing, so that any pod may answer; the strategy, pools, counts; then the
    // environment, which replaces every pod.
    for service in ["ui", "ingest"] {
        select(
            &world,
            service,
            &json!({ "app.kubernetes.io/name": "humio" }),
        );
    }
    patch(&world, rolling);
    crowd.flow(FLOW);
    assert_eq!(pods(&world).len(), 1, "the strategy replaces nothing");
    let first = pods(&world);
    patch(&world, |spec| {
        spec["nodePools"] = json!([
            pool(spec, "ui", "httponly"),
            pool(spec, "ingest", "ingestonly")
        ]);
    });
    settled(&world, 3);
    assert!(pods(&world).contains(&first[0]), "it serves on");
    crowd.say("pools");
    crowd.flow(FLOW);
    patch(&world, alerts_on);
    settled(&world, 3);
    assert!(!pods(&world).contains(&first[0]), "all are replaced");
    crowd.say("environment");
    crowd.flow(FLOW);

    // Phase 2: each service selects its own pool.
    for pool in ["ui", "ingest"] {
        select(
            &world,
            pool,
            &json!({ "humio.com/node-pool": format!("logscale-{pool}") }),
        );
        crowd.flow(FLOW);
    }
    crowd.say("dedicated routing");
    crowd.check();
    world.down();
}

/// Without pools of its own the one pod cannot be replaced without another beside it: the number
/// of nodes is one more until all are replaced.
#[test]
fn a_single_pod_is_replaced_beside_another_one() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    provisioned(&world);
    failed_over(&world);
    let crowd = begin(&world);
    patch(&world, |spec| {
        rolling(spec);
        spec["nodeCount"] = json!(2);
    });
    settled(&world, 2);
    crowd.say("one more");
    crowd.flow(FLOW);
    patch(&world, alerts_on);
    settled(&world, 2);
    crowd.say("environment");
    crowd.flow(FLOW);
    patch(&world, |spec| spec["nodeCount"] = json!(1));
    settled(&world, 1);
    crowd.say("one less");
    crowd.flow(FLOW);
    select(&world, "ui", &json!({ "humio.com/node-pool": "logscale" }));
    crowd.flow(FLOW);
    crowd.check();
    world.down();
}

fn begin(world: &World) -> Crowd {
    let crowd = Crowd::start(world, Secondary);
    crowd.flow(FLOW);
    crowd.say("before");
    crowd
}

fn rolling(spec: &mut Value) {
    spec["updateStrategy"] = json!({ "type": "RollingUpdate" });
}

/// A pool with the environment that the cluster's own has now.
fn pool(spec: &Value, name: &str, roles: &str) -> Value {
    let mut environment = spec["environmentVariables"].clone();
    set(&mut environment, "NODE_ROLES", roles);
    json!({ "name": name, "spec": {
        "image": spec["image"],
        "nodeCount": 1,
        "updateStrategy": { "type": "RollingUpdate" },
        "nodeSelector": { "agentpool": format!("ls{name}node") },
        "environmentVariables": environment,
    }})
}

fn alerts_on(spec: &mut Value) {
    set(&mut spec["environmentVariables"], "ENABLE_ALERTS", "true");
    for pool in spec["nodePools"].as_array_mut().unwrap() {
        set(
            &mut pool["spec"]["environmentVariables"],
            "ENABLE_ALERTS",
            "true",
        );
    }
}

fn set(environment: &mut Value, name: &str, value: &str) {
    let variables = environment.as_array_mut().unwrap();
    let known = variables.iter_mut().find(|it| it["name"] == name);
    known.unwrap()["value"] = json!(value);
}

fn patch(world: &World, change: impl Fn(&mut Value)) {
    let text = world.shell(&format!("{KUBECTL} get humiocluster logscale -o json"));
    let mut document: Value = serde_json::from_str(&text).unwrap();
    change(&mut document["spec"]);
    let path = world.lab().join("promotion.json");
    std::fs::write(&path, json!({ "spec": document["spec"] }).to_string()).unwrap();
    world.shell(&format!(
        "{KUBECTL} patch humiocluster logscale --type=merge --patch-file {}",
        path.display()
    ));
}

/// Waits until the operator has done what was last wanted of it, with so many pods.
fn settled(world: &World, count: usize) {
    world.until(
        &format!("{KUBECTL} get humiocluster logscale -o json"),
        |text| {
            let document: Value = serde_json::from_str(text).unwrap_or_default();
            let (status, generation) = (&document["status"], &document["metadata"]["generation"]);
            status["state"] == "Running"
                && status["nodeCount"] == count
                && status["observedGeneration"].as_str() == Some(&generation.to_string())
        },
    );
}

fn pods(world: &World) -> Vec<String> {
    let names = world.shell(&format!(
        "{KUBECTL} get pods -l app.kubernetes.io/name=humio -o name"
    ));
    names.lines().map(str::to_owned).collect()
}

fn select(world: &World, service: &str, selector: &Value) {
    // As `kubectl patch --type=json` of the manual: the whole selector at once.
    let change = json!([{ "op": "replace", "path": "/spec/selector", "value": selector }]);
    world.shell(&format!(
        "{KUBECTL} patch svc logscale-{service}-cip --type=json -p '{change}'"
    ));
}
