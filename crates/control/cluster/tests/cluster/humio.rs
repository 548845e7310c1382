//! The HumioCluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backstay_cluster::{ClusterError, Pool};
use backstay_report::Cause;
use k8s_openapi::api::core::v1::EnvVar;
use serde_json::{Value, json};

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
fn with(spec: &Value, new: &EnvVar) -> Result<Value, Cause> {
    let mut spec = spec.clone();
    let list = spec["environmentVariables"].as_array_mut();
    let list = list.ok_or("it has no variables")?;
    let new = json!(new);
    match list.iter_mut().find(|it| it["name"] == new["name"]) {
        Some(there) => *there = new,
        None => list.push(new),
    }
    Ok(spec)
}

#[tokio::test]
async fn it_is_read() {
    let lab = Lab::start().await;
    cluster(&lab).await;
    let api = lab.api(KIND.0, KIND.1).await;
    let status = json!({ "status": { "state": "Running", "message": "well", "nodeCount": 1, "nodePoolStatus": [{ "name": "logscale-ui", "state": "Pending" }] } });
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
        (
            read.pool_states[0].name.as_str(),
            read.pool_states[0].state.as_str()
        ),
        ("logscale-ui", "Pending")
    );
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
        .change_spec("logscale", |spec| with(spec, &b), deadline())
        .await
        .unwrap();
    let (old, common): (Vec<EnvVar>, Vec<EnvVar>) = region.environment(&before).unwrap();
    let (new, still): (Vec<EnvVar>, Vec<EnvVar>) = region.environment(&after).unwrap();
    let names: Vec<_> = new.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["A", "KEY", "B"]);
    assert_eq!((&new[1], still), (&old[1], common));
    // Once more is nothing: a write would replace pods.
    let again = region
        .change_spec("logscale", |spec| with(spec, &b), deadline())
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
                .change_spec("logscale", |spec| with(spec, &mine), deadline())
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

#[tokio::test]
async fn fields_are_changed_taken_away_and_added_as_a_whole() {
    let lab = Lab::start().await;
    cluster(&lab).await;
    let region = lab.region("operator").await;
    let wanted = json!({
        "nodeCount": 3,
        "environmentVariables": [],
        "commonEnvironmentVariables": [{ "name": "C", "value": "3" }],
        "updateStrategy": { "type": "RollingUpdate", "minReadySeconds": 5 },
        "notOurs": { "other": [1, { "a": 1 }] },
    });
    let changed = region
        .change_spec("logscale", |_| Ok(wanted.clone()), deadline())
        .await
        .unwrap();
    assert_eq!((changed.node_count(), changed.pools.len()), (3, 1));
    assert_eq!(region.spec("logscale", deadline()).await.unwrap(), wanted);
    // A key below a field goes as well.
    let fewer = |spec: &Value| {
        let mut spec = spec.clone();
        spec["updateStrategy"] = json!({ "type": "OnDelete" });
        Ok(spec)
    };
    region
        .change_spec("logscale", fewer, deadline())
        .await
        .unwrap();
    let spec = region.spec("logscale", deadline()).await.unwrap();
    assert_eq!(spec["updateStrategy"], json!({ "type": "OnDelete" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changes_it_in_between_is_not_written_over_and_the_change_is_asked_for_again() {
    let lab = Arc::new(Lab::start().await);
    cluster(&lab).await;
    let region = lab.region("operator").await;
    let asked = AtomicUsize::new(0);
    let change = |spec: &Value| {
        // Somebody else is quicker, the first two times.
        if asked.fetch_add(1, Ordering::SeqCst) < 2 {
            let (lab, count) = (lab.clone(), asked.load(Ordering::SeqCst));
            let quicker = async move {
                let theirs = json!({ "spec": { "theirs": count, "nodeCount": 7 } });
                lab.patch(KIND.0, KIND.1, "logscale", theirs).await;
            };
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(quicker));
        }
        let mut spec = spec.clone();
        spec["license"] = json!(spec["nodeCount"]);
        Ok(spec)
    };
    region
        .change_spec("logscale", change, deadline())
        .await
        .unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    let spec = region.spec("logscale", deadline()).await.unwrap();
    // Decided on what the other one wrote, and that is still there.
    assert_eq!((&spec["license"], &spec["theirs"]), (&json!(7), &json!(2)),);
}

#[tokio::test]
async fn what_the_change_finds_wrong_is_said_with_the_name_and_nothing_is_written() {
    let lab = Lab::start().await;
    cluster(&lab).await;
    let region = lab.region("operator").await;
    let before = region.humio_cluster("logscale", deadline()).await.unwrap();
    for (made, said) in [
        (
            Err("the pool ui is declared twice"),
            "the pool ui is declared twice",
        ),
        (Ok(json!([1])), "not an object"),
    ] {
        let error = region
            .change_spec(
                "logscale",
                |_| made.clone().map_err(Cause::from),
                deadline(),
            )
            .await
            .unwrap_err();
        assert!(matches!(error, ClusterError::Answer { .. }));
        let error = error.to_string();
        assert!(
            error.contains("humioclusters.core.humio.com logscale") && error.contains(said),
            "{error}"
        );
    }
    let after = region.humio_cluster("logscale", deadline()).await.unwrap();
    assert_eq!(before.version, after.version);
    let error = region
        .change_spec("nobody", |spec| Ok(spec.clone()), deadline())
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error}");
}
