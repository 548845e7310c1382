//! Takes segments and live events through a plan, several at a time, in order.

use std::sync::Arc;

use arrow_array::BooleanArray;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;

use super::Stats;
use super::accumulate::Accumulator;
use super::plan::{Plan, Reduce};
use super::plans::Planned;
use crate::context::Context;
use crate::filter::Fields;
use crate::segment::{Columns, Group, Open};
use crate::{Event, LiveEvents, SearchError, SegmentSource, TimeRange};

/// Segments whose footer and filters are read at the same time.
const PARALLEL_OPENS: usize = 4;

/// What came out of a row group, or of some live events.
pub(super) struct Part {
    pub(super) accumulator: Accumulator,
    pub(super) stats: Stats,
    /// Segments, or batches of live events, that are done with it.
    pub(super) done: u64,
}

/// The time beyond which nothing is of interest any more, as the results so far show.
#[derive(Default)]
pub(super) struct Cutoff(Mutex<Option<(bool, i64)>>);

impl Cutoff {
    pub(super) fn set(&self, cutoff: Option<(bool, i64)>) {
        *self.0.lock() = cutoff;
    }

    /// Whether all of `first..=last` is beyond it.
    fn rules_out(&self, first_ms: i64, last_ms: i64) -> bool {
        match *self.0.lock() {
            None => false,
            Some((true, at)) => last_ms < at,
            Some((false, at)) => first_ms > at,
        }
    }
}

/// A piece of work.
pub(super) enum Task {
    RowGroup {
        open: Arc<Open>,
        group: usize,
        stats: Stats,
        done: u64,
    },
    Live {
        events: Arc<dyn LiveEvents>,
        piece: usize,
        done: u64,
    },
    /// A segment in which nothing can be.
    Nothing { stats: Stats },
}

/// First and last ms of what could be read.
pub(super) fn extent(
    segments: &[Arc<dyn SegmentSource>],
    live: &[Arc<dyn LiveEvents>],
    range: &TimeRange,
) -> Option<(i64, i64)> {
    let of_segments = segments.iter().map(|s| (s.start_ms(), s.end_ms()));
    let of_live = live
        .iter()
        .flat_map(|events| (0..events.pieces()).filter_map(|piece| events.extent(piece)));
    of_segments
        .chain(of_live)
        .filter(|(first, last)| range.touches(*first, *last))
        .map(|(first, last)| (first.max(range.start_ms), last.min(range.end_ms)))
        .reduce(|(a, b), (c, d)| (a.min(c), b.max(d)))
}

/// Does all the work of plans. The parts come in an order that does not depend on which is ready
/// first, so that a query gives the same answer twice.
pub(super) fn parts(
    reduce: &Reduce,
    segments: Planned<dyn SegmentSource>,
    live: Planned<dyn LiveEvents>,
    cutoff: Arc<Cutoff>,
) -> BoxStream<'static, Result<Part, SearchError>> {
    tasks(reduce, segments, live, cutoff.clone())
        .map_ok(move |(plan, task)| Context::on_its_own(perform(plan, cutoff.clone(), task)))
        .try_buffered(at_once())
        .boxed()
}

/// Pieces of a search that are worked on at the same time, one of them while its bytes come.
pub(super) fn at_once() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from) + 1
}

/// What there is to do, and the plan that it is a part of.
pub(super) fn tasks(
    reduce: &Reduce,
    mut segments: Planned<dyn SegmentSource>,
    live: Planned<dyn LiveEvents>,
    cutoff: Arc<Cutoff>,
) -> BoxStream<'static, Result<(Arc<Plan>, Task), SearchError>> {
    let newest_first = matches!(reduce, Reduce::Ends { newest: true, .. });
    if newest_first {
        segments.sort_by(|(_, a), (_, b)| (b.end_ms(), b.id()).cmp(&(a.end_ms(), a.id())));
    } else {
        segments.sort_by(|(_, a), (_, b)| (a.start_ms(), a.id()).cmp(&(b.start_ms(), b.id())));
    }
    let of_segments = stream::iter(segments)
        .map(move |(plan, source)| {
            let opened = open(plan.clone(), source, cutoff.clone(), newest_first);
            let opened = Context::on_its_own(opened);
            async move { opened.await.map(|tasks| (plan, tasks)) }
        })
        .buffered(PARALLEL_OPENS)
        .map_ok(|(plan, tasks)| {
            stream::iter(tasks.into_iter().map(move |task| Ok((plan.clone(), task))))
        })
        .try_flatten();
    let of_live = stream::iter(live.into_iter().flat_map(|(plan, events)| {
        let pieces = events.pieces().max(1);
        (0..pieces).map(move |piece| {
            let task = Task::Live {
                events: events.clone(),
                piece,
                done: u64::from(piece + 1 == pieces),
            };
            Ok((plan.clone(), task))
        })
    }));
    // Live events are the newest.
    if newest_first {
        of_live.chain(of_segments).boxed()
    } else {
        of_segments.chain(of_live).boxed()
    }
}

/// Reads what a segment says about itself, and makes a task of each row group that may matter.
async fn open(
    plan: Arc<Plan>,
    source: Arc<dyn SegmentSource>,
    cutoff: Arc<Cutoff>,
    newest_first: bool,
) -> Result<Vec<Task>, SearchError> {
    let nothing = |bytes| {
        vec![Task::Nothing {
            stats: Stats {
                segments_skipped: 1,
                bytes,
                ..Stats::default()
            },
        }]
    };
    let (start, end) = (source.start_ms(), source.end_ms());
    if !plan.range.touches(start, end) || cutoff.rules_out(start, end) {
        return Ok(nothing(0));
    }
    let context = &plan.context;
    let (open, mut bytes) = Open::open(source, context).await?;
    let open = Arc::new(open);
    let mut groups: Vec<usize> = (0_usize..)
        .zip(open.groups())
        .filter(|(_, group)| plan.range.touches(group.start_ms, group.end_ms))
        .map(|(index, _)| index)
        .collect();
    if plan.need.says_anything() && !groups.is_empty() {
        let _held = context.columns(open.filter_bytes(&groups)).await;
        let (filters, read) = open.filters(&groups).await?;
        bytes += read;
        let (needed, checked) = (plan.clone(), open.clone());
        let wanted = move || {
            let mut groups = Vec::new();
            for (group, filter) in filters {
                let odd_case = checked
                    .groups()
                    .get(group)
                    .is_none_or(|about| about.odd_case);
                let filter = checked.checked_filter(group, &filter)?;
                if needed.need.may_be_met(filter, odd_case) {
                    groups.push(group);
                }
            }
            Ok(groups)
        };
        groups = context.decode(open.id(), wanted).await?;
    }
    if groups.is_empty() {
        return Ok(nothing(bytes));
    }
    if newest_first {
        groups.reverse();
    }
    let last = groups.len() - 1;
    let tasks = groups.into_iter().enumerate().map(|(index, group)| {
        let stats = Stats {
            segments_read: u64::from(index == 0),
            bytes: if index == 0 { bytes } else { 0 },
            ..Stats::default()
        };
        Task::RowGroup {
            open: open.clone(),
            group,
            stats,
            done: u64::from(index == last),
        }
    });
    Ok(tasks.collect())
}

async fn perform(plan: Arc<Plan>, cutoff: Arc<Cutoff>, task: Task) -> Result<Part, SearchError> {
    match task {
        Task::Nothing { stats } => Ok(Part {
            accumulator: Accumulator::new(&plan),
            stats,
            done: 1,
        }),
        Task::Live {
            events,
            piece,
            done,
        } => {
            let context = plan.context.clone();
            context
                .compute(move || live(&plan, &*events, piece, done))
                .await
        }
        Task::RowGroup {
            open,
            group,
            mut stats,
            done,
        } => {
            let ruled_out = open
                .groups()
                .get(group)
                .is_none_or(|group| cutoff.rules_out(group.start_ms, group.end_ms));
            let accumulator = if ruled_out {
                Accumulator::new(&plan)
            } else {
                row_group(plan, open, group, &mut stats).await?
            };
            Ok(Part {
                accumulator,
                stats,
                done,
            })
        }
    }
}

/// Shows the events of a piece that pass the filter to `see`; how many there were.
pub(super) fn each_live(
    plan: &Plan,
    events: &dyn LiveEvents,
    piece: usize,
    mut see: impl FnMut(&dyn Fields, (i64, &str)) -> Result<(), SearchError>,
) -> Result<u64, SearchError> {
    let mut scratch = Vec::new();
    let mut scanned = 0;
    let repository = events.repository();
    let repository = repository.as_deref();
    let mut look = |event: &Event| {
        plan.context.stop.check_at(scanned)?;
        scanned += 1;
        if plan.range.contains(event.timestamp_ms) && plan.filter.matches(event, &mut scratch) {
            let position = (event.timestamp_ms, event.id.as_str());
            plan.take(event, repository, &mut scratch, &mut |row| {
                see(row, position)
            })?;
        }
        Ok(())
    };
    let extent = events.extent(piece);
    if extent.is_some_and(|(first, last)| plan.range.touches(first, last)) {
        events.look(piece, &mut look)?;
    }
    Ok(scanned as u64)
}

fn live(
    plan: &Plan,
    events: &dyn LiveEvents,
    piece: usize,
    done: u64,
) -> Result<Part, SearchError> {
    let mut accumulator = Accumulator::new(plan);
    let see = |row: &dyn Fields, position: (i64, &str)| accumulator.add(row, position);
    let events_scanned = each_live(plan, events, piece, see)?;
    Ok(Part {
        accumulator,
        stats: Stats {
            events_scanned,
            ..Stats::default()
        },
        done,
    })
}

/// What the filter says about the rows of a row group.
pub(super) struct Passing {
    /// The columns that it looked at, of the rows that pass.
    pub(super) columns: Columns,
    /// Indices of the columns that it looked at.
    pub(super) places: Vec<usize>,
    /// Which rows pass; all, when there is none.
    pub(super) mask: Option<BooleanArray>,
    /// Bytes that were read.
    pub(super) bytes: u64,
}

/// The columns that decide which rows of a row group pass, and the others that are wanted.
pub(super) fn places(plan: &Plan, open: &Open, group: usize) -> (Vec<usize>, Vec<usize>) {
    let Some(about) = open.groups().get(group) else {
        return Default::default();
    };
    let deciding = open.filter_columns(about, &plan.filter, !is_covered(plan, about));
    let others = open.wanted_columns(&plan.wanted, &deciding);
    (deciding, others)
}

/// Whether all of it is in the search's range.
fn is_covered(plan: &Plan, about: &Group) -> bool {
    plan.range.contains(about.start_ms) && plan.range.contains(about.end_ms)
}

/// Reads the columns that decide, of all rows. `None` when no row passes. The memory is the
/// caller's.
pub(super) async fn passing(
    plan: &Arc<Plan>,
    open: &Arc<Open>,
    group: usize,
    places: Vec<usize>,
) -> Result<Option<Passing>, SearchError> {
    let Some(about) = open.groups().get(group) else {
        return Ok(None);
    };
    let rows = about.rows as usize;
    if places.is_empty() {
        let columns = open.no_columns(rows);
        let stop = &plan.context.stop;
        // A filter that looks at nothing lets all rows pass or none.
        let all = !columns.passing(&plan.filter, &[], stop).contains(&false);
        return Ok((all && rows > 0).then_some(Passing {
            columns,
            places,
            mask: None,
            bytes: 0,
        }));
    }
    let covered = is_covered(plan, about);
    let fetched = open.fetch(group, places.clone()).await?;
    let bytes = fetched.bytes;
    let (this, context) = (open.clone(), plan.context.clone());
    let plan = plan.clone();
    let work = move || {
        let columns = this.decode(fetched, None)?;
        let own_texts = this.groups().get(group).map_or(&[][..], |g| &g.own_texts);
        let mut hits = if covered {
            vec![true; columns.rows()]
        } else {
            columns.within(&plan.range)
        };
        if hits.contains(&true) {
            let passing = columns.passing(&plan.filter, own_texts, &plan.context.stop);
            for (hit, passes) in hits.iter_mut().zip(passing) {
                *hit &= passes;
            }
        }
        if let Some((newest, limit)) = plan.enough() {
            keep_one_end(&mut hits, newest, limit);
        }
        let mask = BooleanArray::from(hits);
        Ok((columns.only(&mask)?, mask))
    };
    let (columns, mask) = context.decode(open.id(), work).await?;
    Ok((columns.rows() > 0).then_some(Passing {
        columns,
        places,
        mask: Some(mask),
        bytes,
    }))
}

async fn row_group(
    plan: Arc<Plan>,
    open: Arc<Open>,
    group: usize,
    stats: &mut Stats,
) -> Result<Accumulator, SearchError> {
    let mut accumulator = Accumulator::new(&plan);
    let rows = open.groups().get(group).map_or(0, |about| about.rows);
    stats.events_scanned += u64::from(rows);
    let (deciding, others) = places(&plan, &open, group);
    open.bring().await?;
    let memory = open.memory(group, &deciding) + open.memory(group, &others);
    let _held = plan.context.columns(memory).await;

    // First the columns that decide.
    let Some(passing) = passing(&plan, &open, group, deciding).await? else {
        return Ok(accumulator);
    };
    stats.bytes += passing.bytes;
    if plan.steps.is_empty() && accumulator.add_rows(passing.columns.rows() as u64) {
        return Ok(accumulator);
    }

    // Then the others, of the rows that passed.
    let rows = rows as usize;
    let mask = match (passing.mask, plan.enough()) {
        (None, Some((newest, limit))) if limit < rows => {
            let mut hits = vec![true; rows];
            keep_one_end(&mut hits, newest, limit);
            Some(BooleanArray::from(hits))
        }
        (mask, _) => mask,
    };
    let fetched = open.fetch(group, others).await?;
    stats.bytes += fetched.bytes;
    let (this, context) = (open.clone(), plan.context.clone());
    let work = move || {
        let others = this.decode(fetched, mask.as_ref())?;
        // Without columns that decide there is nothing to merge with.
        let columns = if passing.places.is_empty() {
            others
        } else {
            passing.columns.with(others)
        };
        Ok((|| {
            let mut scratch = Vec::new();
            let repository = this.repository();
            let repository = repository.as_deref();
            for index in 0..columns.rows() {
                plan.context.stop.check_at(index)?;
                let row = columns.row(index);
                let position = row.position();
                plan.take(&row, repository, &mut scratch, &mut |row| {
                    accumulator.add(row, position)
                })?;
            }
            Ok(accumulator)
        })())
    };
    context.decode(open.id(), work).await?
}

/// Keeps only the last, or first, hits.
fn keep_one_end(hits: &mut [bool], newest: bool, limit: usize) {
    let mut left = limit;
    let mut keep = |hit: &mut bool| {
        *hit = *hit && left > 0;
        left -= usize::from(*hit);
    };
    if newest {
        hits.iter_mut().rev().for_each(&mut keep);
    } else {
        hits.iter_mut().for_each(&mut keep);
    }
}
