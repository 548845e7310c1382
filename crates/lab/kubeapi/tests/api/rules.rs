//! What goes over the socket: statuses in Kubernetes' words, forms of answers, watches.

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt as _;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch,
    PatchParams, PostParams, WatchEvent, WatchParams,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::Region;
use backstay_testkit::kubernetes::HANG_TIMEOUT;

/// Requests as they are, without a client's care.
pub struct Raw {
    pub http: reqwest::Client,
    pub url: String,
    pub token: String,
}

impl Raw {
    pub fn new(region: &Region, role: &str) -> Self {
        let context = region.server.context("raw", role, "default").unwrap();
        let authority = reqwest::Certificate::from_pem(context.authority_pem.as_bytes()).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            http: reqwest::Client::builder()
                .tls_certs_only([authority])
                .build()
                .unwrap(),
            url: context.server,
            token: context.token,
        }
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: &str,
    ) -> (StatusCode, Value) {
        let answer = self
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.token)
            .header("content-type", kind)
            .body(body.to_owned())
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (status, body)
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Method::GET, path, "", "").await
    }
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_worded_as_kubernetes_words_them() {
    let region = Region::start().await;
    let raw = Raw::new(&region, "admin");
    let json = "application/json";
    for (method, path, kind, body, code, reason, message) in [
        (
            Method::GET,
            "/api/v1/namespaces/default/pods/x",
            "",
            "",
            404,
            "NotFound",
            "pods \"x\" not found",
        ),
        (
            Method::GET,
            "/apis/apps/v1/namespaces/default/deployments/x",
            "",
            "",
            404,
            "NotFound",
            "deployments.apps \"x\" not found",
        ),
        (
            Method::GET,
            "/api/v1/gadgets",
            "",
            "",
            404,
            "NotFound",
            "the server could not find the requested resource",
        ),
        (
            Method::POST,
            MAPS,
            json,
            "{\"metadata\":{\"name\":\"a\"",
            400,
            "BadRequest",
            "json parse error",
        ),
        (
            Method::POST,
            "/apis/apps/v1/namespaces/default/deployments",
            json,
            "{\"metadata\":{\"name\":\"a\"}}",
            422,
            "Invalid",
            "Deployment.apps \"a\" is invalid: [spec.selector: Required value, spec.template: Required value]",
        ),
        (
            Method::POST,
            MAPS,
            "text/plain",
            "a: b",
            415,
            "UnsupportedMediaType",
            "unknown format",
        ),
        (
            Method::PATCH,
            "/apis/core.humio.com/v1alpha1/namespaces/default/humioclusters/x",
            "application/strategic-merge-patch+json",
            "{}",
            415,
            "UnsupportedMediaType",
            "merge-patch+json",
        ),
        (
            Method::PATCH,
            "/api/v1/namespaces/default/configmaps/x",
            "application/apply-patch+yaml",
            "{}",
            400,
            "BadRequest",
            "fieldManager: Required value",
        ),
        (
            Method::PUT,
            MAPS,
            json,
            "{}",
            405,
            "MethodNotAllowed",
            "does not allow this method",
        ),
        (
            Method::GET,
            "/api/v1/pods?labelSelector=a%20in",
            "",
            "",
            400,
            "BadRequest",
            "unable to parse requirement",
        ),
        (
            Method::GET,
            "/api/v1/pods?fieldSelector=spec.x%3Dy",
            "",
            "",
            400,
            "BadRequest",
            "field label not supported: spec.x",
        ),
        (
            Method::GET,
            "/api/v1/pods?continue=bm90aGluZw",
            "",
            "",
            400,
            "BadRequest",
            "continue token",
        ),
        (
            Method::GET,
            "/api/v1/pods?resourceVersion=999999",
            "",
            "",
            504,
            "Timeout",
            "Too large resource version: 999999",
        ),
    ] {
        let (status, answer) = raw.send(method, path, kind, body).await;
        assert_eq!(status.as_u16(), code, "{path}: {answer}");
        assert_eq!(answer["kind"], "Status");
        assert_eq!(answer["reason"], reason, "{answer}");
        let text = answer["message"].as_str().unwrap();
        assert!(text.contains(message), "{text}");
    }
    let large = format!("{{\"data\":{{\"a\":\"{}\"}}}}", "x".repeat(4 << 20));
    let (status, _) = raw.send(Method::POST, MAPS, json, &large).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_known_or_not_allowed_is_told_so() {
    let region = Region::start().await;
    let mut raw = Raw::new(&region, "dr-function");
    let (status, answer) = raw.get("/api/v1/namespaces/logging/secrets/x").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(
        answer["message"],
        "secrets \"x\" is forbidden: User \"dr-function\" cannot get resource \"secrets\" in API group \"\" in the namespace \"logging\""
    );
    let (_, answer) = raw.get("/api/v1/nodes").await;
    assert_eq!(
        answer["message"],
        "nodes is forbidden: User \"dr-function\" cannot list resource \"nodes\" in API group \"\" at the cluster scope"
    );
    raw.token = "wrong".to_owned();
    for path in ["/api", "/version", "/api/v1/pods", "/openapi/v3"] {
        let (status, answer) = raw.get(path).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer["message"], "Unauthorized");
    }
    // What only says that the server lives needs no token.
    assert_eq!(raw.get("/readyz").await.0, StatusCode::OK);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_shown_as_tables_or_as_metadata() {
    let region = Region::start().await;
    let raw = Raw::new(&region, "admin");
    let map = json!({ "metadata": { "name": "a" }, "data": { "x": "s3cret" } }).to_string();
    raw.send(Method::POST, MAPS, "application/json", &map).await;
    let shown = async |path: &str, accept: &str| -> Value {
        let request = raw.http.get(format!("{}{path}", raw.url));
        let request = request.bearer_auth(&raw.token).header("accept", accept);
        request.send().await.unwrap().json().await.unwrap()
    };
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let rows = shown(MAPS, table).await;
    assert_eq!(rows["kind"], "Table");
    assert_eq!(rows["columnDefinitions"][0]["name"], "Name");
    assert_eq!(rows["rows"][0]["cells"][0], "a");
    assert_eq!(rows["rows"][0]["cells"][1], 1);
    assert_eq!(rows["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let whole = shown(&format!("{MAPS}?includeObject=Object"), table).await;
    assert_eq!(whole["rows"][0]["object"]["data"]["x"], "s3cret");
    let none = shown(&format!("{MAPS}?includeObject=None"), table).await;
    assert_eq!(none["rows"][0].get("object"), None);
    let partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let partial = shown(MAPS, partial).await;
    assert_eq!(partial["kind"], "PartialObjectMetadataList");
    assert_eq!(partial["items"][0].get("data"), None);
    let unknown = shown(MAPS, "application/json;as=Chart;g=x, application/json").await;
    assert_eq!(unknown["kind"], "ConfigMapList");
    region.stop().await;
}

fn humio_clusters(client: kube::Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("core.humio.com", "v1alpha1", "HumioCluster");
    Api::namespaced_with(client, "default", &ApiResource::from_gvk(&kind))
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_rs_applies_on_the_server_and_replaces_with_care() {
    let region = Region::start().await;
    let clusters = humio_clusters(region.client().await);
    let wanted = |nodes: u64| {
        json!({
            "apiVersion": "core.humio.com/v1alpha1", "kind": "HumioCluster",
            "metadata": { "name": "c" },
            "spec": { "nodeCount": nodes, "environmentVariables": [{ "name": "A" }] },
        })
    };
    let mine = PatchParams::apply("operator");
    let made = clusters
        .patch("c", &mine, &Patch::Apply(wanted(1)))
        .await
        .unwrap();
    let same = clusters
        .patch("c", &mine, &Patch::Apply(wanted(1)))
        .await
        .unwrap();
    assert_eq!(made.resource_version(), same.resource_version());
    let other = PatchParams::apply("person");
    let Err(kube::Error::Api(conflict)) =
        clusters.patch("c", &other, &Patch::Apply(wanted(3))).await
    else {
        panic!("no conflict");
    };
    assert_eq!((conflict.code, conflict.reason.as_str()), (409, "Conflict"));
    assert_eq!(conflict.details.unwrap().causes[0].field, ".spec.nodeCount");
    let forced = clusters
        .patch("c", &other.clone().force(), &Patch::Apply(wanted(3)))
        .await
        .unwrap();
    assert_eq!(forced.data["spec"]["nodeCount"], 3);

    // The status has a writer of its own, and does not count as a generation.
    let status = json!({
        "apiVersion": "core.humio.com/v1alpha1", "kind": "HumioCluster",
        "status": { "state": "Running" },
    });
    let after = clusters
        .patch_status("c", &mine, &Patch::Apply(status))
        .await
        .unwrap();
    assert_eq!(after.data["status"]["state"], "Running");
    assert_eq!(after.metadata.generation, forced.metadata.generation);
    let managers = |object: &DynamicObject| -> Vec<(String, Option<String>)> {
        let fields = object.metadata.managed_fields.clone().unwrap();
        fields
            .into_iter()
            .map(|entry| (entry.manager.unwrap(), entry.subresource))
            .collect()
    };
    assert!(managers(&after).contains(&("operator".to_owned(), Some("status".to_owned()))));

    // A replacement of what has changed meanwhile is refused, and so is one that names no version.
    let old = clusters.replace("c", &PostParams::default(), &made).await;
    assert!(matches!(old, Err(kube::Error::Api(status)) if status.code == 409));
    let mut careless = after.clone();
    careless.metadata.resource_version = None;
    let careless = clusters
        .replace("c", &PostParams::default(), &careless)
        .await;
    assert!(matches!(careless, Err(kube::Error::Api(status)) if status.code == 422));

    // A trial changes nothing.
    let trial = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let mut tried = after.clone();
    tried.data["spec"]["nodeCount"] = json!(9);
    let answer = clusters.replace("c", &trial, &tried).await.unwrap();
    assert_eq!(answer.data["spec"]["nodeCount"], 9);
    assert_eq!(
        clusters.get("c").await.unwrap().data["spec"]["nodeCount"],
        3
    );
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_is_read_and_written_by_itself() {
    let region = Region::start().await;
    let deployments: Api<Deployment> = Api::namespaced(region.client().await, "default");
    let deployment = serde_json::from_value(json!({
        "metadata": { "name": "d" },
        "spec": {
            "selector": { "matchLabels": { "app": "d" } },
            "template": { "metadata": { "labels": { "app": "d" } }, "spec": { "containers": [] } },
        },
    }))
    .unwrap();
    deployments
        .create(&PostParams::default(), &deployment)
        .await
        .unwrap();
    let scale = deployments.get_scale("d").await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(1));
    assert_eq!(scale.status.unwrap().selector.as_deref(), Some("app=d"));
    let three = Patch::Merge(json!({ "spec": { "replicas": 3 } }));
    deployments
        .patch_scale("d", &PatchParams::default(), &three)
        .await
        .unwrap();
    assert_eq!(deployments.get("d").await.unwrap().spec.replicas, Some(3));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_sees_what_comes_into_its_selection_and_leaves_it() {
    let region = Region::start().await;
    let pods: Api<Pod> = Api::namespaced(region.client().await, "default");
    let pod = |name: &str| -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": name, "labels": { "app": "a" } },
            "spec": { "containers": [{ "name": "c" }] },
        }))
        .unwrap()
    };
    pods.create(&PostParams::default(), &pod("before"))
        .await
        .unwrap();
    let from = pods
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    let running = WatchParams::default()
        .labels("app=a")
        .fields("status.phase=Running");
    let mut events = pods.watch(&running, &from).await.unwrap().boxed();
    let phase = async |name: &str, phase: &str| {
        let status = Patch::Merge(json!({ "status": { "phase": phase } }));
        pods.patch_status(name, &PatchParams::default(), &status)
            .await
            .unwrap();
    };
    pods.create(&PostParams::default(), &pod("other"))
        .await
        .unwrap();
    phase("before", "Running").await;
    pods.patch(
        "before",
        &PatchParams::default(),
        &Patch::Merge(json!({ "metadata": { "annotations": { "x": "y" } } })),
    )
    .await
    .unwrap();
    phase("before", "Failed").await;
    phase("other", "Running").await;
    pods.delete("other", &DeleteParams::default())
        .await
        .unwrap();
    let mut seen = Vec::new();
    let mut newest = 0;
    while seen.len() < 5 {
        let (what, pod) = match events.next().await.unwrap().unwrap() {
            WatchEvent::Added(pod) => ("ADDED", pod),
            WatchEvent::Modified(pod) => ("MODIFIED", pod),
            WatchEvent::Deleted(pod) => ("DELETED", pod),
            other => panic!("{other:?}"),
        };
        let version: u64 = pod.resource_version().unwrap().parse().unwrap();
        assert!(version > newest);
        newest = version;
        seen.push(format!("{what} {}", pod.name_any()));
    }
    assert_eq!(
        seen,
        [
            "ADDED before",
            "MODIFIED before",
            "DELETED before",
            "ADDED other",
            "DELETED other"
        ]
    );
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_deleted_by_selector() {
    let region = Region::start().await;
    let maps: Api<ConfigMap> = Api::namespaced(region.client().await, "default");
    for (name, color) in [("a", "red"), ("b", "red"), ("c", "blue")] {
        let map = json!({ "metadata": { "name": name, "labels": { "color": color } } });
        let map = serde_json::from_value(map).unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    let red = ListParams::default().labels("color=red");
    let gone = maps
        .delete_collection(&DeleteParams::default(), &red)
        .await
        .unwrap();
    assert_eq!(gone.left().unwrap().items.len(), 2);
    let left = maps.list(&ListParams::default()).await.unwrap();
    assert_eq!(left.items.len(), 1);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_in_time_and_with_the_server() {
    let region = Region::start().await;
    let raw = Raw::new(&region, "admin");
    let (status, body) = raw
        .get(&format!(
            "{MAPS}?watch=1&resourceVersion=1&timeoutSeconds=1"
        ))
        .await;
    assert_eq!((status, body), (StatusCode::OK, json!("")));

    let maps: Api<ConfigMap> = Api::namespaced(region.client().await, "default");
    let mut events = maps
        .watch(&WatchParams::default(), "1")
        .await
        .unwrap()
        .boxed();
    region.stop().await;
    let ended = async { while let Some(Ok(_)) = events.next().await {} };
    tokio::time::timeout(HANG_TIMEOUT, ended).await.unwrap();
}

/// A secret's texts are for writing only. Kept, they would undo the next change of its data.
#[tokio::test(flavor = "multi_thread")]
async fn an_applied_secret_keeps_no_texts() {
    let region = Region::start().await;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Secret"));
    let secrets: Api<DynamicObject> = Api::namespaced_with(region.client().await, "default", &kind);
    let wanted = |text: &str| {
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" },
            "stringData": { "key": text } })
    };
    let mine = PatchParams::apply("mine");
    for text in ["first", "second"] {
        let applied = secrets
            .patch("s", &mine, &Patch::Apply(wanted(text)))
            .await
            .unwrap();
        assert_eq!(applied.data.get("stringData"), None);
        let secret = secrets.get("s").await.unwrap();
        assert_eq!(secret.data.get("stringData"), None);
        let encoded = if text == "first" {
            "Zmlyc3Q="
        } else {
            "c2Vjb25k"
        };
        assert_eq!(secret.data["data"]["key"], encoded);
    }
    let emptied = json!({ "data": { "key": "" } });
    let patch = Patch::Merge(&emptied);
    secrets
        .patch("s", &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_eq!(secrets.get("s").await.unwrap().data["data"]["key"], "");
}
