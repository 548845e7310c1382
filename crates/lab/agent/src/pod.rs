//! One pod, from its placement on a node until it is gone.

mod container;
mod report;
mod run;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::{Api, ApiResource, DynamicObject};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::agent::{Context, at_once};
use crate::claims::Claims;
use crate::launch::curl_config;
use crate::runtime::Places;
use crate::status::{CREATING, ContainerState, PodState, RestartPolicy, State};
use crate::volumes::{self, Folders, VolumeError};
use crate::warnings::About;

/// Before something is tried again that failed for a reason of this machine.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// A state, and how often it has changed.
#[derive(Debug, Clone)]
struct Versioned {
    version: u64,
    state: PodState,
}

/// A pod that this agent runs.
pub(crate) struct Worker {
    context: Arc<Context>,
    about: About,
    folder: PathBuf,
    places: Arc<Places>,
    /// What is wanted of it, as it was last heard.
    pod: watch::Receiver<Arc<Pod>>,
    /// Its object is no more.
    gone: CancellationToken,
    state: watch::Sender<Versioned>,
    /// The version of the state that the API server has.
    reported: watch::Sender<u64>,
    /// By when its processes are to end.
    end: watch::Sender<Option<Instant>>,
}

impl Worker {
    pub fn new(
        context: Arc<Context>,
        pod: watch::Receiver<Arc<Pod>>,
        gone: CancellationToken,
    ) -> Self {
        let document = pod.borrow().clone();
        let metadata = &document.metadata;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let uid = text(&metadata.uid);
        let now = Utc::now();
        let status = document.status.as_ref();
        let containers = containers(&document).iter().map(|container| {
            let image = container.image.as_deref().unwrap_or_default();
            ContainerState::recovered(&container.name, image, status, now)
        });
        let started = status
            .and_then(|status| status.start_time.as_ref())
            .and_then(|time| chrono::DateTime::from_timestamp_millis(time.0.as_millisecond()));
        let spec = document.spec.as_ref();
        let state = PodState {
            policy: RestartPolicy::of(spec.and_then(|spec| spec.restart_policy.as_deref())),
            address: None,
            host: context.options.network.node(),
            started: started.unwrap_or(now),
            deleting: metadata.deletion_timestamp.is_some(),
            containers: containers.collect(),
        };
        let folder = context.runtime.pods_folder().join(&uid);
        Self {
            places: context.runtime.places(&uid),
            about: About {
                namespace: text(&metadata.namespace),
                pod: text(&metadata.name),
                uid,
                node: spec.map(|spec| text(&spec.node_name)).unwrap_or_default(),
            },
            folder,
            pod,
            gone,
            state: watch::Sender::new(Versioned { version: 1, state }),
            reported: watch::Sender::new(0),
            end: watch::Sender::new(None),
            context,
        }
    }

    /// Until the pod is gone, or the agent is stopped.
    pub async fn run(self) {
        let life = async {
            self.live().await;
            if !self.context.shutdown.is_cancelled() {
                self.finish().await;
            }
        };
        let rest = async { tokio::join!(self.report(), self.conduct()) };
        tokio::select! {
            () = life => {}
            _ = rest => {}
        }
    }

    /// Of documents: a pod that has become nonsense meanwhile must end all the same.
    fn api(&self) -> Api<DynamicObject> {
        let (client, namespace) = (self.context.client.clone(), &self.about.namespace);
        Api::namespaced_with(client, namespace, &ApiResource::erase::<Pod>(&()))
    }

    fn change(&self, change: impl FnOnce(&mut PodState)) -> u64 {
        let mut version = 0;
        self.state.send_if_modified(|versioned| {
            let before = versioned.state.clone();
            change(&mut versioned.state);
            let changed = versioned.state != before;
            versioned.version += u64::from(changed);
            version = versioned.version;
            changed
        });
        version
    }

    /// Answers with whether that makes a difference.
    fn change_container(&self, name: &str, change: impl FnOnce(&mut ContainerState)) -> bool {
        // Whatever else changes meanwhile is another container's.
        let mut changed = false;
        self.change(|state| {
            let mut all = state.containers.iter_mut();
            if let Some(container) = all.find(|container| container.name == name) {
                let before = container.clone();
                change(container);
                changed = *container != before;
            }
        });
        changed
    }

    /// Turns what is heard of the pod, and of the agent, into the moment by which it must end.
    async fn conduct(&self) {
        let mut pod = self.pod.clone();
        let until = |grace: Duration| {
            self.end.send_if_modified(|end| {
                // Far beyond any grace a person waits for, and within what a clock can be.
                let by = Instant::now() + grace.min(Duration::from_secs(1 << 31));
                let sooner = end.is_none_or(|before| by < before);
                if sooner {
                    *end = Some(by);
                }
                sooner
            });
        };
        let asked = async {
            let mut granted = None;
            loop {
                let deleting = {
                    let pod = pod.borrow_and_update();
                    let metadata = &pod.metadata;
                    let grace = metadata.deletion_grace_period_seconds.unwrap_or(0);
                    metadata.deletion_timestamp.as_ref().map(|_| grace)
                };
                if let Some(grace) = deleting.filter(|_| deleting != granted) {
                    granted = deleting;
                    self.change(|state| state.deleting = true);
                    until(Duration::from_secs(u64::try_from(grace).unwrap_or(0)));
                }
                if pod.changed().await.is_err() {
                    // Nobody tells of it any more: it is gone, or the agent is being stopped.
                    std::future::pending::<()>().await;
                }
            }
        };
        let stopped = async {
            self.context.shutdown.cancelled().await;
            until(self.grace().min(self.context.options.stop_grace));
        };
        let gone = async {
            self.gone.cancelled().await;
            until(Duration::ZERO);
        };
        tokio::join!(asked, stopped, gone);
    }

    /// What a container gets to end for any other reason than a deletion.
    fn grace(&self) -> Duration {
        let pod = self.pod.borrow();
        let spec = pod.spec.as_ref();
        let seconds = spec.and_then(|spec| spec.termination_grace_period_seconds);
        Duration::from_secs(u64::try_from(seconds.unwrap_or(30)).unwrap_or(0))
    }

    /// Done when the pod is to end.
    async fn ending(&self) {
        // The sender is this worker's own.
        let _ = self.end.subscribe().wait_for(Option::is_some).await;
    }

    /// Runs the pod until it is to end, and its processes have.
    async fn live(&self) {
        let prepared = tokio::select! {
            folders = self.prepare() => folders,
            () = self.ending() => return,
        };
        let names: Vec<String> = containers(&self.pod.borrow())
            .iter()
            .map(|container| container.name.clone())
            .collect();
        join_all(names.iter().map(|name| self.container(name, &prepared))).await;
        self.ending().await;
    }

    /// What must be so before the first container starts: an address, which is known to others,
    /// and volumes.
    async fn prepare(&self) -> Folders {
        let address = loop {
            // Before the look, so that none that is freed after it is missed.
            let freed = self.context.freed.notified();
            if let Some(address) = self.context.addresses.lock().take(&self.about.uid) {
                break address;
            }
            let network = self.context.options.network;
            self.waits(&format!(
                "all addresses of {network} are held by other pods"
            ));
            freed.await;
        };
        let version = self.change(|state| state.address = Some(address));
        let _ = self.reported.subscribe().wait_for(|v| *v >= version).await;

        loop {
            let mut changes = self.context.sources.changes();
            let mut respecified = self.pod.clone();
            respecified.mark_unchanged();
            let pod = self.pod.borrow().clone();
            let error = match self.volumes(&pod, address).await {
                Ok(folders) => return folders,
                Err(error) => error,
            };
            self.waits(&error.to_string());
            let ours = matches!(error, VolumeError::Ask(_) | VolumeError::File { .. });
            tokio::select! {
                _ = changes.changed() => {}
                _ = respecified.changed() => {}
                () = tokio::time::sleep(RETRY_DELAY), if ours => {}
            }
        }
    }

    async fn volumes(
        &self,
        pod: &Pod,
        address: std::net::Ipv4Addr,
    ) -> Result<Folders, VolumeError> {
        let curl = self.folder.join("curl");
        volumes::make(&curl)?;
        let path = curl.join(".curlrc");
        std::fs::write(&path, curl_config(address))
            .map_err(|source| VolumeError::File { path, source })?;
        let (sources, claims): (_, &Claims) = (&self.context.sources, &self.context.claims);
        volumes::prepare(pod, &self.folder, sources, claims).await
    }

    fn waits(&self, message: &str) {
        let before = self.state.borrow().version;
        let version = self.change(|state| {
            for container in &mut state.containers {
                if matches!(container.state, State::Waiting { .. }) {
                    container.state = State::waiting(CREATING, message);
                }
            }
        });
        if version != before {
            self.warn(None, "FailedMount", message);
        }
    }

    /// Tells people, besides the status.
    fn warn(&self, container: Option<&str>, reason: &str, message: &str) {
        let warnings = &self.context.warnings;
        warnings.record(&self.about, container, reason, message);
    }

    /// After its processes have ended: its traces are removed, then its object.
    async fn finish(&self) {
        let ended = async {
            let last = self.state.borrow().version;
            let _ = self.reported.subscribe().wait_for(|v| *v >= last).await;
        };
        tokio::select! {
            () = ended => {}
            () = self.gone.cancelled() => {}
            () = self.context.shutdown.cancelled() => return,
        }
        let folder = self.folder.clone();
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
        if let Ok(Err(error)) = removed
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, pod = %self.about.pod, "the folder of a pod is not removed");
        }
        tokio::select! {
            () = self.delete() => {}
            () = self.gone.cancelled() => {}
            () = self.context.shutdown.cancelled() => return,
        }
        self.context.runtime.forget(&self.about.uid);
        self.context.release(&self.about.uid);
    }

    /// Deletes the object, and waits until it is gone: another's finalizer may hold it.
    async fn delete(&self) {
        let now = at_once(Some(self.about.uid.clone()));
        loop {
            match self.api().delete(&self.about.pod, &now).await {
                Ok(_) => break,
                // It is gone, or it is another by now.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => break,
                Err(error) => {
                    tracing::warn!(%error, pod = %self.about.pod, "a pod cannot be deleted");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        }
        self.gone.cancelled().await;
    }
}

fn containers(pod: &Pod) -> &[Container] {
    pod.spec.as_ref().map_or(&[], |spec| &spec.containers)
}
