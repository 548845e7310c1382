//! What a container gets from its pod, secrets and config maps.

use serde_json::{Value, json};

use crate::region::{World, pod, pod_with, shell, until};
use backstay_testkit::kubernetes::no_kubectl;

async fn waiting(world: &World, pod: &str, reason: &str) -> String {
    until(&format!("{pod} waits for {reason}"), || async {
        let status = world.get(&format!("pod {pod}")).await;
        let waiting = status["status"]["containerStatuses"][0]["state"]["waiting"].clone();
        if waiting["reason"] == reason {
            Ok(waiting["message"].as_str().unwrap_or_default().to_owned())
        } else {
            Err(status["status"].clone())
        }
    })
    .await
}

fn secret(name: &str, key: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": name, "namespace": "logging" },
        "stringData": { key: value },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_missing_is_waited_for() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    let mut container = shell("sleep 600");
    container["env"] = json!([
        { "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "account", "key": "key" } } },
    ]);
    world.apply(pod("needs", container)).await;
    let message = waiting(&world, "needs", "CreateContainerConfigError").await;
    assert_eq!(message, "secret \"account\" not found");
    let log = world.refused("logs needs").await;
    assert!(
        log.contains("is waiting to start: CreateContainerConfigError"),
        "{log}"
    );

    world.apply(secret("account", "other", "x")).await;
    until("the key is missed", || async {
        let message = waiting(&world, "needs", "CreateContainerConfigError").await;
        match message.as_str() {
            "couldn't find key key in Secret logging/account" => Ok(()),
            _ => Err(message),
        }
    })
    .await;
    world.apply(secret("account", "key", "s3cret")).await;
    world.until_running("needs").await;
    assert_eq!(world.exec("needs", "printenv KEY").await, "s3cret\n");
    assert_eq!(world.row("needs").await[2], "0");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_come_from_where_the_pod_says_and_nowhere_else() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    world.apply(secret("account", "key", "s3cret")).await;
    world
        .apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "settings", "namespace": "logging" },
            "data": { "A": "from map", "PORT": "1" },
        }))
        .await;
    let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
    let mut container = shell("echo at $(MISSING) $(URL); sleep 600");
    container["envFrom"] = json!([{ "configMapRef": { "name": "settings" } }]);
    container["env"] = json!([
        { "name": "IP", "valueFrom": field("status.podIP") },
        { "name": "NODE", "valueFrom": field("spec.nodeName") },
        { "name": "NAME", "valueFrom": field("metadata.name") },
        { "name": "PORT", "value": "8080" },
        { "name": "URL", "value": "http://$(IP):$(PORT)" },
        { "name": "DIR", "value": "/data/humio-data" },
        { "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "account", "key": "key" } } },
    ]);
    container["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    let spec = json!({
        "serviceAccountName": "function",
        "volumes": [{ "name": "data", "emptyDir": {} }],
    });
    world.apply(pod_with("vars", container, spec)).await;
    world.until_running("vars").await;
    let status = world.get("pod vars").await;
    let address = status["status"]["podIP"].as_str().unwrap().to_owned();
    let printed = world.exec("vars", "env").await;
    let has = |line: &str| {
        assert!(
            printed.lines().any(|found| found == line),
            "{line}: {printed}"
        )
    };
    has(&format!("IP={address}"));
    has("NODE=aks-pool-0");
    has("NAME=vars");
    has("HOSTNAME=vars");
    has("A=from map");
    has("PORT=8080");
    has(&format!("URL=http://{address}:8080"));
    has("KEY=s3cret");
    let folder = world.agent_folder().canonicalize().unwrap();
    let uid = status["metadata"]["uid"].as_str().unwrap();
    has(&format!(
        "DIR={}/pods/{uid}/volumes/data/humio-data",
        folder.display()
    ));
    // Nothing of ours, such as what cargo sets for its tests.
    assert!(std::env::var("CARGO_PKG_NAME").is_ok());
    assert!(!printed.contains("CARGO_"), "{printed}");
    // What stands in no variable stays as it is, and the shell makes of it what it will.
    let log = world.kubectl("logs vars").await;
    assert!(log.ends_with(&format!("http://{address}:8080\n")), "{log}");

    // The account's kubeconfig, with its role.
    let inside = world.exec("vars", "kubectl get pods -o name").await;
    assert_eq!(inside, "pod/vars\n");
    let refused = world.refused("exec vars -- kubectl get secrets").await;
    assert!(
        refused.contains("User \"dr-function\" cannot list"),
        "{refused}"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_programs() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    world
        .apply(pod("known", json!({ "image": "backstay/pause:9" })))
        .await;
    world
        .apply(pod("unknown", json!({ "image": "nginx:1" })))
        .await;
    world
        .apply(pod("missing", json!({ "command": ["no-such-program"] })))
        .await;
    world.until_running("known").await;
    let message = waiting(&world, "unknown", "ErrImagePull").await;
    assert!(
        message.contains("\"nginx:1\"") && message.contains("backstay/pause"),
        "{message}"
    );
    world.until_row("unknown", ["0/1", "ErrImagePull"]).await;
    until("it does not start", || async {
        let status = world.get("pod missing").await;
        let last = status["status"]["containerStatuses"][0]["lastState"]["terminated"].clone();
        let why = last["message"].as_str().unwrap_or_default();
        let said = why.contains("\"no-such-program\": executable file not found in $PATH");
        if last["reason"] == "StartError" && said {
            Ok(())
        } else {
            Err(status["status"].clone())
        }
    })
    .await;
    // The image is what may be changed in a pod.
    world
        .kubectl("patch pod unknown -p '{\"spec\":{\"containers\":[{\"name\":\"humio\",\"image\":\"backstay/pause\"}]}}'")
        .await;
    world.until_running("unknown").await;
    world.stop().await;
}
