//! How pods end.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::region::{World, pod, pod_with, processes_marked, shell, until};
use backstay_testkit::kubernetes::no_kubectl;

async fn claimed(world: &World, name: &str, line: &str, grace: u64) -> PathBuf {
    world
        .apply(json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": name, "namespace": "logging" },
            "spec": { "accessModes": ["ReadWriteOnce"] },
        }))
        .await;
    let mut container = shell(line);
    container["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    let spec = json!({
        "terminationGracePeriodSeconds": grace,
        "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": name } }],
    });
    world.apply(pod_with(name, container, spec)).await;
    let claim = world.get(&format!("pvc {name}")).await;
    let uid = claim["metadata"]["uid"].as_str().unwrap().to_owned();
    world.agent_folder().join("claims").join(uid)
}

async fn written(path: &Path) {
    until(&format!("{}", path.display()), || async {
        if path.exists() {
            Ok(())
        } else {
            Err("not there")
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_asked_to_end_and_gone_when_it_has() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    let line = "trap 'while ! test -e /data/go; do sleep 0.1; done; touch /data/ended; exit 0' TERM
        touch /data/began; while :; do sleep 0.1; done";
    let data = claimed(&world, "polite", line, 600).await;
    written(&data.join("began")).await;
    let mut delete = world.spawn(&["delete", "pod", "polite"]);
    // Out of service at once, and there until it has ended.
    world.until_row("polite", ["0/1", "Terminating"]).await;
    assert!(delete.try_wait().unwrap().is_none());
    std::fs::write(data.join("go"), "").unwrap();
    let deleted = tokio::time::timeout(crate::region::WAIT_TIMEOUT, delete.wait()).await;
    assert!(deleted.unwrap().unwrap().success());
    assert!(data.join("ended").exists());
    assert_eq!(processes_marked(&world.agent_folder()), [0_i32; 0]);
    let gone = world.refused("get pod polite").await;
    assert!(gone.contains("not found"), "{gone}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_listen_is_killed_when_its_time_is_over() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    let line = "trap 'echo >> /data/asked' TERM; touch /data/began; while :; do sleep 0.1; done";
    let data = claimed(&world, "deaf", line, 2).await;
    written(&data.join("began")).await;
    world.kubectl("delete pod deaf").await;
    assert!(data.join("asked").exists());
    assert_eq!(processes_marked(&world.agent_folder()), [0_i32; 0]);

    // A second deletion may be in more of a hurry than the first.
    let data = claimed(&world, "hurry", line, 100_000).await;
    written(&data.join("began")).await;
    world.kubectl("delete pod hurry --wait=false").await;
    written(&data.join("asked")).await;
    world.kubectl("delete pod hurry --grace-period=1").await;

    // And a frozen one hears nothing, but does not outlive its time.
    let data = claimed(&world, "frozen", line, 2).await;
    written(&data.join("began")).await;
    world.runtime.freeze_all();
    world.kubectl("delete pod frozen").await;
    assert_eq!(processes_marked(&world.agent_folder()), [0_i32; 0]);
    world.runtime.thaw_all();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_force_the_object_goes_first_and_the_process_at_once() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    let line = "trap '' TERM; touch /data/began; while :; do sleep 0.1; done";
    let data = claimed(&world, "forced", line, 100_000).await;
    written(&data.join("began")).await;
    let address = |pod: &Value| pod["status"]["podIP"].as_str().unwrap().to_owned();
    let before = address(&world.get("pod forced").await);
    world
        .kubectl("delete pod forced --force --grace-period=0")
        .await;
    until("its process is gone", || async {
        match processes_marked(&world.agent_folder()).len() {
            0 => Ok(()),
            count => Err(count),
        }
    })
    .await;
    // One of the same name is another.
    world.apply(pod("forced", shell("sleep 600"))).await;
    world.until_running("forced").await;
    let after = world.get("pod forced").await;
    assert_ne!(address(&after), before);
    assert_eq!(after["status"]["containerStatuses"][0]["restartCount"], 0);

    // A finalizer holds the object, not the process.
    let mut held = pod("held", shell("sleep 600"));
    held["metadata"]["finalizers"] = json!(["test/held"]);
    world.apply(held).await;
    world.until_running("held").await;
    world.kubectl("delete pod held --wait=false").await;
    until("it has ended", || async {
        let status = world.get("pod held").await["status"].clone();
        let ended = &status["containerStatuses"][0]["state"]["terminated"];
        if ended["exitCode"] == 143 {
            Ok(())
        } else {
            Err(status)
        }
    })
    .await;
    world
        .kubectl(r#"patch pod held --type=merge -p '{"metadata":{"finalizers":null}}'"#)
        .await;
    world
        .kubectl("wait --for=delete pod held --timeout=60s")
        .await;
    world.stop().await;
}
