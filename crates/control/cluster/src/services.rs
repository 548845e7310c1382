//! Services: which pods they send to, and sending to others.

use std::collections::BTreeMap;

use backstay_retry::Deadline;
use k8s_openapi::api::core::v1;
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use crate::merge;
use crate::{ClusterError, Region};

const SERVICES: &str = "services";

/// A Service as a failover sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `metadata.name`.
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
            .call("list", SERVICES, "", deadline, || api.list(&all))
            .await?;
        let services = read.items.into_iter().map(|it| Service {
            name: it.name_any(),
            selector: it.spec.and_then(|it| it.selector).unwrap_or_default(),
        });
        Ok(services.collect())
    }

    /// The labels of the pods that a service sends to.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn service_selector(
        &self,
        service: &str,
        deadline: Deadline,
    ) -> Result<BTreeMap<String, String>, ClusterError> {
        let read = self.service(service, deadline).await?;
        Ok(read.spec.and_then(|it| it.selector).unwrap_or_default())
    }

    async fn service(&self, name: &str, deadline: Deadline) -> Result<v1::Service, ClusterError> {
        let api = self.api::<v1::Service>();
        self.call("get", SERVICES, name, deadline, || api.get(name))
            .await
    }

    /// Has a service send to the pods with exactly these labels; labels that it asked for before are
    /// asked for no more. Where it does so already, nothing is written.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn select(
        &self,
        service: &str,
        selector: &BTreeMap<String, String>,
        deadline: Deadline,
    ) -> Result<(), ClusterError> {
        let api = self.api::<v1::Service>();
        let parameters = PatchParams::default();
        let mut attempts: u32 = 0;
        loop {
            let read = self.service(service, deadline).await?;
            let version = read.resource_version();
            let there = read.spec.and_then(|it| it.selector).unwrap_or_default();
            let Some(change) = merge::patch(&json!(there), &json!(selector)) else {
                return Ok(());
            };
            let patch = Patch::Merge(json!({
                "metadata": { "resourceVersion": version },
                "spec": { "selector": change },
            }));
            let patched = self
                .call("patch", SERVICES, service, deadline, || {
                    api.patch(service, &parameters, &patch)
                })
                .await;
            let done = self.written(patched, &mut attempts, deadline).await?;
            if done.is_some() {
                return Ok(());
            }
        }
    }
}
