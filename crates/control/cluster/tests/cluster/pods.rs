//! Pods, and waiting for them over watches that break.

use std::time::Duration;

use backstay_cluster::ClusterError;
use serde_json::json;

use crate::lab::{Lab, deadline, soon, until_said};

const HUMIO: &str = "app.kubernetes.io/name=humio";

#[tokio::test]
async fn they_are_listed_and_deleted() {
    let lab = Lab::start().await;
    lab.pod("a").await;
    lab.pod("b").await;
    lab.ready("a", true).await;
    lab.ready("b", false).await;
    let region = lab.region("operator").await;
    let pods = region.pods(HUMIO, deadline()).await.unwrap();
    let seen: Vec<_> = pods
        .iter()
        .map(|it| (it.name.as_str(), it.ready, it.restarts))
        .collect();
    assert_eq!(seen, [("a", true, 2), ("b", false, 2)]);
    assert_eq!(
        pods[1].waiting.as_deref(),
        Some("CrashLoopBackOff: back-off 10s")
    );
    assert!(
        region
            .pods("app=nothing", deadline())
            .await
            .unwrap()
            .is_empty()
    );
    region.delete_pod("a", None, deadline()).await.unwrap();
    let pods = region.pods(HUMIO, deadline()).await.unwrap();
    assert!(
        pods[0].deleting && !pods[0].ready,
        "it takes its time to end"
    );
    for name in ["a", "a", "b"] {
        region.delete_pod(name, Some(0), deadline()).await.unwrap();
    }
    region.wait_gone(HUMIO, deadline()).await.unwrap();
}

#[tokio::test]
async fn readiness_is_waited_for_while_the_api_comes_and_goes() {
    let lab = Lab::start().await;
    let region = lab.region("dr-function").await;
    let waiting = {
        let region = region.clone();
        tokio::spawn(async move { region.wait_ready(HUMIO, 2, deadline()).await })
    };
    lab.pod("a").await;
    lab.restart().await;
    lab.ready("a", true).await;
    lab.restart().await;
    lab.pod("b").await;
    lab.down().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    lab.up().await;
    lab.ready("b", true).await;
    let ready = waiting.await.unwrap().unwrap();
    assert_eq!(ready.len(), 2);

    // And gone, when one goes while the watch is away.
    let waiting = {
        let region = region.clone();
        tokio::spawn(async move { region.wait_gone(HUMIO, deadline()).await })
    };
    let operator = lab.region("operator").await;
    operator.delete_pod("a", Some(0), deadline()).await.unwrap();
    lab.restart().await;
    operator.delete_pod("b", Some(0), deadline()).await.unwrap();
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_does_not_come_to_be_says_how_it_looks() {
    let lab = Lab::start().await;
    let region = lab.region("dr-function").await;
    let ready = || region.wait_ready(HUMIO, 1, soon());
    until_said("there are no such pods", ready).await;
    lab.pod("a").await;
    lab.ready("a", false).await;
    until_said("a Running (CrashLoopBackOff: back-off 10s)", ready).await;
    let error = region.wait_gone(HUMIO, soon()).await.unwrap_err();
    assert!(matches!(error, ClusterError::NotYet { .. }), "{error}");
    lab.down().await;
    // Nothing is known: that is not "gone".
    let error = region.wait_gone(HUMIO, soon()).await.unwrap_err();
    assert!(error.to_string().contains("could not be listed"), "{error}");
}

#[tokio::test]
async fn what_a_node_was_told_is_read_and_not_shown() {
    let lab = Lab::start().await;
    let pod = json!({
        "metadata": { "name": "node", "labels": { "humio.com/node-pool": "ui" } },
        "spec": { "nodeName": "node-1", "containers": [
            { "name": "sidecar", "image": "x", "env": [{ "name": "A", "value": "of the sidecar" }] },
            { "name": "humio", "image": "x", "env": [
                { "name": "A", "value": "hunter2" },
                { "name": "EMPTY" },
                { "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
            ] },
        ] },
    });
    lab.make("v1", "Pod", pod).await;
    let other = json!({
        "metadata": { "name": "other" },
        "spec": { "nodeName": "node-1", "containers": [
            { "name": "kafka", "image": "x", "env": [{ "name": "A", "value": "1" }] },
        ] },
    });
    lab.make("v1", "Pod", other).await;
    let region = lab.region("operator").await;
    let pods = region.pods("", deadline()).await.unwrap();
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let told = [("A", "hunter2"), ("EMPTY", "")].map(owned).into();
    assert_eq!(
        (&pods[0].environment, pods[0].node_pool.as_str()),
        (&told, "ui")
    );
    assert!(pods[1].environment.is_empty() && pods[1].node_pool.is_empty());
    assert!(!format!("{pods:?}").contains("hunter2"));
}
