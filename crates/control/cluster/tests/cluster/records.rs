//! Records of runs, in ConfigMaps.

use std::collections::BTreeMap;

use backstay_cluster::{Record, Recorded, Region};

use crate::lab::{Lab, deadline, soon};

const RUNS: &str = "app.kubernetes.io/managed-by=backstay,logscale.dr/run=true";

fn labels() -> BTreeMap<&'static str, &'static str> {
    [
        ("app.kubernetes.io/managed-by", "backstay"),
        ("logscale.dr/run", "true"),
    ]
    .into()
}

async fn write(region: &Region, name: &str, version: Option<&str>, text: &str) -> Recorded {
    region
        .write_record(name, version, &labels(), text, deadline())
        .await
        .unwrap()
}

fn version(written: Recorded) -> String {
    match written {
        Recorded::Written { version } => version,
        Recorded::Changed => panic!("somebody else has changed it"),
    }
}

#[tokio::test]
async fn one_is_made_changed_read_and_deleted() {
    let lab = Lab::start().await;
    let region = lab.region("operator").await;
    assert_eq!(region.read_record("a", deadline()).await.unwrap(), None);
    let first = version(write(&region, "a", None, "{\"one\":1}").await);
    let read = region.read_record("a", deadline()).await.unwrap().unwrap();
    let record = |version: &str, text: &str| Record {
        name: "a".to_owned(),
        version: version.to_owned(),
        text: text.to_owned(),
    };
    assert_eq!(read, record(&first, "{\"one\":1}"));
    // It is there already.
    assert_eq!(write(&region, "a", None, "2").await, Recorded::Changed);
    let second = version(write(&region, "a", Some(&first), "2").await);
    assert_ne!(first, second);
    // Not in that state any more.
    assert_eq!(
        write(&region, "a", Some(&first), "3").await,
        Recorded::Changed
    );
    let third = version(write(&region, "a", Some(&second), "3").await);
    assert_eq!(
        region.read_record("a", deadline()).await.unwrap().unwrap(),
        record(&third, "3")
    );
    write(&region, "b", None, "b").await;
    let other = [("app.kubernetes.io/managed-by", "another")].into();
    region
        .write_record("c", None, &other, "c", deadline())
        .await
        .unwrap();
    let runs = region.records(RUNS, deadline()).await.unwrap();
    let names: Vec<_> = runs
        .iter()
        .map(|it| (it.name.as_str(), it.text.as_str()))
        .collect();
    assert_eq!(names, [("a", "3"), ("b", "b")]);
    for _ in 0..2 {
        region.delete_record("a", deadline()).await.unwrap();
    }
    assert_eq!(
        write(&region, "a", Some(&third), "4").await,
        Recorded::Changed
    );
    assert_eq!(region.read_record("a", deadline()).await.unwrap(), None);
    // As somebody could have made it by hand.
    let empty = serde_json::json!({ "metadata": { "name": "d", "labels": labels() } });
    lab.make("v1", "ConfigMap", empty).await;
    let read = region.read_record("d", deadline()).await.unwrap().unwrap();
    assert_eq!(read.text, "");
}

#[tokio::test]
async fn of_many_that_write_onto_one_state_one_has_written() {
    let lab = Lab::start().await;
    let region = lab.region("operator").await;
    let mut at = version(write(&region, "a", None, "0").await);
    for round in 0..5 {
        let writing = (0..8).map(|who| {
            let (region, at) = (region.clone(), at.clone());
            async move {
                let text = format!("{round} {who}");
                (text.clone(), write(&region, "a", Some(&at), &text).await)
            }
        });
        let done = futures::future::join_all(writing).await;
        let written = done.into_iter().filter_map(|(text, done)| match done {
            Recorded::Written { version } => Some((text, version)),
            Recorded::Changed => None,
        });
        let written: Vec<_> = written.collect();
        let [(text, version)] = written.as_slice() else {
            panic!("{written:?}");
        };
        let read = region.read_record("a", deadline()).await.unwrap().unwrap();
        assert_eq!((&read.text, &read.version), (text, version));
        at = version.clone();
    }
}

#[tokio::test]
async fn one_that_could_not_be_written_is_not_taken_for_changed() {
    let lab = Lab::start().await;
    let region = lab.region("operator").await;
    // No such namespace is no answer to "is it still so".
    let nowhere = region.in_namespace("nowhere");
    let error = nowhere
        .write_record("a", None, &labels(), "1", deadline())
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error}");
    lab.down().await;
    let error = region
        .write_record("a", None, &labels(), "1", soon())
        .await
        .unwrap_err();
    assert!(error.is_unreachable(), "{error}");
}
