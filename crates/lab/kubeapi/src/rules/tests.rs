#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::kind::find;
use crate::store::{Limits, Store};

struct World {
    store: Store,
    _folder: TempDir,
}

fn maps() -> &'static Kind {
    find("", "v1", "configmaps").unwrap()
}

fn pods() -> &'static Kind {
    find("", "v1", "pods").unwrap()
}

fn writer() -> Writer {
    Writer {
        manager: Manager {
            name: "test".to_owned(),
            subresource: "",
        },
        now: Utc::now(),
        validation: Validation::Strict,
        warnings: Warnings::default(),
    }
}

fn deletion(propagation: Propagation) -> Deletion {
    Deletion {
        grace: None,
        propagation,
        preconditions: Preconditions::default(),
        now: Utc::now(),
    }
}

impl World {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let limits = Limits {
            bytes: 16 << 20,
            changes: 1000,
        };
        let world = Self {
            store: Store::open(folder.path(), limits).unwrap(),
            _folder: folder,
        };
        let namespaces = find("", "v1", "namespaces").unwrap();
        let namespace = json!({ "metadata": { "name": "n" } });
        world.create(namespaces, namespace).await.unwrap();
        world
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Transaction) -> ApiResult<T> + Send + 'static,
    ) -> ApiResult<T> {
        self.store.write(false, operation).await
    }

    async fn create(&self, kind: &'static Kind, body: Value) -> ApiResult<Document> {
        self.run(move |t| create(t, kind, "n", body, &writer()))
            .await
    }

    /// A map that is owned by others, given by uid, and has finalizers.
    async fn owned(
        &self,
        name: &str,
        owners: &[(&Document, bool)],
        finalizers: &[&str],
    ) -> Document {
        let owners: Vec<Value> = owners
            .iter()
            .map(|(owner, block)| {
                json!({
                    "apiVersion": "v1", "kind": "ConfigMap", "name": document::name(owner),
                    "uid": document::uid(owner), "blockOwnerDeletion": block,
                })
            })
            .collect();
        let body = json!({ "metadata": {
            "name": name, "ownerReferences": owners, "finalizers": finalizers,
        }});
        self.create(maps(), body).await.unwrap()
    }

    async fn delete(&self, kind: &'static Kind, name: &str, how: Deletion) -> ApiResult<Deleted> {
        let key = Key::new(kind, "n", name);
        self.run(move |t| delete(t, &key, &how)).await
    }

    async fn patch(
        &self,
        kind: &'static Kind,
        name: &str,
        part: Part,
        merge: Value,
    ) -> ApiResult<Document> {
        let key = Key::new(kind, "n", name);
        self.run(move |t| patch(t, &key, part, &Patch::Merge(merge), &writer()))
            .await
    }

    fn get(&self, kind: &'static Kind, name: &str) -> Option<Document> {
        self.store.get(&Key::new(kind, "n", name))
    }
}

#[tokio::test]
async fn what_the_server_writes_is_not_the_clients_to_choose() {
    let world = World::new().await;
    let deployments = find("apps", "v1", "deployments").unwrap();
    let body = json!({
        "metadata": { "name": "d", "uid": "mine", "generation": 9, "deletionTimestamp": "x" },
        "spec": { "selector": { "matchLabels": { "a": "b" } }, "template": { "metadata": { "labels": { "a": "b" } } } },
        "status": { "replicas": 9 },
    });
    let made = world.create(deployments, body.clone()).await.unwrap();
    assert_ne!(document::uid(&made), "mine");
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(made["spec"]["replicas"], 1);
    assert_eq!(made.get("status"), None);
    assert!(!document::is_deleting(&made));
    assert_eq!(
        world.create(deployments, body).await.unwrap_err().reason,
        "AlreadyExists"
    );

    let status = json!({ "spec": { "replicas": 5 }, "status": { "replicas": 2 } });
    let after = world
        .patch(deployments, "d", Part::Status, status)
        .await
        .unwrap();
    assert_eq!(
        (&after["spec"]["replicas"], &after["status"]["replicas"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(after["metadata"]["generation"], 1);
    let scale = json!({ "spec": { "replicas": 4 } });
    let after = world
        .patch(deployments, "d", Part::Scale, scale)
        .await
        .unwrap();
    assert_eq!(after["spec"]["replicas"], 4);
    assert_eq!(after["metadata"]["generation"], 2);
    let both =
        json!({ "metadata": { "uid": null, "generation": 77 }, "status": { "replicas": 9 } });
    let same = world
        .patch(deployments, "d", Part::Main, both)
        .await
        .unwrap();
    assert_eq!(same, after, "nothing that counts has changed");
    for wrong in [
        json!({ "spec": { "replicas": -1 } }),
        json!({ "spec": { "replicas": "many" } }),
    ] {
        assert!(
            world
                .patch(deployments, "d", Part::Scale, wrong)
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn a_write_of_an_old_version_conflicts() {
    let world = World::new().await;
    let old = world.owned("a", &[], &[]).await;
    world
        .patch(maps(), "a", Part::Main, json!({ "data": { "x": "1" } }))
        .await
        .unwrap();
    let key = Key::new(maps(), "n", "a");
    let body = Value::clone(&old);
    let error = world
        .run(move |t| update(t, &key, Part::Main, body, &writer()))
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
    let key = Key::new(maps(), "n", "a");
    let without = json!({ "metadata": { "name": "a" }, "data": {} });
    assert!(
        world
            .run(move |t| update(t, &key, Part::Main, without, &writer()))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn finalizers_hold_a_document_until_the_last_is_gone() {
    let world = World::new().await;
    world.owned("a", &[], &["x", "y"]).await;
    let marked = world
        .delete(maps(), "a", deletion(Propagation::Background))
        .await;
    assert!(matches!(marked, Ok(Deleted::Marked(_))));
    let more = json!({ "metadata": { "finalizers": ["x", "y", "z"] } });
    assert_eq!(
        world
            .patch(maps(), "a", Part::Main, more)
            .await
            .unwrap_err()
            .code,
        422
    );
    let one = json!({ "metadata": { "finalizers": ["y"] } });
    world.patch(maps(), "a", Part::Main, one).await.unwrap();
    assert!(world.get(maps(), "a").is_some());
    world
        .patch(
            maps(),
            "a",
            Part::Main,
            json!({ "metadata": { "finalizers": null } }),
        )
        .await
        .unwrap();
    assert!(world.get(maps(), "a").is_none());
}

#[tokio::test]
async fn dependents_follow_their_last_owner() {
    let world = World::new().await;
    let a = world.owned("a", &[], &[]).await;
    let b = world.owned("b", &[], &[]).await;
    world.owned("both", &[(&a, false), (&b, false)], &[]).await;
    let chain = world.owned("chain-0", &[(&a, false)], &[]).await;
    let mut last = chain;
    for link in 1..200 {
        last = world
            .owned(&format!("chain-{link}"), &[(&last, false)], &[])
            .await;
    }
    world
        .delete(maps(), "a", deletion(Propagation::Background))
        .await
        .unwrap();
    assert!(world.get(maps(), "chain-0").is_none() && world.get(maps(), "chain-199").is_none());
    let both = world.get(maps(), "both").unwrap();
    assert_eq!(document::array(&both, "/metadata/ownerReferences").len(), 1);
    world
        .delete(maps(), "b", deletion(Propagation::Background))
        .await
        .unwrap();
    assert!(world.get(maps(), "both").is_none());
    // Its owner is gone before it comes.
    world.owned("late", &[(&a, false)], &[]).await;
    assert!(world.get(maps(), "late").is_none());
}

#[tokio::test]
async fn orphans_stay_without_their_owner() {
    let world = World::new().await;
    let a = world.owned("a", &[], &[]).await;
    world.owned("b", &[(&a, true)], &[]).await;
    world
        .delete(maps(), "a", deletion(Propagation::Orphan))
        .await
        .unwrap();
    assert!(world.get(maps(), "a").is_none());
    let b = world.get(maps(), "b").unwrap();
    assert!(b.pointer("/metadata/ownerReferences").is_none());
}

#[tokio::test]
async fn in_the_foreground_dependents_go_first() {
    let world = World::new().await;
    let a = world.owned("a", &[], &[]).await;
    let b = world.owned("b", &[(&a, true)], &[]).await;
    world.owned("c", &[(&b, true)], &["hold"]).await;
    let marked = world
        .delete(maps(), "a", deletion(Propagation::Foreground))
        .await;
    assert!(matches!(marked, Ok(Deleted::Marked(_))));
    for name in ["a", "b", "c"] {
        assert!(
            document::is_deleting(&world.get(maps(), name).unwrap()),
            "{name}"
        );
    }
    world
        .patch(
            maps(),
            "c",
            Part::Main,
            json!({ "metadata": { "finalizers": null } }),
        )
        .await
        .unwrap();
    for name in ["a", "b", "c"] {
        assert!(world.get(maps(), name).is_none(), "{name}");
    }
    // With nothing to wait for it is gone at once.
    world.owned("d", &[], &[]).await;
    let gone = world
        .delete(maps(), "d", deletion(Propagation::Foreground))
        .await;
    assert!(matches!(gone, Ok(Deleted::Gone(_))));
}

#[tokio::test]
async fn a_placed_pod_is_asked_to_end_before_it_is_removed() {
    let world = World::new().await;
    let pod = |name: &str, node: Value| {
        json!({
            "metadata": { "name": name },
            "spec": { "nodeName": node, "containers": [{ "name": "c" }] },
        })
    };
    world
        .create(pods(), pod("placed", json!("node")))
        .await
        .unwrap();
    world
        .create(pods(), pod("waiting", Value::Null))
        .await
        .unwrap();
    let gone = world
        .delete(pods(), "waiting", deletion(Propagation::Background))
        .await;
    assert!(matches!(gone, Ok(Deleted::Gone(_))));
    let marked = world
        .delete(pods(), "placed", deletion(Propagation::Background))
        .await;
    let Ok(Deleted::Marked(marked)) = marked else {
        panic!("{marked:?}");
    };
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    // A change meanwhile does not remove it; its runner does.
    let status = json!({ "status": { "message": "ending" } });
    world
        .patch(pods(), "placed", Part::Status, status)
        .await
        .unwrap();
    assert!(world.get(pods(), "placed").is_some());
    let now = Deletion {
        grace: Some(0),
        ..deletion(Propagation::Background)
    };
    world.delete(pods(), "placed", now).await.unwrap();
    assert!(world.get(pods(), "placed").is_none());
}

#[tokio::test]
async fn a_namespace_goes_when_its_last_document_does() {
    let world = World::new().await;
    let namespaces = find("", "v1", "namespaces").unwrap();
    world.owned("a", &[], &[]).await;
    world.owned("b", &[], &["hold"]).await;
    world
        .delete(namespaces, "n", deletion(Propagation::Background))
        .await
        .unwrap();
    let ending = world.get(namespaces, "n").unwrap();
    assert_eq!(ending["status"]["phase"], "Terminating");
    assert!(world.get(maps(), "a").is_none());
    let refused = world
        .create(maps(), json!({ "metadata": { "name": "c" } }))
        .await
        .unwrap_err();
    assert!(
        refused.message.contains("because it is being terminated"),
        "{refused}"
    );
    world
        .patch(
            maps(),
            "b",
            Part::Main,
            json!({ "metadata": { "finalizers": null } }),
        )
        .await
        .unwrap();
    assert!(world.get(namespaces, "n").is_none());
    let missing = world
        .create(maps(), json!({ "metadata": { "name": "c" } }))
        .await
        .unwrap_err();
    assert_eq!(missing.message, "namespaces \"n\" not found");
}

#[tokio::test]
async fn preconditions_are_kept() {
    let world = World::new().await;
    world.owned("a", &[], &[]).await;
    for preconditions in [
        Preconditions {
            uid: Some("other".to_owned()),
            version: None,
        },
        Preconditions {
            uid: None,
            version: Some("1".to_owned()),
        },
    ] {
        let how = Deletion {
            preconditions,
            ..deletion(Propagation::Background)
        };
        assert_eq!(world.delete(maps(), "a", how).await.unwrap_err().code, 409);
    }
}

#[tokio::test]
async fn names_are_generated_or_checked() {
    let world = World::new().await;
    let body = json!({ "metadata": { "generateName": "humio-" } });
    let made = world.create(maps(), body).await.unwrap();
    let name = document::name(&made);
    assert!(name.starts_with("humio-") && name.len() == 11, "{name}");
    for (body, code) in [
        (json!({}), 422),
        (json!([]), 400),
        (json!({ "metadata": 1 }), 400),
        (json!({ "metadata": { "name": "Upper" } }), 422),
        (json!({ "metadata": { "name": "a/b" } }), 422),
        (
            json!({ "metadata": { "name": "a", "namespace": "other" } }),
            400,
        ),
        (json!({ "kind": "Pod", "metadata": { "name": "a" } }), 400),
        (
            json!({ "apiVersion": "v2", "metadata": { "name": "a" } }),
            400,
        ),
        (
            json!({ "metadata": { "name": "a", "resourceVersion": "1" } }),
            400,
        ),
        (
            json!({ "metadata": { "name": "a", "labels": { "a": "b c" } } }),
            422,
        ),
        (
            json!({ "metadata": { "name": "a", "labels": { "a": 1 } } }),
            400,
        ),
        (
            json!({ "metadata": { "name": "a", "ownerReferences": [{}] } }),
            422,
        ),
    ] {
        let error = world.create(maps(), body.clone()).await.unwrap_err();
        assert_eq!(error.code, code, "{body}: {error}");
    }
}
