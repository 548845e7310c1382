//! Stages over rows that are in memory: what comes after the first stage that needs all rows.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::accumulate::Accumulator;
use super::plan::{Plan, Reduce};
use super::{QueryResult, Row};
use crate::SearchError;
use crate::event::TIMESTAMP;
use crate::filter::{Fields, Filter};
use crate::query::Stage;

/// Some fields of a row.
pub(super) struct Selected<'a> {
    row: &'a dyn Fields,
    names: &'a [String],
}

/// Only these fields of a row.
pub(super) fn select<'a>(row: &'a dyn Fields, names: &'a [String]) -> Selected<'a> {
    Selected { row, names }
}

impl Fields for Selected<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        let selected = self.names.iter().any(|selected| selected == name);
        selected.then(|| self.row.value(name)).flatten()
    }

    fn any_text(&self, found: &mut dyn FnMut(&str) -> bool) -> bool {
        self.names.iter().any(|name| {
            crate::filter::is_text(name) && self.row.value(name).is_some_and(|v| found(&v))
        })
    }

    fn to_row(&self) -> Row {
        let mut row = Row::new();
        for name in self.names {
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
}

/// Runs the later stages over the merged rows.
pub(super) fn finish(plan: &Plan, merged: Accumulator) -> Result<QueryResult, SearchError> {
    let mut warnings = Vec::new();
    let mut list = merged.finish(&mut warnings)?;
    for stage in &plan.rest {
        list = apply(plan, stage, list, &mut warnings)?;
    }
    let limit = plan.limits.rows;
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
    Ok(QueryResult {
        events: list.rows,
        warnings,
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
            list.rows.retain(|row| filter.matches(row, &mut scratch));
        }
        Stage::Select(fields) => {
            for row in &mut list.rows {
                *row = select(row, fields).to_row();
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
                let mut accumulator = Accumulator::of(&reduce, plan.limits.memory);
                for row in &list.rows {
                    accumulator.add(row, (0, ""))?;
                }
                list = accumulator.finish(warnings)?;
            }
        }
    }
    Ok(list)
}
