//! `kubectl logs`.

use serde_json::json;

use crate::region::{World, pod, pod_with, shell, until as until_so};
use backstay_testkit::kubernetes::{no_kubectl, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_cut_and_dated() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    let line = "echo one; echo two; echo three >&2; while ! test -e go; do sleep 0.1; done; echo four; printf five; exit 0";
    let never = json!({ "restartPolicy": "Never" });
    world.apply(pod_with("talks", shell(line), never)).await;
    let mut followed = world.spawn(&["logs", "-f", "talks", "--pod-running-timeout=60s"]);
    // It may be too early for a log at all.
    world.until_row("talks", ["1/1", "Running"]).await;
    let _ = followed.kill().await;
    let mut followed = world.spawn(&["logs", "-f", "talks"]);
    until_so("three lines", || async {
        let log = world.kubectl("logs talks").await;
        if log == "one\ntwo\nthree\n" {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    assert_eq!(world.kubectl("logs talks --tail=1").await, "three\n");
    assert_eq!(world.kubectl("logs talks --limit-bytes=5").await, "one\nt");
    assert_eq!(
        world.kubectl("logs talks --since=1h").await.lines().count(),
        3
    );
    let dated = world.kubectl("logs talks --timestamps --tail=1").await;
    let (moment, text) = dated.trim_end().split_once(' ').unwrap();
    assert_eq!(text, "three");
    assert!(moment.len() == 30 && moment.ends_with('Z'), "{moment}");

    world.exec("talks", "touch go").await;
    until(&mut followed, "five").await;
    // A log that is over ends its followers.
    let ended =
        tokio::time::timeout(backstay_testkit::kubernetes::HANG_TIMEOUT, followed.wait()).await;
    assert!(ended.unwrap().unwrap().success());
    assert_eq!(
        world.kubectl("logs talks").await,
        "one\ntwo\nthree\nfour\nfive"
    );
    let none = world.refused("logs talks --previous").await;
    assert!(
        none.contains("previous terminated container \"humio\" in pod \"talks\" not found"),
        "{none}"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_before_is_kept() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    let line =
        "echo run $(date +%s%N); while ! test -e crash; do sleep 0.1; done; rm crash; exit 1";
    world.apply(pod("twice", shell(line))).await;
    world.until_running("twice").await;
    let first = until_so("a log", || async {
        let log = world.kubectl("logs twice").await;
        if log.starts_with("run ") {
            Ok(log)
        } else {
            Err(log)
        }
    })
    .await;
    world.exec("twice", "touch crash").await;
    until_so("a restart", || async {
        let row = world.row("twice").await;
        if row[2] == "1" && row[1] == "Running" {
            Ok(())
        } else {
            Err(row)
        }
    })
    .await;
    let previous = world.kubectl("logs twice --previous").await;
    assert_eq!(previous, first);
    until_so("another log", || async {
        let log = world.kubectl("logs twice").await;
        if log.starts_with("run ") && log != first {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    world.stop().await;
}
