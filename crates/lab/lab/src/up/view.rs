//! What a region looks like from outside, and whether that is all there is to wait for.

use std::net::SocketAddr;
use std::time::Duration;

use backstay_kinds::{HUMIO_CLUSTER, label};
use backstay_pair::{HUMIO_OPERATOR, Pair, Side};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde_json::Value;

/// What the pods of LogScale are selected by.
pub const HUMIO_PODS: &str = label::HUMIO_SELECTOR;

/// Longest wait for an answer of the ingress.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// A region as it looks now.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct View {
    /// Whether its API answers; without it nothing else is known.
    pub api: bool,
    /// Replicas of humio-operator: ready, wanted.
    pub operator: (i64, i64),
    /// Nodes that the HumioCluster declares, in all pools.
    pub nodes: i64,
    /// Its pods of LogScale.
    pub pods: Vec<PodView>,
    /// The region's pods that are not LogScale's.
    pub others: Vec<PodView>,
    /// What its ingress answers on `/api/v1/status` for the global name.
    pub status: Option<u16>,
}

/// A pod, as `backstay lab status` shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PodView {
    /// The pod's name in its namespace.
    pub name: String,
    /// Whether it is ready.
    pub ready: bool,
    /// `Pending`, `Running`, …
    pub phase: String,
}

impl View {
    /// What is still waited for; `None` when the region is as it was asked to be.
    pub fn missing(&self) -> Option<String> {
        let not_ready = |pods: &[PodView]| {
            let waiting = pods.iter().find(|pod| !pod.ready);
            waiting.map(|pod| format!("pod {} ({})", pod.name, pod.phase))
        };
        if !self.api {
            return Some("its API".to_owned());
        }
        if self.operator.0 < self.operator.1 {
            return Some("humio-operator".to_owned());
        }
        if self.others.is_empty() {
            return Some("its pods".to_owned());
        }
        if let Some(pod) = not_ready(&self.others) {
            return Some(pod);
        }
        if self.operator.1 == 0 {
            // It stands by: nothing of LogScale runs, and the ingress has nobody to pass on to.
            return self.status.is_none().then(|| "its ingress".to_owned());
        }
        let declared = usize::try_from(self.nodes).unwrap_or_default();
        if self.pods.len() < declared {
            return Some(format!("{declared} pods of LogScale"));
        }
        not_ready(&self.pods)
            .or_else(|| (self.status != Some(200)).then(|| "200 from its ingress".to_owned()))
    }
}

/// Looks at a region. What does not answer is missing from the view.
pub async fn look(
    client: &kube::Client,
    http: &reqwest::Client,
    pair: &Pair,
    side: Side,
    ingress: SocketAddr,
) -> View {
    let (seen, status) = tokio::join!(seen(client, pair, side), status(http, pair, ingress));
    View {
        status,
        ..seen.unwrap_or_default()
    }
}

async fn seen(client: &kube::Client, pair: &Pair, side: Side) -> Result<View, kube::Error> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &pair.namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &pair.namespace);
    let ingress: Api<Pod> = Api::namespaced(client.clone(), &pair.ingress_namespace);
    let kind = GroupVersionKind::gvk(
        HUMIO_CLUSTER.group,
        HUMIO_CLUSTER.version,
        HUMIO_CLUSTER.kind,
    );
    let kind = ApiResource::from_gvk(&kind);
    let clusters: Api<DynamicObject> = Api::namespaced_with(client.clone(), &pair.namespace, &kind);
    let everything = ListParams::default();
    let (operator, cluster, pods, ingress) = tokio::try_join!(
        deployments.get_opt(HUMIO_OPERATOR),
        clusters.get_opt(&pair.region(side).cluster),
        pods.list(&everything),
        ingress.list(&everything),
    )?;
    let (humio, mut others): (Vec<&Pod>, Vec<&Pod>) = pods.iter().partition(|pod| {
        let labels = pod.labels();
        labels.get(label::HUMIO.0).map(String::as_str) == Some(label::HUMIO.1)
    });
    others.extend(ingress.iter());
    Ok(View {
        api: true,
        operator: operator.as_ref().map(replicas).unwrap_or_default(),
        nodes: cluster.map_or(0, |cluster| nodes(&cluster.data)),
        pods: humio.into_iter().map(pod).collect(),
        others: others.into_iter().map(pod).collect(),
        status: None,
    })
}

fn replicas(deployment: &Deployment) -> (i64, i64) {
    let status = deployment.status.as_ref();
    let ready = status.and_then(|it| it.ready_replicas).unwrap_or_default();
    let wanted = deployment.spec.replicas.unwrap_or(1);
    (ready.into(), wanted.into())
}

fn nodes(cluster: &Value) -> i64 {
    let count = |spec: &Value| spec["nodeCount"].as_i64().unwrap_or_default();
    let pools = cluster["spec"]["nodePools"].as_array();
    let of_pools: i64 = pools
        .into_iter()
        .flatten()
        .map(|pool| count(&pool["spec"]))
        .sum();
    count(&cluster["spec"]) + of_pools
}

fn pod(pod: &Pod) -> PodView {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|it| it.conditions.as_ref());
    let ready = conditions.into_iter().flatten();
    let leaving = pod.metadata.deletion_timestamp.is_some();
    PodView {
        name: pod.name_any(),
        ready: !leaving
            && ready
                .into_iter()
                .any(|it| it.type_ == "Ready" && it.status == "True"),
        phase: if leaving {
            "Terminating".to_owned()
        } else {
            status.and_then(|it| it.phase.clone()).unwrap_or_default()
        },
    }
}

async fn status(http: &reqwest::Client, pair: &Pair, ingress: SocketAddr) -> Option<u16> {
    let answer = http
        .get(format!(
            "http://{ingress}{}",
            pair.traffic_manager.probe_path
        ))
        .header("Host", &pair.global_host)
        .timeout(REQUEST_TIMEOUT)
        .send()
        .await;
    Some(answer.ok()?.status().as_u16())
}

#[cfg(test)]
mod tests {
    use super::{PodView, View};

    fn pod(ready: bool) -> PodView {
        PodView {
            name: "p".to_owned(),
            ready,
            phase: "Running".to_owned(),
        }
    }

    #[test]
    fn a_region_is_ready_when_it_is_as_it_was_asked_to_be() {
        let standby = View {
            api: true,
            operator: (0, 0),
            nodes: 1,
            others: vec![pod(true)],
            status: Some(503),
            ..View::default()
        };
        let active = View {
            operator: (1, 1),
            pods: vec![pod(true)],
            status: Some(200),
            ..standby.clone()
        };
        assert_eq!(standby.missing(), None);
        assert_eq!(active.missing(), None);
        let not: [(View, &str); 7] = [
            (View::default(), "API"),
            (
                View {
                    operator: (0, 1),
                    ..active.clone()
                },
                "operator",
            ),
            (
                View {
                    others: vec![],
                    ..standby.clone()
                },
                "pods",
            ),
            (
                View {
                    others: vec![pod(false)],
                    ..standby.clone()
                },
                "pod p",
            ),
            (
                View {
                    status: None,
                    ..standby
                },
                "ingress",
            ),
            (
                View {
                    nodes: 2,
                    ..active.clone()
                },
                "2 pods",
            ),
            (
                View {
                    status: Some(503),
                    ..active.clone()
                },
                "200",
            ),
        ];
        for (view, part) in not {
            let missing = view.missing().unwrap_or_default();
            assert!(missing.contains(part), "{view:?}: {missing}");
        }
        let waiting = View {
            pods: vec![pod(false)],
            ..active
        };
        assert!(waiting.missing().is_some());
    }
}
