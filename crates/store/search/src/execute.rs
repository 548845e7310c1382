//! Runs a query over segments and over events that are in no segment yet.
//!
//! The first filters of a query go down to the row groups: the filter of a row group
//! ([`crate::gram`]) and its times decide whether it is read at all, then only the columns that the
//! query's filter looks at are read, and the others only for rows that pass. What is left of the
//! query up to the first stage that needs all rows is done row group by row group, each on a
//! thread for computing; their results are merged in order, and the later stages run over the
//! merged rows, which are bounded by then. A stream of all rows goes another way (`export`).

mod accumulate;
mod drive;
mod export;
mod list;
mod plan;
mod plans;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::watch;

use crate::context::Context;
use crate::{AnswerMemory, LiveEvents, Query, Resources, SearchError, SegmentSource, TimeRange};
use accumulate::Accumulator;
use plan::Plan;
use plans::Plans;

/// One row of a result. `@timestamp` is a number (ms since 1970), everything else a text, also
/// `_count` and `_bucket`, as in LogScale's answers.
pub type Row = serde_json::Map<String, serde_json::Value>;

/// What a query may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of rows and groups that the query may hold, roughly; row groups that are decoded come on
    /// top.
    pub memory: usize,
    /// Rows that a result may have; a filter query gives its newest.
    pub rows: usize,
    /// How long it may take; the time that the client of a stream takes is not counted.
    pub time: Duration,
}

impl Default for Limits {
    /// 256 MiB, the 200 rows that LogScale gives, and all the time.
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            rows: 200,
            time: Duration::MAX,
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
    /// How much there is in all, in the same unit.
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
    /// How much was read for it, and skipped.
    pub stats: Stats,
    /// What the rows leave out, in words for the user.
    pub warnings: Vec<String>,
    /// The memory of the rows: keep it as long as them.
    pub memory: AnswerMemory,
}

/// A query, ready to run.
pub struct Execution {
    query: Query,
    range: TimeRange,
    segments: Vec<Arc<dyn SegmentSource>>,
    live: Vec<Arc<dyn LiveEvents>>,
    limits: Limits,
    resources: Resources,
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
            resources: Resources::default(),
        }
    }

    /// The same with what it shares with others.
    #[must_use]
    pub fn with(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }

    /// Runs the query to its end. Dropping the future stops it, on the threads that compute too.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub async fn run(self, progress: watch::Sender<Progress>) -> Result<QueryResult, SearchError> {
        let limit = self.limits.time;
        within(limit, limit, self.unlimited(progress)).await?
    }

    /// The plans for its repositories, each as `finish` makes it.
    fn plans(&self, finish: impl Fn(Plan) -> Plan) -> Result<Plans, SearchError> {
        let extent = drive::extent(&self.segments, &self.live, &self.range);
        let context = Context::new(self.resources.clone());
        let of_segments = self.segments.iter().filter_map(|it| it.repository());
        let names = of_segments.chain(self.live.iter().filter_map(|it| it.repository()));
        let (query, range, limits) = (&self.query, self.range, self.limits);
        Plans::new(query, names, &context, |filter| {
            finish(Plan::new(
                query,
                filter,
                range,
                extent,
                limits,
                context.clone(),
            ))
        })
    }

    async fn unlimited(
        self,
        progress: watch::Sender<Progress>,
    ) -> Result<QueryResult, SearchError> {
        let plans = self.plans(|plan| plan)?;
        let segments = plans.segments(self.segments);
        let live = plans.live(self.live);
        let plan = plans.any.clone();
        let context = plan.context.clone();
        let _stop = context.stop.at_end();
        let mut state = Progress {
            total: (segments.len() + live.len()) as u64,
            ..Progress::default()
        };
        // Nobody may be watching.
        let _ = progress.send(state);
        let mut merged = Accumulator::new(&plan);
        let cutoff = Arc::new(drive::Cutoff::default());
        let mut parts = drive::parts(&plan.reduce, segments, live, cutoff.clone());
        while let Some(part) = parts.try_next().await? {
            let more = part.accumulator;
            if more.is_small() {
                merged.merge(more)?;
            } else {
                let merge = move || merged.merge(more).map(|()| merged);
                merged = context.compute(merge).await?;
            }
            cutoff.set(merged.cutoff());
            state.stats.add(part.stats);
            state.done += part.done;
            let _ = progress.send(state);
        }
        drop(parts);
        let mut result = context.compute(move || list::finish(&plan, merged)).await?;
        result.is_aggregate = self.query.is_aggregate();
        result.stats = state.stats;
        Ok(result)
    }

    /// Runs the query and gives the rows of a filter query as they are found, all of them, in no
    /// order but roughly from old to new; those of any other query at its end. Dropping the
    /// stream stops it.
    pub fn stream(self) -> BoxStream<'static, Result<Row, SearchError>> {
        let limit = self.limits.time;
        if self.query.needs_all_rows() {
            let (progress, _) = watch::channel(Progress::default());
            return stream::once(self.run(progress))
                .map_ok(|result| {
                    let QueryResult { events, memory, .. } = result;
                    stream::iter(events).map(move |row| {
                        let _held = &memory;
                        Ok(row)
                    })
                })
                .try_flatten()
                .boxed();
        }
        let plans = match self.plans(Plan::unbounded) {
            Ok(plans) => plans,
            Err(error) => return stream::once(async { Err(error) }).boxed(),
        };
        let stop = plans.any.context.stop.at_end();
        let rows = export::rows(plans.segments(self.segments), plans.live(self.live));
        // Only while it is asked for a row does the search take its time.
        let state = Some((rows, limit, (stop, plans)));
        stream::unfold(state, move |state| async move {
            let (mut rows, left, held) = state?;
            let begun = Instant::now();
            match within(left, limit, rows.next()).await {
                Ok(Some(Ok(row))) => {
                    let left = left.saturating_sub(begun.elapsed());
                    Some((Ok(row), Some((rows, left, held))))
                }
                Ok(Some(Err(error))) | Err(error) => Some((Err(error), None)),
                Ok(None) => None,
            }
        })
        .fuse()
        .boxed()
    }
}

/// What a future gives, unless it takes longer than what is `left` of the limit.
async fn within<T>(
    left: Duration,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Result<T, SearchError> {
    if limit == Duration::MAX {
        return Ok(future.await);
    }
    let ended = tokio::time::timeout(left, future).await;
    ended.map_err(|_| SearchError::TimeLimit { limit })
}
