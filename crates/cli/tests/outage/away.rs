//! What a failover needs is away for a while: it is waited for, and the rest is done meanwhile.

use std::time::{SystemTime, UNIX_EPOCH};

use backstay_pair::Side::Secondary;
use serde_json::Value;

use crate::arm::{Arm, Door};
use crate::clients::Client;
use crate::control::{json, until};
use crate::ended::{disabled, is_failed_over, operator};
use crate::marks::watch;
use crate::world::{Logs, World, no_kubectl};

fn has_pending_failure(status: &Value, step: &str) -> bool {
    let pending_failures = status["pending_failures"].as_array();
    pending_failures.is_some_and(|all| all.iter().any(|it| it["step"] == step))
}

/// Throttled, broken, then silent: what needs it waits, and nothing else does.
#[test]
fn without_the_resource_manager_the_standby_recovers_and_the_endpoint_is_a_pending_failure() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    let arm = Arm::before(world.status()["arm"].as_str().unwrap());
    let told = [("BACKSTAY_PAIR__TRAFFIC_MANAGER__ARM_ENDPOINT", &*arm.url)];
    let mut client = Client::of_primary(&world);
    client.until_acknowledged(50);
    let watch = watch(&world, "watch", &told);
    watch.until_state("healthy");
    arm.set(Door::Says(429));
    world.done(&["lab", "kill-region", "primary"]);
    until("being throttled", || arm.turned_away() >= 5);
    arm.set(Door::Says(500));
    until("being refused", || arm.turned_away() >= 5);
    arm.set(Door::Hangs);

    // The seal is what keeps two regions from writing, so nobody waits for the endpoint.
    until("the operator at 1", || {
        operator(&world)["spec"]["replicas"] == 1
    });
    world.until(
        &world.ask(
            Secondary,
            "/api/v1/status",
            "-o /dev/null -w '%{http_code}'",
        ),
        |code| code == "200",
    );
    let status = watch.until("the pending failure", |status| {
        has_pending_failure(status, "disable")
    });
    assert_eq!(status["state"], "failing-over", "{status:#}");
    assert_eq!(status["run"]["done"], false, "{status:#}");
    assert!(!disabled(&world));
    // However long it takes: the run does not end without.
    watch.rounds_pass(2, |status| status["state"] == "failing-over");
    assert!(!disabled(&world));

    arm.set(Door::Open);
    is_failed_over(&world, &watch.until_state("failed-over"));
    assert!(client.check(&world) >= 50);
    watch.end();
    world.down();
}

/// Without the standby's API nothing can be agreed upon, so nothing is begun.
#[test]
fn without_the_standbys_api_nothing_begins_before_it_is_back() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    let mut client = Client::of_primary(&world);
    client.until_acknowledged(50);
    let watch = watch(&world, "watch", &[]);
    watch.until_state("healthy");
    world.done(&["lab", "partition", "secondary"]);
    world.done(&["lab", "kill-region", "primary"]);
    let unreachable = |status: &Value| {
        let reasons = status["reasons"].as_array();
        reasons.is_some_and(|all| all.iter().any(|it| it["code"] == "standby-api-unreachable"))
    };
    watch.until("the standby out of reach", unreachable);
    let (status, code) = json(&world, &["status"]);
    assert_eq!(code, 3, "{status:#}");
    assert!(unreachable(&status), "{status:#}");
    watch.rounds_pass(3, |status| {
        unreachable(status) && status["state"] == "suspect" && status["run"].is_null()
    });
    assert!(!disabled(&world));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    world.done(&["lab", "restore", "secondary"]);
    let status = watch.until_state("failed-over");
    is_failed_over(&world, &status);
    let began = status["run"]["began"].as_u64().unwrap();
    assert!(began >= now.as_secs(), "{began}, restored at {now:?}");
    assert!(client.check(&world) >= 50);
    watch.end();
    world.down();
}
