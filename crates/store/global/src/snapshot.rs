//! The state written down: in the bucket for the next start and for a standby, and in the data
//! folder for the operator's `head -60`.
//!
//! A snapshot object is the JSON of [`document`], packed with zstd, encrypted by the bucket. It
//! is either read whole or not at all: what is damaged is an error that names the object.

pub mod document;
mod error;
mod key;
mod mirror;
mod read;
pub mod sample;
mod write;

use backstay_bucket::Bucket;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;

use crate::state::EpochOffset;

pub use error::SnapshotError;
pub use key::SnapshotKey;
pub use mirror::{MIRROR_FILE, mirror, read_mirror};
pub use read::{read, read_stream};
pub use write::{COMPRESSION_LEVEL, write};

/// Where all snapshots are, relative to the bucket's prefix.
pub const PREFIX: &str = "globalsnapshots/";

/// A snapshot in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRef {
    /// What its name says.
    pub key: SnapshotKey,
    /// Bytes, packed, before encryption.
    pub size: u64,
    /// When it was written, by the store's clock.
    pub modified: DateTime<Utc>,
}

impl SnapshotRef {
    /// Where the state in it stands, from its name.
    pub fn position(&self) -> EpochOffset {
        self.key.position
    }
}

/// The snapshots of one cluster (or, with `None`, of all in this bucket), oldest first. Objects
/// with other names are passed over.
///
/// # Errors
/// When the bucket does not answer.
pub async fn list(
    bucket: &Bucket,
    cluster_id: Option<&str>,
) -> Result<Vec<SnapshotRef>, SnapshotError> {
    let prefix = match cluster_id {
        Some(id) => format!("{PREFIX}{id}/"),
        None => PREFIX.to_owned(),
    };
    let objects: Vec<_> = bucket.list(&prefix, None).try_collect().await?;
    let mut found: Vec<SnapshotRef> = objects
        .into_iter()
        .filter_map(|object| {
            Some(SnapshotRef {
                key: SnapshotKey::parse(&object.key)?,
                size: object.size,
                modified: object.modified,
            })
        })
        .collect();
    found.sort_by(|a, b| (a.position(), &a.key.cluster_id).cmp(&(b.position(), &b.key.cluster_id)));
    Ok(found)
}

/// The newest snapshot: of one cluster, or of any in this bucket.
///
/// # Errors
/// When the bucket does not answer.
pub async fn newest(
    bucket: &Bucket,
    cluster_id: Option<&str>,
) -> Result<Option<SnapshotRef>, SnapshotError> {
    Ok(list(bucket, cluster_id).await?.pop())
}

/// Deletes all but the newest `keep` (at least one) snapshots of the cluster. Answers with the
/// offset of the oldest one that stays: `global` may be trimmed below it.
///
/// # Errors
/// When the bucket does not answer.
pub async fn prune(
    bucket: &Bucket,
    cluster_id: &str,
    keep: usize,
) -> Result<Option<u64>, SnapshotError> {
    let mut all = list(bucket, Some(cluster_id)).await?;
    let kept = all.split_off(all.len().saturating_sub(keep.max(1)));
    if !all.is_empty() {
        backstay_failpoint::hit("snapshot.prune.before_delete");
        let keys = all.iter().map(|old| old.key.to_string()).collect();
        bucket.delete_all(keys).await?;
        backstay_failpoint::hit("snapshot.prune.after_delete");
    }
    Ok(kept.first().map(|oldest| oldest.key.position.offset))
}

#[cfg(test)]
mod tests;
