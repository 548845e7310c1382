//! A primary that dies, is cut off, or freezes; and comes back.

use serde_json::Value;

use crate::clients::Client;
use crate::control::{HOLDOFF, Watch, command, until_json};
use crate::ended::{disabled, enable, is_failed_over};
use crate::world::{Logs, World, no_kubectl};

/// Clients that are served, and a watch that sees it.
fn in_peace(world: &World) -> (Client, Watch) {
    let client = Client::of_primary(world);
    assert!(client.takes("before"));
    let watch = Watch::start(world, "watch", &[]);
    watch.until_state("healthy");
    (client, watch)
}

#[test]
fn a_killed_primary_is_failed_over_and_gets_nothing_back_by_accident() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    let (mut client, watch) = in_peace(&world);
    watch.until_metric("backstay_verify_able 1");
    world.done(&["lab", "kill-region", "primary"]);
    is_failed_over(&world, &watch.until_state("failed-over"));
    let events = world.shell("kubectl --context aks-secondary -n logging get events");
    for reason in ["HoldoffStarted", "FailoverStarted", "FailoverFinished"] {
        assert!(events.contains(reason), "{reason}: {events}");
    }
    let metrics = watch.metrics();
    for line in [
        "backstay_failover_state{state=\"failed-over\"} 1",
        "backstay_failover_secondary_holds_term 1",
        "backstay_failover_primary_endpoint_enabled 0",
        "backstay_failover_pending_failures 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }

    // The primary is back, as if nothing had been; it is fenced and gets no traffic.
    world.done(&["lab", "restore", "primary"]);
    world.until_status(|status| {
        let primary = crate::world::region(status, backstay_pair::Side::Primary);
        primary["view"]["api"] == true && primary["view"]["status"] == 503
    });
    is_failed_over(&world, &watch.status());
    until_json(&world, &["status"], |status, code| {
        status["state"] == "failed-over" && code == 0
    });

    // Somebody enables its endpoint, as `terraform apply` on the primary would: by a PUT of all of
    // it. It is disabled again, and said so.
    enable(&world);
    let start = std::time::Instant::now();
    while !disabled(&world) {
        assert!(
            start.elapsed() < std::time::Duration::from_secs(120),
            "it stays enabled"
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    world.until(
        "kubectl --context aks-secondary -n logging get events",
        |events| events.contains("EndpointReopened"),
    );
    assert!(client.check(&world) > 0);
    watch.end();
    world.down();
}

#[test]
fn a_primary_that_is_cut_off_and_lives_acknowledges_nothing_that_is_lost() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    let (mut client, watch) = in_peace(&world);
    world.done(&["lab", "partition", "primary"]);
    is_failed_over(&world, &watch.until_state("failed-over"));
    client.until_refused();
    let said = client.status();
    assert!(
        said.contains("503") && said.to_lowercase().contains("fenced"),
        "{said}"
    );
    world.done(&["lab", "restore", "primary"]);
    assert!(client.check(&world) > 0);
    is_failed_over(&world, &watch.until_state("failed-over"));
    world.down();
}

#[test]
fn a_primary_that_froze_and_thaws_after_the_failover_acknowledges_nothing() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    let (mut client, watch) = in_peace(&world);
    world.done(&["lab", "freeze", "primary"]);
    is_failed_over(&world, &watch.until_state("failed-over"));
    world.done(&["lab", "restore", "primary"]);
    client.until_refused();
    assert!(client.check(&world) > 0);
    is_failed_over(&world, &watch.until_state("failed-over"));
    world.down();
}

#[test]
fn a_primary_that_crash_loops_is_not_waited_for_for_ever() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    // No outage of it lasts as long as the holdoff, and it never answers for long either.
    let told = [
        (HOLDOFF, "20"),
        ("BACKSTAY_PAIR__FAILOVER__RECOVERED_SECONDS", "10"),
        ("BACKSTAY_PAIR__FAILOVER__CRASH_LOOP_SECONDS", "30"),
    ];
    let watch = Watch::start(&world, "watch", &told);
    watch.until_state("healthy");
    let mut answers = 0;
    let status = loop {
        world.done(&["lab", "kill-region", "primary"]);
        let down = watch.until("an outage that is noticed", |status| {
            ["holding", "failing-over", "failed-over"]
                .contains(&status["state"].as_str().unwrap_or_default())
        });
        if down["state"] != "holding" {
            break watch.until_state("failed-over");
        }
        // In time for another answer, or not: the bound may be reached meanwhile.
        world.done(&["lab", "restore", "primary"]);
        let next = watch.until("an answer, or the end of patience", |status| {
            ["resolved", "failing-over", "failed-over"]
                .contains(&status["state"].as_str().unwrap_or_default())
        });
        if next["state"] != "resolved" {
            break watch.until_state("failed-over");
        }
        answers += 1;
    };
    assert!(answers > 1, "it was to answer several times");
    is_failed_over(&world, &status);
    let log = watch.log();
    assert!(log.contains("is not waited for"), "{log}");
    world.down();
}

/// The rules of `deploy/kubernetes/watch.yaml`, as that file has them.
fn written(rules: &[backstay_kubeapi::Rule]) -> String {
    let list = |texts: &[&str]| {
        let quoted: Vec<String> = texts.iter().map(|it| format!("\"{it}\"")).collect();
        format!("[{}]", quoted.join(", "))
    };
    let lines = rules.iter().map(|rule| {
        format!(
            "  - apiGroups: {}\n    resources: {}\n    verbs: {}\n",
            list(rule.groups),
            list(rule.resources),
            list(rule.verbs)
        )
    });
    format!("rules:\n{}---\n", lines.collect::<String>())
}

#[test]
fn the_permissions_that_are_deployed_are_enough() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/kubernetes/watch.yaml"
    );
    let deployed = std::fs::read_to_string(path).unwrap();
    let rules = written(backstay_kubeapi::Role::FAILOVER.rules);
    assert!(deployed.contains(&rules), "{path} has not\n{rules}");
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    // It has no way into the primary's cluster, and in the secondary's it may do so much and no more.
    let api = world.lab().join("secondary/api");
    let token = |role: &str| std::fs::read_to_string(api.join(format!("{role}.token"))).unwrap();
    let kubeconfig = std::fs::read_to_string(world.place().kubeconfig()).unwrap();
    assert!(kubeconfig.contains(token("admin").trim()));
    let less = kubeconfig
        .replace(token("admin").trim(), token("failover").trim())
        .replace("aks-primary", "nowhere");
    let path = world.lab().join("less.kubeconfig");
    std::fs::write(&path, less).unwrap();
    // What it is verified with is no more.
    let mut verify = command(&world, &["verify", "--output", "json"]);
    let output = verify.env("KUBECONFIG", &path).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told:#}");
    world.done(&["lab", "kill-region", "primary"]);
    let mut failover = command(&world, &["failover", "--output", "json"]);
    let output = failover.env("KUBECONFIG", &path).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.code(), Some(0), "{told:#}");
    assert_eq!(told["done"], true);
    is_failed_over(&world, &told["status"]);
    let events = world.shell("kubectl --context aks-secondary -n logging get events");
    assert!(events.contains("FailoverFinished"), "{events}");
    world.down();
}
