//! A node agent: starts the pods that are placed on its node, says that they are ready, and ends
//! them when they are deleted.

use std::path::PathBuf;
use std::sync::Arc;

use backstay_testkit::kubernetes::NodeAgent;
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::processes::Processes;

pub const NODE: &str = "node-1";

pub struct Agent {
    task: JoinHandle<()>,
    processes: Arc<Processes>,
}

impl NodeAgent for Agent {
    type Runtime = Processes;

    fn runtime(folder: PathBuf) -> Processes {
        Processes::new(folder)
    }

    fn start(client: Client, processes: Arc<Processes>) -> Self {
        let running = processes.clone();
        let task = tokio::spawn(async move {
            let pods: Api<Pod> = Api::all(client.clone());
            let mine = watcher::Config::default().fields(&format!("spec.nodeName={NODE}"));
            let events = watcher(pods, mine);
            let each = events.try_for_each(|event| {
                let (client, processes) = (client.clone(), running.clone());
                async move {
                    if let watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) = event {
                        reconcile(&client, &processes, &pod).await;
                    }
                    Ok(())
                }
            });
            if let Err(error) = each.await {
                panic!("the agent's watch has ended: {error}");
            }
        });
        Self { task, processes }
    }

    async fn stop(self) {
        self.task.abort();
        self.processes.stop_all().await;
    }
}

async fn reconcile(client: &Client, processes: &Processes, pod: &Pod) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap());
    let (name, uid) = (pod.name_any(), pod.uid().unwrap());
    if pod.metadata.deletion_timestamp.is_some() {
        processes.stop(&uid).await;
        // Gone already when it was deleted by force.
        let _ = pods
            .delete(&name, &DeleteParams::default().grace_period(0))
            .await;
        return;
    }
    if processes.is_running(&uid) {
        return;
    }
    let container = &pod.spec.as_ref().unwrap().containers[0];
    let environment: Vec<(String, String)> = container
        .env
        .iter()
        .flatten()
        .map(|variable| {
            (
                variable.name.clone(),
                variable.value.clone().unwrap_or_default(),
            )
        })
        .collect();
    let command = container
        .command
        .clone()
        .unwrap_or_else(|| vec!["sleep".into(), "600".into()]);
    processes.start(&uid, &command, &environment);
    let status = json!({ "status": {
        "phase": "Running",
        "podIP": "127.0.0.1",
        "conditions": [{ "type": "Ready", "status": "True" }],
        "containerStatuses": [{
            "name": container.name, "ready": true, "restartCount": 0,
            "image": "", "imageID": "", "state": { "running": {} },
        }],
    }});
    // It may have been deleted by force in between.
    let _ = pods
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(&status))
        .await;
}
