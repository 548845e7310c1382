//! Pods: which there are, whether they are ready, and waiting until they are, or are gone.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use backstay_report::excerpt;
use backstay_retry::{Deadline, Ended, Failed};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use kube::runtime::watcher;

use crate::error::{self, Attempt};
use crate::{ClusterError, Region};

const PODS: &str = "pods";
/// A watch on which nothing has come for so long is begun again: its connection may be dead without
/// anybody having said so.
const MAX_SILENCE: Duration = Duration::from_secs(30);

/// The container that a node runs in.
const HUMIO: &str = "humio";
/// The label that says which pool a node is of.
const NODE_POOL: &str = "humio.com/node-pool";

/// A pod as a failover sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.name`.
    pub name: String,
    /// Tells it from one of the same name before it.
    pub uid: String,
    /// Its Ready condition, and that it is not being deleted.
    pub ready: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// `Pending`, `Running`, `Succeeded`, `Failed`.
    pub phase: String,
    /// How often its containers were started again.
    pub restarts: i32,
    /// Why a container waits (`CrashLoopBackOff`, `CreateContainerConfigError`), with the message.
    pub waiting: Option<String>,
    /// The secrets that it mounts.
    pub secrets: Vec<String>,
    /// The pool that it is of (`humio.com/node-pool`); empty where it is of none.
    pub node_pool: String,
    /// Whether its container `humio` is probed by HTTPS, which is what it answers then.
    pub https: bool,
    /// The variables of its container `humio` that have a plain value, and not one from elsewhere.
    pub environment: BTreeMap<String, String>,
}

impl fmt::Debug for Pod {
    /// Without the values of its variables: in somebody's cluster one is a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pod")
            .field("name", &self.name)
            .field("uid", &self.uid)
            .field("ready", &self.ready)
            .field("deleting", &self.deleting)
            .field("phase", &self.phase)
            .field("restarts", &self.restarts)
            .field("waiting", &self.waiting)
            .field("secrets", &self.secrets)
            .field("node_pool", &self.node_pool)
            .field("https", &self.https)
            .finish_non_exhaustive()
    }
}

impl From<&v1::Pod> for Pod {
    fn from(pod: &v1::Pod) -> Self {
        let deleting = pod.metadata.deletion_timestamp.is_some();
        let status = pod.status.as_ref();
        let conditions = status
            .and_then(|it| it.conditions.as_deref())
            .unwrap_or_default();
        let ready = conditions
            .iter()
            .any(|it| it.type_ == "Ready" && it.status == "True");
        let containers = status
            .and_then(|it| it.container_statuses.as_deref())
            .unwrap_or_default();
        let waiting = containers
            .iter()
            .find_map(|it| it.state.as_ref()?.waiting.as_ref());
        let waiting = waiting.map(|it| {
            let reason = it.reason.as_deref().unwrap_or_default();
            match it.message.as_deref() {
                None | Some("") => reason.to_owned(),
                Some(message) => format!("{reason}: {}", excerpt(message)),
            }
        });
        let volumes = pod
            .spec
            .as_ref()
            .and_then(|it| it.volumes.as_deref())
            .unwrap_or_default();
        let secrets = volumes
            .iter()
            .filter_map(|it| it.secret.as_ref()?.secret_name.clone());
        let containers_of = pod.spec.as_ref().map(|it| it.containers.as_slice());
        let humio = containers_of
            .unwrap_or_default()
            .iter()
            .find(|it| it.name == HUMIO);
        let variables = humio.and_then(|it| it.env.as_deref()).unwrap_or_default();
        // One that says neither value nor source is empty, as for the process in the container.
        let plain = variables.iter().filter(|it| it.value_from.is_none());
        let environment = plain.map(|it| (it.name.clone(), it.value.clone().unwrap_or_default()));
        let probes = humio.map(|it| [&it.readiness_probe, &it.liveness_probe, &it.startup_probe]);
        let https = probes.into_iter().flatten().flatten().any(|it| {
            let scheme = it.http_get.as_ref().and_then(|it| it.scheme.as_deref());
            scheme == Some("HTTPS")
        });
        Self {
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            ready: ready && !deleting,
            deleting,
            phase: status.and_then(|it| it.phase.clone()).unwrap_or_default(),
            restarts: containers
                .iter()
                .map(|it| it.restart_count)
                .fold(0, i32::saturating_add),
            waiting,
            secrets: secrets.collect(),
            node_pool: pod.labels().get(NODE_POOL).cloned().unwrap_or_default(),
            https,
            environment: environment.collect(),
        }
    }
}

impl Region {
    /// The pods with these labels (`app.kubernetes.io/name=humio`).
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn pods(&self, selector: &str, deadline: Deadline) -> Result<Vec<Pod>, ClusterError> {
        let api = self.api::<v1::Pod>();
        let read = self.list_all(&api, PODS, selector, deadline).await?;
        Ok(read.iter().map(Pod::from).collect())
    }

    /// Waits until at least so many pods with these labels are ready.
    ///
    /// # Errors
    /// [`ClusterError::NotYet`] at the deadline, with how the pods look.
    pub async fn wait_ready(
        &self,
        selector: &str,
        at_least: usize,
        deadline: Deadline,
    ) -> Result<Vec<Pod>, ClusterError> {
        let what = format!("{at_least} ready pods with {selector}");
        let enough = |pods: &[Pod]| pods.iter().filter(|it| it.ready).count() >= at_least;
        self.wait_pods(selector, &what, enough, deadline).await
    }

    /// Waits until there is no pod with these labels.
    ///
    /// # Errors
    /// [`ClusterError::NotYet`] at the deadline, with the pods that are left.
    pub async fn wait_gone(&self, selector: &str, deadline: Deadline) -> Result<(), ClusterError> {
        let what = format!("the end of all pods with {selector}");
        self.wait_pods(selector, &what, <[Pod]>::is_empty, deadline)
            .await?;
        Ok(())
    }

    /// Watches pods until they are as wanted. A watch that breaks is begun again, from a new list.
    ///
    /// # Errors
    /// [`ClusterError::NotYet`] at the deadline; a refusal at once.
    pub async fn wait_pods(
        &self,
        selector: &str,
        what: &str,
        wanted: impl Fn(&[Pod]) -> bool,
        deadline: Deadline,
    ) -> Result<Vec<Pod>, ClusterError> {
        let watch = || {
            let config = watcher::Config::default().labels(selector);
            watcher(self.api::<v1::Pod>(), config).boxed()
        };
        let mut events = watch();
        let mut pods: BTreeMap<String, Pod> = BTreeMap::new();
        let mut fresh: BTreeMap<String, Pod> = BTreeMap::new();
        // Before the first whole list nothing is known, not even that there are none.
        let mut listed = false;
        let mut failures: u32 = 0;
        let mut trouble = None;
        loop {
            let until = deadline.within(MAX_SILENCE).instant();
            let event = match tokio::time::timeout_at(until, events.next()).await {
                Ok(event) => event,
                Err(_) if deadline.passed() => {
                    return Err(self.not_yet(what, seen(listed, &pods, trouble.as_deref())));
                }
                Err(_) => {
                    events = watch();
                    continue;
                }
            };
            match event {
                Some(Ok(watcher::Event::Init)) => fresh.clear(),
                Some(Ok(watcher::Event::InitApply(pod))) => {
                    fresh.insert(pod.uid().unwrap_or_default(), Pod::from(&pod));
                    continue;
                }
                Some(Ok(watcher::Event::InitDone)) => {
                    pods = std::mem::take(&mut fresh);
                    listed = true;
                    failures = 0;
                    trouble = None;
                }
                Some(Ok(watcher::Event::Apply(pod))) => {
                    failures = 0;
                    pods.insert(pod.uid().unwrap_or_default(), Pod::from(&pod));
                }
                Some(Ok(watcher::Event::Delete(pod))) => {
                    failures = 0;
                    pods.remove(&pod.uid().unwrap_or_default());
                }
                Some(Err(error)) => {
                    failures = failures.saturating_add(1);
                    trouble = Some(self.watch_failed(selector, error)?);
                    tracing::debug!(selector, ?trouble, "a watch has broken");
                    let pause = self.policy().jittered(failures).min(deadline.left());
                    tokio::time::sleep(pause).await;
                }
                None => return Err(self.not_yet(what, "the watch has ended")),
            }
            let now: Vec<Pod> = pods.values().cloned().collect();
            if listed && wanted(&now) {
                return Ok(now);
            }
        }
    }

    /// What broke a watch, if it is begun again; an error if that would be of no use.
    fn watch_failed(&self, selector: &str, error: watcher::Error) -> Result<String, ClusterError> {
        use backstay_retry::{Classify as _, Verdict};
        let said = excerpt(&error.to_string());
        let (verb, cause) = match error {
            watcher::Error::InitialListFailed(cause) => ("list", cause),
            watcher::Error::WatchStartFailed(cause) | watcher::Error::WatchFailed(cause) => {
                ("watch", cause)
            }
            watcher::Error::WatchError(status) => ("watch", kube::Error::Api(status)),
            watcher::Error::NoResourceVersion => return Ok(said),
        };
        let attempt = Attempt::from(cause);
        let final_here = matches!(&attempt, Attempt::Kube(kube::Error::Api(status)) if [401, 403, 404].contains(&status.code));
        if !final_here || attempt.verdict() != Verdict::Final {
            return Ok(attempt.to_string());
        }
        let failed = Failed {
            last: Some(attempt),
            attempts: 1,
            waited: Duration::ZERO,
            ended: Ended::Final,
        };
        let object = format!("{PODS} {selector}");
        let permission = self.permission(verb, PODS);
        Err(error::of_call(self.name(), &object, permission, failed))
    }

    /// Deletes every pod with these labels, and says how many there were; one that is gone already is
    /// as good. `grace` is as in [`delete_pod`](Self::delete_pod). That they are gone is for
    /// [`wait_gone`](Self::wait_gone) to say.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn delete_pods(
        &self,
        selector: &str,
        grace: Option<u32>,
        deadline: Deadline,
    ) -> Result<usize, ClusterError> {
        let api = self.api::<v1::Pod>();
        self.delete_all(&api, PODS, selector, grace, deadline).await
    }

    /// Deletes a pod; one that is gone already is as good. `grace` is how many seconds it may take
    /// to end; 0 does not wait for that at all.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn delete_pod(
        &self,
        name: &str,
        grace: Option<u32>,
        deadline: Deadline,
    ) -> Result<(), ClusterError> {
        let api = self.api::<v1::Pod>();
        let parameters = DeleteParams {
            grace_period_seconds: grace,
            ..DeleteParams::default()
        };
        let deleted = self
            .call("delete", PODS, name, deadline, || {
                api.delete(name, &parameters)
            })
            .await;
        match deleted {
            Ok(_) | Err(ClusterError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// How it looks, for an error.
fn seen(listed: bool, pods: &BTreeMap<String, Pod>, trouble: Option<&str>) -> String {
    let mut text = match (listed, pods.len()) {
        (false, _) => "the pods could not be listed".to_owned(),
        (true, 0) => "there are no such pods".to_owned(),
        (true, _) => {
            let each = pods.values().map(|it| {
                let how = match (it.ready, it.deleting, &it.waiting) {
                    (_, true, _) => "terminating",
                    (true, ..) => "ready",
                    (_, _, Some(waiting)) => waiting,
                    _ => "not ready",
                };
                format!("{} {} ({how})", it.name, it.phase)
            });
            each.collect::<Vec<_>>().join(", ")
        }
    };
    if let Some(trouble) = trouble {
        text.push_str("; ");
        text.push_str(trouble);
    }
    text
}
