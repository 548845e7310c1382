//! How a cluster gets at the buckets of others: for each a sealed object in its own bucket.
//!
//! The state says where a bucket is (its [`BucketEntity`]) and names the object in which its
//! credentials and its encryption key are. Snapshots and journal are read by people; this object is
//! only ever read by nodes. It is sealed with the cluster's own key, as every object: whoever can
//! recover the cluster can read its history, too, and copies the objects into a bucket of its own.
//!
//! | What is met | What follows |
//! |---|---|
//! | the object is as it should be | it opens the bucket, whether there are variables or not |
//! | variables are given for this bucket | they win; once they have opened it, they renew the object |
//! | variables are given, and refused | the object is tried, and the refusal is logged |
//! | there is no object, but variables | it is written at the next start of a node |
//! | there is neither | [`CredentialError::Missing`], which says which variables renew it |
//! | it is damaged, or sealed with another key | [`CredentialError::Unreadable`], likewise |
//! | it is that of another bucket | [`CredentialError::OfAnother`], likewise |
//! | the source of a recovery has none for a bucket | the recovery goes on, an object of this cluster's own that is there stays |

mod document;
mod error;
mod open;

use backstay_bucket::{Bucket, BucketConfig, Error, GcpCredentials, Provider, Secret};

use crate::entity::BucketEntity;

pub use document::Credential;
pub use error::{Broken, CredentialError, CredentialPlace};
pub use open::{OpenError, open, open_kept};

/// Where the objects are, relative to the bucket's prefix.
pub const PREFIX: &str = "credentials/";
/// What a reference to an object of this cluster's own bucket begins with.
const OBJECT_SCHEME: &str = "object:";

/// The object that holds the credentials of a bucket.
pub fn object(bucket: u32) -> String {
    format!("{PREFIX}{bucket}")
}

/// As an entity refers to that object.
pub fn reference(bucket: u32) -> String {
    format!("{OBJECT_SCHEME}{PREFIX}{bucket}")
}

/// The object that an entity names. One of an earlier version names variables, and its object is
/// where it would be.
fn named(entity: &BucketEntity) -> String {
    match entity.credentials.strip_prefix(OBJECT_SCHEME) {
        Some(name) if name.starts_with(PREFIX) => name.to_owned(),
        _ => object(entity.id),
    }
}

/// How a bucket is opened, from what is kept in `own` for it. `own` may be that of another cluster,
/// with the entity as that cluster's state has it.
///
/// # Errors
/// See [`CredentialError`].
pub async fn read(own: &Bucket, entity: &BucketEntity) -> Result<Credential, CredentialError> {
    let what = || Box::new(CredentialPlace::of(own, entity, &named(entity)));
    let text = match own.get(&named(entity)).await {
        Ok(text) => text,
        Err(Error::Missing { .. }) => return Err(CredentialError::Missing { what: what() }),
        Err(source) => {
            let (what, source) = (what(), Box::new(source));
            return Err(CredentialError::Unreadable { what, source });
        }
    };
    let credential = Credential::parse(&text).map_err(|broken| CredentialError::Content {
        what: what(),
        broken,
    })?;
    if credential.is_of(entity) {
        Ok(credential)
    } else {
        Err(CredentialError::OfAnother {
            what: what(),
            other: credential.describe(),
        })
    }
}

/// Keeps how a bucket is opened, if it is not kept so already; whether anything was written. Of
/// nodes that do so at the same time, one is the last.
///
/// # Errors
/// When this cluster's own bucket cannot be written.
pub async fn keep(
    own: &Bucket,
    entity: &BucketEntity,
    credential: &Credential,
) -> Result<bool, CredentialError> {
    let name = named(entity);
    let text = credential.text();
    match own.get(&name).await {
        Ok(there) if there[..] == *text => return Ok(false),
        // Whatever is there otherwise is replaced.
        _ => {}
    }
    backstay_failpoint::hit("credentials.before_put");
    own.put(&name, text.into())
        .await
        .map_err(|source| CredentialError::NotKept {
            what: Box::new(CredentialPlace::of(own, entity, &name)),
            source: Box::new(source),
        })?;
    backstay_failpoint::hit("credentials.after_put");
    tracing::info!(
        bucket = entity.id,
        container = entity.container,
        object = name,
        "the bucket's credential is kept"
    );
    Ok(true)
}

/// The credential in a configuration. What lies in a file is read, because the file may be gone by
/// the time it is needed.
///
/// # Errors
/// When that file cannot be read.
pub async fn of_config(
    config: &BucketConfig,
    entity: &BucketEntity,
) -> Result<Credential, CredentialError> {
    let mut config = config.clone();
    let variable = config.credential_variable();
    if let Provider::Gcp { credentials, .. } = &mut config.provider
        && let GcpCredentials::ServiceAccountFile(path) = credentials
    {
        let text = tokio::fs::read_to_string(&path).await;
        let text = text.map_err(|source| CredentialError::File {
            variable,
            path: path.clone(),
            source,
        })?;
        *credentials = GcpCredentials::ServiceAccountKey(Secret::new(text));
    }
    Ok(Credential::new(config, entity.cluster_id.clone()))
}

/// What opens the bucket of an entity: the credential that is kept in `own`, at the place that the
/// state says.
pub fn config(own: &Bucket, entity: &BucketEntity, credential: Credential) -> BucketConfig {
    let name = named(entity);
    let container = &own.config().container;
    BucketConfig {
        container: entity.container.clone(),
        prefix: entity.key_prefix.clone(),
        deadline: own.config().deadline,
        source_address: own.config().source_address,
        kept_in: Some(format!("{name} in container {container}")),
        ..credential.at(&entity.endpoint)
    }
}

#[cfg(test)]
mod tests;
