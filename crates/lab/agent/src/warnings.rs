//! What goes wrong with pods, as events: `kubectl describe pod` shows them.
//!
//! Only what somebody may have to act on is recorded. A kubelet also records every start and stop,
//! but here each event is a durable write, and a start of a region makes many.

use chrono::Utc;
use k8s_openapi::api::core::v1::Event;
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::status::seconds;

/// Warnings that wait to be written; more are dropped: they are help, not state.
const MAX_QUEUED: usize = 64;

/// The pod that a warning is about.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub namespace: String,
    pub pod: String,
    pub uid: String,
    pub node: String,
}

/// Writes warnings as Events of pods, from a task of its own.
#[derive(Debug, Clone)]
pub(crate) struct Warnings {
    queue: mpsc::Sender<(About, Value)>,
}

impl Warnings {
    /// Makes the queue of warnings, and the task that writes them for as long as it is polled.
    pub fn new(client: Client) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, mut waiting) = mpsc::channel::<(About, Value)>(MAX_QUEUED);
        let recording = async move {
            while let Some((about, event)) = waiting.recv().await {
                let events: Api<Event> = Api::namespaced(client.clone(), &about.namespace);
                let created = match serde_json::from_value(event) {
                    Ok(event) => events
                        .create(&PostParams::default(), &event)
                        .await
                        .map(drop),
                    Err(error) => Err(kube::Error::SerdeError(error)),
                };
                if let Err(error) = created {
                    tracing::debug!(%error, pod = %about.pod, "an event is not taken");
                }
            }
        };
        (Self { queue }, recording)
    }

    /// Records one, about a pod as a whole or one of its containers.
    pub fn record(&self, about: &About, container: Option<&str>, reason: &str, message: &str) {
        let event = event(about, container, reason, message);
        // Where too many wait, the pod's status says the same.
        let _ = self.queue.try_send((about.clone(), event));
    }
}

fn event(about: &About, container: Option<&str>, reason: &str, message: &str) -> Value {
    let now = Utc::now();
    let place = container.map(|name| format!("spec.containers{{{name}}}"));
    let unique = now.timestamp_nanos_opt().unwrap_or_default();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": format!("{}.{unique:x}", about.pod),
            "namespace": about.namespace,
        },
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": about.namespace,
            "name": about.pod,
            "uid": about.uid,
            "fieldPath": place,
        },
        "type": "Warning",
        "reason": reason,
        "message": message,
        "source": { "component": "kubelet", "host": about.node },
        "reportingComponent": "kubelet",
        "reportingInstance": about.node,
        "firstTimestamp": seconds(now),
        "lastTimestamp": seconds(now),
        "count": 1,
    })
}
