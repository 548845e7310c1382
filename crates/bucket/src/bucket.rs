//! The operations.
#![allow(clippy::missing_errors_doc, missing_docs, unused_variables)]

use std::ops::Range;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;

use crate::{BucketConfig, ObjectWriter, Result};

/// What a put-if-absent found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The object was absent and is there now.
    New,
    /// There is an object of that name. It may be one's own: a request whose answer was lost is
    /// repeated. Read it to know.
    AlreadyExists,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key, relative to the prefix.
    pub key: String,
    /// Its size in bytes, unencrypted.
    pub size: u64,
    /// Its size in bytes as it is stored.
    pub stored_size: u64,
    /// When it was written, by the store's clock.
    pub modified: DateTime<Utc>,
}

/// An open bucket. Cheap to clone.
#[derive(Clone)]
pub struct Bucket {}

impl Bucket {
    pub async fn open(config: BucketConfig) -> Result<Self> {
        todo!()
    }
    pub fn config(&self) -> &BucketConfig {
        todo!()
    }
    pub async fn put(&self, key: &str, data: Bytes) -> Result<()> {
        todo!()
    }
    pub async fn put_if_absent(&self, key: &str, data: Bytes) -> Result<Created> {
        todo!()
    }
    pub async fn get(&self, key: &str) -> Result<Bytes> {
        todo!()
    }
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        todo!()
    }
    pub async fn head(&self, key: &str) -> Result<ObjectInfo> {
        todo!()
    }
    pub async fn exists(&self, key: &str) -> Result<bool> {
        todo!()
    }
    pub fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> BoxStream<'static, Result<ObjectInfo>> {
        todo!()
    }
    pub async fn list_dirs(&self, prefix: &str) -> Result<Vec<String>> {
        todo!()
    }
    pub async fn delete(&self, key: &str) -> Result<()> {
        todo!()
    }
    pub async fn delete_all(&self, keys: Vec<String>) -> Result<()> {
        todo!()
    }
    pub async fn get_stream(&self, key: &str) -> Result<BoxStream<'static, Result<Bytes>>> {
        todo!()
    }
    pub async fn put_stream(&self, key: &str) -> Result<ObjectWriter> {
        todo!()
    }
}
