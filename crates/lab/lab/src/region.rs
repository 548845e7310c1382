//! The bucket of one cluster: a folder, or a container in Azurite; and the environment that tells
//! a node about it, as its own bucket or as the one to recover from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use backstay_bucket::{Bucket, BucketConfig, Role};
use futures::TryStreamExt;
use rand::RngExt;

use crate::workload::RunName;

mod azurite;

pub use azurite::{Azurite, AzuriteError};

/// Why a region's bucket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// The bucket's own error.
    #[error(transparent)]
    Bucket(#[from] backstay_bucket::Error),
    /// The folder cannot be made.
    #[error("cannot make the bucket's folder {path}: {source}")]
    Folder {
        /// The folder that could not be made.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: std::io::Error,
    },
    /// Azurite failed or refused.
    #[error(transparent)]
    Azurite(#[from] AzuriteError),
    /// The variables made here do not name a bucket: a fault of this module.
    #[error("the variables of the {region} region name no bucket")]
    Unnamed {
        /// The region's name.
        region: String,
    },
}

#[derive(Clone)]
enum Store {
    Folder(PathBuf),
    Azurite { azurite: Azurite, container: String },
}

/// A region: its name, its bucket and the key that the bucket is encrypted with.
#[derive(Clone)]
pub struct Region {
    name: String,
    store: Store,
    encryption_key: String,
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Region {
    /// A region whose bucket is a folder, with a new random key. Makes the folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(name: &str, path: PathBuf) -> Result<Self, RegionError> {
        std::fs::create_dir_all(&path).map_err(|source| RegionError::Folder {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            name: name.to_owned(),
            store: Store::Folder(path),
            encryption_key: random_key(),
        })
    }

    /// A region whose bucket is a new container in a running Azurite, with a new random key.
    ///
    /// # Errors
    /// When the container cannot be made.
    pub async fn azurite(
        name: &str,
        azurite: &Azurite,
        run: &RunName,
    ) -> Result<Self, RegionError> {
        let container = format!("backstay-{}-{name}", run.as_str());
        azurite.create_container(&container).await?;
        Ok(Self {
            name: name.to_owned(),
            store: Store::Azurite {
                azurite: azurite.clone(),
                container,
            },
            encryption_key: random_key(),
        })
    }

    /// The region's name, as in messages and folders.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The variables of a node that has this bucket as its own.
    pub fn own(&self) -> BTreeMap<String, String> {
        self.variables("STORAGE")
    }

    /// The variables of a node of region `to` that recovers from this bucket.
    pub fn recover_from(&self, to: &Self) -> BTreeMap<String, String> {
        let mut variables = self.variables("RECOVER_FROM");
        variables.insert(
            format!("{}_RECOVER_FROM_REPLACE_REGION", self.provider()),
            format!("{}/{}", self.name, to.name),
        );
        variables.insert(
            "BUCKET_STORAGE_MULTIPLE_ENDPOINTS".to_owned(),
            "true".to_owned(),
        );
        variables
    }

    fn provider(&self) -> &'static str {
        match self.store {
            Store::Folder(_) => "LOCAL",
            Store::Azurite { .. } => "AZURE",
        }
    }

    fn variables(&self, role: &str) -> BTreeMap<String, String> {
        let mut pairs = vec![("ENCRYPTION_KEY", self.encryption_key.clone())];
        match &self.store {
            Store::Folder(path) => pairs.push(("PATH", path.display().to_string())),
            Store::Azurite { azurite, container } => pairs.extend([
                ("BUCKET", container.clone()),
                ("ACCOUNTNAME", azurite.account().to_owned()),
                ("ACCOUNTKEY", azurite.key().to_owned()),
                ("ENDPOINT_BASE", azurite.url().to_owned()),
            ]),
        }
        pairs
            .into_iter()
            .map(|(name, value)| (format!("{}_{role}_{name}", self.provider()), value))
            .collect()
    }

    /// Opens the bucket to look into it. Nothing is written.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn open(&self) -> Result<Bucket, RegionError> {
        let variables = self.variables("RECOVER_FROM");
        let config =
            BucketConfig::from_env(Role::RecoverFrom, &|name| variables.get(name).cloned())?
                .ok_or_else(|| RegionError::Unnamed {
                    region: self.name.clone(),
                })?;
        Ok(Bucket::open(config).await?)
    }

    /// The keys under a prefix, sorted.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>, RegionError> {
        let bucket = self.open().await?;
        let mut keys: Vec<String> = bucket
            .list(prefix, None)
            .map_ok(|object| object.key)
            .try_collect()
            .await?;
        keys.sort_unstable();
        Ok(keys)
    }

    /// Removes a container made by [`Region::azurite`]; a folder goes with the folder it is in.
    ///
    /// # Errors
    /// When Azurite does not do it.
    pub async fn remove(&self) -> Result<(), RegionError> {
        match &self.store {
            Store::Folder(_) => Ok(()),
            Store::Azurite { azurite, container } => {
                Ok(azurite.delete_container(container).await?)
            }
        }
    }
}

/// 256 random bits, in hexadecimal.
pub(crate) fn random_key() -> String {
    let bytes: [u8; 32] = rand::rng().random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
