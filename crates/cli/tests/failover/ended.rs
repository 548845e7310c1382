//! What holds when a failover is over.

use backstay_pair::Side::Secondary;
use serde_json::Value;

use crate::control::{arm, endpoint};
use crate::world::{World, region};

/// Whether the primary's endpoint is disabled, by the Resource Manager's own word.
pub fn disabled(world: &World) -> bool {
    endpoint(world)["properties"]["endpointStatus"] == "Disabled"
}

/// Enables the primary's endpoint, as `terraform apply` on the primary would: by a PUT of all of it.
pub fn enable(world: &World) {
    let target = endpoint(world)["properties"]["target"].clone();
    let body = serde_json::json!({ "properties": {
        "target": target, "endpointStatus": "Enabled", "priority": 1,
    } });
    arm(world, "PUT", Some(&body.to_string()));
}

/// The standby's operator.
pub fn operator(world: &World) -> Value {
    let text =
        world.shell("kubectl --context aks-secondary -n logging get deploy humio-operator -o json");
    serde_json::from_str(&text).unwrap()
}

/// All that a failover promises, once it is over.
pub fn is_failed_over(world: &World, status: &Value) {
    assert_eq!(status["state"], "failed-over", "{status:#}");
    assert_eq!(status["term"], "secondary", "{status:#}");
    assert_eq!(status["endpoint"], "disabled", "{status:#}");
    assert_eq!(status["run"]["done"], true, "{status:#}");
    assert_eq!(
        status["pending_failures"],
        Value::Array(vec![]),
        "{status:#}"
    );
    world.until_status(|status| {
        let address = status["name_resolves_to"].as_str().unwrap_or("nowhere");
        let ingress = region(status, Secondary)["ingress"].as_str();
        ingress.is_some_and(|it| it.contains(address))
    });
    assert!(disabled(world));
    let operator = operator(world);
    assert_eq!(operator["spec"]["replicas"], 1);
    let run = status["run"]["id"].as_str().unwrap();
    let annotations = &operator["metadata"]["annotations"];
    let mark = annotations["logscale.dr/failover-run"].as_str().unwrap();
    assert!(mark.starts_with("done ") && mark.ends_with(run), "{mark}");
    assert!(annotations["logscale.dr/degraded-since-epoch"].is_null());
    let code = world.ask(
        Secondary,
        "/api/v1/status",
        "-o /dev/null -w '%{http_code}'",
    );
    world.until(&code, |status| status == "200");
}
