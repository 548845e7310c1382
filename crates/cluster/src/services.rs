//! Services: which pods they send to.

use std::collections::BTreeMap;

use backstay_retry::Deadline;
use k8s_openapi::api::core::v1;
use kube::ResourceExt as _;
use kube::api::ListParams;

use crate::{ClusterError, Region};

/// A Service as a failover sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The labels of the pods that it sends to.
    pub selector: BTreeMap<String, String>,
}

impl Region {
    /// All services of the namespace.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn services(&self, deadline: Deadline) -> Result<Vec<Service>, ClusterError> {
        let api = self.api::<v1::Service>();
        let all = ListParams::default();
        let read = self
            .call("list", "services", "", deadline, || api.list(&all))
            .await?;
        let services = read.items.into_iter().map(|it| Service {
            name: it.name_any(),
            selector: it.spec.and_then(|it| it.selector).unwrap_or_default(),
        });
        Ok(services.collect())
    }
}
