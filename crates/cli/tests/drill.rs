//! The drill as a person or a script runs it: the real binary, with real nodes under it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::process::{Command, Output, Stdio};

use backstay_lab::region::Azurite;
use serde_json::Value;

use crate::world::{Logs, World, no_kubectl};

#[path = "lab/world.rs"]
#[allow(dead_code)]
mod world;

fn backstay() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
    command
        .env_remove("BACKSTAY_LOG")
        .env_remove("BACKSTAY_LOG_FORMAT")
        .stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The one object on standard output. `from_slice` refuses anything behind it.
fn object(output: &Output) -> Value {
    let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{error} in {}\n{}",
            text(&output.stdout),
            text(&output.stderr)
        )
    });
    assert!(value.is_object(), "{value}");
    value
}

/// Runs a drill whose temporary files are in a folder of their own, and checks all that is
/// promised of a good one.
fn good_drill(arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    let work = folder.path().join("tmp");
    std::fs::create_dir(&work).unwrap();
    let output = backstay()
        .args(["drill", "--output", "json", "--report"])
        .arg(&page)
        .args(arguments)
        .env("TMPDIR", &work)
        .output()
        .unwrap();
    let report = object(&output);
    assert_eq!(report["ok"], true, "{report:#}\n{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
    for none in ["lost", "duplicated", "phantom", "rpo_ms"] {
        assert_eq!(report[none], 0, "{none}: {report:#}");
    }
    assert_eq!(report["found"], report["acknowledged"]);
    assert!(
        report["failed_requests"].as_u64().unwrap() > 0,
        "nobody noticed the kill: {report:#}"
    );
    assert_eq!(report["old_primary"]["accepted"], 0);
    let mark = match report["fault"].as_str().unwrap() {
        "freeze" => "frozen",
        "partition" => "cut off",
        "deny-bucket" => "bucket denied",
        _ => "SIGKILL",
    };
    assert!(std::fs::read_to_string(&page).unwrap().contains(mark));
    let left: Vec<_> = std::fs::read_dir(&work)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    report
}

/// What is promised of the whole story, besides what is promised of its beginning.
fn whole_story(report: &Value) {
    assert_eq!(report["promotion_failed_requests"], 0, "{report:#}");
    assert!(report["no_writes_ms"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(report["verified"]["exit_code"], 0, "{report:#}");
    let commands: Vec<&str> = report["runbook"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["command"].as_str().unwrap())
        .collect();
    assert_eq!(commands, ["promote", "failback", "clean-secondary"]);
    let phases: Vec<&str> = report["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| phase["name"].as_str().unwrap())
        .collect();
    for phase in [
        "detection",
        "holdoff",
        "act",
        "recovery",
        "traffic",
        "promote 1",
        "promote 2",
        "failback 1",
        "failback 3",
        "failback: traffic",
        "failback 5",
        "clean-secondary",
        "verify",
    ] {
        assert!(phases.contains(&phase), "{phase}: {phases:?}");
    }
}

#[test]
fn the_whole_story_loses_nothing() {
    let report = good_drill(&["--events", "3000", "--seed", "11"]);
    assert_eq!(report["acknowledged"], 3000);
    assert_eq!(
        (&report["store"], &report["fault"]),
        (&"folder".into(), &"kill".into())
    );
    whole_story(&report);
    // The detection and the holdoff are in the RTO, and can be told from the rest.
    let number = |name: &str| report[name].as_u64().unwrap();
    let parts = number("detection_ms") + number("holdoff_ms") + number("rto_after_decision_ms");
    assert_eq!(parts, number("rto_ms"));
    assert!(number("holdoff_ms") >= 3_000, "{report:#}");
}

#[test]
fn an_operator_who_is_killed_is_followed_by_another() {
    let step = "secondary-stopped";
    let report = good_drill(&["--events", "3000", "--kill-operator-at", step]);
    whole_story(&report);
    assert_eq!(report["runbook"][1]["killed_at"], step);
}

#[test]
fn a_drill_with_the_lines_of_files_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..1_500)
        .map(|at| format!("{at} a line, \"quoted\" \\ and ünïcode\n"))
        .collect();
    std::fs::write(folder.path().join("app.log"), lines).unwrap();
    let logs = folder.path().to_str().unwrap();
    let report = good_drill(&["--until", "failover", "--logs", logs]);
    assert_eq!(report["acknowledged"], 1500);
    assert_eq!(report["runbook"], Value::Array(vec![]));
}

#[test]
fn a_drill_in_azurite_loses_nothing() {
    let Some(azurite) = Azurite::for_tests().unwrap() else {
        return;
    };
    let report = good_drill(&["--events", "3000", "--azurite", azurite.url()]);
    assert_eq!(report["store"], "azurite");
    whole_story(&report);
}

/// Every fault but the default one, as far as it makes a difference.
#[test]
fn whatever_hits_the_primary_nothing_is_lost() {
    let azurite = Azurite::for_tests().unwrap();
    for fault in ["freeze", "partition", "deny-bucket", "slow-bucket"] {
        let mut arguments = vec!["--events", "2000", "--until", "failover", "--fault", fault];
        if fault.ends_with("bucket") {
            let Some(azurite) = &azurite else { continue };
            arguments.extend(["--azurite", azurite.url()]);
        }
        assert_eq!(good_drill(&arguments)["fault"], fault);
    }
}

/// A pair that is no lab of the drill's own: here it is a lab too, and the drill must not know.
#[test]
fn on_a_pair_the_story_is_played_through_its_doors() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    let file = world.lab().join("backstay.toml");
    let drill = |arguments: &[&str]| {
        backstay()
            .args(["drill", "--output", "json", "--events", "2000", "--against"])
            .arg(&file)
            .args(arguments)
            .env("KUBECONFIG", world.place().kubeconfig())
            .env(
                "BACKSTAY_AZURE_TOKEN_FILE",
                world.lab().join("arm-token.txt"),
            )
            .env("BACKSTAY_DNS", world.place().dns().to_string())
            .env("BACKSTAY_PAIR__FAILOVER__PRE_FAILOVER_FAILURE_SECONDS", "2")
            .output()
            .unwrap()
    };
    let ingress = "kubectl --context aks-primary -n logging-ingress get deploy ingress-nginx-controller \
                   -o jsonpath='{.spec.replicas}'";
    // Nobody is there to be asked, so nothing is begun.
    let asked = drill(&[]);
    assert_eq!(asked.status.code(), Some(4), "{}", text(&asked.stderr));
    assert!(
        text(&asked.stderr).contains("--yes"),
        "{}",
        text(&asked.stderr)
    );

    let output = drill(&["--yes"]);
    let report = object(&output);
    assert_eq!(report["ok"], true, "{report:#}\n{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(report["fault"], "ingress");
    assert_eq!(report["found"], 2000);
    assert_eq!(
        (&report["segments"], &report["old_primary"]),
        (&Value::Null, &Value::Null)
    );
    assert!(text(&output.stderr).contains("now: scale the primary's ingress to 0"));
    assert_eq!(world.shell(ingress).trim(), "1");
    world.down();
}

/// A pair whose standby is not able is not put to the test.
#[test]
fn a_pair_whose_standby_is_not_able_is_left_alone() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    world.shell("kubectl --context aks-secondary -n logging delete humiocluster logscale");
    let output = backstay()
        .args(["drill", "--output", "json", "--yes", "--against"])
        .arg(world.lab().join("backstay.toml"))
        .env("KUBECONFIG", world.place().kubeconfig())
        .env(
            "BACKSTAY_AZURE_TOKEN_FILE",
            world.lab().join("arm-token.txt"),
        )
        .env("BACKSTAY_DNS", world.place().dns().to_string())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let told = object(&output);
    assert!(
        told["error"].as_str().unwrap().contains("backstay verify"),
        "{told}"
    );
    world.down();
}

#[test]
fn a_drill_that_cannot_begin_is_one_object_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let output = backstay()
        .args([
            "drill",
            "--output",
            "json",
            "--azurite",
            "http://127.0.0.1:1",
        ])
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let report = object(&output);
    assert_eq!(report["ok"], false);
    assert!(
        report["error"]
            .as_str()
            .unwrap()
            .contains("is Azurite running there"),
        "{report}"
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is Azurite running there"));
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = |format: &str| {
        let arguments = [
            "drill",
            "--dry-run",
            "--events",
            "5000",
            "--seed",
            "3",
            "--output",
            format,
        ];
        backstay()
            .args(arguments)
            .env("TMPDIR", folder.path())
            .output()
            .unwrap()
    };
    let (people, script) = (run("text"), run("json"));
    assert!(
        text(&people.stdout).contains("SIGKILL"),
        "{}",
        text(&people.stdout)
    );
    assert!(text(&people.stdout).contains("5000 events out of generated log lines (seed 3)"));
    assert_eq!(object(&script)["dry_run"], true);
    assert_eq!(
        (people.status.code(), script.status.code()),
        (Some(0), Some(0))
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn bad_usage_is_exit_code_2_and_says_what_is_wrong() {
    for (arguments, says) in [
        (vec!["drill", "--events", "5"], "1000"),
        (vec!["drill", "--fault", "deny-bucket"], "--azurite"),
        (
            vec!["drill", "--kill-operator-at", "fly"],
            "environment-ready",
        ),
        (
            vec![
                "drill",
                "--until",
                "failover",
                "--kill-operator-at",
                "pools",
            ],
            "no such command",
        ),
        (vec!["drill", "--yes"], "--against"),
        (
            vec!["drill", "--report", "/no/such/folder/r.html"],
            "/no/such/folder",
        ),
        (
            vec!["node", "--roles", "some", "--bucket-folder", "/tmp/x"],
            "_",
        ),
        (vec!["fly"], "fly"),
    ] {
        let output = backstay().args(&arguments).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        assert!(
            text(&output.stderr).contains(says),
            "{}",
            text(&output.stderr)
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_node_without_a_bucket_says_which_variables_to_set() {
    let output = backstay().arg("node").env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(
        error.contains("LOCAL_STORAGE_PATH") && error.contains("AZURE_STORAGE_BUCKET"),
        "{error}"
    );
}

#[test]
fn completions_are_a_script() {
    let output = backstay().args(["completions", "bash"]).output().unwrap();
    assert!(text(&output.stdout).contains("_backstay()"));
    assert_eq!(output.status.code(), Some(0));
}

/// The last watchdog of a child: when the parent's end of the pipe closes, it ends.
#[test]
fn a_node_ends_when_its_parent_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = backstay()
        .args([
            "node",
            "--exit-with-parent",
            "--port",
            "0",
            "--bind",
            "127.0.0.1",
            "--bucket-folder",
        ])
        .arg(folder.path().join("bucket"))
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .env("LOCAL_STORAGE_ENCRYPTION_KEY", "a key for this test alone")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pipe = node.stdin.take();
    assert!(node.try_wait().unwrap().is_none(), "it ended at once");
    drop(pipe);
    assert_eq!(node.wait().unwrap().code(), Some(1));
}
