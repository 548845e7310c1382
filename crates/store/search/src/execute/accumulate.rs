//! What a query keeps of the rows it has seen: a few events, or counts.

use std::collections::{BTreeMap, HashMap};

use super::Row;
use super::list::{Rows, compare};
use super::plan::{Plan, Reduce};
use crate::SearchError;
use crate::event::TIMESTAMP;
use crate::filter::Fields;
use crate::memory::{Held, allocated};
use crate::query::Count;

/// Rows seen so far, as far as the query still needs them.
pub(crate) struct Accumulator {
    reduce: Reduce,
    limit_bytes: usize,
    /// What it takes, roughly …
    bytes: usize,
    /// … and the memory for that.
    held: Held,
    /// For the stages that keep events.
    items: Vec<Item>,
    /// Whether rows were left out of `items`.
    full: bool,
    /// For `count`.
    count: u64,
    /// For `groupBy`: the values, each with its length before it, as one text.
    groups: HashMap<Vec<String>, u64>,
    groups_left_out: bool,
    /// For `timeChart`.
    buckets: BTreeMap<(i64, Option<String>), u64>,
}

/// An event that is kept, and its place in the order of events.
struct Item {
    timestamp_ms: i64,
    id: String,
    row: Row,
    bytes: usize,
}

/// What an entry of a map of groups or buckets costs besides its texts: such a map is half empty, or
/// there twice while it grows.
const ENTRY_BYTES: usize = 96;
/// What a node of a row's map takes, and how many entries one has at the least once there are
/// several.
const NODE_BYTES: usize = 656;
const NODE_ENTRIES: usize = 6;
/// A result of fewer rows, groups or buckets is small.
const SMALL_RESULT_ROWS: usize = 512;
/// Buckets of a time chart that are shown, those with nothing in them too.
const MAX_BUCKETS: usize = 10_000;

impl Accumulator {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self::of(&plan.reduce, plan)
    }

    pub(super) fn of(reduce: &Reduce, plan: &Plan) -> Self {
        Self {
            reduce: reduce.clone(),
            limit_bytes: plan.limits.memory,
            bytes: 0,
            held: plan.context.rows(plan.limits.memory),
            items: Vec::new(),
            full: false,
            count: 0,
            groups: HashMap::new(),
            groups_left_out: false,
            buckets: BTreeMap::new(),
        }
    }

    /// Takes a row. `position` orders events: time and identity.
    pub(crate) fn add(
        &mut self,
        row: &dyn Fields,
        position: (i64, &str),
    ) -> Result<(), SearchError> {
        match &self.reduce {
            Reduce::Ends { .. } | Reduce::All | Reduce::Sort { .. } => {
                let row = row.to_row();
                let bytes = row_bytes(&row) + size_of::<Item>() + allocated(position.1.len());
                self.items.push(Item {
                    timestamp_ms: position.0,
                    id: position.1.to_owned(),
                    row,
                    bytes,
                });
                self.bytes += bytes;
                self.prune(false);
            }
            Reduce::Count(count) => self.count += counts(count, row),
            Reduce::Group { fields, count, .. } => {
                let values: Option<Vec<String>> = fields
                    .iter()
                    .map(|field| row.value(field).map(|value| value.into_owned()))
                    .collect();
                if let Some(values) = values {
                    let more = counts(count, row);
                    self.add_group(values, more);
                }
            }
            Reduce::Chart {
                series,
                span_ms,
                count,
                ..
            } => {
                let at = row.value(TIMESTAMP).and_then(|at| at.parse::<i64>().ok());
                let name = series.as_ref().map(|series| row.value(series));
                if let (Some(at), Some(name)) = (at, name.map_or(Some(None), |n| n.map(Some))) {
                    let bucket = at.div_euclid(*span_ms).saturating_mul(*span_ms);
                    let more = counts(count, row);
                    self.add_bucket((bucket, name.map(|name| name.into_owned())), more);
                }
            }
        }
        self.check()
    }

    /// As many rows of which nothing but their number matters; `false` when more matters.
    pub(crate) fn add_rows(&mut self, rows: u64) -> bool {
        let only_counts = matches!(&self.reduce, Reduce::Count(Count { field: None, .. }));
        if only_counts {
            self.count += rows;
        }
        only_counts
    }

    /// Takes what another saw after this one.
    pub(crate) fn merge(&mut self, other: Self) -> Result<(), SearchError> {
        self.bytes += other.items.iter().map(|item| item.bytes).sum::<usize>();
        self.items.extend(other.items);
        self.full |= other.full;
        self.prune(false);
        self.count += other.count;
        self.groups_left_out |= other.groups_left_out;
        for (values, count) in other.groups {
            self.add_group(values, count);
        }
        for (bucket, count) in other.buckets {
            self.add_bucket(bucket, count);
        }
        self.check()
    }

    fn add_group(&mut self, values: Vec<String>, count: u64) {
        if let Some(known) = self.groups.get_mut(&values) {
            *known += count;
            return;
        }
        let limit = match &self.reduce {
            Reduce::Group { limit, .. } => *limit,
            _ => usize::MAX,
        };
        if self.groups.len() >= limit {
            self.groups_left_out = true;
            return;
        }
        let texts: usize = values.iter().map(|it| allocated(it.capacity())).sum();
        self.bytes += ENTRY_BYTES + allocated(values.len() * size_of::<String>()) + texts;
        self.groups.insert(values, count);
    }

    fn add_bucket(&mut self, bucket: (i64, Option<String>), count: u64) {
        if let Some(known) = self.buckets.get_mut(&bucket) {
            *known += count;
            return;
        }
        self.bytes += ENTRY_BYTES + bucket.1.as_ref().map_or(0, |it| allocated(it.capacity()));
        self.buckets.insert(bucket, count);
    }

    /// Takes the memory for what it holds.
    fn check(&mut self) -> Result<(), SearchError> {
        let what = self.what();
        self.held.reach(self.bytes, what)
    }

    fn what(&self) -> &'static str {
        match &self.reduce {
            Reduce::Group { .. } => "the groups of groupBy()",
            Reduce::Chart { .. } => "the buckets of timeChart()",
            Reduce::Sort { .. } => "the rows of sort()",
            _ => "the events of the result",
        }
    }

    /// Whether taking it over costs next to nothing.
    pub(crate) fn is_small(&self) -> bool {
        self.items.len() + self.groups.len() + self.buckets.len() < SMALL_RESULT_ROWS
    }

    /// Throws away events that can be in no result; at the end to the exact number, before only
    /// now and then, so that it costs little for each.
    fn prune(&mut self, exactly: bool) {
        let limit = match &self.reduce {
            Reduce::Ends { limit, .. } | Reduce::Sort { limit, .. } => *limit,
            _ => return,
        };
        let slack = if exactly { 0 } else { limit.max(64) };
        let over_memory = self.bytes > self.limit_bytes && self.items.len() > limit;
        if self.items.len() <= limit + slack && !over_memory {
            return;
        }
        self.sort();
        match &self.reduce {
            Reduce::Ends { newest: true, .. } => {
                self.items.drain(..self.items.len().saturating_sub(limit));
            }
            _ => self.items.truncate(limit),
        }
        self.full = true;
        self.bytes = self.items.iter().map(|item| item.bytes).sum();
        self.held.shrink_to(self.bytes);
    }

    fn sort(&mut self) {
        let by_time = |a: &Item, b: &Item| (a.timestamp_ms, &a.id).cmp(&(b.timestamp_ms, &b.id));
        match &self.reduce {
            Reduce::Sort {
                fields, descending, ..
            } => self.items.sort_by(|a, b| {
                compare(&a.row, &b.row, fields, *descending).then_with(|| by_time(a, b))
            }),
            _ => self.items.sort_by(by_time),
        }
    }

    /// The time beyond which no event can be in the result any more: older ones for the newest
    /// events, newer ones for the oldest.
    pub(crate) fn cutoff(&self) -> Option<(bool, i64)> {
        let Reduce::Ends { newest, limit } = self.reduce else {
            return None;
        };
        let mut times: Vec<i64> = self.items.iter().map(|item| item.timestamp_ms).collect();
        if times.len() < limit || limit == 0 {
            return None;
        }
        let place = if newest {
            times.len() - limit
        } else {
            limit - 1
        };
        let (_, at, _) = times.select_nth_unstable(place);
        Some((newest, *at))
    }

    /// The rows of the result; `most` of them are enough, where they have an order of their own.
    pub(super) fn finish(
        mut self,
        most: Option<usize>,
        warnings: &mut Vec<String>,
    ) -> Result<Rows, SearchError> {
        let by_time = matches!(self.reduce, Reduce::Ends { .. } | Reduce::All);
        let rows = match self.reduce.clone() {
            Reduce::Ends { .. } | Reduce::All | Reduce::Sort { .. } => {
                self.prune(true);
                self.sort();
                let items = std::mem::take(&mut self.items);
                items.into_iter().map(|item| item.row).collect()
            }
            Reduce::Count(count) => {
                vec![Row::from_iter([(
                    count.output,
                    self.count.to_string().into(),
                )])]
            }
            Reduce::Group {
                fields,
                count,
                limit,
            } => {
                if self.groups_left_out {
                    warnings.push(format!(
                        "there are more than {limit} groups; the counts of some are left out, \
                         narrow the filter or raise the limit of groupBy()"
                    ));
                }
                self.grouped(&fields, &count, most, warnings)?
            }
            Reduce::Chart {
                series,
                span_ms,
                count,
                limit,
            } => self.chart(series.as_deref(), span_ms, &count, limit, most, warnings)?,
        };
        Ok(Rows {
            rows,
            by_time,
            held: self.held,
        })
    }

    fn grouped(
        &mut self,
        fields: &[String],
        count: &Count,
        most: Option<usize>,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Row>, SearchError> {
        let groups = std::mem::take(&mut self.groups);
        self.bytes += groups.len() * size_of::<(Vec<String>, u64)>();
        self.check()?;
        let mut groups: Vec<(Vec<String>, u64)> = groups.into_iter().collect();
        groups.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        groups.truncate(enough(groups.len(), most, warnings));
        let mut rows = Vec::with_capacity(groups.len());
        for (values, n) in groups {
            let values = values.into_iter().map(serde_json::Value::from);
            let mut row: Row = fields.iter().cloned().zip(values).collect();
            row.insert(count.output.clone(), n.to_string().into());
            self.take(row, &mut rows)?;
        }
        Ok(rows)
    }

    /// Takes the memory for one more row of the result.
    fn take(&mut self, row: Row, rows: &mut Vec<Row>) -> Result<(), SearchError> {
        self.bytes += row_bytes(&row);
        self.check()?;
        rows.push(row);
        Ok(())
    }

    fn chart(
        &mut self,
        series: Option<&str>,
        span_ms: i64,
        count: &Count,
        limit: usize,
        most: Option<usize>,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Row>, SearchError> {
        let known = std::mem::take(&mut self.buckets);
        let mut totals: BTreeMap<&Option<String>, u64> = BTreeMap::new();
        for ((_, name), n) in &known {
            *totals.entry(name).or_default() += n;
        }
        let mut names: Vec<(&Option<String>, u64)> = totals.into_iter().collect();
        names.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        if names.len() > limit {
            warnings.push(format!(
                "only the {limit} largest of {} series are shown",
                names.len()
            ));
            names.truncate(limit);
        }
        names.sort();
        let ends = known.first_key_value().zip(known.last_key_value());
        let Some((((first, _), _), ((last, _), _))) = ends else {
            return Ok(Vec::new());
        };
        let buckets = (i128::from(*last) - i128::from(*first)) / i128::from(span_ms) + 1;
        let shown = usize::try_from(buckets)
            .ok()
            .filter(|n| *n <= MAX_BUCKETS)
            .ok_or(SearchError::Buckets {
                first_ms: *first,
                last_ms: *last,
                buckets,
                limit: MAX_BUCKETS,
            })?;
        let most = enough(shown * names.len(), most, warnings);
        let mut rows = Vec::new();
        for index in 0..buckets {
            let start = i64::try_from(i128::from(*first) + index * i128::from(span_ms));
            let start = start.unwrap_or(i64::MAX);
            for (name, _) in &names {
                if rows.len() == most {
                    return Ok(rows);
                }
                let n = known.get(&(start, (*name).clone())).copied().unwrap_or(0);
                let mut row = Row::new();
                row.insert("_bucket".to_owned(), start.to_string().into());
                if let (Some(series), Some(name)) = (series, name) {
                    row.insert(series.to_owned(), name.as_str().into());
                }
                row.insert(count.output.clone(), n.to_string().into());
                self.take(row, &mut rows)?;
            }
        }
        Ok(rows)
    }
}

fn counts(count: &Count, row: &dyn Fields) -> u64 {
    let counted = count
        .field
        .as_ref()
        .is_none_or(|field| row.value(field).is_some());
    u64::from(counted)
}

/// How many rows of so many are made, when `most` are enough.
fn enough(all: usize, most: Option<usize>, warnings: &mut Vec<String>) -> usize {
    match most {
        Some(most) if most < all => {
            warnings.push(format!("only the first {most} of {all} rows are shown"));
            most
        }
        _ => all,
    }
}

/// What a row takes in memory, roughly.
pub(super) fn row_bytes(row: &Row) -> usize {
    let texts = row.iter().map(|(name, value)| {
        allocated(name.len()) + value.as_str().map_or(0, |text| allocated(text.len()))
    });
    size_of::<Row>() + row.len().div_ceil(NODE_ENTRIES) * NODE_BYTES + texts.sum::<usize>()
}
