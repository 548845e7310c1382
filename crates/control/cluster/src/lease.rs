//! A Lease, read and written as it is: whoever decides when it has run out is above.
//!
//! [`Lock`](crate::Lock) decides by itself and waits; a failover decides on the lock together with
//! all else that it has seen, and so needs it bare. Its times are for people.

use std::time::Duration;

use backstay_retry::Deadline;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use crate::annotations::WriteOutcome;
use crate::lock::{LEASES, record};
use crate::{ClusterError, Region};

/// A Lease as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Who holds it; `None` when it was given back.
    pub holder: Option<String>,
    /// The state that was read (`resourceVersion`), which changes with each renewal.
    pub version: String,
    /// How long its holder is believed in without a renewal.
    pub lasts: Duration,
}

impl Region {
    /// Reads a Lease; `None` when there is none.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn lease(
        &self,
        name: &str,
        deadline: Deadline,
    ) -> Result<Option<Holding>, ClusterError> {
        let api = self.api::<Lease>();
        let read = self.call("get", LEASES, name, deadline, || api.get(name));
        match read.await {
            Ok(lease) => Ok(Some(holding(&lease))),
            Err(ClusterError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes, renews or (`holder` is `None`) gives back a Lease, on condition that it is still in
    /// the state that was read; without one, that it does not exist. One attempt.
    ///
    /// # Errors
    /// See [`ClusterError`]. When it [is unreachable](ClusterError::is_unreachable), the write may
    /// have taken effect.
    pub async fn write_lease(
        &self,
        name: &str,
        version: Option<&str>,
        holder: Option<&str>,
        lasts: Duration,
        deadline: Deadline,
    ) -> Result<WriteOutcome, ClusterError> {
        let api = self.api::<Lease>();
        let seconds = i32::try_from(lasts.as_secs().max(1)).unwrap_or(i32::MAX);
        let now = MicroTime(Timestamp::now());
        let written = match version {
            None => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(name.to_owned()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(LeaseSpec {
                        holder_identity: holder.map(str::to_owned),
                        lease_duration_seconds: Some(seconds),
                        acquire_time: Some(now.clone()),
                        renew_time: Some(now),
                        ..LeaseSpec::default()
                    }),
                };
                let parameters = PostParams::default();
                self.once("create", LEASES, name, deadline, || {
                    api.create(&parameters, &lease)
                })
                .await
            }
            Some(version) => {
                // The time is another at each renewal: a write that changes nothing makes no new
                // version, and the version is the pulse.
                let patch = Patch::Merge(json!({
                    "metadata": { "resourceVersion": version },
                    "spec": {
                        "holderIdentity": holder.unwrap_or_default(),
                        "leaseDurationSeconds": seconds,
                        "renewTime": now,
                    },
                }));
                let parameters = PatchParams::default();
                self.once("patch", LEASES, name, deadline, || {
                    api.patch(name, &parameters, &patch)
                })
                .await
            }
        };
        match written {
            Ok(_) => Ok(WriteOutcome::Written),
            Err(ClusterError::Contended { .. } | ClusterError::NotFound { .. }) => {
                Ok(WriteOutcome::Changed)
            }
            Err(error) => Err(error),
        }
    }
}

fn holding(lease: &Lease) -> Holding {
    let record = record(lease);
    Holding {
        holder: Some(record.holder).filter(|it| !it.is_empty()),
        version: record.version,
        lasts: record.duration,
    }
}
