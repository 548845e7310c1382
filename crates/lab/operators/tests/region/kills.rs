//! Killed with any of their writes and started again, run twice at once, or left alone: what
//! operators and controllers come to is the same.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use backstay_operators::controllers::ControllerOptions;
use backstay_operators::{controllers, humio, strimzi};
use futures::future::BoxFuture;
use hyper::Method;
use kube::Client;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::cut::Life;
use crate::ground::{Ground, apply, ask, get, items, namespace, path, until};
use crate::lab::{Lab, TEST_TIMEOUT, cluster, deployment};
use backstay_testkit::kubernetes::no_kubectl;

/// What is run.
#[derive(Debug, Clone, Copy)]
enum Part {
    Controllers,
    Humio,
    Strimzi,
}

impl Part {
    /// With the rights that it has in a region: operators are no administrators.
    fn context(self) -> &'static str {
        match self {
            Self::Controllers => "aks-secondary",
            Self::Humio | Self::Strimzi => "operator",
        }
    }

    fn run(
        self,
        client: Client,
        namespace: &str,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        let namespace = namespace.to_owned();
        match self {
            Self::Controllers => {
                let options = ControllerOptions::default();
                Box::pin(controllers::run(client, options, stop))
            }
            Self::Humio => Box::pin(humio::run(client, namespace, stop)),
            Self::Strimzi => Box::pin(strimzi::run(client, namespace, stop)),
        }
    }
}

/// Runs it with a client that dies, until that is dead or `done`; says whether it died.
async fn until_death(
    ground: &Ground,
    part: Part,
    namespace: &str,
    death: Option<usize>,
    done: impl Future<Output = ()>,
) -> bool {
    let life = Life::new(death);
    let client = life.client(&ground.kubeconfig, part.context()).await;
    tokio::select! {
        () = life.died.cancelled() => true,
        () = part.run(client, namespace, CancellationToken::new()) => unreachable!(),
        () = done => life.died.is_cancelled(),
    }
}

/// With each write in turn: dies there, and another goes on. To die after a write is to die before
/// the next one, for nothing is known but by the API.
///
/// `prepare` makes a namespace's documents, `done` waits for the end, `check` looks at it.
async fn killed_everywhere<P, D, C>(
    ground: &Ground,
    part: Part,
    least: usize,
    prepare: impl Fn(String) -> P,
    done: impl Fn(String) -> D,
    check: impl Fn(String) -> C,
) where
    P: Future<Output = ()>,
    D: Future<Output = ()>,
    C: Future<Output = ()>,
{
    let mut write = 0;
    loop {
        write += 1;
        let namespace = format!("n-{write}");
        prepare(namespace.clone()).await;
        let death = Some(write);
        let died = until_death(ground, part, &namespace, death, done(namespace.clone())).await;
        if died {
            until_death(ground, part, &namespace, None, done(namespace.clone())).await;
        }
        check(namespace.clone()).await;
        let one = path("", "namespaces", &namespace);
        ask(ground, Method::DELETE, &one, &json!({})).await.unwrap();
        if !died {
            break;
        }
    }
    assert!(
        write > least,
        "only {write} writes: it was not killed at all of them"
    );
}

async fn humio_is_done(ground: &Ground, namespace: &str) {
    until(
        ground,
        (namespace, "humioclusters", "logscale"),
        |cluster| {
            let generation = cluster["metadata"]["generation"].to_string();
            cluster["status"]["observedGeneration"] == generation
                && cluster["status"]["state"] == "Running"
        },
    )
    .await;
}

fn small_cluster(namespace: &str, value: &str) -> Value {
    cluster(
        namespace,
        json!({
            "nodeCount": 2,
            "environmentVariables": [{ "name": "A", "value": value }],
            "dataVolumePersistentVolumeClaimSpecTemplate": { "accessModes": ["ReadWriteOnce"] },
            "nodePools": [{ "name": "ui", "spec": {
                "nodeCount": 1, "environmentVariables": [{ "name": "A", "value": value }],
                "dataVolumePersistentVolumeClaimSpecTemplate": { "accessModes": ["ReadWriteOnce"] },
            } }],
        }),
    )
}

/// Two of one pool, one of the other, each with its claim, all of this value.
async fn check_humio(ground: &Ground, namespace: &str, value: &str) {
    let pods = get(ground, namespace, "pods", "").await;
    let mut pools: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in items(&pods) {
        let pool = pod["metadata"]["labels"]["humio.com/node-pool"].as_str();
        *pools.entry(pool.unwrap()).or_default() += 1;
        let environment = pod["spec"]["containers"][0]["env"].as_array().unwrap();
        let a = environment.iter().find(|v| v["name"] == "A").unwrap();
        assert_eq!(a["value"], value);
        assert_eq!(pod["metadata"].get("deletionTimestamp"), None);
    }
    assert_eq!(pools, BTreeMap::from([("logscale", 2), ("logscale-ui", 1)]));
    let mut mounted: Vec<&str> = items(&pods)
        .iter()
        .map(|pod| {
            pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
                .as_str()
                .unwrap()
        })
        .collect();
    mounted.sort_unstable();
    let claims = get(ground, namespace, "persistentvolumeclaims", "").await;
    let mut names: Vec<&str> = items(&claims)
        .iter()
        .map(|c| c["metadata"]["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(mounted, names, "a claim each, and none besides");
    let secret = get(ground, namespace, "secrets", "logscale-admin-token").await;
    assert_ne!(secret["data"]["token"], json!(null));
    assert_eq!(
        items(&get(ground, namespace, "services", "").await).len(),
        3
    );
}

/// With a scheduler and the rest, without which no pod becomes ready.
async fn with_controllers() -> (Ground, tokio_util::sync::DropGuard) {
    let ground = Ground::start().await;
    let stop = CancellationToken::new();
    let client = ground.region.client().await;
    tokio::spawn(Part::Controllers.run(client, "", stop.clone()));
    (ground, stop.drop_guard())
}

#[tokio::test(flavor = "multi_thread")]
async fn humio_operator_killed_while_a_cluster_is_made() {
    let (ground, _running) = with_controllers().await;
    let ground = &ground;
    // Token, two services, three claims, three pods, a status.
    killed_everywhere(
        ground,
        Part::Humio,
        10,
        async |name: String| apply(ground, &[namespace(&name), small_cluster(&name, "a")]).await,
        async |name: String| humio_is_done(ground, &name).await,
        async |name: String| check_humio(ground, &name, "a").await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn humio_operator_killed_while_all_pods_are_replaced() {
    let (ground, _running) = with_controllers().await;
    let ground = &ground;
    // Three deletions, three pods, a status.
    killed_everywhere(
        ground,
        Part::Humio,
        7,
        async |name: String| {
            apply(ground, &[namespace(&name), small_cluster(&name, "a")]).await;
            let done = humio_is_done(ground, &name);
            until_death(ground, Part::Humio, &name, None, done).await;
            apply(ground, &[small_cluster(&name, "b")]).await;
        },
        async |name: String| humio_is_done(ground, &name).await,
        async |name: String| check_humio(ground, &name, "b").await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strimzi_killed_while_kafka_is_made() {
    let (ground, _running) = with_controllers().await;
    let ground = &ground;
    // A secret, a service, two claims, a pod set, two pods, statuses.
    killed_everywhere(
        ground,
        Part::Strimzi,
        8,
        async |name: String| {
            let kafka = json!({
                "apiVersion": "kafka.strimzi.io/v1beta2",
                "kind": "Kafka",
                "metadata": { "name": "logs", "namespace": name },
                "spec": { "kafka": { "replicas": 2 } },
            });
            apply(ground, &[namespace(&name), kafka]).await;
        },
        async |name: String| {
            until(ground, (&name, "kafkas", "logs"), |kafka| {
                kafka["status"]["conditions"][0]["status"] == "True"
            })
            .await;
        },
        async |name: String| {
            for (what, count) in [
                ("pods", 2),
                ("persistentvolumeclaims", 2),
                ("strimzipodsets", 1),
                ("secrets", 1),
                ("services", 1),
            ] {
                let list = get(ground, &name, what, "").await;
                assert_eq!(items(&list).len(), count, "{what}");
            }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_killed_while_a_deployment_is_rolled_out() {
    let ground = Ground::start().await;
    let ground = &ground;
    // Two pods, a node, two bindings, endpoints, a claim's name and status, a status.
    killed_everywhere(
        ground,
        Part::Controllers,
        9,
        async |name: String| {
            let mut web = deployment(&name, "web", "a:1", 2);
            let pool = name.replace('-', "");
            web["spec"]["template"]["spec"]["nodeSelector"] = json!({ "agentpool": pool });
            let service = json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": { "name": "web", "namespace": name },
                "spec": { "selector": { "app": "web" }, "ports": [{ "port": 8080 }] },
            });
            let claim = json!({
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": { "name": "data", "namespace": name },
                "spec": { "accessModes": ["ReadWriteOnce"] },
            });
            apply(ground, &[namespace(&name), web, service, claim]).await;
        },
        async |name: String| {
            until(ground, (&name, "deployments", "web"), |web| {
                web["status"]["readyReplicas"] == 2
            })
            .await;
            until(ground, (&name, "persistentvolumeclaims", "data"), |claim| {
                claim["status"]["phase"] == "Bound"
            })
            .await;
            until(ground, (&name, "endpoints", ""), |list| {
                let web = items(list).first();
                web.is_some_and(|web| {
                    web["subsets"][0]["addresses"]
                        .as_array()
                        .is_some_and(|all| all.len() == 2)
                })
            })
            .await;
        },
        async |name: String| {
            let pods = get(ground, &name, "pods", "").await;
            assert_eq!(items(&pods).len(), 2);
            let node = format!("aks-{}-0", name.replace('-', ""));
            assert!(
                items(&pods)
                    .iter()
                    .all(|pod| pod["spec"]["nodeName"] == node)
            );
            get(ground, "", "nodes", &node).await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_at_once_end_with_what_is_wanted() {
    let (ground, _running) = with_controllers().await;
    let ground = &ground;
    let stop = CancellationToken::new();
    let mut both = Vec::new();
    for _ in 0..2 {
        let client = ground.client.clone();
        both.push(tokio::spawn(humio::run(
            client,
            "two".to_owned(),
            stop.clone(),
        )));
    }
    apply(ground, &[namespace("two"), small_cluster("two", "a")]).await;
    humio_is_done(ground, "two").await;
    for round in 0..5 {
        let value = format!("round-{round}");
        apply(ground, &[small_cluster("two", &value)]).await;
        let pods = get(ground, "two", "pods", "").await;
        if let Some(pod) = items(&pods).first() {
            let name = pod["metadata"]["name"].as_str().unwrap();
            let one = path("two", "pods", name);
            // It may be going already.
            let _ = ask(ground, Method::DELETE, &one, &json!({})).await;
        }
        // Both have seen the end before it is looked at: it stays so.
        let as_wanted = async {
            loop {
                humio_is_done(ground, "two").await;
                let pods = get(ground, "two", "pods", "").await;
                let going = |pod: &Value| !pod["metadata"]["deletionTimestamp"].is_null();
                if items(&pods).len() == 3 && !items(&pods).iter().any(going) {
                    return;
                }
            }
        };
        tokio::time::timeout(TEST_TIMEOUT, as_wanted).await.unwrap();
        check_humio(ground, "two", &value).await;
    }
    stop.cancel();
    for operator in both {
        operator.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_when_nothing_changes() {
    if no_kubectl() {
        return;
    }
    let lab = Lab::start().await;
    let mut lives = Vec::new();
    let stop = CancellationToken::new();
    for part in [Part::Controllers, Part::Humio, Part::Strimzi] {
        let life = Life::new(None);
        let client = life.client(&lab.region.kubeconfig(), part.context()).await;
        tokio::spawn(part.run(client, "logging", stop.clone()));
        lives.push(life);
    }
    lab.apply(&[
        deployment("logging", "web", "a:1", 2),
        cluster("logging", json!({ "nodeCount": 2 })),
        json!({
            "apiVersion": "kafka.strimzi.io/v1beta2",
            "kind": "Kafka",
            "metadata": { "name": "logs", "namespace": "logging" },
            "spec": { "kafka": { "replicas": 1 } },
        }),
    ])
    .await;
    lab.kubectl("-n logging wait kafka/logs --for=condition=Ready --timeout=120s")
        .await;
    lab.kubectl("-n logging wait --for=jsonpath={.status.state}=Running humiocluster/logscale --timeout=120s").await;
    let asked = || lives.iter().map(Life::requests).sum::<usize>();
    let rest = async {
        loop {
            let before = asked();
            tokio::time::sleep(Duration::from_secs(3)).await;
            if asked() == before {
                return;
            }
        }
    };
    assert!(
        tokio::time::timeout(TEST_TIMEOUT, rest).await.is_ok(),
        "they go on asking"
    );
    assert!(asked() > 0);
    stop.cancel();
    lab.stop().await;
}
