//! Containers that end.

use serde_json::json;

use crate::region::{World, pod, pod_with, shell, until};
use backstay_testkit::kubernetes::no_kubectl;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_looks_like_one() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    world
        .apply(pod(
            "crash",
            shell("echo run; echo to stderr >&2; sleep 0.1; exit 3"),
        ))
        .await;
    world.until_row("crash", ["0/1", "CrashLoopBackOff"]).await;
    let status = until("a third restart", || async {
        let status = world.get("pod crash").await["status"]["containerStatuses"][0].clone();
        let waits = status["state"]["waiting"]["reason"] == "CrashLoopBackOff";
        match status["restartCount"].as_u64() {
            Some(3..) if waits => Ok(status),
            _ => Err(status),
        }
    })
    .await;
    let message = status["state"]["waiting"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("back-off ") && message.contains("container=humio pod=crash_logging("),
        "{message}"
    );
    let last = &status["lastState"]["terminated"];
    assert_eq!(
        (&last["exitCode"], &last["reason"]),
        (&json!(3), &json!("Error"))
    );
    let phase = world.get("pod crash").await["status"]["phase"].clone();
    assert_eq!(phase, "Running");

    let told = until("an event", || async {
        let told = world.kubectl("describe pod crash").await;
        if told.contains("BackOff") {
            Ok(told)
        } else {
            Err(told)
        }
    })
    .await;
    assert!(
        told.contains("Exit Code:    3") && told.contains("Warning"),
        "{told}"
    );
    let previous = world.kubectl("logs crash --previous").await;
    assert!(previous == "run\nto stderr\n", "{previous}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_says_what_is_started_again() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    let never = json!({ "restartPolicy": "Never" });
    let on_failure = json!({ "restartPolicy": "OnFailure" });
    let twice = shell("test -e /data/once && exit 0; touch /data/once; exit 1");
    let mut twice = pod_with("twice", twice, on_failure);
    twice["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "d", "mountPath": "/data" }]);
    twice["spec"]["volumes"] = json!([{ "name": "d", "emptyDir": {} }]);
    for pod in [
        pod_with("done", shell("echo done"), never.clone()),
        pod_with("failed", shell("exit 4"), never.clone()),
        pod_with("killed", shell("kill -9 $$$$"), never),
        twice,
        pod("always", shell("exit 0")),
    ] {
        world.apply(pod).await;
    }
    world.until_row("done", ["0/1", "Completed"]).await;
    world.until_row("failed", ["0/1", "Error"]).await;
    world.until_row("killed", ["0/1", "Error"]).await;
    world.until_row("twice", ["0/1", "Completed"]).await;
    world.until_row("always", ["0/1", "CrashLoopBackOff"]).await;
    let killed = world.get("pod killed").await;
    let state = &killed["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(state["exitCode"], 137);
    for (pod, phase) in [
        ("done", "Succeeded"),
        ("failed", "Failed"),
        ("twice", "Succeeded"),
    ] {
        assert_eq!(
            world.get(&format!("pod {pod}")).await["status"]["phase"],
            phase
        );
    }
    assert_eq!(world.row("twice").await[2], "1");
    assert_eq!(world.kubectl("logs done").await, "done\n");
    // Whoever has ended needs no grace.
    world.kubectl("delete pod done failed killed twice").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_has_started_ends_with_it() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    // In its group; in a session of its own; and without its variables, but in its group.
    let long = format!("600.{}", std::process::id());
    let line =
        format!("sleep {long} & setsid sleep {long} & env -i sleep {long} & sleep 0.3; exit 1");
    let never = json!({ "restartPolicy": "Never" });
    world.apply(pod_with("parent", shell(&line), never)).await;
    world.until_row("parent", ["0/1", "Error"]).await;
    let left = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            arguments
                .split(|byte| *byte == 0)
                .any(|argument| argument == long.as_bytes())
        });
    assert_eq!(left.count(), 0);
    assert_eq!(world.runtime.groups(), [0_i32; 0]);

    // Two containers: each has its own run, both have the pod's address.
    let mut two = pod("two", shell("sleep 600"));
    two["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({
            "name": "side", "image": "x", "command": ["sh", "-c", "exit 1"],
        }));
    world.apply(two).await;
    world.until_row("two", ["1/2", "CrashLoopBackOff"]).await;
    assert_eq!(
        world.kubectl("exec two -c humio -- echo here").await,
        "here\n"
    );
    world.stop().await;
}
