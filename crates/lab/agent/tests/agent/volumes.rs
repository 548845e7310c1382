//! Volumes: what goes with the pod, what stays, and where it is found.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::region::{World, pod, shell, until};
use backstay_testkit::kubernetes::no_kubectl;

fn with_volumes(name: &str, line: &str) -> Value {
    let mut container = shell(line);
    container["volumeMounts"] = json!([
        { "name": "data", "mountPath": "/data/humio-data" },
        { "name": "scratch", "mountPath": "/scratch" },
        { "name": "token", "mountPath": "/var/run/backstay/admin-token" },
        { "name": "settings", "mountPath": "/etc/settings", "subPath": "sub" },
    ]);
    let mut pod = pod(name, container);
    pod["spec"]["volumes"] = json!([
        { "name": "data", "persistentVolumeClaim": { "claimName": "data" } },
        { "name": "scratch", "emptyDir": {} },
        { "name": "token", "secret": { "secretName": "admin-token" } },
        { "name": "settings", "configMap": {
            "name": "settings", "items": [{ "key": "a", "path": "sub/b" }],
        } },
    ]);
    pod
}

fn claim(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": name, "namespace": "logging" },
        "spec": { "accessModes": ["ReadWriteOnce"] },
    })
}

async fn waits_with(world: &World, wanted: &str) {
    until(wanted, || async {
        let status = world.get("pod first").await["status"].clone();
        let waiting = &status["containerStatuses"][0]["state"]["waiting"];
        let message = waiting["message"].as_str().unwrap_or_default();
        if waiting["reason"] == "ContainerCreating" && message.contains(wanted) {
            Ok(())
        } else {
            Err(status)
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_are_waited_for_and_claims_outlive_pods() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    world.apply(with_volumes("first", "sleep 600")).await;
    waits_with(&world, "persistentvolumeclaim \"data\" not found").await;
    world.until_row("first", ["0/1", "ContainerCreating"]).await;
    world.apply(claim("data")).await;
    waits_with(&world, "secret \"admin-token\" not found").await;
    world
        .kubectl("-n logging create secret generic admin-token --from-literal=token=s3cret")
        .await;
    waits_with(&world, "configmap \"settings\" not found").await;
    world
        .kubectl("-n logging create configmap settings --from-literal=a=b")
        .await;
    world.until_running("first").await;
    let events = world.kubectl("get events").await;
    assert!(
        events.contains("FailedMount") && events.contains("pod/first"),
        "{events}"
    );

    // As written, also in a line of shell; and with files for their owner.
    let token = world
        .exec("first", "cat /var/run/backstay/admin-token/token")
        .await;
    assert_eq!(token, "s3cret");
    assert_eq!(world.exec("first", "cat /etc/settings/b").await, "b");
    let line = "sh -c 'echo kept > /data/humio-data/x; echo gone >/scratch/x; ls /scratch \"/data/humio-data\"'";
    assert!(world.exec("first", line).await.contains('x'));
    let folder = world.agent_folder();
    let uid = world.get("pod first").await["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let file = folder.join("pods").join(&uid).join("volumes/token/token");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    // Another pod, the same claim.
    world.kubectl("delete pod first").await;
    assert!(!folder.join("pods").join(uid).exists());
    world
        .apply(with_volumes("second", "cat /data/humio-data/x; sleep 600"))
        .await;
    world.until_running("second").await;
    let kept = world
        .exec("second", "sh -c 'cat /data/humio-data/x; ls /scratch'")
        .await;
    assert_eq!(kept, "kept\n");

    // The claim is deleted under the pod, which keeps its data until it is gone; another claim of
    // the same name is empty.
    let uid = world.get("pvc data").await["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let volume: PathBuf = folder.join("claims").join(uid);
    world.kubectl("delete pvc data").await;
    world.apply(claim("data")).await;
    world.apply(claim("unused")).await;
    assert_eq!(
        world.exec("second", "cat /data/humio-data/x").await,
        "kept\n"
    );
    world
        .kubectl("delete pod second --force --grace-period=0")
        .await;
    until("the volume is gone", || async {
        if volume.exists() {
            Err(volume.clone())
        } else {
            Ok(())
        }
    })
    .await;
    world.apply(with_volumes("third", "sleep 600")).await;
    world.until_running("third").await;
    let empty = world.exec("third", "ls /data/humio-data").await;
    assert_eq!(empty, "");
    world.stop().await;
}
