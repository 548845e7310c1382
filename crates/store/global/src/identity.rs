//! Whose bucket it is: an id made once, at the first start of a cluster on it.
//!
//! Snapshots are filed under it, seals are signed with it, and bucket entities carry it. It lies
//! next to snapshots and journal, so a cluster whose snapshots were deleted (as a failback does) is
//! still itself, and a mount point, endpoint or container name may change without making it
//! another.

use backstay_bucket::{Bucket, Error};
use serde::{Deserialize, Serialize};

/// The object's name, relative to the bucket's prefix.
pub const OBJECT: &str = "cluster.json";

#[derive(Serialize, Deserialize)]
struct Identity {
    #[serde(rename = "clusterId")]
    cluster_id: String,
}

/// Why it is not known whose bucket it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The bucket does not answer, or the object is damaged.
    #[error(transparent)]
    Bucket(#[from] Error),
    /// The object has another content than it was written with.
    #[error("{OBJECT}: not a cluster's identity: {0}; restore it from a backup")]
    Content(#[source] serde_json::Error),
}

impl IdentityError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Bucket(error) if error.is_retryable())
    }
}

/// The id of the cluster whose bucket it is; `None` if none has begun on it.
///
/// # Errors
/// See [`IdentityError`].
pub async fn read(bucket: &Bucket) -> Result<Option<String>, IdentityError> {
    match bucket.get(OBJECT).await {
        Ok(bytes) => serde_json::from_slice::<Identity>(&bytes)
            .map(|identity| Some(identity.cluster_id))
            .map_err(IdentityError::Content),
        Err(Error::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The id of the cluster whose bucket it is. If none has begun on it, one begins now: with the
/// proposed id, unless another node is faster.
///
/// A new cluster must not have an encryption key that can be guessed. One that has such a key goes
/// on with it, since what it has written can be read with no other.
///
/// # Errors
/// See [`IdentityError`].
pub async fn establish(bucket: &Bucket, propose: &str) -> Result<String, IdentityError> {
    let guessable = bucket.config().guessable_key();
    if let Some(known) = read(bucket).await? {
        if guessable.is_some() {
            tracing::warn!(
                variable = bucket.config().encryption_key_variable(),
                "this cluster's encryption key is so short that it can be guessed; let a cluster on a new bucket, with a generated key, recover from it"
            );
        }
        return Ok(known);
    }
    if let Some(error) = guessable {
        return Err(error.into());
    }
    let identity = Identity {
        cluster_id: propose.to_owned(),
    };
    let bytes = serde_json::to_vec(&identity).map_err(IdentityError::Content)?;
    bucket.put_if_absent(OBJECT, bytes.into()).await?;
    // What is there now is the truth, whoever wrote it.
    Ok(read(bucket).await?.unwrap_or_else(|| propose.to_owned()))
}
