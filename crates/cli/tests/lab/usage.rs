//! What a lab's commands refuse, at once, and what scripts are told.

use std::io::Read as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::world::{Logs, World, both, no_kubectl};

fn backstay(arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
    command.args(arguments).stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
fn whoever_wants_json_gets_an_object_when_it_fails_too() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("none.toml").display().to_string();
    let lab = folder.path().display().to_string();
    for (arguments, code) in [
        (vec!["status", "--output", "json", "--pair", &nowhere], 1),
        (vec!["failover", "--output=json", "--pair", &nowhere], 1),
        (vec!["lab", "--dir", &lab, "status", "--output", "json"], 1),
        (
            vec!["failover", "--output", "json", "--over", "nonsense"],
            2,
        ),
        (vec!["failover", "--output", "json", "--no-such-flag"], 2),
        (
            vec!["drill", "--output=json", "--report", "/proc/r.html"],
            2,
        ),
    ] {
        let output = backstay(&arguments);
        assert_eq!(output.status.code(), Some(code), "{}", both(&output));
        let told: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", both(&output)));
        assert_eq!(told["ok"], false, "{arguments:?}");
        assert_eq!(told["exit_code"], code, "{arguments:?}");
        assert!(!told["error"].as_str().unwrap().is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_folder_whose_socket_cannot_be_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("x".repeat(100)).display().to_string();
    for up in [&["up"][..], &["up", "--detach"], &["status"]] {
        let output = backstay(&[&["lab", "--dir", &deep][..], up].concat());
        assert_eq!(output.status.code(), Some(2), "{}", both(&output));
        assert!(
            both(&output).contains("nearer to the root"),
            "{}",
            both(&output)
        );
    }
}

#[test]
fn a_command_ends_with_the_parent_that_holds_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_backstay"))
        .args(["--exit-with-parent", "lab", "pause"])
        .env("BACKSTAY_LAB_DIR", folder.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdin.take());
    let mut said = String::new();
    // Ends when the process does.
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
}

#[test]
fn flags_that_a_running_lab_cannot_follow_are_refused_and_a_stopped_one_ends() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    let block = world.place().block;
    let other = format!("--net={}", block + 1);
    for arguments in [
        &["lab", "up", "--detach", &other][..],
        &["lab", &other, "up", "--dry-run"],
    ] {
        let output = world.backstay(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", both(&output));
        assert!(
            both(&output).contains(&format!("127.{block}.0.0/16")),
            "{}",
            both(&output)
        );
    }
    // The same addresses are no contradiction, on either side of the command.
    let same = format!("--net={block}");
    world.done(&["lab", &same, "up", "--detach"]);
    let supervisor = world.supervisor();
    let mut stop = Command::new("kill");
    let stop = stop.args(["-STOP", &supervisor.to_string()]).status();
    assert!(stop.unwrap().success());
    let output = world.backstay(&["lab", "down"]);
    assert!(output.status.success(), "{}", both(&output));
    assert!(
        both(&output).contains("waiting for it to end"),
        "{}",
        both(&output)
    );
    assert!(both(&output).contains("are killed"), "{}", both(&output));
    let gone = world.backstay(&["lab", "up", "--detach"]);
    assert!(
        gone.status.success(),
        "nobody holds it any more: {}",
        both(&gone)
    );
    world.down();
}
