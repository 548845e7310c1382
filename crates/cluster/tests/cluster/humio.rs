//! The HumioCluster.

use backstay_cluster::{ClusterError, Pool};
use k8s_openapi::api::core::v1::EnvVar;
use serde_json::json;

use crate::lab::{Lab, deadline};

const KIND: (&str, &str) = ("core.humio.com/v1alpha1", "HumioCluster");

async fn cluster(lab: &Lab) {
    let cluster = json!({
        "metadata": { "name": "logscale" },
        "spec": {
            "nodeCount": 1,
            "environmentVariables": [
                { "name": "A", "value": "1" },
                { "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "storage", "key": "key" } } },
            ],
            "commonEnvironmentVariables": [{ "name": "C", "value": "3" }],
            "nodePools": [{ "name": "ui", "spec": { "nodeCount": 2 } }],
            "notOurs": { "kept": true },
        },
    });
    lab.make(KIND.0, KIND.1, cluster).await;
}

fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        value_from: None,
    }
}

/// As the pair merges: what is there by name is replaced in its place, the rest is added.
fn with(old: &[EnvVar], new: &EnvVar) -> Vec<EnvVar> {
    let mut merged = old.to_vec();
    match merged.iter_mut().find(|it| it.name == new.name) {
        Some(there) => *there = new.clone(),
        None => merged.push(new.clone()),
    }
    merged
}

#[tokio::test]
async fn it_is_read() {
    let lab = Lab::start().await;
    cluster(&lab).await;
    let api = lab.api(KIND.0, KIND.1).await;
    let status = json!({ "status": { "state": "Running", "message": "well", "nodeCount": 1 } });
    let parameters = kube::api::PatchParams::default();
    api.patch_status("logscale", &parameters, &kube::api::Patch::Merge(status))
        .await
        .unwrap();
    let region = lab.region("dr-function").await;
    let read = region.humio_cluster("logscale", deadline()).await.unwrap();
    assert_eq!(
        (read.state.as_str(), read.message.as_str(), read.nodes),
        ("Running", "well", 1)
    );
    assert_eq!(read.node_count(), 1);
    assert_eq!(
        read.pools[1],
        Pool {
            name: "ui".to_owned(),
            node_count: 2,
            image: String::new(),
        }
    );
    let (environment, common) = region.environment::<EnvVar>(&read).unwrap();
    assert_eq!(environment[0], variable("A", "1"));
    let secret = environment[1]
        .value_from
        .clone()
        .unwrap()
        .secret_key_ref
        .unwrap();
    assert_eq!(
        (secret.name.as_str(), secret.key.as_str()),
        ("storage", "key")
    );
    assert_eq!(common, [variable("C", "3")]);
    assert!(!format!("{read:?}").contains("storage"));
}

#[tokio::test]
async fn the_environment_is_merged_and_the_rest_is_kept() {
    let lab = Lab::start().await;
    cluster(&lab).await;
    let region = lab.region("operator").await;
    let before = region.humio_cluster("logscale", deadline()).await.unwrap();
    let b = variable("B", "2");
    let after = region
        .change_environment("logscale", |old| with(old, &b), deadline())
        .await
        .unwrap();
    let (old, common): (Vec<EnvVar>, Vec<EnvVar>) = region.environment(&before).unwrap();
    let (new, still): (Vec<EnvVar>, Vec<EnvVar>) = region.environment(&after).unwrap();
    let names: Vec<_> = new.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["A", "KEY", "B"]);
    assert_eq!((&new[1], still), (&old[1], common));
    // Once more is nothing: a write would replace pods.
    let again = region
        .change_environment("logscale", |old| with(old, &b), deadline())
        .await
        .unwrap();
    assert_eq!(again.version, after.version);
    let api = lab.api(KIND.0, KIND.1).await;
    assert_eq!(
        api.get("logscale").await.unwrap().data["spec"]["notOurs"]["kept"],
        true
    );
}

#[tokio::test]
async fn ten_that_merge_at_once_lose_nothing() {
    let lab = Lab::start().await;
    cluster(&lab).await;
    let region = lab.region("operator").await;
    let merging = (0..10).map(|at| {
        let region = region.clone();
        tokio::spawn(async move {
            let mine = variable(&format!("V{at}"), "x");
            region
                .change_environment("logscale", |old| with(old, &mine), deadline())
                .await
        })
    });
    for merged in merging.collect::<Vec<_>>() {
        merged.await.unwrap().unwrap();
    }
    let read = region.humio_cluster("logscale", deadline()).await.unwrap();
    let (environment, _) = region.environment::<EnvVar>(&read).unwrap();
    let mut names: Vec<_> = environment.iter().map(|it| it.name.clone()).collect();
    names.sort();
    names.dedup();
    assert_eq!((names.len(), environment.len()), (12, 12));
}

#[tokio::test]
async fn what_is_no_environment_is_an_error_that_does_not_quote_it() {
    let lab = Lab::start().await;
    let broken = json!({
        "metadata": { "name": "logscale" },
        "spec": { "environmentVariables": [{ "name": "KEY", "value": ["hunter2"] }] },
    });
    lab.make(KIND.0, KIND.1, broken).await;
    let region = lab.region("dr-function").await;
    let read = region.humio_cluster("logscale", deadline()).await.unwrap();
    let error = region.environment::<EnvVar>(&read).unwrap_err();
    assert!(matches!(error, ClusterError::Answer { .. }));
    assert!(
        !format!("{error:?} {read:?}").contains("hunter2"),
        "{error}"
    );
    assert!(
        error.to_string().contains("/spec/environmentVariables/0"),
        "{error}"
    );
}
