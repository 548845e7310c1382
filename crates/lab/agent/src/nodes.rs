//! Keeps the nodes well: whoever makes a Node object has a node.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Utc;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use crate::agent::Context;
use crate::sources::events;
use crate::status::{condition, seconds};

/// Says of each node that it is well, when it comes and from time to time.
pub(crate) async fn keep(context: Arc<Context>) {
    let nodes: Api<Node> = Api::all(context.client.clone());
    let seen: Api<PartialObjectMeta<Node>> = Api::all(context.client.clone());
    let mut events = Box::pin(events(watcher(seen, watcher::Config::default())));
    let every = context.options.heartbeat;
    let mut beat = tokio::time::interval_at(Instant::now() + every, every);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // By name: which one it is, and since when it is well.
    let mut well: BTreeMap<String, (Option<String>, Value)> = BTreeMap::new();
    loop {
        let names: Vec<String> = tokio::select! {
            event = events.next() => match event {
                Some(watcher::Event::Apply(node) | watcher::Event::InitApply(node)) => {
                    let (name, uid) = (node.name_any(), node.uid());
                    let known = well.get(&name).is_some_and(|(known, _)| *known == uid);
                    if known {
                        continue;
                    }
                    well.insert(name.clone(), (uid, json!({})));
                    vec![name]
                }
                Some(watcher::Event::Delete(node)) => {
                    well.remove(&node.name_any());
                    continue;
                }
                Some(watcher::Event::Init | watcher::Event::InitDone) => continue,
                None => return,
            },
            _ = beat.tick() => well.keys().cloned().collect(),
        };
        for name in names {
            let Some((uid, before)) = well.get_mut(&name) else {
                continue;
            };
            let status = status(&context, &name, before);
            let patch = json!({ "metadata": { "uid": uid }, "status": status });
            let merge = Patch::Merge(&patch);
            match nodes
                .patch_status(&name, &PatchParams::default(), &merge)
                .await
            {
                Ok(_) => *before = status,
                Err(kube::Error::Api(answer)) if answer.code == 404 => {
                    well.remove(&name);
                }
                Err(error) => {
                    tracing::warn!(%error, node = %name, "the status of a node cannot be written")
                }
            }
        }
    }
}

fn status(context: &Context, name: &str, before: &Value) -> Value {
    let now = Utc::now();
    let mut ready = condition("Ready", &Ok(()), before, now);
    ready["reason"] = json!("KubeletReady");
    ready["message"] = json!("the node agent runs");
    ready["lastHeartbeatTime"] = json!(seconds(now));
    if let Some(ready) = ready.as_object_mut() {
        ready.remove("lastProbeTime");
    }
    let version = env!("CARGO_PKG_VERSION");
    json!({
        "conditions": [ready],
        "addresses": [
            { "type": "InternalIP", "address": context.options.network.node() },
            { "type": "Hostname", "address": name },
        ],
        "capacity": { "pods": "253" },
        "allocatable": { "pods": "253" },
        "nodeInfo": {
            "architecture": std::env::consts::ARCH,
            "bootID": "",
            "containerRuntimeVersion": format!("process://{version}"),
            "kernelVersion": "",
            "kubeProxyVersion": "",
            "kubeletVersion": format!("v1.32.0-backstay.{version}"),
            "machineID": "",
            "operatingSystem": std::env::consts::OS,
            "osImage": "Backstay",
            "systemUUID": "",
        },
    })
}
