//! The manual's own commands, typed with `kubectl` and `curl`, lead to where ours do.

use backstay_pair::Side;

use crate::calls::{SUBSCRIPTION, azure};
use crate::control::json;
use crate::hand::{flush_on_shutdown, kubectl, start_from_the_secondary, stop};
use crate::sender::Sender;
use crate::state::{ALERT, CLEAN, FAILBACK, come_back, done, fail_over, same, state};
use crate::world::{Logs, World, no_kubectl};

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
    start_from_the_secondary(world);
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
