//! The rows of a filter query, all of them, one row group after the other, at the pace of a client.
//!
//! Which rows pass is found out ahead and in parallel, and kept as one bit a row. The rows
//! themselves are decoded when it is their turn, and those of one row group are all that a stream
//! holds, however slowly its client reads.

use std::sync::Arc;

use arrow_array::BooleanArray;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::Row;
use super::accumulate::row_bytes;
use super::drive::{self, Cutoff, Task};
use super::plan::{Plan, Reduce};
use super::plans::Planned;
use crate::context::Context;
use crate::filter::Fields;
use crate::memory::Held;
use crate::segment::{Columns, Open};
use crate::{LiveEvents, SearchError, SegmentSource};

/// A row of a result takes so many times an unpacked event of few fields, at the most.
const ROW_TO_EVENT: usize = 4;

/// Where the rows that pass are.
enum Found {
    RowGroup {
        open: Arc<Open>,
        group: usize,
        /// Which rows; all, when there is none.
        mask: Option<BooleanArray>,
    },
    Live {
        events: Arc<dyn LiveEvents>,
        piece: usize,
    },
}

/// All rows that the plans give.
pub(super) fn rows(
    segments: Planned<dyn SegmentSource>,
    live: Planned<dyn LiveEvents>,
) -> BoxStream<'static, Result<Row, SearchError>> {
    drive::tasks(&Reduce::All, segments, live, Arc::new(Cutoff::default()))
        .map_ok(|(plan, task)| {
            let found = Context::on_its_own(look(plan.clone(), task));
            async move { found.await.map(|found| Some((plan, found?))) }
        })
        .try_buffered(drive::at_once())
        .try_filter_map(|found| async { Ok(found) })
        .and_then(|(plan, found)| give(plan, found))
        .map_ok(|rows| stream::iter(rows.map(Ok)))
        .try_flatten()
        .boxed()
}

/// Finds out which rows pass the filter.
async fn look(plan: Arc<Plan>, task: Task) -> Result<Option<Found>, SearchError> {
    let (open, group) = match task {
        Task::Nothing { .. } => return Ok(None),
        Task::Live { events, piece, .. } => return Ok(Some(Found::Live { events, piece })),
        Task::RowGroup { open, group, .. } => (open, group),
    };
    let (deciding, _) = drive::places(&plan, &open, group);
    open.bring().await?;
    let _held = plan.context.columns(open.memory(group, &deciding)).await;
    let passing = drive::passing(&plan, &open, group, deciding).await?;
    Ok(passing.map(|passing| Found::RowGroup {
        open,
        group,
        mask: passing.mask,
    }))
}

/// Gives the rows that were found.
async fn give(plan: Arc<Plan>, found: Found) -> Result<Rows, SearchError> {
    match found {
        Found::RowGroup { open, group, mask } => of_row_group(plan, open, group, mask).await,
        Found::Live { events, piece } => of_live(plan, events, piece).await,
    }
}

async fn of_row_group(
    plan: Arc<Plan>,
    open: Arc<Open>,
    group: usize,
    mask: Option<BooleanArray>,
) -> Result<Rows, SearchError> {
    let places = open.wanted_columns(&plan.wanted, &[]);
    let memory = open.memory(group, &places);
    let repository = open.repository();
    let mut held = plan.context.export(memory).await;
    let this = plan.clone();
    let (columns, passing) = Context::on_its_own(async move {
        open.bring().await?;
        let _decoding = this.context.columns(memory).await;
        let fetched = open.fetch(group, places).await?;
        let (here, plan) = (open.clone(), this.clone());
        let work = move || {
            let columns = here.decode(fetched, mask.as_ref())?;
            let passing = stepped(&plan, &columns, here.repository().as_deref());
            Ok(passing.map(|passing| (columns, passing)))
        };
        this.context.decode(open.id(), work).await?
    })
    .await?;
    held.shrink_to(columns.memory() + passing.len() * size_of::<usize>());
    Ok(Rows::Columns {
        plan,
        repository,
        columns,
        passing: passing.into_iter(),
        _held: held,
    })
}

/// The rows that pass the steps. What is behind this makes rows of them, and never looks for the
/// next one for long.
fn stepped(
    plan: &Plan,
    columns: &Columns,
    repository: Option<&str>,
) -> Result<Vec<usize>, SearchError> {
    let all = 0..columns.rows();
    if plan.passes_all() {
        return Ok(all.collect());
    }
    let mut scratch = Vec::new();
    let mut passing = Vec::new();
    for index in all {
        plan.context.stop.check_at(index)?;
        let row = columns.row(index);
        plan.take(&row, repository, &mut scratch, &mut |_| {
            passing.push(index);
            Ok(())
        })?;
    }
    Ok(passing)
}

async fn of_live(
    plan: Arc<Plan>,
    events: Arc<dyn LiveEvents>,
    piece: usize,
) -> Result<Rows, SearchError> {
    let memory = events.memory(piece).saturating_mul(ROW_TO_EVENT);
    let mut held = plan.context.export(memory).await;
    let context = plan.context.clone();
    let rows = context
        .compute(move || {
            let mut rows = Vec::new();
            let mut see = |row: &dyn Fields, _: (i64, &str)| {
                rows.push(row.to_row());
                Ok(())
            };
            drive::each_live(&plan, &*events, piece, &mut see)?;
            Ok(rows)
        })
        .await?;
    held.shrink_to(rows.iter().map(row_bytes).sum());
    Ok(Rows::Ready {
        rows: rows.into_iter(),
        _held: held,
    })
}

/// Rows, each made when it is asked for where it has columns.
enum Rows {
    Columns {
        plan: Arc<Plan>,
        repository: Option<Arc<str>>,
        columns: Columns,
        passing: std::vec::IntoIter<usize>,
        _held: Held,
    },
    Ready {
        rows: std::vec::IntoIter<Row>,
        _held: Held,
    },
}

impl Iterator for Rows {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        match self {
            Self::Ready { rows, .. } => rows.next(),
            Self::Columns {
                plan,
                repository,
                columns,
                passing,
                ..
            } => {
                let row = columns.row(passing.next()?);
                let mut made = None;
                let mut scratch = Vec::new();
                let passed = plan.take(&row, repository.as_deref(), &mut scratch, &mut |row| {
                    made = Some(row.to_row());
                    Ok(())
                });
                passed.ok().and(made)
            }
        }
    }
}
