//! Stages over rows that are in memory: what comes after the first stage that needs all rows.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;

use super::accumulate::{Accumulator, row_bytes};
use super::plan::{Plan, Reduce};
use super::{QueryResult, Row};
use crate::SearchError;
use crate::event::TIMESTAMP;
use crate::filter::{Fields, Filter};
use crate::memory::Held;
use crate::query::Stage;

/// Names among which one is looked for one by one.
const MAX_LINEAR_SEARCH_NAMES: usize = 8;

/// Names of fields, in which one is found whatever their number.
pub(crate) struct Names {
    names: Vec<String>,
    /// The same, when they are many.
    set: HashSet<String>,
}

impl Names {
    pub(super) fn new(names: Vec<String>) -> Self {
        let many = names.len() > MAX_LINEAR_SEARCH_NAMES;
        let set = if many {
            names.iter().cloned().collect()
        } else {
            HashSet::new()
        };
        Self { names, set }
    }

    fn contains(&self, name: &str) -> bool {
        if self.set.is_empty() {
            return self.names.iter().any(|it| it == name);
        }
        self.set.contains(name)
    }
}

/// Some fields of a row.
pub(super) struct Selected<'a> {
    row: &'a dyn Fields,
    names: &'a Names,
}

/// Only these fields of a row.
pub(super) fn select<'a>(row: &'a dyn Fields, names: &'a Names) -> Selected<'a> {
    Selected { row, names }
}

impl Fields for Selected<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        let selected = self.names.contains(name);
        selected.then(|| self.row.value(name)).flatten()
    }

    fn any_text(&self, found: &mut dyn FnMut(&str) -> bool) -> bool {
        self.names.names.iter().any(|name| {
            crate::filter::is_text(name) && self.row.value(name).is_some_and(|v| found(&v))
        })
    }

    fn to_row(&self) -> Row {
        let mut row = Row::new();
        for name in &self.names.names {
            if let Some(value) = self.row.value(name) {
                let time = (name == TIMESTAMP)
                    .then(|| value.parse::<i64>().ok())
                    .flatten();
                let value = match time {
                    Some(at) => at.into(),
                    None => value.into_owned().into(),
                };
                row.insert(name.clone(), value);
            }
        }
        row
    }
}

/// Compares rows by fields: numbers before texts when ascending, the other way round when
/// descending; rows without the field are last either way.
pub(super) fn compare(
    a: &dyn Fields,
    b: &dyn Fields,
    fields: &[String],
    descending: bool,
) -> Ordering {
    for field in fields {
        let order = match (a.value(field), b.value(field)) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => {
                let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
                let order = match (number(&a), number(&b)) {
                    (Some(x), Some(y)) => x.total_cmp(&y),
                    (Some(_), None) => Ordering::Less,
                    (None, Some(_)) => Ordering::Greater,
                    (None, None) => a.cmp(&b),
                };
                if descending { order.reverse() } else { order }
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// Rows, and whether they are in the order of their times (old to new) or of their own.
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    pub(super) by_time: bool,
    /// The memory of the rows.
    pub(super) held: Held,
}

/// Runs the later stages over the merged rows.
pub(super) fn finish(plan: &Plan, merged: Accumulator) -> Result<QueryResult, SearchError> {
    let mut warnings = Vec::new();
    let limit = plan.limits.rows;
    let mut list = merged.finish(plan.rest.is_empty().then_some(limit), &mut warnings)?;
    for stage in &plan.rest {
        plan.context.stop.check()?;
        list = apply(plan, stage, list, &mut warnings)?;
    }
    if list.rows.len() > limit {
        if list.by_time {
            list.rows.drain(..list.rows.len() - limit);
        } else {
            warnings.push(format!(
                "only the first {limit} of {} rows are shown",
                list.rows.len()
            ));
            list.rows.truncate(limit);
        }
    }
    if list.by_time {
        list.rows.reverse();
    }
    list.rows.shrink_to_fit();
    let bytes = list.rows.iter().map(row_bytes).sum();
    list.held.shrink_to(bytes);
    Ok(QueryResult {
        events: list.rows,
        warnings,
        memory: list.held.into(),
        ..QueryResult::default()
    })
}

fn apply(
    plan: &Plan,
    stage: &Stage,
    mut list: Rows,
    warnings: &mut Vec<String>,
) -> Result<Rows, SearchError> {
    match stage {
        Stage::Filter(expr) => {
            let filter = Filter::new(expr);
            let mut scratch = Vec::new();
            let stop = &plan.context.stop;
            list.rows
                .retain(|row| !stop.is_set() && filter.matches(row, &mut scratch));
            stop.check()?;
        }
        Stage::Select(fields) => {
            let names = Names::new(fields.clone());
            for (number, row) in list.rows.iter_mut().enumerate() {
                plan.context.stop.check_at(number)?;
                *row = select(row, &names).to_row();
            }
        }
        Stage::Head(limit) => list.rows.truncate(*limit),
        Stage::Tail(limit) => {
            let surplus = list.rows.len().saturating_sub(*limit);
            list.rows.drain(..surplus);
        }
        Stage::Sort {
            fields,
            descending,
            limit,
        } => {
            list.rows.sort_by(|a, b| compare(a, b, fields, *descending));
            list.rows.truncate(*limit);
            list.by_time = false;
        }
        Stage::Count(_) | Stage::GroupBy { .. } | Stage::TimeChart { .. } => {
            if let Some(reduce) = Reduce::new(stage, plan.auto_span_ms) {
                let mut accumulator = Accumulator::of(&reduce, plan);
                for (number, row) in list.rows.iter().enumerate() {
                    plan.context.stop.check_at(number)?;
                    accumulator.add(row, (0, ""))?;
                }
                drop(list);
                list = accumulator.finish(None, warnings)?;
            }
        }
    }
    Ok(list)
}
