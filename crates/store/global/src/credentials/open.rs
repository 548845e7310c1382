//! Opening the bucket of another cluster, and making sure that it is that bucket.

use backstay_bucket::{Bucket, BucketConfig, Error};

use super::{CredentialError, config, read};
use crate::entity::BucketEntity;
use crate::identity::{self, IdentityError};

/// Why the bucket of an entity is not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not known how.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// It does not open.
    #[error("bucket {id} (container {container} at {endpoint}), opened with {by}: {source}")]
    Refused {
        /// Id of the bucket's entity in the state.
        id: u32,
        /// Name of the container.
        container: String,
        /// Base URL of the store, or the folder.
        endpoint: String,
        /// Where the credential is from.
        by: String,
        /// Why the store refused it, or that it did not answer.
        #[source]
        source: Box<Error>,
    },
    /// Another cluster's bucket is there.
    #[error(
        "bucket {id} (container {container} at {endpoint}), opened with {by}: this is the bucket of cluster {found}, the state means that of cluster {expected}; correct the endpoint or the container"
    )]
    Another {
        /// Id of the bucket's entity in the state.
        id: u32,
        /// Name of the container.
        container: String,
        /// Base URL of the store, or the folder.
        endpoint: String,
        /// Where the credential is from.
        by: String,
        /// Id of the cluster whose bucket it is.
        found: String,
        /// Id of the cluster whose bucket the state means.
        expected: String,
    },
}

impl OpenError {
    /// Whether the store did not answer, so that another credential would not help.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Refused { source, .. } if source.is_retryable())
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Credential(error) => error.is_retryable(),
            Self::Refused { .. } => self.is_unreachable(),
            Self::Another { .. } => false,
        }
    }
}

/// Opens the bucket of an entity to read it, with these credentials, at the place that the state
/// says. The cluster's identity there is read: a wrong encryption key, or another bucket, is found
/// here and not by a search.
///
/// # Errors
/// See [`OpenError`].
pub async fn open(given: BucketConfig, entity: &BucketEntity) -> Result<Bucket, OpenError> {
    let by = match &given.kept_in {
        Some(object) => object.clone(),
        None => format!("the {} variables", given.variable_prefix()),
    };
    let config = BucketConfig {
        container: entity.container.clone(),
        prefix: entity.key_prefix.clone(),
        ..given
    };
    let (id, container) = (entity.id, entity.container.clone());
    let endpoint = config.endpoint();
    let looked = async {
        let bucket = Bucket::open_to_read(config).await?;
        match identity::read(&bucket).await {
            Ok(found) => Ok((bucket, found)),
            // What is damaged there says nothing of the rest.
            Err(IdentityError::Content(_) | IdentityError::Bucket(Error::Corrupt { .. })) => {
                Ok((bucket, None))
            }
            Err(IdentityError::Bucket(error)) => Err(error),
        }
    };
    match looked.await {
        Ok((bucket, found)) => match (found, &entity.cluster_id) {
            (Some(found), Some(expected)) if found != *expected => Err(OpenError::Another {
                id,
                container,
                endpoint,
                by,
                found,
                expected: expected.clone(),
            }),
            _ => Ok(bucket),
        },
        Err(source) => Err(OpenError::Refused {
            id,
            container,
            endpoint,
            by,
            source: Box::new(source),
        }),
    }
}

/// Opens the bucket of an entity with the credential that is kept for it in `own`.
///
/// # Errors
/// See [`OpenError`].
pub async fn open_kept(own: &Bucket, entity: &BucketEntity) -> Result<Bucket, OpenError> {
    let credential = read(own, entity).await?;
    open(config(own, entity, credential), entity).await
}
