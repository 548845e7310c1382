//! Takes segments and live events through a plan, several at a time, in order.

use std::sync::Arc;

use arrow_array::BooleanArray;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;

use super::Stats;
use super::accumulate::Accumulator;
use super::plan::{Plan, Reduce};
use crate::segment::{Open, compute};
use crate::work;
use crate::{Event, LiveEvents, SearchError, SegmentSource, TimeRange};

/// Segments whose footer and filters are read at the same time.
const OPENING: usize = 8;

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
enum Task {
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

/// Does all the work of a plan. The parts come in an order that does not depend on which is ready
/// first, so that a query gives the same answer twice.
pub(super) fn parts(
    plan: Arc<Plan>,
    mut segments: Vec<Arc<dyn SegmentSource>>,
    live: Vec<Arc<dyn LiveEvents>>,
    cutoff: Arc<Cutoff>,
) -> BoxStream<'static, Result<Part, SearchError>> {
    let newest_first = matches!(plan.reduce, Reduce::Ends { newest: true, .. });
    if newest_first {
        segments.sort_by(|a, b| (b.end_ms(), b.id()).cmp(&(a.end_ms(), a.id())));
    } else {
        segments.sort_by(|a, b| (a.start_ms(), a.id()).cmp(&(b.start_ms(), b.id())));
    }
    let of_segments = {
        let plan = plan.clone();
        let cutoff = cutoff.clone();
        stream::iter(segments)
            .map(move |source| open(plan.clone(), source, cutoff.clone(), newest_first))
            .buffered(OPENING)
            .map_ok(|tasks| stream::iter(tasks.into_iter().map(Ok)))
            .try_flatten()
    };
    let of_live = stream::iter(live.into_iter().flat_map(|events| {
        let pieces = events.pieces().max(1);
        (0..pieces).map(move |piece| {
            Ok(Task::Live {
                events: events.clone(),
                piece,
                done: u64::from(piece + 1 == pieces),
            })
        })
    }));
    // Live events are the newest.
    let tasks = if newest_first {
        of_live.chain(of_segments).boxed()
    } else {
        of_segments.chain(of_live).boxed()
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    tasks
        .map_ok(move |task| perform(plan.clone(), cutoff.clone(), task))
        .try_buffered(threads + 1)
        .boxed()
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
    let (open, mut bytes) = Open::open(source).await?;
    let open = Arc::new(open);
    let mut groups: Vec<usize> = (0_usize..)
        .zip(open.groups())
        .filter(|(_, group)| plan.range.touches(group.start_ms, group.end_ms))
        .map(|(index, _)| index)
        .collect();
    if plan.need.says_anything() && !groups.is_empty() {
        let (filters, read) = open.filters(&groups).await?;
        bytes += read;
        let plan = plan.clone();
        let checked = open.clone();
        groups = compute(open.id(), move || {
            let mut groups = Vec::new();
            for (group, filter) in filters {
                let odd_case = checked
                    .groups()
                    .get(group)
                    .is_none_or(|about| about.odd_case);
                let filter = checked.checked_filter(group, &filter)?;
                if plan.need.may_be_met(filter, odd_case) {
                    groups.push(group);
                }
            }
            Ok(groups)
        })
        .await?;
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
            let work = work::carried(move || live(&plan, &*events, piece, done));
            tokio::task::spawn_blocking(work)
                .await
                .map_err(|error| SearchError::Stopped {
                    detail: error.to_string(),
                })?
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

fn live(
    plan: &Plan,
    events: &dyn LiveEvents,
    piece: usize,
    done: u64,
) -> Result<Part, SearchError> {
    let mut accumulator = Accumulator::new(plan);
    let mut stats = Stats::default();
    let mut scratch = Vec::new();
    let mut see = |event: &Event| {
        stats.events_scanned += 1;
        if plan.range.contains(event.timestamp_ms) && plan.filter.matches(event, &mut scratch) {
            let position = (event.timestamp_ms, event.id.as_str());
            Plan::step(&plan.steps, event, &mut scratch, &mut |row| {
                accumulator.add(row, position)
            })?;
        }
        Ok(())
    };
    let extent = events.extent(piece);
    if extent.is_some_and(|(first, last)| plan.range.touches(first, last)) {
        events.look(piece, &mut see)?;
    }
    Ok(Part {
        accumulator,
        stats,
        done,
    })
}

async fn row_group(
    plan: Arc<Plan>,
    open: Arc<Open>,
    group: usize,
    stats: &mut Stats,
) -> Result<Accumulator, SearchError> {
    let mut accumulator = Accumulator::new(&plan);
    let Some(about) = open.groups().get(group) else {
        return Ok(accumulator);
    };
    let rows = about.rows as usize;
    stats.events_scanned += u64::from(about.rows);
    let covered = plan.range.contains(about.start_ms) && plan.range.contains(about.end_ms);
    let places = open.filter_columns(about, &plan.filter, !covered);

    // First the columns that decide, of all rows.
    let (columns, mask) = if places.is_empty() {
        let columns = open.no_columns(rows);
        // A filter that looks at nothing lets all rows pass or none.
        if columns.passing(&plan.filter, &[]).contains(&false) {
            return Ok(accumulator);
        }
        (columns, None)
    } else {
        let fetched = open.fetch(group, places.clone()).await?;
        stats.bytes += fetched.bytes;
        let (plan, this) = (plan.clone(), open.clone());
        compute(open.id(), move || {
            let columns = this.decode(fetched, None)?;
            let own_texts = this.groups().get(group).map_or(&[][..], |g| &g.own_texts);
            let mut hits = if covered {
                vec![true; columns.rows()]
            } else {
                columns.within(&plan.range)
            };
            if hits.contains(&true) {
                let passing = columns.passing(&plan.filter, own_texts);
                for (hit, passes) in hits.iter_mut().zip(passing) {
                    *hit &= passes;
                }
            }
            if let Some((newest, limit)) = plan.enough() {
                keep_one_end(&mut hits, newest, limit);
            }
            let mask = BooleanArray::from(hits);
            Ok((columns.only(&mask)?, Some(mask)))
        })
        .await?
    };
    if columns.rows() == 0 {
        return Ok(accumulator);
    }
    if plan.steps.is_empty() && accumulator.add_rows(columns.rows() as u64) {
        return Ok(accumulator);
    }

    // Then the others, of the rows that passed.
    let mask = match (mask, plan.enough()) {
        (None, Some((newest, limit))) if limit < rows => {
            let mut hits = vec![true; rows];
            keep_one_end(&mut hits, newest, limit);
            Some(BooleanArray::from(hits))
        }
        (mask, _) => mask,
    };
    let others = open.wanted_columns(&plan.wanted, &places);
    let fetched = open.fetch(group, others).await?;
    stats.bytes += fetched.bytes;
    let this = open.clone();
    compute(open.id(), move || {
        let others = this.decode(fetched, mask.as_ref())?;
        // Without columns that decide there is nothing to merge with.
        let columns = if places.is_empty() {
            others
        } else {
            columns.with(others)
        };
        Ok((|| {
            let mut scratch = Vec::new();
            for index in 0..columns.rows() {
                let row = columns.row(index);
                let position = row.position();
                Plan::step(&plan.steps, &row, &mut scratch, &mut |row| {
                    accumulator.add(row, position)
                })?;
            }
            Ok(accumulator)
        })())
    })
    .await?
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
