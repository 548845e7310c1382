//! Volume claims: a folder for each, by its uid, kept over pods, and removed when the claim is
//! gone and no pod has it any more.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};
use parking_lot::Mutex;

use crate::volumes::{VolumeError, make};

/// All claims' folders.
pub(crate) struct Claims {
    client: Client,
    folder: PathBuf,
    /// Which claims a pod has, by its uid.
    used: Mutex<HashMap<String, HashSet<String>>>,
    /// One removal at a time.
    removing: tokio::sync::Mutex<()>,
}

impl Claims {
    pub fn new(client: Client, agent: &Path) -> Result<Self, VolumeError> {
        let folder = agent.join("claims");
        make(&folder)?;
        Ok(Self {
            client,
            folder,
            used: Mutex::default(),
            removing: tokio::sync::Mutex::default(),
        })
    }

    /// The folder of a claim, for this pod; `None` where there is no such claim.
    pub async fn folder(
        &self,
        namespace: &str,
        name: &str,
        pod: &str,
    ) -> Result<Option<PathBuf>, VolumeError> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let found = claims.get_metadata_opt(name).await?;
        let Some(uid) = found.and_then(|claim| claim.uid()) else {
            return Ok(None);
        };
        let pod = pod.to_owned();
        self.used.lock().entry(pod).or_default().insert(uid.clone());
        let folder = self.folder.join(uid);
        make(&folder)?;
        Ok(Some(folder))
    }

    /// The pod is gone, with its processes.
    pub fn release(&self, pod: &str) {
        self.used.lock().remove(pod);
    }

    /// Removes the folders of claims that are gone.
    pub async fn collect(&self) -> Result<(), VolumeError> {
        let _one = self.removing.lock().await;
        // In this order: whatever has a folder by now has had a claim before it, and a claim that
        // is not there after that is gone for good, since no other gets its uid.
        let folders = folders(&self.folder).map_err(|source| self.failed(source))?;
        if folders.is_empty() {
            return Ok(());
        }
        let claims: Api<PersistentVolumeClaim> = Api::all(self.client.clone());
        let there = claims.list_metadata(&ListParams::default()).await?;
        let there: HashSet<String> = there.iter().filter_map(|claim| claim.uid()).collect();
        let used: HashSet<String> = self.used.lock().values().flatten().cloned().collect();
        for uid in removable(&folders, &there, &used) {
            tracing::info!(claim = %uid, "a claim is gone, and so is its volume");
            let path = self.folder.join(uid);
            tokio::fs::remove_dir_all(&path)
                .await
                .map_err(|source| self.failed(source))?;
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> VolumeError {
        VolumeError::File {
            path: self.folder.clone(),
            source,
        }
    }
}

fn folders(folder: &Path) -> io::Result<Vec<String>> {
    let entries = std::fs::read_dir(folder)?;
    let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
    names.filter_map(Result::transpose).collect()
}

/// The folders that hold nobody's data: no claim has them, and no pod.
fn removable<'a>(
    folders: &'a [String],
    there: &HashSet<String>,
    used: &HashSet<String>,
) -> Vec<&'a str> {
    folders
        .iter()
        .filter(|uid| !there.contains(*uid) && !used.contains(*uid))
        .map(String::as_str)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    fn set(uids: &[&str]) -> HashSet<String> {
        uids.iter().map(|uid| (*uid).to_owned()).collect()
    }

    #[test]
    fn only_what_no_claim_and_no_pod_has_is_removed() {
        for (folders, there, used, removed) in [
            (vec![], vec![], vec![], vec![]),
            (vec!["a", "b"], vec!["a", "b"], vec![], vec![]),
            (vec!["a", "b"], vec!["a"], vec![], vec!["b"]),
            // The claim was deleted while a pod still has it.
            (vec!["a", "b"], vec!["a"], vec!["b"], vec![]),
            (vec!["a"], vec![], vec![], vec!["a"]),
            (vec!["a"], vec!["b"], vec!["c"], vec!["a"]),
        ] {
            let folders: Vec<String> = folders.iter().map(|uid| (*uid).to_owned()).collect();
            assert_eq!(removable(&folders, &set(&there), &set(&used)), removed);
        }
    }

    proptest! {
        #[test]
        fn a_claim_in_use_or_there_keeps_its_folder(
            folders in prop::collection::hash_set("[a-f]", 0..6),
            there in prop::collection::hash_set("[a-f]", 0..6),
            used in prop::collection::hash_set("[a-f]", 0..6),
        ) {
            let folders: Vec<String> = folders.into_iter().collect();
            for uid in &folders {
                let removed = removable(&folders, &there, &used).contains(&uid.as_str());
                prop_assert_eq!(removed, !(there.contains(uid) || used.contains(uid)));
            }
        }
    }
}
