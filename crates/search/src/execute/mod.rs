//! Runs a query over segments and over events that are in no segment yet.
//!
//! The first filters of a query go down to the row groups: the filter of a row group
//! ([`crate::gram`]) and its times decide whether it is read at all, then only the columns that the
//! query's filter looks at are read, and the others only for rows that pass. What is left of the
//! query up to the first stage that needs all rows is done row group by row group, each on a
//! thread for computing; their results are merged in order, and the later stages run over the
//! merged rows, which are bounded by then.

mod accumulate;
mod drive;
mod list;
mod plan;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::watch;

use crate::{LiveEvents, Query, SearchError, SegmentSource, TimeRange};
use accumulate::Accumulator;
use plan::Plan;

/// One row of a result. `@timestamp` is a number (ms since 1970), everything else a text, also
/// `_count` and `_bucket`, as in LogScale's answers.
pub type Row = serde_json::Map<String, serde_json::Value>;

/// What a query may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of rows and groups that the query may hold, roughly; decoded row groups (a few times
    /// 4 MiB for each thread) come on top.
    pub memory: usize,
    /// Rows that a result may have; a filter query gives its newest.
    pub rows: usize,
}

impl Default for Limits {
    /// 256 MiB, and the 200 rows that LogScale gives.
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            rows: 200,
        }
    }
}

/// What a query read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Segments of which at least one row group could not be ruled out.
    pub segments_read: u64,
    /// Segments that were ruled out, by time or by their filters.
    pub segments_skipped: u64,
    /// Bytes read from segments.
    pub bytes: u64,
    /// Events in the row groups that were looked at, and live ones.
    pub events_scanned: u64,
}

impl Stats {
    fn add(&mut self, other: Self) {
        self.segments_read += other.segments_read;
        self.segments_skipped += other.segments_skipped;
        self.bytes += other.bytes;
        self.events_scanned += other.events_scanned;
    }
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
    /// The rows; events newest first, unless the query sorts them.
    pub events: Vec<Row>,
    /// Whether the rows are aggregates, not events.
    pub is_aggregate: bool,
    /// What was read.
    pub stats: Stats,
    /// What the rows leave out, in words for the user.
    pub warnings: Vec<String>,
}

/// A query, ready to run.
pub struct Execution {
    query: Query,
    range: TimeRange,
    segments: Vec<Arc<dyn SegmentSource>>,
    live: Vec<Arc<dyn LiveEvents>>,
    limits: Limits,
}

impl Execution {
    /// Prepares a query over segments and over events that are in no segment yet. What is in
    /// `live` must not be in a segment too: each event counts wherever it stands.
    pub fn new(
        query: Query,
        range: TimeRange,
        segments: Vec<Arc<dyn SegmentSource>>,
        live: Vec<Arc<dyn LiveEvents>>,
        limits: Limits,
    ) -> Self {
        Self {
            query,
            range,
            segments,
            live,
            limits,
        }
    }

    /// Runs the query to its end. Dropping the future stops it; row groups that are being decoded
    /// then are decoded to their end, no others are begun.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub async fn run(self, progress: watch::Sender<Progress>) -> Result<QueryResult, SearchError> {
        let plan = Arc::new(Plan::new(
            &self.query,
            self.range,
            drive::extent(&self.segments, &self.live, &self.range),
            self.limits,
        ));
        let mut state = Progress {
            total: (self.segments.len() + self.live.len()) as u64,
            ..Progress::default()
        };
        // Nobody may be watching.
        let _ = progress.send(state);
        let mut merged = Accumulator::new(&plan);
        let cutoff = Arc::new(drive::Cutoff::default());
        let mut parts = drive::parts(plan.clone(), self.segments, self.live, cutoff.clone());
        while let Some(part) = parts.try_next().await? {
            merged.merge(part.accumulator)?;
            cutoff.set(merged.cutoff());
            state.stats.add(part.stats);
            state.done += part.done;
            let _ = progress.send(state);
        }
        drop(parts);
        let mut result = tokio::task::spawn_blocking(move || list::finish(&plan, merged))
            .await
            .map_err(|error| SearchError::Stopped {
                detail: error.to_string(),
            })??;
        result.is_aggregate = self.query.is_aggregate();
        result.stats = state.stats;
        Ok(result)
    }

    /// Runs the query and gives the rows of a filter query as they are found, all of them, in no
    /// order but roughly from old to new; those of any other query at its end. Dropping the
    /// stream stops it.
    pub fn stream(self) -> BoxStream<'static, Result<Row, SearchError>> {
        let plan = Plan::new(
            &self.query,
            self.range,
            drive::extent(&self.segments, &self.live, &self.range),
            self.limits,
        );
        let Some(plan) = plan.into_unbounded() else {
            let (progress, _) = watch::channel(Progress::default());
            return stream::once(self.run(progress))
                .map_ok(|result| stream::iter(result.events.into_iter().map(Ok)))
                .try_flatten()
                .boxed();
        };
        let cutoff = Arc::new(drive::Cutoff::default());
        drive::parts(Arc::new(plan), self.segments, self.live, cutoff)
            .map_ok(|part| stream::iter(part.accumulator.into_rows().into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }
}
