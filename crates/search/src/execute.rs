//! skeleton
use std::sync::Arc;

use futures::stream::BoxStream;
use tokio::sync::watch;

use crate::{Event, Query, SearchError, SegmentSource, TimeRange};

/// One row of a result.
pub type Row = serde_json::Map<String, serde_json::Value>;

/// What a query may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that the query may hold at once, roughly.
    pub memory: usize,
    /// Rows that a result may have; a filter query gives its newest.
    pub rows: usize,
}

/// What a query read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Segments of which at least one event was looked at.
    pub segments_read: u64,
    /// Segments that were left out, by time or by their filters.
    pub segments_skipped: u64,
    /// Bytes read from segments.
    pub bytes: u64,
    /// Events that were looked at.
    pub events_scanned: u64,
}

/// How far a query is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Segments, and batches of live events, that are done.
    pub done: u64,
    /// Of how many.
    pub total: u64,
    /// What was read until now.
    pub stats: Stats,
}

/// The answer to a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryResult {
    /// The rows; the events of a filter query, newest first.
    pub events: Vec<Row>,
    /// Whether the rows are aggregates, not events.
    pub is_aggregate: bool,
    /// What was read.
    pub stats: Stats,
}

/// A query, ready to run.
pub struct Execution {}

impl Execution {
    /// Prepares a query over segments and over events that are in no segment yet. What is in
    /// `live` must not be in a segment too: each event counts wherever it stands.
    pub fn new(
        query: Query,
        range: TimeRange,
        segments: Vec<Arc<dyn SegmentSource>>,
        live: Vec<Arc<Vec<Event>>>,
        limits: Limits,
    ) -> Self {
        let _ = (query, range, segments, live, limits);
        todo!()
    }

    /// Runs the query to its end. Dropping the future stops it.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub async fn run(self, progress: watch::Sender<Progress>) -> Result<QueryResult, SearchError> {
        let _ = progress;
        todo!()
    }

    /// Runs the query and gives the rows as they are found (for a filter query), or at its end.
    /// Dropping the stream stops it.
    pub fn stream(self) -> BoxStream<'static, Result<Row, SearchError>> {
        todo!()
    }
}
