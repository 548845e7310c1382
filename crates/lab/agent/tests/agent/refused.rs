//! Pods that make no sense hinder no others.

use serde_json::json;

use crate::region::{World, pod, shell, until};
use backstay_testkit::kubernetes::no_kubectl;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_pod_says_so_and_hinders_nobody() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    let mut wrong = pod("wrong", json!({ "command": ["sleep", "600"] }));
    wrong["spec"]["containers"][0]["env"] = json!("PATH=/bin");
    let mut init = pod("init", shell("sleep 600"));
    init["spec"]["initContainers"] = json!([{ "name": "first", "image": "x" }]);
    let outside = pod(
        "outside",
        json!({ "name": "../../escape", "command": ["sleep", "600"] }),
    );
    let mut unplaced = pod("unplaced", shell("sleep 600"));
    unplaced["spec"].as_object_mut().unwrap().remove("nodeName");
    // The API lets no document in whose types are wrong, not even unvalidated.
    let refusal = world
        .refused(&format!(
            "apply --validate=false -f - <<'END'\n{wrong}\nEND"
        ))
        .await;
    assert!(
        refusal.contains("Container.spec.containers.env of type []v1.EnvVar"),
        "{refusal}"
    );
    for (name, document, why) in [
        ("init", init, "init containers are not supported"),
        (
            "outside",
            outside,
            "container name \"../../escape\" must be",
        ),
    ] {
        // kubectl looks at documents more closely than the server does.
        world
            .kubectl_with("apply --validate=false -f -", &document.to_string())
            .await;
        until(why, || async {
            let status = world.get(&format!("pod {name}")).await["status"].clone();
            let message = status["message"].as_str().unwrap_or_default();
            if message.contains(why) {
                Ok(())
            } else {
                Err(status)
            }
        })
        .await;
    }
    world.until_row("init", ["0/1", "InvalidPod"]).await;
    world.apply(unplaced).await;
    world.apply(pod("right", shell("sleep 600"))).await;
    world.until_running("right").await;
    assert_eq!(world.row("unplaced").await, ["0/1", "Pending", "0"]);

    // What runs is not made nonsense, and can be deleted; so can what never ran.
    world
        .refused(r#"patch pod right --type=json -p '[{"op":"add","path":"/spec/containers/0/env","value":"x"}]'"#)
        .await;
    world.until_row("right", ["1/1", "Running"]).await;
    assert_eq!(world.runtime.groups().len(), 1);
    world
        .kubectl("delete pod right init outside unplaced")
        .await;
    assert_eq!(world.runtime.groups(), [0_i32; 0]);
    world.stop().await;
}
