//! What can be done to a lab, and that it comes back or leaves nothing.

use std::process::Command;

use backstay_lab::region::Azurite;
use backstay_lab::up::sweep::processes;
use backstay_pair::Side::{Primary, Secondary};
use serde_json::Value;

use crate::world::{Logs, World, no_kubectl, region};

fn answers(status: &Value, code: u16) -> bool {
    region(status, Primary)["view"]["status"] == code
}

fn ready(status: &Value) -> bool {
    [Primary, Secondary]
        .into_iter()
        .all(|side| region(status, side)["missing"].is_null())
}

#[test]
fn regions_are_killed_cut_off_and_frozen_and_come_back() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    let primary = |status: &Value| region(status, Primary)["endpoint"][1].clone();
    for (disaster, says) in [
        ("kill-region", "killed"),
        ("partition", "partitioned"),
        ("freeze", "frozen"),
    ] {
        world.until_status(|status| ready(status) && primary(status) == "Online");
        world.done(&["lab", disaster, "primary"]);
        let status = world.until_status(|status| primary(status) == "Degraded");
        let of = region(&status, Primary);
        assert_eq!(of["disasters"][0], says, "{status:#}");
        assert_eq!(of["view"]["api"], false, "{disaster}: {status:#}");
        let table = world.done(&["lab", "status"]);
        assert!(table.contains(says), "{table}");
        // The other one does not care.
        world.shell("kubectl --context aks-secondary -n logging get deploy humio-operator");
        world.done(&["lab", "restore", "primary"]);
    }
    world.until_status(|status| ready(status) && answers(status, 200));
    // A region that is frozen ends with its lab.
    world.done(&["lab", "freeze", "primary"]);
    world.down();
}

/// What a lab consists of, one after the other; and the lab itself.
#[test]
fn each_part_that_is_killed_comes_back_and_a_killed_lab_leaves_nothing() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    let status = world.until_status(ready);
    let parts = status["parts"].as_array().unwrap();
    for part in parts {
        let pid = part["pid"].as_u64().unwrap();
        kill(pid);
        world.until_status(|status| {
            let parts = status["parts"].as_array().unwrap();
            let same = parts.iter().find(|it| it["name"] == part["name"]).unwrap();
            same["pid"].is_u64() && same["pid"] != pid && ready(status) && answers(status, 200)
        });
    }
    // An event from before is still there; so is everything else, after a whole new start.
    let supervisor = supervisor(&world);
    kill(supervisor);
    let start = std::time::Instant::now();
    while !processes(&world.lab()).is_empty() {
        assert!(
            start.elapsed().as_secs() < 60,
            "left behind by a killed lab: {:?}",
            processes(&world.lab())
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let output = world.backstay(&["lab", "status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("backstay lab up"));
    world.start(Logs::Folders);
    world.until_status(|status| ready(status) && answers(status, 200));
    world.down();
}

fn kill(pid: u64) {
    let killed = Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status();
    assert!(killed.unwrap().success());
}

/// The process that holds the others: the parent of any of them.
fn supervisor(world: &World) -> u64 {
    let status = world.status();
    let part = status["parts"][0]["pid"].as_u64().unwrap();
    let text = std::fs::read_to_string(format!("/proc/{part}/stat")).unwrap();
    let (_, behind) = text.rsplit_once(')').unwrap();
    behind.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A bucket that answers the primary with 403: its processes live and acknowledge nothing.
#[test]
fn a_bucket_can_be_denied_to_its_region_or_slow() {
    let Some(azurite) = Azurite::for_tests().unwrap() else {
        return;
    };
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::In(&azurite));
    world.until_status(|status| ready(status) && answers(status, 200));
    world.done(&["lab", "slow-bucket", "primary", "--millis", "100"]);
    world.until_status(|status| answers(status, 200));
    world.done(&["lab", "deny-bucket", "primary"]);
    world.until_status(|status| !answers(status, 200));
    world.done(&["lab", "restore"]);
    world.until_status(|status| ready(status) && answers(status, 200));
    world.down();
}

#[test]
fn a_folder_has_no_wire_to_be_cut_and_a_dry_run_does_nothing() {
    let world = World::up(Logs::Folders);
    let output = world.backstay(&["lab", "deny-bucket", "primary"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("Azurite"), "{error}");
    for command in [
        vec!["lab", "kill-region", "primary", "--dry-run"],
        vec!["lab", "down", "--dry-run"],
        vec!["lab", "restore", "--dry-run"],
    ] {
        world.done(&command);
    }
    world.until_status(|status| ready(status) && answers(status, 200));
    let kubeconfig = world.done(&["lab", "kubeconfig"]);
    assert_eq!(
        kubeconfig.trim(),
        world.place().kubeconfig().display().to_string()
    );
    let second = world.backstay(&["lab", "up"]);
    assert_eq!(second.status.code(), Some(1));
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(error.contains("already"), "{error}");
    world.down();
}
