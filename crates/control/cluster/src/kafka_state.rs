//! What is left behind in a region: the claims of volumes, a Kafka's and nodes', and the sets from which
//! strimzi-cluster-operator makes its pods. A standby that is cleaned loses both, so that its Kafka
//! starts over.

use backstay_kinds::{STRIMZI_POD_SET, STRIMZI_VERSIONS, label};
use backstay_retry::Deadline;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::{ClusterError, Region};

const CLAIMS: &str = "persistentvolumeclaims";
const POD_SETS: &str = STRIMZI_POD_SET.resource;

/// A claim of a node's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeClaim {
    /// `metadata.name`.
    pub name: String,
    /// The pool of the node (`humio.com/node-pool`); empty where it does not say.
    pub node_pool: String,
}

impl Region {
    /// The claims of nodes with these labels, each with the pool that it is of.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn node_claims(
        &self,
        selector: &str,
        deadline: Deadline,
    ) -> Result<Vec<NodeClaim>, ClusterError> {
        let api = self.api::<PersistentVolumeClaim>();
        let listed = self.list_all(&api, CLAIMS, selector, deadline).await?;
        let claims = listed.iter().map(|it| NodeClaim {
            name: it.name_any(),
            node_pool: it
                .labels()
                .get(label::NODE_POOL)
                .cloned()
                .unwrap_or_default(),
        });
        Ok(claims.collect())
    }

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
    /// uses them any more.
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

    /// The names of the StrimziPodSets with these labels.
    ///
    /// # Errors
    /// See [`ClusterError`]; [`NotFound`](ClusterError::NotFound) where Strimzi is not installed.
    pub async fn pod_sets(
        &self,
        selector: &str,
        deadline: Deadline,
    ) -> Result<Vec<String>, ClusterError> {
        let [old, new] = STRIMZI_VERSIONS.map(|version| self.pod_set_api(version));
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
        let [old, new] = STRIMZI_VERSIONS.map(|version| self.pod_set_api(version));
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
        let kind = GroupVersionKind::gvk(STRIMZI_POD_SET.group, version, STRIMZI_POD_SET.kind);
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
        let listed = self.list_all(api, resource, selector, deadline).await?;
        Ok(listed.iter().map(K::name_any).collect())
    }
}
