//! Each command killed at each of its steps, and gone on with by another: it ends the same.

use std::os::unix::process::ExitStatusExt as _;

use backstay_runbook::{Choices, Command, steps};
use serde_json::Value;

use crate::control::{command, json};
use crate::sender::Sender;
use crate::state::{CLEAN, FAILBACK, come_back, done, fail_over, same, state};
use crate::world::{Logs, World, no_kubectl};

/// The steps that are sure to act, whenever they are come to: the others may find that it is so.
fn acts(command: Command) -> &'static [&'static str] {
    match command {
        Command::Promote => &["pools", "environment", "dedicated-routing"],
        Command::Failback => &[
            "alert-off",
            "paused",
            "primary-stopped",
            "secondary-stopped",
            "primary-snapshots-deleted",
            "primary-started",
            "failover-closed",
            "endpoint-on",
            "alert-on",
            "unpaused",
        ],
        Command::CleanSecondary => &[
            "strimzi-stopped",
            "kafka-gone",
            "kafka-state-deleted",
            "strimzi-started",
            "standby-shape",
            "snapshots-deleted",
        ],
    }
}

/// Where it is killed, in the order in which it comes there.
fn points(which: Command) -> Vec<String> {
    let mut points = Vec::new();
    for step in steps(which, Choices::default()) {
        if acts(which).contains(&step.id.as_str()) {
            points.extend(["before", "after"].map(|it| format!("runbook.{}.{it}", step.id)));
        }
        points.push(format!("runbook.{}.recorded", step.id));
    }
    points
}

/// The run that is not over.
fn unfinished(world: &World) -> Option<String> {
    let (runs, _) = json(world, &["runs", "list"]);
    let mut all = runs["runs"].as_array().unwrap().iter();
    let open = all.find(|it| !["done", "aborted"].contains(&it["state"].as_str().unwrap()));
    Some(open?["run"].as_str().unwrap().to_owned())
}

/// Runs it to its end, killed at each point on the way.
fn through(world: &World, which: Command, begin: &[&str]) -> Value {
    let points = points(which);
    let mut run: Option<String> = None;
    for point in &points {
        let resume;
        let arguments: &[&str] = match &run {
            None => begin,
            Some(run) => {
                resume = ["runs", "resume", run.as_str(), "--yes", "--take-over"];
                &resume
            }
        };
        let output = command(world, arguments)
            .env("BACKSTAY_KILL_AT", point)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.signal(),
            Some(9),
            "{point}: {:?}\n{said}",
            output.status.code()
        );
        run = unfinished(world);
        assert!(run.is_some(), "{point}: nothing is on record");
    }
    let run = run.unwrap();
    done(world, &["runs", "resume", &run, "--yes", "--take-over"])
}

#[test]
fn killed_at_each_step_and_resumed_it_ends_the_same() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    let mut client = Sender::start(&world);
    client.flow(20);
    let mut ends: Vec<[Value; 3]> = Vec::new();
    for killed in [false, true] {
        fail_over(&world);
        client.flow(20);
        let play = |which, begin: &[&str]| {
            let report = match killed {
                true => through(&world, which, begin),
                false => done(&world, begin),
            };
            assert_eq!(report["state"], "done");
            state(&world)
        };
        let promoted = play(Command::Promote, &["promote", "--yes"]);
        client.flow(20);
        come_back(&world);
        let back = play(Command::Failback, FAILBACK);
        client.flow(20);
        let clean = play(Command::CleanSecondary, CLEAN);
        ends.push([promoted, back, clean]);
    }
    let [uncut, killed] = [&ends[0], &ends[1]];
    // In the first round the primary had not recovered from anything yet.
    same(&uncut[0]["secondary"], &killed[0]["secondary"], "promoted");
    same(&uncut[1], &killed[1], "failed back");
    same(&uncut[2], &killed[2], "clean");
    assert!(client.check() >= 80);
    world.down();
}
