//! Why a search, or the making of a segment, failed.

use crate::source::SourceError;

/// Why a search, or the making of a segment, failed.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The storage did not give the bytes.
    #[error("segment {segment} cannot be read: {source}")]
    Source {
        /// Id of the segment.
        segment: String,
        /// What the storage said.
        source: SourceError,
    },
    /// The bytes are not those of a segment.
    #[error(
        "segment {segment} is damaged: {detail}; restore the object from the other region's \
         container"
    )]
    Corrupt {
        /// Id of the segment.
        segment: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The rows that the query must hold at once are too large.
    #[error(
        "the query needs more than {limit} bytes for {what}; narrow the time range or the filter, \
         or lower the stage's limit"
    )]
    Memory {
        /// What takes the memory.
        what: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A time chart over a long time with a short span.
    #[error(
        "timeChart() would have {buckets} buckets, {limit} are allowed; give it a longer span or \
         the query a shorter time"
    )]
    Buckets {
        /// How many it would have.
        buckets: i128,
        /// How many it may have.
        limit: usize,
    },
    /// A segment could not be encoded.
    #[error("a segment of {events} events cannot be written: {detail}")]
    Write {
        /// How many events it was to have.
        events: usize,
        /// What the Parquet writer said.
        detail: String,
    },
    /// The runtime is going down, or a worker thread ended early.
    #[error("the search was stopped: {detail}")]
    Stopped {
        /// What stopped it.
        detail: String,
    },
}
