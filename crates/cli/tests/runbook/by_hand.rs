//! The manual's own commands, typed with `kubectl` and `curl`, lead to where ours do.

use backstay_pair::{EnvVar, Pair, Side, merge_environment, reverse_recovery};
use serde_json::Value;

use crate::calls::{SUBSCRIPTION, azure};
use crate::control::json;
use crate::sender::Sender;
use crate::state::{ALERT, CLEAN, FAILBACK, come_back, done, fail_over, same, state};
use crate::world::{Logs, World, no_kubectl};

const PODS: &str = "-l app.kubernetes.io/name=humio,app.kubernetes.io/managed-by=humio-operator";

/// A line for a region's cluster.
fn kubectl(world: &World, side: Side, line: &str) -> String {
    let context = backstay_lab::place::context(side);
    world.shell(&format!("kubectl --context {context} -n logging {line}"))
}

fn alert(world: &World, on: bool) {
    let body = format!(r#"{{"properties":{{"enabled":{on}}}}}"#);
    azure(
        world,
        "PATCH",
        &format!("{SUBSCRIPTION}{ALERT}"),
        "2018-03-01",
        &body,
    );
}

fn stop(world: &World, side: Side) {
    kubectl(world, side, "scale deploy humio-operator --replicas=0");
    let context = backstay_lab::place::context(side);
    world.until(
        &format!(
            "kubectl --context {context} -n logging get pods -l app=humio-operator --no-headers"
        ),
        |text| text.trim().is_empty(),
    );
    kubectl(
        world,
        side,
        &format!("delete pods {PODS} --ignore-not-found=true"),
    );
    kubectl(
        world,
        side,
        "wait --for=delete pod -l app.kubernetes.io/name=humio --timeout=180s",
    );
}

fn flush_on_shutdown(world: &World) {
    let result = world.shell(
        r#"HUMIO_POD=$(kubectl --context aks-secondary -n logging get pod -l app.kubernetes.io/name=humio -o jsonpath='{.items[0].metadata.name}')
TOKEN=$(kubectl --context aks-secondary -n logging get secret logscale-admin-token -o jsonpath='{.data.token}' | base64 -d)
kubectl --context aks-secondary -n logging exec "$HUMIO_POD" -- \
  curl -s -X POST http://localhost:8080/graphql \
  -H "Content-Type: application/json" \
  -H "Authorization: Bearer $TOKEN" \
  -d '{"query":"mutation { setDynamicConfig(input: {config: FlushSegmentsAndGlobalOnShutdown, value: \"true\"}) }"}'"#,
    );
    assert!(result.contains(r#""setDynamicConfig":true"#), "{result}");
}

/// The lists of a specification with these variables, as a patch.
fn with_variables(spec: &Value, wanted: &[EnvVar]) -> Value {
    let merged = |list: &Value| -> Value {
        let existing: Vec<EnvVar> = serde_json::from_value(list.clone()).unwrap();
        serde_json::to_value(merge_environment(&existing, wanted)).unwrap()
    };
    let mut pools = spec["nodePools"].clone();
    for pool in pools.as_array_mut().into_iter().flatten() {
        pool["spec"]["environmentVariables"] = merged(&pool["spec"]["environmentVariables"]);
    }
    serde_json::json!({ "spec": {
        "environmentVariables": merged(&spec["environmentVariables"]),
        "nodePools": pools,
    }})
}

fn patch(world: &World, side: Side, patch: &Value) {
    let path = world.lab().join("patch.json");
    std::fs::write(&path, patch.to_string()).unwrap();
    let line = format!(
        "patch humiocluster logscale --type=merge --patch-file {}",
        path.display()
    );
    kubectl(world, side, &line);
}

fn spec(world: &World, side: Side) -> Value {
    let text = kubectl(world, side, "get humiocluster logscale -o json");
    serde_json::from_str::<Value>(&text).unwrap()["spec"].clone()
}

fn failed_back(world: &World) {
    alert(world, false);
    for mark in [
        "degraded-since-epoch",
        "last-seen-down-epoch",
        "last-answered-epoch",
        "unstable-since-epoch",
    ] {
        let line = format!("annotate deployment humio-operator logscale.dr/{mark}- --overwrite");
        kubectl(world, Side::Secondary, &line);
    }
    flush_on_shutdown(world);
    stop(world, Side::Secondary);
    stop(world, Side::Primary);
    std::fs::remove_dir_all(world.place().bucket(Side::Primary).join("globalsnapshots")).unwrap();
    let pair = Pair::read(&world.place().pair(), []).unwrap();
    let reverse = with_variables(&spec(world, Side::Primary), &reverse_recovery(&pair));
    patch(world, Side::Primary, &reverse);
    kubectl(
        world,
        Side::Primary,
        "scale deploy humio-operator --replicas=1",
    );
    world.until(
        "kubectl --context aks-primary -n logging get pods -l app.kubernetes.io/name=humio --no-headers | grep -c 1/1",
        |text| text.trim() == "3",
    );
    // The watch's mark, which the manual does not know.
    kubectl(
        world,
        Side::Secondary,
        "annotate deployment humio-operator logscale.dr/failover-run- --overwrite",
    );
    let endpoint = format!(
        "{SUBSCRIPTION}/resourceGroups/lab-dr/providers/Microsoft.Network/trafficmanagerprofiles/lab-logs/externalEndpoints/primary"
    );
    let on = r#"{"properties":{"endpointStatus":"Enabled"}}"#;
    azure(world, "PATCH", &endpoint, "2022-04-01", on);
    let start = std::time::Instant::now();
    while azure(world, "GET", &endpoint, "2022-04-01", "")["properties"]["endpointMonitorStatus"]
        != "Online"
    {
        assert!(start.elapsed().as_secs() < 120);
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    alert(world, true);
}

fn cleaned(world: &World) {
    for line in [
        "scale deploy humio-operator --replicas=0",
        "delete pods -l app.kubernetes.io/name=humio --ignore-not-found=true",
        "scale deploy strimzi-cluster-operator --replicas=0",
        "delete pods -l strimzi.io/cluster --force --grace-period=0 --ignore-not-found=true",
        "delete pvc -l strimzi.io/cluster --ignore-not-found=true",
        "delete strimzipodset --all --ignore-not-found=true",
    ] {
        kubectl(world, Side::Secondary, line);
    }
    world.until(
        "kubectl --context aks-secondary -n logging get pvc -l strimzi.io/cluster 2>/dev/null | wc -l",
        |text| text.trim() == "0",
    );
    kubectl(
        world,
        Side::Secondary,
        "scale deploy strimzi-cluster-operator --replicas=1",
    );
    world.until(
        "kubectl --context aks-secondary -n logging get pods -l strimzi.io/component-type=kafka --no-headers",
        |text| text.contains("1/1"),
    );
    std::fs::remove_dir_all(
        world
            .place()
            .bucket(Side::Secondary)
            .join("globalsnapshots"),
    )
    .unwrap();
}

#[test]
fn the_manuals_commands_end_where_ours_do() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    let mut client = Sender::start(&world);
    client.flow(20);
    let mut ends = Vec::new();
    for by_hand in [false, true] {
        fail_over(&world);
        client.flow(20);
        come_back(&world);
        match by_hand {
            false => {
                done(&world, FAILBACK);
                done(&world, CLEAN);
            }
            true => {
                failed_back(&world);
                cleaned(&world);
            }
        }
        client.flow(20);
        ends.push(state(&world));
    }
    same(&ends[0], &ends[1], "ours and by hand");
    let (verified, code) = json(&world, &["verify"]);
    assert_eq!(code, 0, "{verified:#}");
    assert!(client.check() >= 60);
    world.down();
}
