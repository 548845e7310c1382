//! The buckets that hold segments, and segments as the search reads them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use backstay_bucket::{Bucket, BucketConfig};
use backstay_global::{BucketEntity, Segment};
use backstay_search::{SegmentSource, SourceError};
use bytes::Bytes;
use tokio::sync::Mutex;

/// The buckets that the state names, opened when they are first needed.
///
/// The own one is open from the start. Any other is read-only, and its credentials are named in
/// the state by reference (`env:AZURE_RECOVER_FROM_`), never stored there: they must be in this
/// node's environment.
pub(crate) struct Buckets {
    own_id: u32,
    own: Bucket,
    recover_from: Option<BucketConfig>,
    opened: Mutex<HashMap<u32, Bucket>>,
}

impl Buckets {
    pub(crate) fn new(own_id: u32, own: Bucket, recover_from: Option<BucketConfig>) -> Self {
        Self {
            own_id,
            own,
            recover_from,
            opened: Mutex::new(HashMap::new()),
        }
    }

    /// The id of the one writable bucket.
    pub(crate) fn own(&self) -> u32 {
        self.own_id
    }

    /// The bucket of that id, which the state should have as `entity`.
    pub(crate) async fn open_id(
        &self,
        id: u32,
        entity: Option<&BucketEntity>,
    ) -> Result<Bucket, SourceError> {
        match entity {
            Some(entity) => self.open(entity).await,
            None => Err(SourceError::new(format!(
                "the state names no bucket {id}; was its entity removed?"
            ))),
        }
    }

    async fn open(&self, entity: &BucketEntity) -> Result<Bucket, SourceError> {
        if entity.id == self.own_id {
            return Ok(self.own.clone());
        }
        let mut opened = self.opened.lock().await;
        if let Some(bucket) = opened.get(&entity.id) {
            return Ok(bucket.clone());
        }
        let Some(config) = &self.recover_from else {
            return Err(SourceError::new(format!(
                "bucket {} (container {}) needs the credentials {}, which this node was not given; set the …_RECOVER_FROM_ variables",
                entity.id, entity.container, entity.credentials
            )));
        };
        let config = config_of(entity, config)?;
        let bucket = Bucket::open(config).await.map_err(SourceError::new)?;
        opened.insert(entity.id, bucket.clone());
        Ok(bucket)
    }
}

/// The configuration of a read-only bucket: the credentials and the key of the recovery source,
/// the place as the state says (in a chain of failovers it may be another prefix or container).
fn config_of(entity: &BucketEntity, given: &BucketConfig) -> Result<BucketConfig, SourceError> {
    let wanted = format!("env:{}", given.variable_prefix());
    if entity.credentials != wanted {
        return Err(SourceError::new(format!(
            "bucket {} (container {}) needs the credentials {}, but this node was given those of {wanted}",
            entity.id, entity.container, entity.credentials
        )));
    }
    Ok(BucketConfig {
        container: entity.container.clone(),
        prefix: entity.key_prefix.clone(),
        ..given.clone()
    })
}

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
