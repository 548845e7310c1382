//! A failover that a person wants.

use crate::control::{endpoint, json, run};
use crate::world::{Logs, World, no_kubectl};

const MARKS: &str = "kubectl --context aks-secondary -n logging get deploy humio-operator \
                     -o jsonpath='{.metadata.annotations.logscale\\.dr/failover-run} {.spec.replicas}'";

fn codes(picture: &serde_json::Value) -> Vec<&str> {
    let reasons = picture["reasons"].as_array().unwrap();
    reasons
        .iter()
        .map(|it| it["code"].as_str().unwrap())
        .collect()
}

#[test]
fn it_says_what_speaks_against_it_and_a_person_can_overrule_that() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    world.until_status(|status| status["regions"][0]["view"]["status"] == 200);
    let before = world.shell(MARKS);
    let (told, code) = json(&world, &["failover", "--dry-run"]);
    assert_eq!((&told["done"], code), (&false.into(), 3), "{told:#}");
    assert_eq!(codes(&told["picture"]), ["primary-answers"], "{told:#}");
    let (told, code) = json(&world, &["failover"]);
    assert_eq!((&told["done"], code), (&false.into(), 3), "{told:#}");
    assert_eq!(world.shell(MARKS), before, "nothing was changed");
    // What there is not, and what nobody may overrule.
    for over in ["nonsense", "run-in-progress"] {
        let output = run(&world, &["failover", "--over", over]);
        assert_eq!(output.status.code(), Some(2), "{over}");
    }
    // An operator's word stands against everybody's.
    let annotate = "kubectl --context aks-secondary -n logging annotate deploy humio-operator";
    world.shell(&format!("{annotate} logscale.dr/paused='a rehearsal'"));
    let (told, code) = json(&world, &["failover", "--over", "primary-answers"]);
    assert_eq!(code, 3, "{told:#}");
    assert_eq!(codes(&told["picture"])[0], "paused", "{told:#}");
    let (status, code) = json(&world, &["status"]);
    assert_eq!(
        (&status["state"], code),
        (&"paused".into(), 3),
        "{status:#}"
    );
    world.shell(&format!("{annotate} logscale.dr/paused-"));

    let over = "primary-answers,not-yet-sure,holdoff-running,still-trusted,too-few-witnesses";
    let (told, code) = json(&world, &["failover", "--over", over, "--dry-run"]);
    assert_eq!((&told["dry_run"], code), (&true.into(), 0), "{told:#}");
    assert_eq!(world.shell(MARKS), before, "nothing was changed");
    let (told, code) = json(&world, &["failover", "--over", over]);
    assert_eq!((&told["done"], code), (&true.into(), 0), "{told:#}");
    assert!(told["timing"]["after_decision_ms"].is_u64(), "{told:#}");
    assert_eq!(endpoint(&world)["properties"]["endpointStatus"], "Disabled");
    // The living primary is fenced.
    world.until_status(|status| status["regions"][0]["view"]["status"] == 503);
    // Once more, it is done already.
    let (told, code) = json(&world, &["failover"]);
    assert_eq!((&told["done"], code), (&true.into(), 0), "{told:#}");
    world.down();
}

#[test]
fn what_cannot_be_reached_is_said_with_its_name() {
    if no_kubectl() {
        return;
    }
    let world = World::up(Logs::Folders);
    let output = run(&world, &["status", "--pair", "/nowhere/backstay.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("/nowhere/backstay.toml"), "{said}");
    let mut command = crate::control::command(&world, &["failover"]);
    let output = command
        .env("KUBECONFIG", "/nowhere/kubeconfig")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("standby") && said.contains("kubeconfig"),
        "{said}"
    );
    world.down();
}
