//! One container of a pod, over all of its runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};

use super::{RETRY_DELAY, Worker, containers};
use crate::environment::{self, EnvironmentError, Facts, Holders};
use crate::launch::{ImageError, Surroundings, arguments};
use crate::status::{CONFIG_ERROR, CRASH_LOOP, Ended, State};
use crate::volumes::{Folders, VolumeError, make, mounts};

/// What a run is started with.
pub(super) struct Prepared {
    pub container: Container,
    pub surroundings: Arc<Surroundings>,
    pub arguments: Vec<String>,
}

/// Why a container cannot be started yet.
#[derive(Debug, thiserror::Error)]
enum NotYet {
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("the API server cannot be asked: {0}")]
    Ask(#[from] kube::Error),
    #[error("the pod has no container of this name any more")]
    Removed,
}

impl NotYet {
    fn reason(&self) -> &'static str {
        match self {
            Self::Image(_) => "ErrImagePull",
            _ => CONFIG_ERROR,
        }
    }

    /// Whether nothing else will tell when it is worth trying again.
    fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::Ask(_) | Self::Volume(VolumeError::File { .. } | VolumeError::Ask(_))
        )
    }
}

impl Worker {
    /// Runs a container again and again, as its pod's policy has it, until the pod is to end.
    pub(super) async fn container(&self, name: &str, folders: &Folders) {
        let (policy, mut state) = {
            let versioned = self.state.borrow();
            let mut all = versioned.state.containers.iter();
            let Some(state) = all.find(|container| container.name == name).cloned() else {
                return;
            };
            (versioned.state.policy, state)
        };
        self.places.recover(name, &self.logs(name), state.starts);
        // A run that an agent before this one began is not held against the container.
        let mut over = match state.state {
            State::Ended(ended) => Some((ended, Duration::ZERO)),
            _ => None,
        };
        let mut last_wait = None;
        loop {
            if let Some((ended, ran)) = over {
                if !policy.restarts(ended.exit_code) {
                    return;
                }
                let wait = self.context.options.back_off.after(last_wait, ran);
                last_wait = Some(wait);
                if !wait.is_zero() {
                    self.back_off(name, &ended, wait);
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.ending() => return,
                    }
                }
                state.last = Some(ended);
            }
            let prepared = tokio::select! {
                prepared = self.prepared(name, folders, state.last.as_ref()) => prepared,
                () = self.ending() => return,
            };
            let run = state.starts;
            state.starts += 1;
            over = Some(self.run_once(&prepared, run, state.last.clone()).await);
            if self.end.borrow().is_some() {
                return;
            }
        }
    }

    fn folder_of(&self, container: &str) -> PathBuf {
        self.folder.join("containers").join(container)
    }

    pub(super) fn logs(&self, container: &str) -> PathBuf {
        self.folder_of(container).join("logs")
    }

    fn back_off(&self, name: &str, ended: &Ended, wait: Duration) {
        let message = format!(
            "back-off {} restarting failed container={name} pod={}_{}({})",
            short(wait),
            self.about.pod,
            self.about.namespace,
            self.about.uid
        );
        self.places.waits(name, CRASH_LOOP);
        self.warn(Some(name), "BackOff", &message);
        self.change_container(name, |container| {
            container.state = State::waiting(CRASH_LOOP, message);
            container.last = Some(ended.clone());
        });
    }

    /// Waits until all is there that the container needs.
    async fn prepared(&self, name: &str, folders: &Folders, last: Option<&Ended>) -> Prepared {
        loop {
            // Before the look, so that no change after it is missed.
            let mut changes = self.context.sources.changes();
            let mut respecified = self.pod.clone();
            respecified.mark_unchanged();
            let pod = self.pod.borrow().clone();
            let not_yet = match self.try_prepare(&pod, name, folders).await {
                Ok(prepared) => return prepared,
                Err(not_yet) => not_yet,
            };
            let (reason, message) = (not_yet.reason(), not_yet.to_string());
            self.places.waits(name, reason);
            let changed = self.change_container(name, |container| {
                container.state = State::waiting(reason, message.clone());
                container.last = last.cloned();
            });
            if changed {
                self.warn(Some(name), "Failed", &format!("Error: {message}"));
            }
            tokio::select! {
                _ = changes.changed() => {}
                _ = respecified.changed() => {}
                () = tokio::time::sleep(RETRY_DELAY), if not_yet.is_ours() => {}
            }
        }
    }

    async fn try_prepare(
        &self,
        pod: &Pod,
        name: &str,
        folders: &Folders,
    ) -> Result<Prepared, NotYet> {
        let container = containers(pod)
            .iter()
            .find(|container| container.name == name)
            .ok_or(NotYet::Removed)?;
        let address = self.state.borrow().state.address;
        let facts = Facts {
            pod,
            // It has been given one before its containers are looked at.
            address: address.unwrap_or(self.context.options.network.node()),
        };
        let mounts = mounts(container, folders)?;
        let mut held = Holders::new();
        for (holder, name) in environment::holders(container) {
            let read = self
                .context
                .sources
                .read(holder, &self.about.namespace, &name);
            if let Some(values) = read.await? {
                held.insert((holder, name), values);
            }
        }
        let mut variables = self.given(pod);
        variables.extend(environment::environment(container, facts, &held, &mounts)?);
        let arguments = arguments(container, &self.context.options.images, &variables, &mounts)?;
        let folder = self.folder_of(name);
        let directory = match container.working_dir.as_deref() {
            None | Some("") => folder.join("work"),
            Some(directory) => mounts.map(directory).into(),
        };
        make(&folder.join("work"))?;
        Ok(Prepared {
            container: container.clone(),
            surroundings: Arc::new(Surroundings {
                folder,
                directory,
                variables,
                mounts,
                address: facts.address,
            }),
            arguments,
        })
    }

    /// What every container gets, whatever its pod says.
    fn given(&self, pod: &Pod) -> std::collections::BTreeMap<String, String> {
        let curl = self.folder.join("curl").display().to_string();
        let mut variables = std::collections::BTreeMap::from([
            ("HOSTNAME".to_owned(), self.about.pod.clone()),
            ("CURL_HOME".to_owned(), curl),
        ]);
        let account = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.service_account_name.as_ref());
        let kubeconfig = account.and_then(|name| self.context.options.kubeconfigs.get(name));
        if let Some(path) = kubeconfig {
            variables.insert("KUBECONFIG".to_owned(), path.display().to_string());
        }
        variables
    }
}

/// `10s`, `2m40s`, as Kubernetes prints a duration.
fn short(wait: Duration) -> String {
    let (seconds, millis) = (wait.as_secs(), wait.subsec_millis());
    match (seconds / 60, seconds % 60) {
        (0, 0) => format!("{millis}ms"),
        (0, seconds) if millis > 0 => format!("{}s", f64::from(millis) / 1000.0 + seconds as f64),
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_kubernetes_prints_them() {
        for (millis, text) in [
            (500, "500ms"),
            (1_500, "1.5s"),
            (10_000, "10s"),
            (160_000, "2m40s"),
            (300_000, "5m0s"),
        ] {
            assert_eq!(short(Duration::from_millis(millis)), text);
        }
    }
}
