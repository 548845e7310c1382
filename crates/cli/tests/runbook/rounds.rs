//! There and back, three times, with a client that never stops.

use serde_json::Value;

use crate::control::{Watch, json};
use crate::sender::Sender;
use crate::state::{CLEAN, FAILBACK, come_back, done, fail_over, same, state, step};
use crate::world::{Logs, World, no_kubectl};

/// The buckets that the newest snapshot of a region names.
fn buckets(world: &World, context: &str) -> Vec<Value> {
    let text = world.until(
        &format!(
            "POD=$(kubectl --context {context} -n logging get pod -l app.kubernetes.io/name=humio,humio.com/node-pool=logscale -o jsonpath='{{.items[0].metadata.name}}'); \
             kubectl --context {context} -n logging exec \"$POD\" -c humio -- cat /data/humio-data/global-data-snapshot.json"
        ),
        |text| serde_json::from_str::<Value>(text).is_ok(),
    );
    let snapshot: Value = serde_json::from_str(&text).unwrap();
    let found = find(&snapshot, "buckets").unwrap_or_else(|| panic!("{snapshot:#}"));
    found.as_array().cloned().unwrap_or_default()
}

fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = value.as_object()?;
    fields
        .get(name)
        .or_else(|| fields.values().find_map(|it| find(it, name)))
}

#[test]
fn three_rounds_lose_nothing_and_leave_nothing_behind() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    let mut client = Sender::start(&world);
    client.flow(50);
    let mut after: Vec<Value> = Vec::new();
    for round in 0..3 {
        fail_over(&world);
        client.flow(50);
        let promoted = done(&world, &["promote", "--yes"]);
        assert_ne!(step(&promoted, "pools")["state"], "pending");
        client.flow(50);
        come_back(&world);
        let back = done(&world, FAILBACK);
        let gap = back["no_writes_ms"].as_u64().unwrap();
        eprintln!("round {round}: no region took writes for {gap} ms, {back:#}");
        client.flow(50);
        done(&world, CLEAN);
        client.flow(50);
        let now = state(&world);
        after.push(now);
        assert_eq!(buckets(&world, "aks-primary").len(), 2, "round {round}");
    }
    same(&after[0], &after[2], "what a round leaves behind grows");
    // The standby is able, and says so itself.
    let (verified, code) = json(&world, &["verify"]);
    assert_eq!(code, 0, "{verified:#}");
    // Each command has left its record; no more than ten that are over are kept.
    let (runs, _) = json(&world, &["runs", "list"]);
    let runs = runs["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 9);
    assert!(runs.iter().all(|it| it["state"] == "done"), "{runs:#?}");
    let watch = Watch::start(&world, "watch", &[("BACKSTAY_VERIFY_EVERY", "0")]);
    watch.until_state("healthy");
    watch.end();
    assert!(client.check() > 600);
    world.down();
}
