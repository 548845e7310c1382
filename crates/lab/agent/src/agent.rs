//! The agent: hears of pods and gives each a worker.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::claims::Claims;
use crate::network::Addresses;
use crate::nodes;
use crate::options::AgentOptions;
use crate::pod::Worker;
use crate::probe::Prober;
use crate::runtime::{AgentError, Runtime};
use crate::sources::{Sources, events};
use crate::volumes::VolumeError;
use crate::warnings::Warnings;

/// What all pods of an agent share.
pub(crate) struct Context {
    pub client: Client,
    pub runtime: Arc<Runtime>,
    pub options: AgentOptions,
    pub sources: Sources,
    pub claims: Claims,
    pub prober: Prober,
    pub warnings: Warnings,
    pub addresses: Mutex<Addresses>,
    /// An address may be free.
    pub freed: Notify,
    /// A claim may be gone, or no pod have it any more.
    pub unclaimed: Notify,
    pub shutdown: CancellationToken,
}

impl Context {
    /// The pod is gone, and whatever it held is free.
    pub fn release(&self, uid: &str) {
        self.addresses.lock().release(uid);
        self.freed.notify_waiters();
        self.claims.release(uid);
        self.unclaimed.notify_one();
    }
}

/// A running node agent: it stands for all nodes of its API server.
pub struct Agent {
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Agent {
    /// Runs the pods that are placed on any node. A pod's processes end with the agent.
    ///
    /// # Errors
    /// When its folder cannot be used, or no client for probes can be made.
    pub fn start(
        client: Client,
        runtime: Arc<Runtime>,
        options: AgentOptions,
    ) -> Result<Self, AgentError> {
        let shutdown = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (sources, watching) = Sources::new(client.clone());
        let (warnings, telling) = Warnings::new(client.clone());
        let claims = Claims::new(client.clone(), &runtime.folder).map_err(|error| match error {
            VolumeError::File { path, source } => AgentError::Folder { path, source },
            other => AgentError::Folder {
                path: runtime.folder.clone(),
                source: io::Error::other(other),
            },
        })?;
        let context = Arc::new(Context {
            sources,
            claims,
            warnings,
            prober: Prober::new(runtime.groups.clone())?,
            addresses: Mutex::new(Addresses::new(options.network)),
            freed: Notify::new(),
            unclaimed: Notify::new(),
            shutdown: shutdown.clone(),
            client,
            runtime,
            options,
        });
        let until_stopped = |task: futures::future::BoxFuture<'static, ()>| {
            let shutdown = shutdown.clone();
            tasks.spawn(async move {
                shutdown.run_until_cancelled(task).await;
            });
        };
        until_stopped(Box::pin(watching));
        until_stopped(Box::pin(telling));
        until_stopped(Box::pin(nodes::keep(context.clone())));
        until_stopped(Box::pin(collect_claims(context.clone())));
        until_stopped(Box::pin(watch_pods(context, tasks.clone())));
        Ok(Self { shutdown, tasks })
    }

    /// Ends all processes and waits for their end. The pods stay: the next agent starts them again.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

async fn collect_claims(context: Arc<Context>) {
    let mut changes = context.sources.changes();
    loop {
        if let Err(error) = context.claims.collect().await {
            tracing::warn!(%error, "volumes of claims that are gone are kept for now");
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() {
                return;
            },
            () = context.unclaimed.notified() => {}
        }
    }
}

/// The supervisor's end of a pod's worker: what it has been given of the pod, and its end.
struct PodWorker {
    pod: watch::Sender<Arc<Pod>>,
    gone: CancellationToken,
}

/// Watches pods. An object that is not a valid pod does not hinder the others: each is parsed
/// separately.
async fn watch_pods(context: Arc<Context>, tasks: TaskTracker) {
    let resource = ApiResource::erase::<Pod>(&());
    let pods: Api<DynamicObject> = Api::all_with(context.client.clone(), &resource);
    let mut events = Box::pin(events(watcher(pods, watcher::Config::default())));
    let mut supervisor = PodSupervisor {
        context,
        tasks,
        workers: HashMap::new(),
    };
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(pod) => listed.push(pod),
            watcher::Event::InitDone => supervisor.all(std::mem::take(&mut listed)),
            watcher::Event::Apply(pod) => supervisor.one(&pod),
            watcher::Event::Delete(pod) => supervisor.gone(&pod.uid().unwrap_or_default()),
        }
    }
}

/// Starts, updates and ends a worker for each pod on a node of this agent.
struct PodSupervisor {
    context: Arc<Context>,
    tasks: TaskTracker,
    /// By the pods' UIDs.
    workers: HashMap<String, PodWorker>,
}

impl PodSupervisor {
    /// These are all pods that there are.
    fn all(&mut self, pods: Vec<DynamicObject>) {
        let there: HashSet<String> = pods.iter().filter_map(|pod| pod.uid()).collect();
        let ended = self.workers.keys().filter(|uid| !there.contains(*uid));
        for uid in ended.cloned().collect::<Vec<_>>() {
            self.gone(&uid);
        }
        // Before any of them gets a new one.
        for pod in &pods {
            let address = pod.data.pointer("/status/podIP").and_then(|ip| ip.as_str());
            let address = address.and_then(|ip| ip.parse::<Ipv4Addr>().ok());
            if let (Some(uid), Some(address)) = (pod.uid(), address) {
                self.context.addresses.lock().keep(&uid, address);
            }
        }
        let folder = self.context.runtime.pods_folder();
        if let Err(error) = remove_others(&folder, &there, &self.workers) {
            tracing::warn!(%error, "folders of pods that are gone are kept for now");
        }
        for pod in &pods {
            self.one(pod);
        }
    }

    fn gone(&mut self, uid: &str) {
        match self.workers.remove(uid) {
            Some(worker) => worker.gone.cancel(),
            // It may have had an address from an agent before this one.
            None => self.context.release(uid),
        }
    }

    fn one(&mut self, object: &DynamicObject) {
        let uid = object.uid().unwrap_or_default();
        let parsed = object.clone().try_parse::<Pod>();
        let parsed = parsed.map_err(Unfit::Form).and_then(checked);
        match (self.workers.get(&uid), parsed) {
            (Some(worker), Ok(pod)) => update(worker, pod),
            // What runs goes on as it is; but it can be deleted.
            (Some(worker), Err(_)) => {
                let before = worker.pod.borrow().clone();
                let pod = Pod {
                    metadata: object.metadata.clone(),
                    ..Pod::clone(&before)
                };
                update(worker, pod);
            }
            (None, Ok(pod)) => {
                let placed = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
                if placed.is_some_and(|node| !node.is_empty()) {
                    self.start(uid, pod);
                }
            }
            (None, Err(why)) => {
                let context = self.context.clone();
                let object = object.clone();
                self.tasks.spawn(async move {
                    let shutdown = context.shutdown.clone();
                    let why = why.to_string();
                    let refusing = refuse(&context.client, &object, &why);
                    shutdown.run_until_cancelled(refusing).await;
                });
            }
        }
    }

    fn start(&mut self, uid: String, pod: Pod) {
        let (sender, receiver) = watch::channel(Arc::new(pod));
        let gone = CancellationToken::new();
        let worker = Worker::new(self.context.clone(), receiver, gone.clone());
        self.tasks.spawn(worker.run());
        self.workers.insert(uid, PodWorker { pod: sender, gone });
    }
}

/// Gives a worker the new state of its pod, unless only the status has changed, which the worker itself
/// writes.
fn update(worker: &PodWorker, pod: Pod) {
    worker.pod.send_if_modified(|before| {
        let (old, new) = (&before.metadata, &pod.metadata);
        let same = before.spec == pod.spec
            && old.labels == new.labels
            && old.annotations == new.annotations
            && old.deletion_timestamp == new.deletion_timestamp
            && old.deletion_grace_period_seconds == new.deletion_grace_period_seconds;
        if !same {
            *before = Arc::new(pod);
        }
        !same
    });
}

/// Why a pod cannot be run here.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error(transparent)]
    Form(kube::core::dynamic::ParseDynamicObjectError),
    #[error("it has no spec")]
    NoSpec,
    #[error("init containers are not supported; use containers only")]
    InitContainers,
    #[error("container name {0:?} must be of letters, digits and -")]
    Name(String),
    #[error("there are two containers called {0:?}")]
    Twice(String),
}

/// A pod that can be run here, or why it cannot.
fn checked(pod: Pod) -> Result<Pod, Unfit> {
    let Some(spec) = &pod.spec else {
        return Err(Unfit::NoSpec);
    };
    check(spec)?;
    Ok(pod)
}

fn check(spec: &PodSpec) -> Result<(), Unfit> {
    if spec
        .init_containers
        .as_ref()
        .is_some_and(|all| !all.is_empty())
    {
        return Err(Unfit::InitContainers);
    }
    let mut names = HashSet::new();
    for container in &spec.containers {
        let name = container.name.as_str();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(Unfit::Name(name.to_owned()));
        }
        if !names.insert(name) {
            return Err(Unfit::Twice(name.to_owned()));
        }
    }
    Ok(())
}

/// The end of this very pod, and of none of the same name that came after it.
pub(crate) fn at_once(uid: Option<String>) -> DeleteParams {
    DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions {
            uid,
            ..Preconditions::default()
        }),
        ..DeleteParams::default()
    }
}

/// Writes into the status why a pod is not run; and lets it go when it is deleted, since there is
/// nothing to end.
async fn refuse(client: &Client, object: &DynamicObject, why: &str) {
    let namespace = object.namespace().unwrap_or_default();
    let pods: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &namespace, &ApiResource::erase::<Pod>(&()));
    let name = object.name_any();
    let done = if object.metadata.deletion_timestamp.is_some() {
        let now = at_once(object.metadata.uid.clone());
        pods.delete(&name, &now).await.map(drop)
    } else {
        let message = format!("the pod cannot be run: {why}");
        let known = object.data.pointer("/status/message");
        if known.and_then(|known| known.as_str()) == Some(&message) {
            return;
        }
        let status = json!({
            "metadata": { "uid": object.metadata.uid },
            "status": { "phase": "Pending", "reason": "InvalidPod", "message": message },
        });
        let merge = Patch::Merge(&status);
        let parameters = PatchParams::default();
        let patched = pods.patch_status(&name, &parameters, &merge).await;
        patched.map(drop)
    };
    if let Err(error) = done {
        tracing::warn!(%error, pod = %name, "the status of a pod that cannot be run cannot be written");
    }
}

/// Removes the folders of pods that are gone: of those that are not there and have no worker.
fn remove_others(
    folder: &Path,
    there: &HashSet<String>,
    workers: &HashMap<String, PodWorker>,
) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        if !there.contains(&name) && !workers.contains_key(&name) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
