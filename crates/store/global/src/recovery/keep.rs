//! Before a recovered state is written down: the credentials of all buckets that it names.
//!
//! The source's are what the environment says; those of the buckets before it are objects in the
//! source's bucket, sealed with its key, and are sealed here with ours. A credential that cannot be
//! had is no reason to stay down: what is in that bucket cannot be searched until somebody provides
//! it, everything else can.

use backstay_bucket::Bucket;

use crate::credentials::{self, CredentialError};
use crate::entity::BucketEntity;
use crate::recovery::error::LoadError;
use crate::state::State;

/// Keeps in `own` the credentials of all others' buckets of the patched state. `before` are the
/// buckets as the source's own state has them.
pub(super) async fn keep(
    own: &Bucket,
    source: &Bucket,
    before: &[BucketEntity],
    patched: &State,
    source_id: u32,
) -> Result<(), LoadError> {
    for entity in patched.buckets.iter().filter(|it| it.read_only) {
        let known = before.iter().find(|it| it.id == entity.id);
        let credential = match known {
            Some(known) if entity.id != source_id => credentials::read(source, known).await,
            _ => credentials::of_config(source.config(), entity).await,
        };
        match credential {
            Ok(credential) => {
                credentials::keep(own, entity, &credential).await?;
            }
            Err(error) if error.is_retryable() => return Err(error.into()),
            Err(error) => missing(own, entity, &error).await?,
        }
    }
    Ok(())
}

/// The source has no credential for a bucket. One that is here from an earlier recovery stays.
async fn missing(
    own: &Bucket,
    entity: &BucketEntity,
    why: &CredentialError,
) -> Result<(), LoadError> {
    match credentials::read(own, entity).await {
        Ok(_) => {
            tracing::warn!(%why, "the credential of an earlier recovery is used");
            Ok(())
        }
        Err(error) if error.is_retryable() => Err(error.into()),
        Err(_) => {
            tracing::error!(
                bucket = entity.id,
                container = entity.container,
                %why,
                "recovered without this credential: what is in that bucket cannot be searched"
            );
            Ok(())
        }
    }
}
