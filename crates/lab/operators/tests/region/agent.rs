//! A stand-in for the node agent: pods that are placed become ready, unless they are labelled
//! `test/unready`; those that are deleted go. A pod of an operator's image runs the operator.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use backstay_testkit::kubernetes::NodeAgent;
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::processes::Processes;

pub struct Agent {
    task: JoinHandle<()>,
}

impl NodeAgent for Agent {
    type Runtime = Processes;

    fn runtime(_: PathBuf) -> Processes {
        Processes
    }

    fn start(client: Client, _: Arc<Processes>) -> Self {
        let task = tokio::spawn(async move {
            let pods = Api::all_with(client.clone(), &ApiResource::erase::<Pod>(&()));
            let placed = watcher::Config::default().fields("spec.nodeName!=");
            let mut node = Node {
                client,
                addresses: HashMap::new(),
                operators: HashMap::new(),
            };
            let mut events = Box::pin(watcher(pods, placed));
            while let Some(event) = events.try_next().await.unwrap() {
                match event {
                    watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                        node.see(&pod).await;
                    }
                    watcher::Event::Delete(pod) => node.forget(&pod),
                    watcher::Event::Init | watcher::Event::InitDone => {}
                }
            }
        });
        Self { task }
    }

    async fn stop(self) {
        self.task.abort();
    }
}

struct Node {
    client: Client,
    addresses: HashMap<String, String>,
    operators: HashMap<String, DropGuard>,
}

impl Node {
    async fn see(&mut self, pod: &DynamicObject) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap());
        let (name, uid) = (pod.name_any(), pod.uid().unwrap());
        if pod.metadata.deletion_timestamp.is_some() {
            self.operators.remove(&uid);
            // Gone already when it was deleted by force.
            let at_once = DeleteParams::default().grace_period(0);
            let _ = pods.delete(&name, &at_once).await;
            return;
        }
        let next = self.addresses.len() + 1;
        let address = self
            .addresses
            .entry(uid.clone())
            .or_insert_with(|| format!("127.20.{}.{}", next / 250, next % 250 + 1))
            .clone();
        let ready = !pod.labels().contains_key("test/unready");
        let ready_text = if ready { "True" } else { "False" };
        let conditions = pod.data["status"]["conditions"].as_array();
        let is = conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == ready_text);
        let container = &pod.data["spec"]["containers"][0];
        if !is {
            let status = json!({ "status": {
                "phase": "Running",
                "podIP": address,
                "conditions": [{ "type": "Ready", "status": ready_text }],
                "containerStatuses": [{
                    "name": container["name"], "ready": ready, "restartCount": 0,
                    "image": "", "imageID": "", "state": { "running": {} },
                }],
            }});
            // It may have been deleted by force in between.
            let _ = pods
                .patch_status(&name, &PatchParams::default(), &Patch::Merge(&status))
                .await;
        }
        if !self.operators.contains_key(&uid) {
            self.run_operator(&uid, pod, container["image"].as_str().unwrap_or_default());
        }
    }

    fn run_operator(&mut self, uid: &str, pod: &DynamicObject, image: &str) {
        let stop = CancellationToken::new();
        let (client, namespace) = (self.client.clone(), pod.namespace().unwrap());
        let guard = stop.clone().drop_guard();
        if image.starts_with("backstay/humio-operator") {
            tokio::spawn(backstay_operators::humio::run(client, namespace, stop));
        } else if image.starts_with("backstay/strimzi-operator") {
            tokio::spawn(backstay_operators::strimzi::run(client, namespace, stop));
        } else {
            return;
        }
        self.operators.insert(uid.to_owned(), guard);
    }

    fn forget(&mut self, pod: &DynamicObject) {
        self.operators.remove(&pod.uid().unwrap());
    }
}
