//! What is in the object.

use std::fmt;

use backstay_bucket::{BucketConfig, GcpCredentials, Provider, Role, S3Credentials, Secret};
use serde::{Deserialize, Serialize};

use super::error::Broken;
use crate::entity::BucketEntity;

/// The format that is written.
const VERSION: u64 = 1;

/// How a bucket is opened. Not shown: it holds secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    config: BucketConfig,
    cluster_id: Option<String>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credential").field(&self.describe()).finish()
    }
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

// No `Debug`: these hold secrets.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<String>,
    bucket: String,
    key_prefix: String,
    encryption_key: String,
    store: Store,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "provider", rename_all = "camelCase")]
enum Store {
    #[serde(rename_all = "camelCase")]
    Azure {
        account: String,
        account_key: String,
        endpoint_base: Option<String>,
    },
    #[serde(rename_all = "camelCase")]
    S3 {
        region: String,
        access_key: Option<AccessKey>,
        endpoint_base: Option<String>,
    },
    #[serde(rename_all = "camelCase")]
    Gcp {
        /// The content of the key file; `None` for the identity of the workload.
        service_account: Option<String>,
        endpoint_base: Option<String>,
    },
    Local {
        path: String,
    },
}

#[derive(Serialize, Deserialize)]
struct AccessKey {
    id: String,
    secret: String,
}

impl Credential {
    pub(super) fn new(config: BucketConfig, cluster_id: Option<String>) -> Self {
        Self { config, cluster_id }
    }

    /// Whose it is, without any secret.
    pub(super) fn describe(&self) -> String {
        let config = &self.config;
        let place = format!("container {} at {}", config.container, config.endpoint());
        match &self.cluster_id {
            Some(id) => format!("{place} of cluster {id}"),
            None => place,
        }
    }

    /// Whether it is that of this bucket, which may be reached in another way by now.
    pub(super) fn is_of(&self, entity: &BucketEntity) -> bool {
        let same = match (&self.cluster_id, &entity.cluster_id) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        same && self.config.provider_name() == entity.provider
    }

    /// The configuration, with the store at this endpoint.
    pub(super) fn at(self, endpoint: &str) -> BucketConfig {
        let mut config = self.config;
        if config.endpoint() == endpoint {
            return config;
        }
        match &mut config.provider {
            Provider::Azure { endpoint_base, .. }
            | Provider::S3 { endpoint_base, .. }
            | Provider::Gcp { endpoint_base, .. } => *endpoint_base = Some(endpoint.to_owned()),
            Provider::Local { path } => *path = endpoint.into(),
        }
        config
    }

    /// As it is written, the same for the same.
    pub(super) fn text(&self) -> Vec<u8> {
        let config = &self.config;
        let shown = |secret: &Secret| secret.expose().to_owned();
        let store = match &config.provider {
            Provider::Azure {
                account,
                key,
                endpoint_base,
            } => Store::Azure {
                account: account.clone(),
                account_key: shown(key),
                endpoint_base: endpoint_base.clone(),
            },
            Provider::S3 {
                region,
                credentials,
                endpoint_base,
            } => Store::S3 {
                region: region.clone(),
                access_key: credentials.as_ref().map(|key| AccessKey {
                    id: key.access_key_id.clone(),
                    secret: shown(&key.secret_access_key),
                }),
                endpoint_base: endpoint_base.clone(),
            },
            Provider::Gcp {
                credentials,
                endpoint_base,
            } => Store::Gcp {
                service_account: match credentials {
                    GcpCredentials::ServiceAccountKey(key) => Some(shown(key)),
                    // Its content has been read.
                    GcpCredentials::ServiceAccountFile(_) | GcpCredentials::WorkloadIdentity => {
                        None
                    }
                },
                endpoint_base: endpoint_base.clone(),
            },
            Provider::Local { path } => Store::Local {
                path: path.display().to_string(),
            },
        };
        let document = Document {
            version: VERSION,
            cluster_id: self.cluster_id.clone(),
            bucket: config.container.clone(),
            key_prefix: config.prefix.clone(),
            encryption_key: shown(&config.encryption_key),
            store,
        };
        // Strings and numbers only: there is nothing that could not be written.
        serde_json::to_vec(&document).unwrap_or_default()
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, Broken> {
        // Serde's own text may quote what it could not read.
        let broken = |error: serde_json::Error| Broken::Json {
            line: error.line(),
            column: error.column(),
        };
        let version = serde_json::from_slice::<Version>(text).map_err(broken)?;
        if version.version != VERSION {
            return Err(Broken::Version(version.version));
        }
        let document: Document = serde_json::from_slice(text).map_err(broken)?;
        let provider = match document.store {
            Store::Azure {
                account,
                account_key,
                endpoint_base,
            } => Provider::Azure {
                account,
                key: account_key.into(),
                endpoint_base,
            },
            Store::S3 {
                region,
                access_key,
                endpoint_base,
            } => Provider::S3 {
                region,
                credentials: access_key.map(|key| S3Credentials {
                    access_key_id: key.id,
                    secret_access_key: key.secret.into(),
                }),
                endpoint_base,
            },
            Store::Gcp {
                service_account,
                endpoint_base,
            } => Provider::Gcp {
                credentials: match service_account {
                    Some(key) => GcpCredentials::ServiceAccountKey(key.into()),
                    None => GcpCredentials::WorkloadIdentity,
                },
                endpoint_base,
            },
            Store::Local { path } => Provider::Local { path: path.into() },
        };
        let key = Secret::new(document.encryption_key);
        Ok(Self {
            config: BucketConfig {
                provider,
                container: document.bucket,
                prefix: document.key_prefix,
                ..BucketConfig::local("", key, Role::RecoverFrom)
            },
            cluster_id: document.cluster_id,
        })
    }
}
