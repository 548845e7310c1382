//! Two operators, and a run that was taken from one.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::control::{HANG, command, json};
use crate::state::{CLEAN, FAILBACK, come_back, fail_over, same, serving, state};
use crate::world::{World, no_kubectl};

fn signal(pid: u32, what: &str) {
    let told = std::process::Command::new("kill")
        .args([what, &pid.to_string()])
        .status();
    assert!(told.unwrap().success());
}

/// Waits until the only run is past this step, and says its name.
fn past(world: &World, id: &str) -> String {
    let start = Instant::now();
    loop {
        let (runs, _) = json(world, &["runs", "list"]);
        if let Some(run) = runs["runs"].as_array().and_then(|it| it.first()) {
            let steps = run["steps"].as_array().unwrap();
            let step = steps.iter().find(|it| it["id"] == id).unwrap();
            if ["done", "already"].contains(&step["state"].as_str().unwrap()) {
                return run["run"].as_str().unwrap().to_owned();
            }
        }
        assert!(start.elapsed() < HANG, "{runs:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn begin(mut command: Command) -> Child {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn stands_still(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The state is behind the name, which is in parentheses.
    stat.rsplit(") ").next().unwrap().starts_with('T')
}

/// A command that stands still at this point.
fn frozen(world: &World, arguments: &[&str], point: &str) -> Child {
    let mut command = command(world, arguments);
    command.env("BACKSTAY_STOP_AT", point);
    let child = begin(command);
    let start = Instant::now();
    while !stands_still(child.id()) {
        assert!(start.elapsed() < HANG, "it does not come to stand still");
        std::thread::sleep(Duration::from_millis(50));
    }
    child
}

/// It thaws, and changes nothing more. Answers with how it ends.
fn thaws(world: &World, mut child: Child, what: &str) -> ExitStatus {
    let ended = state(world);
    signal(child.id(), "-CONT");
    let status = child.wait().unwrap();
    same(&state(world), &ended, what);
    status
}

/// The only run that is not over.
fn open_run(world: &World) -> String {
    let (runs, _) = json(world, &["runs", "list"]);
    let runs = runs["runs"].as_array().unwrap();
    let open = runs.iter().find(|run| run["state"] == "running").unwrap();
    open["run"].as_str().unwrap().to_owned()
}

/// An operator is frozen at the last place before a step acts, when all looks are behind him. Another
/// takes the run over and ends it; then the first one thaws.
#[test]
fn whoever_thaws_in_the_middle_of_an_act_does_not_do_it() {
    if no_kubectl() {
        return;
    }
    let world = serving();
    for point in [
        // It would stop the primary, which serves again.
        "runbook.primary-stopped.before",
        // It would delete the snapshots of a primary that has written new ones.
        "runbook.primary-snapshots-deleted.before",
    ] {
        fail_over(&world);
        come_back(&world);
        let first = frozen(&world, FAILBACK, point);
        let run = open_run(&world);
        let (told, code) = json(&world, &["runs", "resume", &run, "--yes", "--take-over"]);
        assert_eq!(code, 0, "{point}: {told:#}");
        assert_eq!(thaws(&world, first, point).code(), Some(1), "{point}");
        let (told, code) = json(&world, CLEAN);
        assert_eq!(code, 0, "{point}: {told:#}");
    }
    world.down();
}

/// The same for a failover: it would take the journal from a primary that is home again.
#[test]
fn a_failover_that_thaws_after_the_failback_takes_nothing_over() {
    if no_kubectl() {
        return;
    }
    let world = serving();
    world.done(&["lab", "kill-region", "primary"]);
    let first = frozen(&world, &["failover"], "failover.seal.before");
    // Another goes on with it, once the lease has run out.
    let (told, code) = json(&world, &["failover"]);
    assert_eq!(code, 0, "{told:#}");
    come_back(&world);
    let (told, code) = json(&world, FAILBACK);
    assert_eq!(code, 0, "{told:#}");
    assert!(!thaws(&world, first, "after the failover that thawed").success());
    // The primary holds the term, or this would be refused.
    let (told, code) = json(&world, CLEAN);
    assert_eq!(code, 0, "{told:#}");
    world.down();
}

#[test]
fn of_two_operators_one_runs_it_and_whoever_was_taken_over_does_nothing_more() {
    if no_kubectl() {
        return;
    }
    let world = serving();
    fail_over(&world);
    come_back(&world);
    let first = begin(command(&world, FAILBACK));
    let run = past(&world, "alert-off");
    // It is held where it stands, as by a laptop that was closed.
    signal(first.id(), "-STOP");
    // Another cannot begin one beside it, nor go on with it while its lease is good.
    let (told, code) = json(&world, FAILBACK);
    assert_eq!(code, 3, "{told:#}");
    assert!(
        told["next"].as_str().unwrap().contains("runs resume"),
        "{told:#}"
    );
    let lease = world.shell("kubectl --context aks-secondary -n logging get lease");
    assert!(lease.contains("backstay-failover"), "{lease}");
    let (told, code) = json(&world, &["runs", "resume", &run, "--yes", "--take-over"]);
    assert_eq!(code, 0, "{told:#}");
    assert_eq!(told["state"], "done");
    let status = thaws(&world, first, "after the one that was taken over");
    assert_eq!(status.code(), Some(1));
    let (told, _) = json(&world, &["runs", "show", &run]);
    assert_eq!(told["state"], "done");
    world.down();
}

#[test]
fn a_run_that_died_can_be_gone_on_with_once_its_lease_has_run_out() {
    if no_kubectl() {
        return;
    }
    let world = serving();
    fail_over(&world);
    let output = command(&world, &["promote", "--yes"])
        .env("BACKSTAY_KILL_AT", "runbook.pools.after")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), None, "{output:?}");
    let (runs, _) = json(&world, &["runs", "list"]);
    let run = runs["runs"][0]["run"].as_str().unwrap().to_owned();
    assert_eq!(runs["runs"][0]["state"], "running");
    let (told, code) = json(&world, &["runs", "resume", &run, "--yes"]);
    assert_eq!(
        (code, &told["state"]),
        (0, &Value::from("done")),
        "{told:#}"
    );
    // One that is over is not gone on with, and not given up.
    for what in ["resume", "abort"] {
        let (told, code) = json(&world, &["runs", what, &run]);
        assert_eq!(code, 3, "{told:#}");
    }
    world.down();
}
