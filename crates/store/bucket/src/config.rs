//! Where a bucket is and how to open it, from LogScale's own variables.
//!
//! | Variable | Azure | S3 | GCP | local folder |
//! |---|---|---|---|---|
//! | container | `AZURE_STORAGE_BUCKET` | `S3_STORAGE_BUCKET` | `GCP_STORAGE_BUCKET` | `LOCAL_STORAGE_BUCKET` (default: last component of the path) |
//! | place | `_ENDPOINT_BASE` (default: the account's public endpoint) | `_REGION`, `_ENDPOINT_BASE` | `_ENDPOINT_BASE` | `LOCAL_STORAGE_PATH` |
//! | credentials | `_ACCOUNTNAME`, `_ACCOUNTKEY` | `_ACCESSKEY`, `_SECRETKEY`, or neither: the instance's role | `_ACCOUNT_JSON_FILE`, or `_WORKLOAD_IDENTITY=true` | |
//! | encryption | `_ENCRYPTION_KEY` | `_ENCRYPTION_KEY` | `_ENCRYPTION_KEY` | `_ENCRYPTION_KEY` |
//! | prefix | `_OBJECT_KEY_PREFIX` | `_OBJECT_KEY_PREFIX` | `_OBJECT_KEY_PREFIX` | `_OBJECT_KEY_PREFIX` |
//!
//! The bucket to recover from has the same variables with `_RECOVER_FROM_` in place of
//! `_STORAGE_`. `BACKSTAY_SOURCE_ADDRESS` is for both.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Error, Result, Secret};

/// A new cluster's key has so many characters at least. Whoever can read the bucket may try keys for
/// as long as they like.
const MIN_KEY_CHARS: usize = 16;

/// How long a call is repeated when nothing else is configured.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

/// A store and how to identify oneself there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// Azure Blob Storage, Azurite included.
    Azure {
        /// Name of the storage account.
        account: String,
        /// Access key of the account, in base64.
        key: Secret,
        /// The blob service's URL; by default the account's public endpoint.
        endpoint_base: Option<String>,
    },
    /// Amazon S3 or a store that speaks its protocol.
    S3 {
        /// The region, such as `eu-central-1`.
        region: String,
        /// The access key; `None` for the role of the instance or its service account.
        credentials: Option<S3Credentials>,
        /// The service's URL; by default the region's public endpoint.
        endpoint_base: Option<String>,
    },
    /// Google Cloud Storage, by its JSON API.
    Gcp {
        /// How to identify oneself.
        credentials: GcpCredentials,
        /// The service's URL; by default the public endpoint.
        endpoint_base: Option<String>,
    },
    /// A folder that all nodes of the cluster share.
    Local {
        /// Path of the folder that stands for the bucket.
        path: PathBuf,
    },
}

/// An S3 access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Credentials {
    /// Public part of the key: its name.
    pub access_key_id: String,
    /// Secret part of the key, which signs requests.
    pub secret_access_key: Secret,
}

/// How to identify oneself to Google Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GcpCredentials {
    /// A service account's key file.
    ServiceAccountFile(PathBuf),
    /// The content of such a file.
    ServiceAccountKey(Secret),
    /// The identity of the machine or its Kubernetes service account.
    WorkloadIdentity,
}

/// What a bucket is for; it decides which variables are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The cluster's own bucket: `…_STORAGE_…`.
    Own,
    /// Another cluster's bucket, from which to recover: `…_RECOVER_FROM_…`.
    RecoverFrom,
}

/// Everything needed to open a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketConfig {
    /// Which store it is in, and the credentials for it.
    pub provider: Provider,
    /// The container (Azure) or bucket.
    pub container: String,
    /// Put in front of every key, as it is.
    pub prefix: String,
    /// The string that the encryption key is derived from.
    pub encryption_key: Secret,
    /// What the bucket is for.
    pub role: Role,
    /// How long one request is repeated before it fails as unreachable. A large body gets one
    /// second more for each MiB.
    pub deadline: Duration,
    /// The local address that requests are sent from, where a machine has several and it matters
    /// which: `BACKSTAY_SOURCE_ADDRESS`.
    pub source_address: Option<IpAddr>,
    /// The object that the credentials were read from, in words; `None` if they are the variables'.
    /// Errors name it.
    pub kept_in: Option<String>,
}

impl BucketConfig {
    /// A bucket in a folder, with the defaults for everything else.
    pub fn local(path: impl Into<PathBuf>, encryption_key: Secret, role: Role) -> Self {
        let path = path.into();
        Self {
            container: folder_name(&path),
            provider: Provider::Local { path },
            prefix: String::new(),
            encryption_key,
            role,
            deadline: DEFAULT_DEADLINE,
            source_address: None,
            kept_in: None,
        }
    }

    /// Reads the variables of `role`. `None` when no bucket is configured for it.
    ///
    /// # Errors
    /// [`Error::Config`], naming the variable, when one is missing, empty, contradictory or wrong.
    pub fn from_env(role: Role, vars: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        from_env::read(role, vars)
    }

    /// The names of all variables that [`Self::from_env`] may ask for, of every provider, except
    /// `BACKSTAY_SOURCE_ADDRESS`.
    pub fn variables(role: Role) -> Vec<String> {
        from_env::names(role)
    }

    /// What is to be said of an encryption key that is so short that it can be guessed. What was
    /// written with it can only be read with it, so this is for whoever begins a new cluster.
    pub fn guessable_key(&self) -> Option<Error> {
        let characters = self.encryption_key.expose().chars().count();
        (characters < MIN_KEY_CHARS).then(|| Error::Config {
            variable: self.encryption_key_variable(),
            problem: format!(
                "it has {characters} characters and can be guessed; the key of a new cluster must have {MIN_KEY_CHARS} at least: set it to a generated secret, for example from `openssl rand -hex 32`"
            ),
        })
    }

    /// `azure`, `s3`, `gcp` or `local`.
    pub fn provider_name(&self) -> &'static str {
        match self.provider {
            Provider::Azure { .. } => "azure",
            Provider::S3 { .. } => "s3",
            Provider::Gcp { .. } => "gcp",
            Provider::Local { .. } => "local",
        }
    }

    /// The region, where the provider's variables name one.
    pub fn region(&self) -> Option<&str> {
        match &self.provider {
            Provider::S3 { region, .. } => Some(region),
            Provider::Azure { .. } | Provider::Gcp { .. } | Provider::Local { .. } => None,
        }
    }

    /// Where the store is: a URL, or the folder's path.
    pub fn endpoint(&self) -> String {
        match &self.provider {
            Provider::Azure {
                account,
                endpoint_base,
                ..
            } => endpoint_base
                .clone()
                .unwrap_or_else(|| format!("https://{account}.blob.core.windows.net")),
            Provider::S3 {
                region,
                endpoint_base,
                ..
            } => endpoint_base
                .clone()
                .unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com")),
            Provider::Gcp { endpoint_base, .. } => endpoint_base
                .clone()
                .unwrap_or_else(|| "https://storage.googleapis.com".to_owned()),
            Provider::Local { path } => path.display().to_string(),
        }
    }

    /// What this bucket's variables begin with, for example `AZURE_STORAGE_`.
    pub fn variable_prefix(&self) -> &'static str {
        match (&self.provider, self.role) {
            (Provider::Azure { .. }, Role::Own) => "AZURE_STORAGE_",
            (Provider::Azure { .. }, Role::RecoverFrom) => "AZURE_RECOVER_FROM_",
            (Provider::S3 { .. }, Role::Own) => "S3_STORAGE_",
            (Provider::S3 { .. }, Role::RecoverFrom) => "S3_RECOVER_FROM_",
            (Provider::Gcp { .. }, Role::Own) => "GCP_STORAGE_",
            (Provider::Gcp { .. }, Role::RecoverFrom) => "GCP_RECOVER_FROM_",
            (Provider::Local { .. }, Role::Own) => "LOCAL_STORAGE_",
            (Provider::Local { .. }, Role::RecoverFrom) => "LOCAL_RECOVER_FROM_",
        }
    }

    /// The variable that holds the encryption key.
    pub fn encryption_key_variable(&self) -> String {
        format!("{}ENCRYPTION_KEY", self.variable_prefix())
    }

    /// The variable that names the container.
    pub fn container_variable(&self) -> String {
        let name = match self.provider {
            Provider::Local { .. } => "PATH",
            Provider::Azure { .. } | Provider::S3 { .. } | Provider::Gcp { .. } => "BUCKET",
        };
        format!("{}{name}", self.variable_prefix())
    }

    /// The variable that holds the credential.
    pub fn credential_variable(&self) -> String {
        let name = match &self.provider {
            Provider::Azure { .. } => "ACCOUNTKEY",
            Provider::S3 { .. } => "SECRETKEY",
            Provider::Gcp {
                credentials:
                    GcpCredentials::ServiceAccountFile(_) | GcpCredentials::ServiceAccountKey(_),
                ..
            } => "ACCOUNT_JSON_FILE",
            Provider::Gcp {
                credentials: GcpCredentials::WorkloadIdentity,
                ..
            } => "WORKLOAD_IDENTITY",
            Provider::Local { .. } => "PATH",
        };
        format!("{}{name}", self.variable_prefix())
    }

    /// The variable that says where the store is.
    pub fn endpoint_variable(&self) -> String {
        let name = match self.provider {
            Provider::Local { .. } => "PATH",
            Provider::Azure { .. } | Provider::S3 { .. } | Provider::Gcp { .. } => "ENDPOINT_BASE",
        };
        format!("{}{name}", self.variable_prefix())
    }

    /// What is to be corrected where that variable's value is wrong, for error texts.
    pub(crate) fn what_to_correct(&self, variable: String) -> String {
        match &self.kept_in {
            None => variable,
            Some(object) => format!("{object}, which {variable} renews when a node starts"),
        }
    }

    /// Who asks for access, for error texts.
    pub(crate) fn account(&self) -> String {
        match &self.provider {
            Provider::Azure { account, .. } => account.clone(),
            Provider::S3 {
                credentials: Some(credentials),
                ..
            } => credentials.access_key_id.clone(),
            Provider::S3 {
                credentials: None, ..
            } => "(the role of this instance)".to_owned(),
            Provider::Gcp {
                credentials: GcpCredentials::ServiceAccountFile(path),
                ..
            } => path.display().to_string(),
            Provider::Gcp {
                credentials: GcpCredentials::ServiceAccountKey(_),
                ..
            } => "(the service account whose key is kept)".to_owned(),
            Provider::Gcp {
                credentials: GcpCredentials::WorkloadIdentity,
                ..
            } => "(the identity of this workload)".to_owned(),
            Provider::Local { .. } => "(the user of this process)".to_owned(),
        }
    }
}

/// The last component of a folder's path: the container's name of a local bucket.
fn folder_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

mod from_env;

#[cfg(test)]
mod tests;
