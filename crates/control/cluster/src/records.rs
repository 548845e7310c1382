//! What a run has to remember: a text in a ConfigMap, changed by compare-and-set.
//!
//! A ConfigMap, and not an object in the bucket: it is where the run lock is, so that whoever may
//! run may also read what was run, and it can be read while the region's storage is what has failed.

use std::collections::BTreeMap;

use backstay_retry::Deadline;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::{ClusterError, Region};

const CONFIG_MAPS: &str = "configmaps";
/// Under which key the text is.
const RECORD_KEY: &str = "run.json";

/// A record as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `metadata.name` of the ConfigMap.
    pub name: String,
    /// The state that was read (`resourceVersion`).
    pub version: String,
    /// What it says; empty where a ConfigMap with its labels says nothing.
    pub text: String,
}

/// What became of a record's conditional write, which is tried once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is written.
    Written {
        /// The state that it is in now: what the next write is on condition of.
        version: String,
    },
    /// It is not: somebody has written, made or deleted it since it was read.
    Changed,
}

impl From<ConfigMap> for Record {
    fn from(map: ConfigMap) -> Self {
        Self {
            name: map.name_any(),
            version: map.resource_version().unwrap_or_default(),
            text: map
                .data
                .and_then(|mut it| it.remove(RECORD_KEY))
                .unwrap_or_default(),
        }
    }
}

impl Region {
    /// The records with these labels.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn records(
        &self,
        label_selector: &str,
        deadline: Deadline,
    ) -> Result<Vec<Record>, ClusterError> {
        let api = self.api::<ConfigMap>();
        let read = self.list_all(&api, CONFIG_MAPS, label_selector, deadline);
        Ok(read.await?.into_iter().map(Record::from).collect())
    }

    /// Reads a record; `None` when there is none.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn read_record(
        &self,
        name: &str,
        deadline: Deadline,
    ) -> Result<Option<Record>, ClusterError> {
        let api = self.api::<ConfigMap>();
        let read = self.call("get", CONFIG_MAPS, name, deadline, || api.get(name));
        match read.await {
            Ok(map) => Ok(Some(map.into())),
            Err(ClusterError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a record, on condition that it is still in the state that was read; without one, that
    /// it does not exist. Labels are added to those that it has. One attempt.
    ///
    /// # Errors
    /// See [`ClusterError`]. When it [is unreachable](ClusterError::is_unreachable), the write may
    /// have taken effect.
    pub async fn write_record(
        &self,
        name: &str,
        version: Option<&str>,
        labels: &BTreeMap<&str, &str>,
        text: &str,
        deadline: Deadline,
    ) -> Result<Recorded, ClusterError> {
        let api = self.api::<ConfigMap>();
        let written = match version {
            None => {
                let owned = |(key, value): (&&str, &&str)| ((*key).to_owned(), (*value).to_owned());
                let map = ConfigMap {
                    metadata: ObjectMeta {
                        name: Some(name.to_owned()),
                        labels: Some(labels.iter().map(owned).collect()),
                        ..ObjectMeta::default()
                    },
                    data: Some([(RECORD_KEY.to_owned(), text.to_owned())].into()),
                    ..ConfigMap::default()
                };
                let parameters = PostParams::default();
                self.once("create", CONFIG_MAPS, name, deadline, || {
                    api.create(&parameters, &map)
                })
                .await
            }
            Some(version) => {
                let patch = Patch::Merge(json!({
                    "metadata": { "resourceVersion": version, "labels": labels },
                    "data": { RECORD_KEY: text },
                }));
                let parameters = PatchParams::default();
                self.once("patch", CONFIG_MAPS, name, deadline, || {
                    api.patch(name, &parameters, &patch)
                })
                .await
            }
        };
        match written {
            Ok(map) => Ok(Recorded::Written {
                version: map.resource_version().unwrap_or_default(),
            }),
            Err(ClusterError::Contended { .. }) => Ok(Recorded::Changed),
            // Deleted since. Of one that is to be made it would be the namespace that is not there.
            Err(ClusterError::NotFound { .. }) if version.is_some() => Ok(Recorded::Changed),
            Err(error) => Err(error),
        }
    }

    /// Deletes a record; one that is gone already is as good.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn delete_record(&self, name: &str, deadline: Deadline) -> Result<(), ClusterError> {
        let api = self.api::<ConfigMap>();
        let parameters = DeleteParams::default();
        let deleted = self
            .call("delete", CONFIG_MAPS, name, deadline, || {
                api.delete(name, &parameters)
            })
            .await;
        match deleted {
            Ok(_) | Err(ClusterError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
