//! Why a search, or the making of a segment, failed.

use backstay_report::Cause;

use crate::segment::Damage;
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
        "segment {segment} is damaged: {damage}; restore the object from the other region's \
         container"
    )]
    Corrupt {
        /// Id of the segment.
        segment: String,
        /// What is wrong with it.
        #[source]
        damage: Damage,
    },
    /// What the query must hold at once is more than one query may.
    #[error(
        "the query needs more than {limit} bytes for {what}; narrow the time range or the filter, \
         group by fewer values, lower the stage's limit, or give the node more memory"
    )]
    Memory {
        /// What takes the memory.
        what: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Other searches have the memory now.
    #[error(
        "there is no memory now for {what} ({bytes} bytes more): other searches have it; try again \
         in a moment, or narrow the time range or the filter, or group by fewer values"
    )]
    NoMemory {
        /// What it is for.
        what: &'static str,
        /// How much was asked for.
        bytes: usize,
    },
    /// It has taken too long.
    #[error(
        "the search was ended after {limit:?}, the longest that one may take; narrow the time \
         range or the filter"
    )]
    TimeLimit {
        /// How long it may take.
        limit: std::time::Duration,
    },
    /// A time chart over a long time with a short span.
    #[error(
        "timeChart() would have {buckets} buckets, {limit} are allowed: the events reach from \
         {first_ms} to {last_ms} (ms since 1970); give it a longer span, or the query a start and \
         an end that leave out the events that are far away"
    )]
    Buckets {
        /// Where the first bucket begins.
        first_ms: i64,
        /// Where the last one begins.
        last_ms: i64,
        /// How many it would have.
        buckets: i128,
        /// How many it may have.
        limit: usize,
    },
    /// A segment could not be encoded.
    #[error("a segment of {events} events cannot be written: {source}")]
    Write {
        /// How many events it was to have.
        events: usize,
        /// What the Parquet writer said.
        #[source]
        source: Cause,
    },
    /// The runtime is going down, a worker thread ended early, or nobody waits for the answer.
    #[error("the search was stopped: {detail}")]
    Stopped {
        /// What stopped it, in words.
        detail: String,
    },
}
