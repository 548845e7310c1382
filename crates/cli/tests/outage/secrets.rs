//! No token and no key is where somebody who may not have it could see it: not in what the control
//! half logs and shows at its most talkative, nor in what it leaves behind in the cluster.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use backstay_lab::region::Azurite;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::control::command;
use crate::ended::{is_failed_over, operator};
use crate::marks::watch;
use crate::world::{Logs, World, no_kubectl};

/// What is shorter is a name.
const SHORTEST: usize = 16;
const TELLING: (&str, &str) = ("BACKSTAY_LOG", "debug");

/// Every secret of a lab, in each form in which it goes over a wire.
fn secrets(world: &World) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for context in ["aks-primary", "aks-secondary"] {
        let text = world.shell(&format!(
            "kubectl --context {context} get secrets --all-namespaces -o json"
        ));
        let read: Value = serde_json::from_str(&text).unwrap();
        for secret in read["items"].as_array().unwrap() {
            let data = secret["data"].as_object().into_iter().flatten();
            // A certificate is shown to whoever connects.
            for (_, value) in data.filter(|(key, _)| !key.ends_with(".crt")) {
                let encoded = value.as_str().unwrap();
                let plain = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
                all.insert(encoded.to_owned());
                // A private key may be shown with other line breaks.
                all.extend(
                    plain
                        .lines()
                        .filter(|it| !it.starts_with("---"))
                        .map(str::to_owned),
                );
            }
        }
    }
    all.extend(read(&world.place().arm_token()));
    for side in ["primary", "secondary"] {
        let api = world.lab().join(side).join("api");
        for entry in std::fs::read_dir(api).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == "token") {
                all.extend(read(&path));
            }
        }
    }
    all.retain(|it| it.len() >= SHORTEST);
    all
}

fn read(path: &Path) -> Option<String> {
    Some(std::fs::read_to_string(path).unwrap().trim().to_owned())
}

fn look(secrets: &BTreeSet<String>, place: &str, text: &str) {
    assert!(!text.is_empty(), "{place} says nothing");
    let shown: Vec<&String> = secrets.iter().filter(|it| text.contains(*it)).collect();
    let around = shown.iter().map(|it| {
        let line = text.lines().find(|line| line.contains(it.as_str()));
        line.unwrap_or_default()
            .chars()
            .take(400)
            .collect::<String>()
    });
    let around: Vec<String> = around.collect();
    assert!(shown.is_empty(), "{place} shows {shown:?}: {around:#?}");
}

fn told(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    format!("{out}\n{err}")
}

#[test]
fn the_control_half_shows_no_secret() {
    if no_kubectl() {
        return;
    }
    let azurite = Azurite::for_tests().unwrap();
    let world = World::up(azurite.as_ref().map_or(Logs::Folders, Logs::In));
    let secrets = secrets(&world);
    assert!(secrets.len() > 10, "{}", secrets.len());
    let run = |arguments: &[&str], codes: &[i32]| {
        let output = command(&world, arguments).envs([TELLING]).output().unwrap();
        let said = told(&output);
        look(&secrets, &arguments.join(" "), &said);
        let code = output.status.code().unwrap();
        assert!(codes.contains(&code), "{arguments:?}: {code}: {said}");
    };
    let watch = watch(&world, "watch", &[TELLING]);
    let healthy = watch.until_state("healthy");
    run(&["status"], &[0, 3]);
    run(&["failover", "--dry-run"], &[3]);
    world.done(&["lab", "kill-region", "primary"]);
    let status = watch.until_state("failed-over");
    is_failed_over(&world, &status);
    run(&["status", "--output", "json"], &[0, 3]);
    run(&["failover", "--log-format", "json"], &[0]);
    for (place, text) in [
        ("the watch's log", watch.log()),
        ("its metrics", watch.metrics()),
        ("its status in peace", healthy.to_string()),
        ("its status", status.to_string()),
        ("its command line", watch.command_line()),
        ("the operator", operator(&world).to_string()),
        (
            "the events",
            world.shell("kubectl --context aks-secondary get events --all-namespaces -o yaml"),
        ),
        (
            "the lease",
            world.shell("kubectl --context aks-secondary -n logging get leases -o yaml"),
        ),
    ] {
        look(&secrets, place, &text);
    }
    assert!(watch.log().contains("DEBUG"), "it was to be talkative");
    watch.end();
    world.down();
}
