//! Watchers under churn: none misses a change, and none goes back in time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use serde_json::json;

use crate::Region;
use backstay_testkit::kubernetes::HANG_TIMEOUT;

const OBJECTS: usize = 1000;
const CHANGES: usize = 500;
/// A hundred changes a second.
const CHANGE_INTERVAL: Duration = Duration::from_millis(10);

fn map(name: &str, number: usize) -> ConfigMap {
    serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "churn": "yes" } },
        "data": { "number": number.to_string() },
    }))
    .unwrap()
}

fn version(map: &ConfigMap) -> u64 {
    map.resource_version().unwrap().parse().unwrap()
}

type Seen = Arc<Mutex<BTreeMap<String, (u64, String)>>>;

/// Keeps what a kube-rs watcher sees, and fails when a version goes back.
async fn follow(client: Client, config: watcher::Config, seen: Seen) {
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let mut newest = 0;
    let mut events = watcher(maps, config).boxed();
    while let Some(event) = events.next().await {
        match event.unwrap() {
            watcher::Event::Init => seen.lock().unwrap().clear(),
            watcher::Event::InitApply(map) => {
                let entry = (version(&map), map.data.unwrap()["number"].clone());
                seen.lock()
                    .unwrap()
                    .insert(map.metadata.name.unwrap(), entry);
            }
            watcher::Event::InitDone => {}
            watcher::Event::Apply(map) => {
                assert!(version(&map) > newest, "{} after {newest}", version(&map));
                newest = version(&map);
                let entry = (version(&map), map.data.unwrap()["number"].clone());
                seen.lock()
                    .unwrap()
                    .insert(map.metadata.name.unwrap(), entry);
            }
            watcher::Event::Delete(map) => {
                assert!(version(&map) > newest);
                newest = version(&map);
                seen.lock().unwrap().remove(&map.name_any());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_watchers_of_a_thousand_objects_miss_nothing_and_never_go_back() {
    let region = Region::start().await;
    let client = region.client().await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let names: Vec<String> = (0..OBJECTS).map(|n| format!("object-{n}")).collect();
    futures::stream::iter(&names)
        .map(|name| {
            let maps = maps.clone();
            async move { maps.create(&PostParams::default(), &map(name, 0)).await }
        })
        .buffer_unordered(32)
        .try_collect::<Vec<_>>()
        .await
        .unwrap();

    // One that lists and watches, with pages; one that is streamed the list too.
    let ways = [
        watcher::Config::default()
            .labels("churn=yes")
            .page_size(100),
        watcher::Config::default()
            .labels("churn=yes")
            .streaming_lists(),
    ];
    let mut watchers = Vec::new();
    for way in ways {
        let seen = Seen::default();
        let task = tokio::spawn(follow(region.client().await, way, seen.clone()));
        watchers.push((seen, task));
    }

    let mut clock = tokio::time::interval(CHANGE_INTERVAL);
    let mut expected: BTreeMap<String, String> = names
        .iter()
        .map(|name| (name.clone(), "0".to_owned()))
        .collect();
    for change in 1..=CHANGES {
        clock.tick().await;
        let name = &names[(change * 7919) % OBJECTS];
        if change % 10 == 0 {
            // Out of the selection, and gone, and back.
            let patch = json!({ "metadata": { "labels": { "churn": "no" } } });
            if expected.remove(name).is_some() {
                maps.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
                    .await
                    .unwrap();
                maps.delete(name, &DeleteParams::default()).await.unwrap();
            } else {
                maps.create(&PostParams::default(), &map(name, change))
                    .await
                    .unwrap();
                expected.insert(name.clone(), change.to_string());
            }
        } else if expected.contains_key(name) {
            let patch = json!({ "data": { "number": change.to_string() } });
            maps.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
                .await
                .unwrap();
            expected.insert(name.clone(), change.to_string());
        }
    }

    let listed = maps
        .list(&ListParams::default().labels("churn=yes"))
        .await
        .unwrap();
    let listed: BTreeMap<String, (u64, String)> = listed
        .into_iter()
        .map(|map| {
            (
                map.name_any(),
                (version(&map), map.data.unwrap()["number"].clone()),
            )
        })
        .collect();
    let numbers: BTreeMap<String, String> = listed
        .iter()
        .map(|(name, (_, number))| (name.clone(), number.clone()))
        .collect();
    assert_eq!(numbers, expected);
    for (seen, task) in watchers {
        let same = async {
            while *seen.lock().unwrap() != listed && !task.is_finished() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(HANG_TIMEOUT, same).await;
        let seen = seen.lock().unwrap().clone();
        let missed: Vec<_> = listed
            .iter()
            .filter(|(name, is)| seen.get(*name) != Some(is))
            .collect();
        let stale: Vec<_> = seen
            .keys()
            .filter(|name| !listed.contains_key(*name))
            .collect();
        assert!(
            missed.is_empty() && stale.is_empty(),
            "missed {missed:?}, stale {stale:?}"
        );
        assert!(!task.is_finished());
        task.abort();
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_from_a_version_that_is_forgotten_is_told_so() {
    let region = Region::with(|options| options.history = 10).await;
    let maps: Api<ConfigMap> = Api::namespaced(region.client().await, "default");
    let first = maps
        .create(&PostParams::default(), &map("a", 0))
        .await
        .unwrap();
    let pages = maps.list(&ListParams::default().limit(1)).await.unwrap();
    assert_eq!(pages.metadata.continue_, None);
    maps.create(&PostParams::default(), &map("b", 0))
        .await
        .unwrap();
    let page = maps.list(&ListParams::default().limit(1)).await.unwrap();
    let next = page.metadata.continue_.unwrap();

    // While it is remembered, the next page is of the same version as the first.
    maps.delete("b", &DeleteParams::default()).await.unwrap();
    let second = maps
        .list(&ListParams::default().limit(1).continue_token(&next))
        .await
        .unwrap();
    assert_eq!(second.items[0].name_any(), "b");
    assert_eq!(
        second.metadata.resource_version,
        page.metadata.resource_version
    );

    for number in 1..=20 {
        let patch = json!({ "data": { "number": number.to_string() } });
        maps.patch("a", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }
    let old = first.resource_version().unwrap();
    let mut events = maps
        .watch(&WatchParams::default(), &old)
        .await
        .unwrap()
        .boxed();
    match events.next().await.unwrap().unwrap() {
        WatchEvent::Error(status) => {
            assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
        }
        other => panic!("{other:?}"),
    }
    let continued = maps
        .list(&ListParams::default().limit(1).continue_token(&next))
        .await;
    match continued {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 410),
        other => panic!("{other:?}"),
    }
    region.stop().await;
}
