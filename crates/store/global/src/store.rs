//! The journal over a bucket.

use std::sync::Arc;

use async_trait::async_trait;
use backstay_bucket::{Bucket, Created};
use backstay_journal::{EntryStore, Journal, Small, StoreError, WriterId};
use bytes::Bytes;
use futures::TryStreamExt;

struct BucketStore(Bucket);

fn backend(error: backstay_bucket::Error) -> StoreError {
    use backstay_bucket::Error;
    match &error {
        // A flipped bit in the header, where the key is named, looks like another key.
        Error::Corrupt { object, .. } | Error::WrongKey { object, .. } => StoreError::Damaged {
            object: object.clone(),
            source: Box::new(error),
        },
        _ => StoreError::Backend {
            retryable: error.is_retryable(),
            source: Box::new(error),
        },
    }
}

/// `None` where there is no such object.
fn found<T>(read: backstay_bucket::Result<T>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(it) => Ok(Some(it)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(backend(error)),
    }
}

#[async_trait]
impl EntryStore for BucketStore {
    async fn create(&self, key: &str, bytes: Bytes) -> Result<bool, StoreError> {
        let created = self.0.put_if_absent(key, bytes).await.map_err(backend)?;
        Ok(created == Created::New)
    }

    async fn read(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        found(self.0.get(key).await)
    }

    async fn read_start(&self, key: &str, bytes: u64) -> Result<Option<Bytes>, StoreError> {
        found(self.0.get_start(key, bytes).await)
    }

    async fn read_small(&self, key: &str, limit: usize) -> Result<Small, StoreError> {
        Ok(match found(self.0.get_small(key, limit as u64).await)? {
            None => Small::Absent,
            Some(None) => Small::Larger,
            Some(Some(bytes)) => Small::Whole(bytes),
        })
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let objects = self.0.list(prefix, None).map_ok(|object| object.key);
        objects.try_collect().await.map_err(backend)
    }

    async fn delete(&self, keys: Vec<String>) -> Result<(), StoreError> {
        self.0.delete_all(keys).await.map_err(backend)
    }
}

/// The journal in a bucket, in the name of `writer`.
pub fn journal_over(bucket: &Bucket, writer: WriterId) -> Journal {
    Journal::new(Arc::new(BucketStore(bucket.clone())), writer)
}
