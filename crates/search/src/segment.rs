//! skeleton
use bytes::Bytes;

use crate::{Event, SearchError};

/// A segment, ready to be uploaded.
#[derive(Clone, Debug)]
pub struct Written {
    /// The Parquet file.
    pub bytes: Bytes,
    /// How many events it has.
    pub events: u64,
    /// Bytes of their `raw` texts.
    pub raw_bytes: u64,
    /// Time of the first event, ms since 1970.
    pub start_ms: i64,
    /// Time of the last event, ms since 1970.
    pub end_ms: i64,
}

/// Encodes events, in any order.
///
/// # Errors
/// See [`SearchError::Write`].
pub fn write(events: &[Event]) -> Result<Written, SearchError> {
    let _ = events;
    todo!()
}
