//! A log, followed.

use backstay_cluster::ClusterError;
use backstay_cluster::loader::{Recovery, Stage};

use crate::lab::{Lab, deadline, soon};

#[tokio::test]
async fn every_line_comes_once_while_the_api_comes_and_goes() {
    let lab = Lab::start().await;
    let region = lab.region("dr-function").await;
    lab.pod("node").await;
    let mut log = region.follow_log("node", "humio");
    let mut written = 0;
    let mut come = Vec::new();
    for round in 0..4 {
        for _ in 0..50 {
            lab.logs.write(&format!("line {written}"));
            written += 1;
        }
        let wanted = if round == 3 { written } else { written - 20 };
        while come.len() < wanted {
            come.push(log.next(deadline()).await.unwrap().unwrap());
        }
        lab.restart().await;
    }
    let all: Vec<String> = (0..written).map(|it| format!("line {it}")).collect();
    assert_eq!(come, all);
    let error = log.next(soon()).await.unwrap_err();
    assert!(matches!(error, ClusterError::NotYet { .. }), "{error}");
    lab.logs.write("one more");
    assert_eq!(
        log.next(deadline()).await.unwrap().as_deref(),
        Some("one more")
    );
    // A line that is too long is cut off, and the next one is whole.
    lab.logs.write(&"x".repeat(200_000));
    lab.logs.write("after");
    assert!(log.next(deadline()).await.unwrap().unwrap().len() < 70_000);
    assert_eq!(
        log.next(deadline()).await.unwrap().as_deref(),
        Some("after")
    );
    let operator = lab.region("operator").await;
    operator
        .delete_pod("node", Some(0), deadline())
        .await
        .unwrap();
    lab.restart().await;
    assert_eq!(log.next(deadline()).await.unwrap(), None);
}

#[tokio::test]
async fn a_recovery_is_recognised_as_it_goes_on() {
    let lab = Lab::start().await;
    let region = lab.region("dr-function").await;
    lab.pod("node").await;
    for line in [
        "INFO DataSnapshotLoader: Checking bucket storage localAndHttpWereEmpty=true",
        "INFO other: something",
        "INFO DataSnapshotLoader: Trying to fetch a global snapshot as recovery source from bucket storage in azure",
        "INFO DataSnapshotLoader: Fetched a global snapshot as recovery source from bucket storage in azure and got snapshot with epochOffset={epoch=3 offset=17} now patching...",
        "INFO DataSnapshotLoader: updateSnapshotForDisasterRecovery: setting readOnly=true on bucketId=1 keyPrefix= new value for bucket=primary",
    ] {
        lab.logs.write(line);
    }
    let mut log = region.follow_log("node", "humio");
    let mut recovery = Recovery::default();
    while recovery.stage() < Stage::Patched {
        recovery.take(&log.next(deadline()).await.unwrap().unwrap());
    }
    let snapshot = recovery.snapshot().unwrap();
    assert_eq!((snapshot.epoch, snapshot.offset), (3, 17));
}

#[tokio::test]
async fn a_container_that_is_not_there_yet_is_waited_for() {
    let lab = Lab::start().await;
    let region = lab.region("dr-function").await;
    let pod = serde_json::json!({
        "metadata": { "name": "node" },
        "spec": { "containers": [{ "name": "humio", "image": "backstay/node" }] },
    });
    lab.make("v1", "Pod", pod).await;
    lab.logs.write("first");
    let mut log = region.follow_log("node", "humio");
    let end = deadline();
    while !log
        .next(soon())
        .await
        .unwrap_err()
        .to_string()
        .contains("host assigned")
    {
        assert!(!end.passed());
    }
    let placed = serde_json::json!({ "spec": { "nodeName": "node-1" } });
    lab.patch("v1", "Pod", "node", placed).await;
    assert_eq!(
        log.next(deadline()).await.unwrap().as_deref(),
        Some("first")
    );
    // A pod that never was has no log.
    let mut none = region.follow_log("nobody", "humio");
    assert_eq!(none.next(deadline()).await.unwrap(), None);
}
