//! Where the bytes of a segment come from.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

/// Why bytes of a segment could not be had. Carries the error of whatever is behind the source,
/// which says which object it was and what to do.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SourceError(Box<dyn std::error::Error + Send + Sync>);

impl SourceError {
    /// Wraps an error of the storage, or a text.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

/// One segment, readable by ranges.
#[async_trait]
pub trait SegmentSource: Send + Sync {
    /// A name that is unique among all segments and stays the same for ever; caches use it.
    fn id(&self) -> &str;

    /// Time of the first event, ms since 1970. A query whose range does not touch the segment
    /// does not read it.
    fn start_ms(&self) -> i64;

    /// Time of the last event, ms since 1970.
    fn end_ms(&self) -> i64;

    /// Length of the segment in bytes.
    ///
    /// # Errors
    /// When the storage cannot tell.
    async fn size(&self) -> Result<u64, SourceError>;

    /// Brings the segment nearer, where a cache would: before it is read, and while nothing is held
    /// that others wait for.
    ///
    /// # Errors
    /// When the storage does not have or does not give it.
    async fn bring(&self) -> Result<(), SourceError> {
        Ok(())
    }

    /// The bytes of a range, exactly as many as asked for.
    ///
    /// # Errors
    /// When the storage does not have or does not give them.
    async fn read(&self, range: Range<u64>) -> Result<Bytes, SourceError>;

    /// The name of the repository that its events are in, where there is one; see [`crate::segment_of`].
    fn repository(&self) -> Option<Arc<str>> {
        None
    }
}

/// A segment in memory, for tests and for segments that were just written.
#[derive(Clone, Debug)]
pub struct MemorySource {
    id: String,
    start_ms: i64,
    end_ms: i64,
    bytes: Bytes,
}

impl MemorySource {
    /// A source over bytes that [`crate::segment::write`] made.
    pub fn new(id: impl Into<String>, start_ms: i64, end_ms: i64, bytes: Bytes) -> Self {
        Self {
            id: id.into(),
            start_ms,
            end_ms,
            bytes,
        }
    }
}

#[async_trait]
impl SegmentSource for MemorySource {
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
        Ok(self.bytes.len() as u64)
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, SourceError> {
        let bounds = usize::try_from(range.start)
            .ok()
            .zip(usize::try_from(range.end).ok())
            .filter(|(start, end)| start <= end && *end <= self.bytes.len());
        let (start, end) = bounds.ok_or_else(|| {
            SourceError::new(format!(
                "segment {}: bytes {range:?} were asked for, it has {}",
                self.id,
                self.bytes.len()
            ))
        })?;
        Ok(self.bytes.slice(start..end))
    }
}
