//! Many pods come and go.

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};

use crate::region::{World, pod, processes_marked, shell, until};
use backstay_testkit::kubernetes::{client_at, no_kubectl};

const PODS: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_pods_leave_nothing() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    let client = client_at(&world.kubeconfig()).await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "logging");
    // Twice: more pods than there are addresses.
    for round in 0..2 {
        let create = (0..PODS).map(|number| {
            let document = pod(&format!("pod-{round}-{number}"), shell("exec sleep 600"));
            let document: Pod = serde_json::from_value(document).unwrap();
            let pods = pods.clone();
            async move {
                pods.create(&PostParams::default(), &document)
                    .await
                    .unwrap()
            }
        });
        join_all(create).await;
        until("all run", || async {
            let all = pods.list(&ListParams::default()).await.unwrap();
            let running = all.iter().filter(|pod| {
                let status = pod.status.as_ref().unwrap();
                status.phase.as_deref() == Some("Running")
            });
            match running.count() {
                PODS => Ok(()),
                count => Err(count),
            }
        })
        .await;
        let all = pods.list(&ListParams::default()).await.unwrap();
        let mut addresses: Vec<String> = all
            .iter()
            .map(|pod| pod.status.as_ref().unwrap().pod_ip.clone().unwrap())
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), PODS);
        assert_eq!(world.runtime.groups().len(), PODS);

        let grace = if round == 0 { 30 } else { 0 };
        pods.delete_collection(
            &DeleteParams::default().grace_period(grace),
            &ListParams::default(),
        )
        .await
        .unwrap();
        until("all are gone", || async {
            let left = pods.list(&ListParams::default()).await.unwrap().items.len();
            let folder = world.agent_folder();
            let names = |of: &str| std::fs::read_dir(folder.join(of)).unwrap().count();
            let groups = std::fs::read_dir(folder.join("groups")).unwrap();
            let records: usize = groups
                .map(|boot| std::fs::read_dir(boot.unwrap().path()).unwrap().count())
                .sum();
            let processes = processes_marked(&folder).len();
            match (
                left,
                world.runtime.groups().len(),
                names("pods"),
                records,
                processes,
            ) {
                (0, 0, 0, 0, 0) => Ok(()),
                some => Err(some),
            }
        })
        .await;
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_well_while_they_are_there() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    let node = |name: &str| -> Value {
        json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name } })
    };
    for name in ["aks-ui-0", "aks-ingest-0"] {
        world.apply(node(name)).await;
        world
            .kubectl(&format!(
                "wait node {name} --for=condition=Ready --timeout=60s"
            ))
            .await;
    }
    // Another of the same name is another node.
    world.kubectl("delete node aks-ui-0").await;
    world.apply(node("aks-ui-0")).await;
    world
        .kubectl("wait node aks-ui-0 --for=condition=Ready --timeout=60s")
        .await;
    let nodes: Api<Node> = Api::all(client_at(&world.kubeconfig()).await);
    let node = nodes.get("aks-ui-0").await.unwrap();
    let info = node.status.unwrap().node_info.unwrap();
    assert!(info.container_runtime_version.starts_with("process://"));
    world.stop().await;
}
