//! Segments as the search reads them.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use backstay_bucket::Bucket;
use backstay_global::Segment;
use backstay_search::{SegmentSource, SourceError};
use bytes::Bytes;

/// A segment in a bucket.
pub(crate) struct BucketSegment {
    id: String,
    key: String,
    start_ms: i64,
    end_ms: i64,
    size: u64,
    bucket: Bucket,
}

impl BucketSegment {
    pub(crate) fn source(segment: &Segment, bucket: Bucket) -> Arc<dyn SegmentSource> {
        Arc::new(Self {
            id: segment.id.to_string(),
            key: segment.key(),
            start_ms: segment.start_ms,
            end_ms: segment.end_ms,
            size: segment.size,
            bucket,
        })
    }
}

impl BucketSegment {
    /// The state says that the segment is there and how long it is: to the bucket an object that is
    /// gone or too short is nothing strange, here it is damage.
    fn broken(&self, error: backstay_bucket::Error) -> SourceError {
        use backstay_bucket::Error::{Missing, OutOfRange};
        match error {
            Missing { .. } | OutOfRange { .. } => SourceError::new(format!(
                "{error}; {} bytes were written there: restore the object in container {} from a backup",
                self.size,
                self.bucket.config().container
            )),
            other => SourceError::new(other),
        }
    }
}

#[async_trait]
impl SegmentSource for BucketSegment {
    fn id(&self) -> &str {
        &self.id
    }

    fn start_ms(&self) -> i64 {
        self.start_ms
    }

    fn end_ms(&self) -> i64 {
        self.end_ms
    }

    async fn size(&self) -> Result<u64, SourceError> {
        Ok(self.size)
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, SourceError> {
        self.bucket
            .get_range(&self.key, range)
            .await
            .map_err(|error| self.broken(error))
    }
}
