//! The operator's Deployment: its replicas, and the annotations in which a failover keeps what must
//! outlive its process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use backstay_retry::Deadline;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::{ClusterError, Region};

pub(crate) const DEPLOYMENTS: &str = "deployments.apps";

/// A Deployment as a failover sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// `metadata.name` of the Deployment.
    pub name: String,
    /// Tells it from one of the same name before it.
    pub uid: String,
    /// The state that was read (`resourceVersion`).
    pub version: String,
    /// How many pods it is to have.
    pub replicas: i32,
    /// How many of them are ready.
    pub ready: i32,
    /// `metadata.annotations`, the marks of a failover among them.
    pub annotations: BTreeMap<String, String>,
    /// The labels of its pods, as a selector.
    pub selector: String,
}

impl From<Deployment> for Operator {
    fn from(deployment: Deployment) -> Self {
        Self {
            name: deployment.name_any(),
            uid: deployment.uid().unwrap_or_default(),
            version: deployment.resource_version().unwrap_or_default(),
            replicas: deployment.spec.replicas.unwrap_or(1),
            ready: deployment
                .status
                .as_ref()
                .and_then(|it| it.ready_replicas)
                .unwrap_or(0),
            annotations: deployment.metadata.annotations.unwrap_or_default(),
            selector: selector(deployment.spec.selector.match_labels.unwrap_or_default()),
        }
    }
}

fn selector(labels: BTreeMap<String, String>) -> String {
    let each = labels.iter().map(|(name, value)| format!("{name}={value}"));
    each.collect::<Vec<_>>().join(",")
}

/// What must be so for an annotation to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It has this value, or there is none.
    Value(Option<String>),
    /// The Deployment is in the state that was read: nobody has written anything since.
    Version(String),
}

/// What became of a compare-and-set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Annotated {
    /// It is written; so it is now.
    Written(Operator),
    /// It is not: what was expected is not so. This is how it is.
    Conflict(Operator),
}

impl Region {
    /// Reads a Deployment.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn operator(&self, name: &str, deadline: Deadline) -> Result<Operator, ClusterError> {
        let api = self.api::<Deployment>();
        let read = self
            .call("get", DEPLOYMENTS, name, deadline, || api.get(name))
            .await?;
        Ok(read.into())
    }

    /// Sets how many pods a Deployment is to have, and says what the server then has. Where it is so
    /// already, nothing is written.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn scale(
        &self,
        name: &str,
        replicas: u16,
        deadline: Deadline,
    ) -> Result<i32, ClusterError> {
        let api = self.api::<Deployment>();
        let parameters = PatchParams::default();
        let mut attempts: u32 = 0;
        loop {
            let now = self.operator(name, deadline).await?;
            if now.replicas == i32::from(replicas) {
                return Ok(now.replicas);
            }
            let patch = Patch::Merge(json!({
                "metadata": { "resourceVersion": now.version },
                "spec": { "replicas": replicas },
            }));
            let scaled = self
                .call("patch", "deployments.apps/scale", name, deadline, || {
                    api.patch_scale(name, &parameters, &patch)
                })
                .await;
            if let Some(scaled) = self.written(scaled, &mut attempts, deadline).await? {
                let replicas = scaled.spec.and_then(|it| it.replicas);
                return Ok(replicas.unwrap_or(0));
            }
        }
    }

    /// Writes an annotation (`None` takes it away) if what is expected is so.
    ///
    /// When the answer to an attempt was lost and the next one finds the new value there, that is
    /// taken as ours: who else writes the same value wants the same.
    ///
    /// # Errors
    /// See [`ClusterError`]. A conflict is no error.
    pub async fn annotate(
        &self,
        name: &str,
        key: &str,
        expected: &Expected,
        new: Option<&str>,
        deadline: Deadline,
    ) -> Result<Annotated, ClusterError> {
        let mut attempts: u32 = 0;
        loop {
            let now = self.operator(name, deadline).await?;
            let value = now.annotations.get(key).map(String::as_str);
            let as_expected = match expected {
                Expected::Value(expected) => value == expected.as_deref(),
                Expected::Version(version) => now.version == *version,
            };
            if !as_expected {
                return Ok(Annotated::Conflict(now));
            }
            if value == new {
                return Ok(Annotated::Written(now));
            }
            match self.annotate_at(&now, key, new, deadline).await? {
                Some(written) => return Ok(Annotated::Written(written)),
                None => attempts = attempts.saturating_add(1),
            }
            // Someone has written something. Whether it was this annotation is seen by reading.
            let now = self.operator(name, deadline).await?;
            let value = now.annotations.get(key).map(String::as_str);
            match expected {
                Expected::Value(expected) if value == expected.as_deref() => {}
                _ => return Ok(Annotated::Conflict(now)),
            }
            let pause = self.policy().jittered(1) / 10;
            if pause >= deadline.left() {
                return Err(ClusterError::Contended {
                    region: self.name().to_owned(),
                    object: format!("{DEPLOYMENTS} {name}"),
                    message: format!("{attempts} attempts to write the annotation {key}"),
                });
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Writes an annotation onto exactly this state; `None` when it is another one by now.
    async fn annotate_at(
        &self,
        at: &Operator,
        key: &str,
        new: Option<&str>,
        deadline: Deadline,
    ) -> Result<Option<Operator>, ClusterError> {
        let api = self.api::<Deployment>();
        let patch = Patch::Merge(json!({ "metadata": {
            "resourceVersion": at.version,
            "annotations": { key: new },
        }}));
        let parameters = PatchParams::default();
        // Whether an attempt was made whose outcome is not known.
        let made = AtomicU32::new(0);
        let patched = self
            .call("patch", DEPLOYMENTS, &at.name, deadline, || {
                made.fetch_add(1, Ordering::Relaxed);
                api.patch(&at.name, &parameters, &patch)
            })
            .await;
        match patched {
            Ok(written) => Ok(Some(written.into())),
            Err(ClusterError::Contended { .. }) if made.load(Ordering::Relaxed) > 1 => {
                let now = self.operator(&at.name, deadline).await?;
                let ours = now.annotations.get(key).map(String::as_str) == new;
                Ok(ours.then_some(now))
            }
            Err(ClusterError::Contended { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
