//! Where a bucket is and how this node gets at it, as an entity records it.

use backstay_bucket::{BucketConfig, Provider};

use crate::entity::BucketEntity;

/// A bucket as this node's environment describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `azure`, `s3`, `gcp` or `local`.
    pub provider: String,
    /// The region; empty where the environment does not say.
    pub region: String,
    /// Container or bucket name.
    pub container: String,
    /// Base URL or folder.
    pub endpoint: String,
    /// The storage account, where the store has such.
    pub account: String,
    /// What precedes all object names.
    pub key_prefix: String,
    /// Where the credentials are: `env:AZURE_STORAGE_`.
    pub credentials: String,
    /// Where the encryption key is.
    pub encryption_key_ref: String,
}

impl Place {
    /// The place that a configuration describes.
    pub fn of(config: &BucketConfig) -> Self {
        Self {
            provider: config.provider_name().to_owned(),
            region: config.region().unwrap_or_default().to_owned(),
            container: config.container.clone(),
            endpoint: config.endpoint(),
            account: match &config.provider {
                Provider::Azure { account, .. } => account.clone(),
                Provider::S3 { .. } | Provider::Gcp { .. } | Provider::Local { .. } => {
                    String::new()
                }
            },
            key_prefix: config.prefix.clone(),
            credentials: format!("env:{}", config.variable_prefix()),
            encryption_key_ref: format!("env:{}", config.encryption_key_variable()),
        }
    }

    /// Whether the entity is at this place, as far as its fields say.
    pub fn is_of(&self, entity: &BucketEntity) -> bool {
        let endpoint = |text: &str| text.trim_end_matches('/').to_ascii_lowercase();
        // An entity of an earlier version does not say.
        let account = entity.account.is_empty() || self.account == entity.account;
        account
            && self.provider == entity.provider
            && self.container == entity.container
            && self.key_prefix == entity.key_prefix
            && endpoint(&self.endpoint) == endpoint(&entity.endpoint)
    }

    /// A new entity at this place.
    pub fn entity(&self, id: u32, cluster_id: &str, read_only: bool) -> BucketEntity {
        BucketEntity {
            id,
            provider: self.provider.clone(),
            region: self.region.clone(),
            container: self.container.clone(),
            endpoint: self.endpoint.clone(),
            account: self.account.clone(),
            key_prefix: self.key_prefix.clone(),
            read_only,
            credentials: self.credentials.clone(),
            encryption_key_ref: self.encryption_key_ref.clone(),
            cluster_id: Some(cluster_id.to_owned()),
            extra: Default::default(),
        }
    }
}
