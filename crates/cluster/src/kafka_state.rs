//! What a Kafka leaves behind in a region: the claims of its volumes, and the sets from which
//! strimzi-cluster-operator makes its pods. A standby that is cleaned loses both, so that its Kafka
//! begins anew.

use std::time::Duration;

use backstay_retry::Deadline;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::kafka::VERSIONS;
use crate::{ClusterError, Region};

const CLAIMS: &str = "persistentvolumeclaims";
const POD_SETS: &str = "strimzipodsets.core.strimzi.io";
/// How long between two looks at claims that are going. A watch would need one more permission, and
/// a volume takes seconds to be let go.
const LOOK: Duration = Duration::from_millis(250);

impl Region {
    /// The names of the PersistentVolumeClaims with these labels (`strimzi.io/cluster`), also of those
    /// that are being deleted.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn claims(
        &self,
        selector: &str,
        deadline: Deadline,
    ) -> Result<Vec<String>, ClusterError> {
        let api = self.api::<PersistentVolumeClaim>();
        self.names(&api, CLAIMS, selector, deadline).await
    }

    /// Deletes the claims with these labels, and says how many there were. They are gone when no pod
    /// uses them any more ([`wait_claims_gone`](Self::wait_claims_gone)).
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn delete_claims(
        &self,
        selector: &str,
        deadline: Deadline,
    ) -> Result<usize, ClusterError> {
        let api = self.api::<PersistentVolumeClaim>();
        self.delete_all(&api, CLAIMS, selector, None, deadline)
            .await
    }

    /// Waits until there is no claim with these labels.
    ///
    /// # Errors
    /// [`ClusterError::NotYet`] at the deadline, with the claims that are left.
    pub async fn wait_claims_gone(
        &self,
        selector: &str,
        deadline: Deadline,
    ) -> Result<(), ClusterError> {
        let what = format!("the end of all {CLAIMS} with {selector}");
        let mut last = None;
        loop {
            let left = match self.claims(selector, deadline).await {
                Ok(left) => left,
                // What was seen last says more than that the time was up in the midst of a look.
                Err(ClusterError::Unreachable { why, .. }) => {
                    let seen = last.unwrap_or_else(|| "they could not be listed".to_owned());
                    return Err(self.not_yet(what, format!("{seen}; {why}")));
                }
                Err(error) => return Err(error),
            };
            if left.is_empty() {
                return Ok(());
            }
            let seen = format!(
                "{} left, which pods may still use: {}",
                left.len(),
                left.join(", ")
            );
            if deadline.left() <= LOOK {
                return Err(self.not_yet(what, seen));
            }
            last = Some(seen);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The names of the StrimziPodSets with these labels.
    ///
    /// # Errors
    /// See [`ClusterError`]; [`NotFound`](ClusterError::NotFound) where Strimzi is not installed.
    pub async fn pod_sets(
        &self,
        selector: &str,
        deadline: Deadline,
    ) -> Result<Vec<String>, ClusterError> {
        let [old, new] = VERSIONS.map(|version| self.pod_set_api(version));
        match self.names(&old, POD_SETS, selector, deadline).await {
            Err(ClusterError::NotFound { .. }) => {
                self.names(&new, POD_SETS, selector, deadline).await
            }
            answered => answered,
        }
    }

    /// Deletes the StrimziPodSets with these labels, and says how many there were. Their pods go after
    /// them.
    ///
    /// # Errors
    /// As for [`pod_sets`](Self::pod_sets).
    pub async fn delete_pod_sets(
        &self,
        selector: &str,
        deadline: Deadline,
    ) -> Result<usize, ClusterError> {
        let [old, new] = VERSIONS.map(|version| self.pod_set_api(version));
        let deleted = self.delete_all(&old, POD_SETS, selector, None, deadline);
        match deleted.await {
            Err(ClusterError::NotFound { .. }) => {
                self.delete_all(&new, POD_SETS, selector, None, deadline)
                    .await
            }
            answered => answered,
        }
    }

    fn pod_set_api(&self, version: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("core.strimzi.io", version, "StrimziPodSet");
        let resource = ApiResource::from_gvk(&kind);
        Api::namespaced_with(self.client(), self.namespace(), &resource)
    }

    async fn names<K>(
        &self,
        api: &Api<K>,
        resource: &'static str,
        selector: &str,
        deadline: Deadline,
    ) -> Result<Vec<String>, ClusterError>
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let parameters = ListParams::default().labels(selector);
        let listed = self
            .call("list", resource, selector, deadline, || {
                api.list(&parameters)
            })
            .await?;
        Ok(listed.items.iter().map(K::name_any).collect())
    }
}
