//! The region's process is killed. What it ran ends; the next one runs the pods again.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use backstay_agent::Runtime;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::region::{
    Region, Reserved, options, pod, pod_with, processes_marked, shell, until, until_ready,
};
use backstay_testkit::kubernetes::{Shell, no_kubectl};

const FOLDER: &str = "AGENT_TEST_FOLDER";
const NETWORK: &str = "AGENT_TEST_NETWORK";
const READY: &str = "ready";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is the region that is killed, not a test"]
async fn serve() {
    let (Ok(folder), Ok(network)) = (std::env::var(FOLDER), std::env::var(NETWORK)) else {
        return;
    };
    let folder = PathBuf::from(folder);
    let region = Region::start(options(&folder, network.parse().unwrap())).await;
    std::fs::write(folder.join(READY), "").unwrap();
    std::future::pending::<()>().await;
    region.stop().await;
}

async fn start(folder: &Path, reserved: &Reserved) -> Child {
    let _ = std::fs::remove_file(folder.join(READY));
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "killed::serve", "--nocapture"])
        .env(FOLDER, folder)
        .env(NETWORK, reserved.network.to_string())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    until("the region is up", || async {
        if folder.join(READY).exists() {
            Ok(())
        } else {
            Err("not yet")
        }
    })
    .await;
    child
}

fn container(pod: &Value) -> (&Value, i64, i32) {
    let status = &pod["status"]["containerStatuses"][0];
    let id = status["containerID"].as_str().unwrap_or_default();
    let pid = id
        .strip_prefix("process://")
        .map_or(0, |pid| pid.parse().unwrap());
    (status, status["restartCount"].as_i64().unwrap(), pid)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_orphaned_and_the_pods_come_back() {
    if no_kubectl() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let reserved = Reserved::any();
    let mut region = start(folder.path(), &reserved).await;
    let kubectl = Shell {
        folder: folder.path().to_owned(),
    };
    let apply = |document: Value| {
        let kubectl = &kubectl;
        async move {
            kubectl
                .kubectl_with("apply -f -", &document.to_string())
                .await
        }
    };
    let get = |pod: &'static str| {
        let kubectl = &kubectl;
        async move {
            let text = kubectl.kubectl(&format!("get pod {pod} -o json")).await;
            serde_json::from_str::<Value>(&text).unwrap()
        }
    };
    apply(json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "data", "namespace": "logging" },
        "spec": { "accessModes": ["ReadWriteOnce"] },
    }))
    .await;
    // It knows of no watchdog, and has left processes outside of its group.
    let line = "echo run >> /data/runs; cat /data/runs; cp /data/runs /empty/; setsid sleep 600 & exec sleep 600";
    let mut stubborn = shell(line);
    stubborn["volumeMounts"] = json!([
        { "name": "data", "mountPath": "/data" }, { "name": "empty", "mountPath": "/empty" },
    ]);
    let mut stubborn = pod("stubborn", stubborn);
    stubborn["spec"]["volumes"] = json!([
        { "name": "data", "persistentVolumeClaim": { "claimName": "data" } },
        { "name": "empty", "emptyDir": {} },
    ]);
    apply(stubborn).await;
    // It ends by its watchdog.
    apply(pod("watched", shell("cat; exit 0"))).await;
    let never = json!({ "restartPolicy": "Never" });
    apply(pod_with("done", shell("echo done"), never.clone())).await;
    apply(pod_with("job", shell("sleep 600"), never)).await;
    for name in ["stubborn", "watched", "job"] {
        until_ready(&kubectl, name).await;
    }
    kubectl
        .kubectl("wait pod done --for=jsonpath='{.status.phase}'=Succeeded --timeout=50s")
        .await;
    let before = get("stubborn").await;
    let (_, restarts, pid) = container(&before);
    assert_eq!(restarts, 0);
    let marked = || processes_marked(&folder.path().join("agent"));
    assert!(marked().contains(&pid));

    for round in 1..=3 {
        region.kill().await.unwrap();
        // As a user's lab might be: the processes that know no watchdog live on, for now.
        assert!(std::path::Path::new(&format!("/proc/{pid}")).exists() || round > 1);
        let old = marked();
        region = start(folder.path(), &reserved).await;
        let again = until("it runs again", || async {
            let pod = get("stubborn").await;
            let ready = pod["status"]["containerStatuses"][0]["ready"] == true;
            if container(&pod).1 == round && ready {
                Ok(pod)
            } else {
                Err(pod["status"].clone())
            }
        })
        .await;
        let now = marked();
        assert!(old.iter().all(|pid| !now.contains(pid)), "{old:?} {now:?}");
        let last = &container(&again).0["lastState"]["terminated"];
        assert_eq!(last["exitCode"], 137, "{last}");
        assert_eq!(again["status"]["podIP"], before["status"]["podIP"]);
        let runs = until("its volume", || async {
            let log = kubectl.kubectl("logs stubborn").await;
            if log.lines().count() as i64 == round + 1 {
                Ok(log)
            } else {
                Err(log)
            }
        })
        .await;
        assert!(runs.lines().all(|line| line == "run"));
        // Its log of before, and what goes with the pod and not with the container.
        let previous = kubectl.kubectl("logs stubborn --previous").await;
        assert_eq!(previous.lines().count() as i64, round, "{previous}");
        let kept = kubectl.kubectl("exec stubborn -- ls /empty").await;
        assert_eq!(kept, "runs\n");
        assert_eq!(get("done").await["status"]["phase"], "Succeeded");
        assert_eq!(get("job").await["status"]["phase"], "Failed");
    }
    assert_eq!(kubectl.kubectl("logs done").await, "done\n");

    // Deleted while there is no agent: a deletion that was begun is finished by the next.
    kubectl
        .kubectl("delete pod watched --wait=false --grace-period=600")
        .await;
    region.kill().await.unwrap();
    let mut region = start(folder.path(), &reserved).await;
    kubectl
        .kubectl("wait --for=delete pod watched --timeout=60s")
        .await;
    kubectl.kubectl("delete pods --all").await;
    assert_eq!(marked(), [0_i32; 0]);
    region.kill().await.unwrap();

    // What is left when it ends for good is ended by whoever opens the folder next.
    let mut region = start(folder.path(), &reserved).await;
    apply(pod(
        "last",
        shell("trap '' TERM; while :; do sleep 0.1; done"),
    ))
    .await;
    until_ready(&kubectl, "last").await;
    region.kill().await.unwrap();
    let runtime = Runtime::new(&options(folder.path(), reserved.network)).unwrap();
    assert_eq!(marked(), [0_i32; 0]);
    assert_eq!(runtime.groups(), [0_i32; 0]);
    // The folder is one agent's.
    let second = Runtime::new(&options(folder.path(), reserved.network)).unwrap_err();
    assert!(
        second.to_string().contains("another agent uses"),
        "{second}"
    );
}
