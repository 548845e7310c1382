//! What a command refuses, and what it says to do instead.

use crate::control::{json, run};
use crate::state::{CLEAN, FAILBACK, fail_over, same, serving, state};
use crate::world::{World, no_kubectl};

/// Refused, with a command to type, and nothing changed.
fn refuses(world: &World, arguments: &[&str], expected: i32, why: &str) {
    let before = state(world);
    let (told, code) = json(world, arguments);
    assert_eq!(code, expected, "{arguments:?}: {told:#}");
    assert_eq!(told["ok"], false);
    let error = told["error"].as_str().unwrap_or_default();
    assert!(error.contains(why), "{arguments:?}: {why}: {told:#}");
    let next = told["next"].as_str().unwrap_or_default();
    assert!(
        ["backstay", "kubectl", "--yes"]
            .iter()
            .any(|it| next.contains(it)),
        "{arguments:?}: nothing to do next: {told:#}"
    );
    same(&state(world), &before, &format!("{arguments:?}"));
}

#[test]
fn what_cannot_be_done_now_is_refused_with_what_to_do() {
    if no_kubectl() {
        return;
    }
    let world = serving();
    // In peace there is nothing to promote, to fail back, or to clean.
    refuses(&world, &["promote", "--yes"], 3, "does not hold the term");
    refuses(&world, FAILBACK, 3, "there is nothing to fail back");
    let (told, code) = json(&world, &["promote", "--dry-run"]);
    assert_eq!((code, &told["dry_run"]), (3, &true.into()), "{told:#}");

    fail_over(&world);
    // Without a word of a person nothing is destroyed.
    refuses(
        &world,
        &["failback"],
        4,
        "asks before what cannot be undone",
    );
    refuses(
        &world,
        &["clean-secondary"],
        4,
        "asks before what cannot be undone",
    );
    // The primary has not got the term back: the secondary is all that there is.
    refuses(&world, CLEAN, 3, "the primary does not hold the term");

    // Its region is dark.
    let (told, code) = json(&world, FAILBACK);
    assert_eq!(code, 3, "{told:#}");
    assert_eq!(told["state"], "refused");
    assert!(
        told["next"].as_str().unwrap().contains("kubectl"),
        "{told:#}"
    );
    assert!(
        told["error"]
            .as_str()
            .unwrap()
            .contains("primary-reachable"),
        "{told:#}"
    );
    // While that one is not over, there is no other.
    refuses(&world, &["promote", "--yes"], 3, "is not over");
    // The alert stays off until it is gone on with or given up; it says how to undo that.
    let run_name = told["run"].as_str().unwrap();
    let output = run(&world, &["runs", "abort", run_name]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("alert-off stays") && said.contains("--enabled true"),
        "{said}"
    );

    let (told, code) = json(&world, &["runs", "show", "nothing"]);
    assert_eq!(code, 3, "{told:#}");
    let (told, code) = json(&world, &["runs", "resume", "nothing"]);
    assert_eq!(code, 3, "{told:#}");
    world.down();
}

/// Printed without a pair in reach, and the same for people.
#[test]
fn a_plan_asks_nobody() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/backstay.example.toml"
    );
    for (command, step) in [
        ("promote", "dedicated-routing"),
        ("failback", "primary-snapshots-deleted"),
        ("clean-secondary", "verified"),
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_backstay"))
            .args([command, "--plan", "--pair", file])
            .env("KUBECONFIG", "/nowhere")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(step), "{text}");
    }
}
