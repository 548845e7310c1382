//! Steps of the manual's failback as a person types them, with `kubectl`.

use backstay_pair::{EnvVar, Pair, Side, merge_environment, reverse_recovery};
use serde_json::Value;

use crate::world::World;

const PODS: &str = "-l app.kubernetes.io/name=humio";

/// A line for a region's cluster.
pub fn kubectl(world: &World, side: Side, line: &str) -> String {
    let context = backstay_lab::place::context(side);
    world.shell(&format!("kubectl --context {context} -n logging {line}"))
}

/// Step 5b-1: the secondary writes everything down when it stops.
pub fn flush_on_shutdown(world: &World) {
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

/// Steps 5b-2 and 5d: the operator stops, and then its pods, which its going does not take along.
pub fn stop(world: &World, side: Side) {
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
        &format!(
            "delete pods {PODS},app.kubernetes.io/managed-by=humio-operator --ignore-not-found=true"
        ),
    );
    kubectl(
        world,
        side,
        &format!("wait --for=delete pod {PODS} --timeout=180s"),
    );
}

/// Steps 5e, 5f and 5h: only the primary's snapshots are deleted, the reverse recovery variables are
/// merged into every list of its HumioCluster, and it is started.
pub fn start_from_the_secondary(world: &World) {
    let bucket = world.place().bucket(Side::Primary);
    std::fs::remove_dir_all(bucket.join("globalsnapshots")).unwrap();
    reverse(world);
    kubectl(
        world,
        Side::Primary,
        "scale deploy humio-operator --replicas=1",
    );
    world.until(
        &format!(
            "kubectl --context aks-primary -n logging get pods {PODS} --no-headers | grep -c 1/1"
        ),
        |text| text.trim() == "3",
    );
}

fn reverse(world: &World) {
    let pair = Pair::read(&world.place().pair(), []).unwrap();
    let wanted = reverse_recovery(&pair);
    let text = kubectl(world, Side::Primary, "get humiocluster logscale -o json");
    let spec: Value = serde_json::from_str::<Value>(&text).unwrap()["spec"].clone();
    let merged = |list: &Value| -> Value {
        let existing: Vec<EnvVar> = serde_json::from_value(list.clone()).unwrap();
        serde_json::to_value(merge_environment(&existing, &wanted)).unwrap()
    };
    let mut pools = spec["nodePools"].clone();
    for pool in pools.as_array_mut().unwrap() {
        pool["spec"]["environmentVariables"] = merged(&pool["spec"]["environmentVariables"]);
    }
    let patch = serde_json::json!({ "spec": {
        "environmentVariables": merged(&spec["environmentVariables"]),
        "nodePools": pools,
    }});
    let path = world.lab().join("reverse.json");
    std::fs::write(&path, patch.to_string()).unwrap();
    let line = format!(
        "patch humiocluster logscale --type=merge --patch-file {}",
        path.display()
    );
    kubectl(world, Side::Primary, &line);
}
