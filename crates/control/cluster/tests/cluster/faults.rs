//! Against a server that is not a Kubernetes API, or one in trouble.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use backstay_cluster::{Access, ClusterError, Expected, Lock, Region};
use backstay_failover::marks::PAUSED;
use backstay_retry::Policy;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::lab::{QUICK, deadline, soon};

/// The next answers, the one after them, and which paths were asked.
type Script = Arc<Mutex<(Vec<(u16, Vec<u8>)>, (u16, Vec<u8>), Vec<String>)>>;

struct StandIn {
    script: Script,
    region: Region,
}

impl StandIn {
    /// Answers with `next` one after the other, and then always with `always`; status 0 hangs.
    async fn start(next: Vec<(u16, Value)>, always: (u16, Value), policy: Policy) -> Self {
        let bytes = |(status, body): (u16, Value)| (status, body.to_string().into_bytes());
        let next = next.into_iter().rev().map(bytes).collect();
        let script: Script = Arc::new(Mutex::new((next, bytes(always), Vec::new())));
        let router = Router::new().fallback(answer).with_state(script.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = json!({
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{ "name": "x", "cluster": { "server": format!("http://{address}") } }],
            "users": [{ "name": "x", "user": { "token": "hunter2-hunter2" } }],
            "contexts": [{ "name": "x", "context": { "cluster": "x", "user": "x" } }],
        });
        std::fs::write(file.path(), config.to_string()).unwrap();
        let access = Access::Kubeconfig {
            path: Some(file.path().to_owned()),
            context: "x".to_owned(),
        };
        let region = Region::connect(&access, "logging", policy).await.unwrap();
        Self { script, region }
    }

    fn asked(&self) -> usize {
        self.paths().len()
    }

    fn paths(&self) -> Vec<String> {
        self.script.lock().unwrap().2.clone()
    }
}

async fn answer(State(script): State<Script>, uri: Uri) -> (StatusCode, Vec<u8>) {
    let (status, body) = {
        let mut script = script.lock().unwrap();
        script.2.push(uri.path().to_owned());
        script.0.pop().unwrap_or(script.1.clone())
    };
    if status == 0 {
        std::future::pending::<()>().await;
    }
    (StatusCode::from_u16(status).unwrap(), body)
}

fn status(code: u16, reason: &str, wait: u32) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code,
        "message": format!("{reason} it is"), "details": { "retryAfterSeconds": wait },
    });
    (code, status)
}

fn deployment(version: &str, paused: Option<&str>) -> Value {
    let annotations: std::collections::BTreeMap<_, _> =
        paused.iter().map(|it| (PAUSED, *it)).collect();
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "o", "resourceVersion": version, "annotations": annotations },
        "spec": { "replicas": 0, "selector": {}, "template": {} },
    })
}

#[tokio::test]
async fn what_passes_is_waited_for_and_what_does_not_is_not() {
    let passing = [429, 500, 502, 503, 504].map(|it| status(it, "Busy", 0));
    let mut next = Vec::from(passing);
    next.push((503, json!("<html> of a proxy")));
    let server = StandIn::start(next, (200, deployment("1", None)), QUICK).await;
    server.region.operator("o", deadline()).await.unwrap();
    assert_eq!(server.asked(), 7);
    for code in [400, 401, 403, 404, 409, 410, 422] {
        let server = StandIn::start(Vec::new(), status(code, "No", 0), QUICK).await;
        let error = server.region.scale("o", 1, deadline()).await.unwrap_err();
        assert_eq!(server.asked(), 1, "{code}: {error}");
        assert!(!format!("{error} {error:?} {:?}", server.region).contains("hunter2"));
    }
    let server = StandIn::start(Vec::new(), status(429, "TooManyRequests", 3600), QUICK).await;
    let error = server.region.operator("o", deadline()).await.unwrap_err();
    assert!(
        error.is_unreachable() && error.to_string().contains("pause of 3600 s"),
        "{error}"
    );
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn one_that_hangs_is_given_up_and_asked_again() {
    let impatient = Policy {
        attempt: Duration::from_millis(500),
        ..QUICK
    };
    let hang = (0, Value::Null);
    let next = vec![hang.clone(), hang.clone()];
    let server = StandIn::start(next, (200, deployment("1", None)), impatient).await;
    server.region.operator("o", deadline()).await.unwrap();
    let server = StandIn::start(Vec::new(), hang, impatient).await;
    let error = server.region.operator("o", soon()).await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    let error = server.region.wait_gone("a=b", soon()).await.unwrap_err();
    assert!(error.to_string().contains("could not be listed"), "{error}");
    let error = server
        .region
        .follow_log("a", "b")
        .next(soon())
        .await
        .unwrap_err();
    assert!(matches!(error, ClusterError::NotYet { .. }), "{error}");
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_found_to_be_ours_or_not() {
    let impatient = Policy {
        attempt: Duration::from_millis(500),
        ..QUICK
    };
    // The patch takes effect, its answer is lost, and the next attempt meets another version.
    for (value, ours) in [("mine", true), ("another's", false)] {
        let next = vec![
            (200, deployment("1", None)),
            (0, Value::Null),
            status(409, "Conflict", 0),
        ];
        let after = (200, deployment("2", Some(value)));
        let server = StandIn::start(next, after, impatient).await;
        let none = Expected::Value(None);
        let done = server
            .region
            .annotate("o", PAUSED, &none, Some("mine"), deadline())
            .await;
        let written = matches!(done.unwrap(), backstay_cluster::Annotated::Written(_));
        assert_eq!(written, ours, "{value}");
    }
}

#[tokio::test]
async fn a_spec_whose_answer_was_lost_is_written_once_more_only_if_it_has_to_be() {
    let impatient = Policy {
        attempt: Duration::from_millis(500),
        ..QUICK
    };
    let cluster = |version: &str, count: u64| {
        let cluster = json!({
            "apiVersion": "core.humio.com/v1alpha1", "kind": "HumioCluster",
            "metadata": { "name": "c", "resourceVersion": version }, "spec": { "nodeCount": count },
        });
        (200, cluster)
    };
    // It took effect: what is read then is as it should be, and nothing more is written.
    for (found, asked) in [(3, 4), (1, 5)] {
        let next = vec![
            cluster("1", 1),
            (0, Value::Null),
            status(409, "Conflict", 0),
            cluster("2", found),
        ];
        let server = StandIn::start(next, cluster("3", 3), impatient).await;
        let wanted = |_: &Value| Ok(json!({ "nodeCount": 3 }));
        let changed = server.region.change_spec("c", wanted, deadline()).await;
        assert_eq!(changed.unwrap().node_count(), 3);
        assert_eq!(server.asked(), asked);
    }
}

#[tokio::test]
async fn a_record_is_written_once_also_when_the_answer_is_lost() {
    let server = StandIn::start(Vec::new(), (0, Value::Null), QUICK).await;
    for version in [None, Some("1")] {
        let labels = std::collections::BTreeMap::new();
        let error = server
            .region
            .write_record("r", version, &labels, "text", soon())
            .await
            .unwrap_err();
        assert!(error.is_unreachable(), "{error}");
    }
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_strimzi_that_has_only_the_newer_version_of_its_api_is_asked_for_that() {
    let not_found = || status(404, "NotFound", 0);
    let set = json!({
        "apiVersion": "core.strimzi.io/v1", "kind": "StrimziPodSet",
        "metadata": { "name": "kafka", "uid": "u" }, "spec": {},
    });
    let list = json!({
        "apiVersion": "core.strimzi.io/v1", "kind": "StrimziPodSetList", "metadata": {},
        "items": [set],
    });
    let server = StandIn::start(vec![not_found()], (200, list.clone()), QUICK).await;
    let sets = server.region.pod_sets("", deadline()).await.unwrap();
    assert_eq!(sets, ["kafka"]);
    let place = |version: &str| {
        format!("/apis/core.strimzi.io/{version}/namespaces/logging/strimzipodsets")
    };
    assert_eq!(server.paths(), [place("v1beta2"), place("v1")]);

    let next = vec![not_found(), (200, list)];
    let server = StandIn::start(next, (200, set), QUICK).await;
    let deleted = server.region.delete_pod_sets("", deadline()).await.unwrap();
    assert_eq!(deleted, 1);
    let one = format!("{}/kafka", place("v1"));
    assert_eq!(server.paths(), [place("v1beta2"), place("v1"), one]);

    let kafka = json!({
        "apiVersion": "kafka.strimzi.io/v1", "kind": "Kafka", "metadata": { "name": "logs" },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    let server = StandIn::start(vec![not_found()], (200, kafka), QUICK).await;
    assert!(server.region.kafka("logs", deadline()).await.unwrap().ready);
    let server = StandIn::start(Vec::new(), not_found(), QUICK).await;
    let error = server.region.kafka("logs", deadline()).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let error = server.region.pod_sets("", deadline()).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[tokio::test]
async fn a_spec_that_is_refused_or_not_understood_is_not_quoted() {
    let broken = json!({
        "apiVersion": "core.humio.com/v1alpha1", "kind": "HumioCluster",
        "metadata": { "name": "c" }, "spec": { "environmentVariables": "hunter2" },
    });
    let server = StandIn::start(Vec::new(), (200, broken), QUICK).await;
    let same = |spec: &Value| Ok(spec.clone());
    let error = server.region.change_spec("c", same, deadline()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, ClusterError::Answer { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_secret_that_cannot_be_understood_is_not_quoted() {
    let broken = json!({ "metadata": { "name": "s" }, "data": { "key": ["hunter2"] } });
    let server = StandIn::start(Vec::new(), (200, broken), QUICK).await;
    let error = server.region.secret("s", deadline()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    let broken = json!({ "metadata": "hunter2", "data": {} });
    let server = StandIn::start(Vec::new(), (200, broken), QUICK).await;
    let error = server.region.secret("s", deadline()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}

fn near() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        Just(json!("me")),
    ];
    let keys = [
        "metadata",
        "spec",
        "status",
        "data",
        "items",
        "name",
        "annotations",
        "resourceVersion",
        "replicas",
        "holderIdentity",
        "leaseDurationSeconds",
        "renewTime",
        "environmentVariables",
        "nodePools",
        "conditions",
        "code",
        "kind",
        "reason",
        "message",
        "details",
    ];
    let key = proptest::sample::select(keys.to_vec()).prop_map(str::to_owned);
    let json = leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..5)
                .prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    });
    prop_oneof![
        json.prop_map(|it| it.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..300),
    ]
}

#[test]
fn no_answer_makes_it_panic() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(StandIn::start(Vec::new(), (200, Value::Null), QUICK));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(100));
    let status = proptest::sample::select(vec![200_u16, 201, 204, 301, 400, 403, 404, 409, 410]);
    runner
        .run(&(status, near()), |(status, body)| {
            server.script.lock().unwrap().1 = (status, body);
            let region = &server.region;
            runtime.block_on(async {
                let brief = || backstay_retry::Deadline::after(Duration::from_millis(30));
                let none = Expected::Value(None);
                let _ = region.operator("o", brief()).await;
                let _ = region
                    .annotate("o", PAUSED, &none, Some("x"), brief())
                    .await;
                let _ = region.scale("o", 1, brief()).await;
                let _ = region.humio_cluster("o", brief()).await;
                let _ = region.pods("a=b", brief()).await;
                let _ = region.wait_gone("a=b", brief()).await;
                let _ = region.secret("o", brief()).await;
                let _ = region.stale_tls_secrets("o", brief()).await;
                let _ = region.services(brief()).await;
                let _ = region.spec("o", brief()).await;
                let wanted = |_: &Value| Ok(json!({ "nodeCount": 3 }));
                let _ = region.change_spec("o", wanted, brief()).await;
                let _ = region.select("o", &[].into(), brief()).await;
                let _ = region.read_record("o", brief()).await;
                let _ = region.records("a=b", brief()).await;
                let labels = std::collections::BTreeMap::new();
                let _ = region.write_record("o", None, &labels, "", brief()).await;
                let _ = region.delete_pods("a=b", None, brief()).await;
                let _ = region.delete_claims("a=b", brief()).await;
                let _ = region.delete_pod_sets("a=b", brief()).await;
                let request = http::Request::new(String::new());
                let _ = region.ask_pod("o", 80, request, brief()).await;
                let _ = region.follow_log("o", "c").next(brief()).await;
                let mut lock = Lock::new(region.clone(), "o", "me", Duration::from_secs(1));
                let _ = lock.acquire_or_renew(brief()).await;
                let _ = lock.take_over(brief()).await;
                let _ = lock.release(brief()).await;
            });
            Ok(())
        })
        .unwrap();
}
