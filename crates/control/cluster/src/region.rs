//! A connection to a region's Kubernetes API, and the one way in which it is called.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;

use backstay_report::{Cause, excerpt};
use backstay_retry::{
    Classify as _, Deadline, Ended, Failed, Policy, Verdict, WriteGuard, WriteRefused, retry,
};
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Config, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::error::{self, Attempt, ClusterError};
use crate::permission::Permission;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How to get in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// By a context of a kubeconfig.
    Kubeconfig {
        /// The file; without it what `KUBECONFIG` names, or `~/.kube/config`.
        path: Option<PathBuf>,
        /// The context's name.
        context: String,
    },
    /// By the service account of the pod that we run in.
    InCluster,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubeconfig { context, .. } => f.write_str(context),
            Self::InCluster => f.write_str("in-cluster"),
        }
    }
}

/// A region's cluster, and the namespace that we work in. Cheap to clone.
#[derive(Clone)]
pub struct Region {
    client: Client,
    name: String,
    namespace: String,
    policy: Policy,
    guard: WriteGuard,
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("name", &self.name)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Region {
    /// Reads how to get in. The cluster is not asked yet: a region that is down is one all the same.
    ///
    /// # Errors
    /// When there is no such file or context, or it cannot be used.
    pub async fn connect(
        access: &Access,
        namespace: &str,
        policy: Policy,
    ) -> Result<Self, ClusterError> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // An error means that one is installed already.
            backstay_tls::install_provider();
        });
        let failed = |why: String| ClusterError::Access {
            region: access.to_string(),
            why: excerpt(&why),
        };
        let mut config = match access {
            Access::InCluster => Config::incluster().map_err(|error| failed(error.to_string()))?,
            Access::Kubeconfig { path, context } => {
                let read = match path {
                    Some(path) => Kubeconfig::read_from(path),
                    None => Kubeconfig::read(),
                };
                let read = read.map_err(|error| failed(error::of_kubeconfig(&error)))?;
                let options = KubeConfigOptions {
                    context: Some(context.clone()),
                    ..KubeConfigOptions::default()
                };
                Config::from_custom_kubeconfig(read, &options)
                    .await
                    .map_err(|error| failed(error::of_kubeconfig(&error)))?
            }
        };
        // The policy is ours, and the deadline covers it; kube's own would retry within ours.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let client = Client::try_from(config).map_err(|error| failed(error::described(&error)))?;
        Ok(Self {
            client,
            name: access.to_string(),
            namespace: namespace.to_owned(),
            policy,
            guard: WriteGuard::unguarded(),
        })
    }

    /// The same cluster, seen from another of its namespaces.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            ..self.clone()
        }
    }

    /// The same cluster, in which nothing is changed that this guard does not authorize.
    #[must_use]
    pub fn under(&self, guard: WriteGuard) -> Self {
        Self {
            guard,
            ..self.clone()
        }
    }

    /// What it is called: its context.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace that we work in.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn permission(&self, verb: &'static str, resource: &'static str) -> Permission {
        Permission {
            verb,
            resource,
            namespace: self.namespace.clone(),
        }
    }

    /// Whether a call of this verb may be made: reading needs no authorization.
    async fn may_call(&self, verb: &str) -> Result<(), WriteRefused> {
        match verb {
            "get" | "list" | "watch" => Ok(()),
            _ => self.guard.check().await,
        }
    }

    /// Makes a call that may be repeated, until it is answered or the deadline has passed.
    pub(crate) async fn call<T, F>(
        &self,
        verb: &'static str,
        resource: &'static str,
        name: &str,
        deadline: Deadline,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, ClusterError>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let attempt = || {
            let attempt = attempt();
            async move {
                self.may_call(verb).await?;
                Ok(attempt.await?)
            }
        };
        let done = retry(&self.policy, deadline, attempt).await;
        done.map_err(|failed| {
            let object = object(resource, name);
            error::of_call(&self.name, &object, self.permission(verb, resource), failed)
        })
    }

    /// Makes a call that must not be repeated: once, to the deadline at the longest.
    pub(crate) async fn once<T, F>(
        &self,
        verb: &'static str,
        resource: &'static str,
        name: &str,
        deadline: Deadline,
        attempt: impl FnOnce() -> F,
    ) -> Result<T, ClusterError>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let begun = Instant::now();
        let attempt = async {
            self.may_call(verb).await?;
            Ok::<_, Attempt>(attempt().await?)
        };
        let made = tokio::time::timeout_at(deadline.instant(), attempt).await;
        let last = match made {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        let ended = match &last {
            Some(attempt) if attempt.verdict() == Verdict::Final => Ended::Final,
            _ => Ended::Deadline,
        };
        let failed = Failed {
            last,
            attempts: 1,
            waited: begun.elapsed(),
            ended,
        };
        let object = object(resource, name);
        Err(error::of_call(
            &self.name,
            &object,
            self.permission(verb, resource),
            failed,
        ))
    }

    /// What of a kind has these labels.
    pub(crate) async fn list_all<K>(
        &self,
        api: &Api<K>,
        resource: &'static str,
        selector: &str,
        deadline: Deadline,
    ) -> Result<Vec<K>, ClusterError>
    where
        K: Clone + DeserializeOwned + fmt::Debug,
    {
        let parameters = ListParams::default().labels(selector);
        let listed = self
            .call("list", resource, selector, deadline, || {
                api.list(&parameters)
            })
            .await?;
        Ok(listed.items)
    }

    /// Deletes what has these labels, each in the incarnation that was listed: what has the same name
    /// by now has come after the call. Answers how many were there to be deleted.
    pub(crate) async fn delete_all<K>(
        &self,
        api: &Api<K>,
        resource: &'static str,
        selector: &str,
        grace: Option<u32>,
        deadline: Deadline,
    ) -> Result<usize, ClusterError>
    where
        K: Resource + Clone + DeserializeOwned + fmt::Debug,
    {
        let mut deleted = 0;
        for object in &self.list_all(api, resource, selector, deadline).await? {
            let name = object.name_any();
            let parameters = DeleteParams {
                grace_period_seconds: grace,
                preconditions: Some(Preconditions {
                    uid: object.uid(),
                    resource_version: None,
                }),
                ..DeleteParams::default()
            };
            let done = self
                .call("delete", resource, &name, deadline, || {
                    api.delete(&name, &parameters)
                })
                .await;
            match done {
                Ok(_) => deleted += 1,
                Err(ClusterError::NotFound { .. } | ClusterError::Contended { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(deleted)
    }

    /// What has become of a write onto what was read. `None` when somebody else was first, after a
    /// pause: it is to be read again; an error when there is no time for that.
    pub(crate) async fn written<T>(
        &self,
        outcome: Result<T, ClusterError>,
        attempts: &mut u32,
        deadline: Deadline,
    ) -> Result<Option<T>, ClusterError> {
        *attempts = attempts.saturating_add(1);
        match outcome {
            Err(error @ ClusterError::Contended { .. }) => {
                let pause = self.policy.jittered(*attempts) / 10;
                if pause >= deadline.left() {
                    return Err(error);
                }
                tokio::time::sleep(pause).await;
                Ok(None)
            }
            outcome => outcome.map(Some),
        }
    }

    pub(crate) fn not_yet(&self, what: impl Into<String>, seen: impl Into<String>) -> ClusterError {
        ClusterError::NotYet {
            region: self.name.clone(),
            what: what.into(),
            seen: seen.into(),
        }
    }

    pub(crate) fn answer(&self, object: &str, problem: impl Into<Cause>) -> ClusterError {
        ClusterError::Answer {
            region: self.name.clone(),
            object: object.to_owned(),
            problem: problem.into(),
        }
    }
}

fn object(resource: &str, name: &str) -> String {
    match name {
        "" => resource.to_owned(),
        name => format!("{resource} {name}"),
    }
}
