//! Decoded columns of a row group, and filters asked about all their rows at once.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, StringArray};

use super::Damage;
use super::{FIXED_COLUMNS, ID_COLUMN, MORE, MORE_COLUMN, RAW_COLUMN, TIMESTAMP_COLUMN};
use crate::TimeRange;
use crate::context::{ROWS_BETWEEN_STOP_CHECKS, Stop};
use crate::event::{ID, RAW, TIMESTAMP};
use crate::execute::Row;
use crate::filter::{Fields, Filter, is_text};
use crate::gram;
use crate::memory::allocated;
use crate::work;

/// Names and places of a segment's columns.
#[derive(Debug)]
pub(crate) struct Layout {
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Layout {
    /// From the names in the order of the schema; `None` when they are not a segment's.
    pub(super) fn new(names: Vec<String>) -> Option<Self> {
        let fixed = names.get(..FIXED_COLUMNS)?;
        if fixed != [TIMESTAMP, RAW, ID, MORE] {
            return None;
        }
        let places: HashMap<String, usize> = names
            .iter()
            .enumerate()
            .map(|(place, name)| (name.clone(), place))
            .collect();
        (places.len() == names.len()).then_some(Self { names, places })
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// What it takes in memory.
    pub(super) fn memory(&self) -> usize {
        let entry = 2 * size_of::<String>() + size_of::<usize>();
        let texts: usize = self
            .names
            .iter()
            .map(|name| 2 * allocated(name.len()))
            .sum();
        texts + 2 * entry * self.names.len()
    }

    /// The column that has a field: its own, or the one for all others.
    pub(super) fn place(&self, name: &str) -> usize {
        match self.places.get(name) {
            Some(place) if *place != MORE_COLUMN => *place,
            _ => MORE_COLUMN,
        }
    }

    /// Columns that free text must look at: the raw text and those with texts of their own
    /// (`own_texts`), or, for an expression that looks around its match, all.
    fn text_columns(&self, own_texts: &[u32], all: bool) -> Vec<usize> {
        let is_text_column = |place: &usize| {
            *place == RAW_COLUMN
                || *place == MORE_COLUMN
                || self.names.get(*place).is_some_and(|name| is_text(name))
        };
        if all {
            return (0..self.names.len()).filter(is_text_column).collect();
        }
        let own = own_texts.iter().map(|place| *place as usize);
        std::iter::once(RAW_COLUMN)
            .chain(own.filter(is_text_column))
            .collect()
    }

    /// Adds the columns that a filter looks at.
    pub(super) fn add_filter(&self, filter: &Filter, own_texts: &[u32], into: &mut Vec<usize>) {
        match filter {
            Filter::True => {}
            Filter::Text(_) => into.extend(self.text_columns(own_texts, false)),
            Filter::Regex { looks_around, .. } => {
                into.extend(self.text_columns(own_texts, *looks_around));
            }
            Filter::Field(field) => into.push(self.place(&field.name)),
            Filter::And(parts) | Filter::Or(parts) => {
                parts
                    .iter()
                    .for_each(|part| self.add_filter(part, own_texts, into));
            }
            Filter::Not(inner) => self.add_filter(inner, own_texts, into),
        }
    }
}

/// Columns of some rows of a row group; those that nobody asked for are absent.
#[derive(Clone)]
pub(crate) struct Columns {
    pub(super) layout: Arc<Layout>,
    pub(super) rows: usize,
    /// The columns that were read, by their index; `None` for those that were not.
    pub(super) arrays: Vec<Option<ArrayRef>>,
}

impl Columns {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn row(&self, row: usize) -> ColumnRow<'_> {
        ColumnRow {
            columns: self,
            row,
            more: OnceCell::new(),
        }
    }

    fn texts(&self, place: usize) -> Option<&StringArray> {
        self.arrays.get(place)?.as_ref()?.as_string_opt()
    }

    fn text(&self, place: usize, row: usize) -> Option<&str> {
        let texts = self.texts(place)?;
        (row < texts.len() && texts.is_valid(row)).then(|| texts.value(row))
    }

    fn timestamp(&self, row: usize) -> Option<i64> {
        let array = self.arrays.get(TIMESTAMP_COLUMN)?.as_ref()?;
        let times = array.as_primitive_opt::<Int64Type>()?;
        (row < times.len()).then(|| times.value(row))
    }

    fn more(&self, row: usize) -> Option<Row> {
        let text = self.text(MORE_COLUMN, row)?;
        work::add(text.len());
        serde_json::from_str(text).ok()
    }

    /// Which rows lie in a range; needs the times.
    pub(crate) fn within(&self, range: &TimeRange) -> Vec<bool> {
        (0..self.rows)
            .map(|row| self.timestamp(row).is_some_and(|at| range.contains(at)))
            .collect()
    }

    /// What the values take in memory.
    pub(crate) fn memory(&self) -> usize {
        let arrays = self.arrays.iter().flatten();
        arrays.map(|array| array.get_array_memory_size()).sum()
    }

    /// Which rows pass a filter whose columns are here. Says anything once it is to stop.
    pub(crate) fn passing(&self, filter: &Filter, own_texts: &[u32], stop: &Stop) -> Vec<bool> {
        match filter {
            Filter::True => vec![true; self.rows],
            Filter::Text(text) => {
                let mut hits = vec![false; self.rows];
                let mut folded = Vec::new();
                for place in self.layout.text_columns(own_texts, false) {
                    if place == MORE_COLUMN {
                        self.mark_more(filter, &mut hits, stop);
                    } else if let Some(texts) = self.texts(place) {
                        fold_all(texts, &mut folded);
                        let offsets = texts.value_offsets();
                        let first = offsets.first().copied().unwrap_or(0);
                        let ends: Vec<usize> = offsets
                            .iter()
                            .skip(1)
                            .map(|end| usize::try_from(end - first).unwrap_or(0))
                            .collect();
                        text.mark(&folded, &ends, &mut hits);
                    }
                }
                hits
            }
            Filter::Regex {
                regex,
                looks_around,
            } => {
                let mut hits = vec![false; self.rows];
                for place in self.layout.text_columns(own_texts, *looks_around) {
                    if place == MORE_COLUMN {
                        self.mark_more(filter, &mut hits, stop);
                        continue;
                    }
                    mark(&mut hits, stop, |row| {
                        self.text(place, row).is_some_and(|t| regex.is_match(t))
                    });
                }
                hits
            }
            Filter::Field(field) => {
                let place = self.layout.place(&field.name);
                let mut hits = vec![false; self.rows];
                if place == TIMESTAMP_COLUMN || place == MORE_COLUMN {
                    mark(&mut hits, stop, |row| {
                        field.matches(self.row(row).value(&field.name).as_deref())
                    });
                } else {
                    mark(&mut hits, stop, |row| field.matches(self.text(place, row)));
                }
                hits
            }
            Filter::And(parts) => self.combine(parts, own_texts, true, stop),
            Filter::Or(parts) => self.combine(parts, own_texts, false, stop),
            Filter::Not(inner) => {
                let mut hits = self.passing(inner, own_texts, stop);
                hits.iter_mut().for_each(|hit| *hit = !*hit);
                hits
            }
        }
    }

    /// All of the parts, or any of them.
    fn combine(&self, parts: &[Filter], own_texts: &[u32], all: bool, stop: &Stop) -> Vec<bool> {
        let mut hits = vec![all; self.rows];
        for part in parts {
            // No row can change any more.
            if stop.is_set() || hits.iter().all(|hit| *hit != all) {
                break;
            }
            let other = self.passing(part, own_texts, stop);
            for (hit, other) in hits.iter_mut().zip(other) {
                *hit = if all { *hit && other } else { *hit || other };
            }
        }
        hits
    }

    /// Free text within the fields that have no column.
    fn mark_more(&self, filter: &Filter, hits: &mut [bool], stop: &Stop) {
        let mut scratch = Vec::new();
        mark(hits, stop, |row| {
            let more = self.more(row);
            more.is_some_and(|more| filter.matches(&more, &mut scratch))
        });
    }

    /// Keeps only the rows that `mask` has.
    pub(crate) fn only(&self, mask: &BooleanArray) -> Result<Self, Damage> {
        let keep = |array: &ArrayRef| arrow_select::filter::filter(array.as_ref(), mask);
        let arrays = self
            .arrays
            .iter()
            .map(|array| array.as_ref().map(keep).transpose())
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            layout: self.layout.clone(),
            rows: mask.true_count(),
            arrays,
        })
    }

    /// These columns and those of `other`, which has the same rows.
    pub(crate) fn with(mut self, other: Self) -> Self {
        for (mine, its) in self.arrays.iter_mut().zip(other.arrays) {
            if mine.is_none() {
                *mine = its;
            }
        }
        self
    }
}

/// Marks the rows of which it holds, except those that are marked, until it is to stop.
fn mark(hits: &mut [bool], stop: &Stop, mut holds: impl FnMut(usize) -> bool) {
    for (row, hit) in hits.iter_mut().enumerate() {
        if row % ROWS_BETWEEN_STOP_CHECKS == 0 && stop.is_set() {
            return;
        }
        *hit = *hit || holds(row);
    }
}

/// Folds the values of an array into one text.
fn fold_all(texts: &StringArray, folded: &mut Vec<u8>) {
    folded.clear();
    let offsets = texts.value_offsets();
    let bounds = offsets.first().zip(offsets.last());
    let all = bounds
        .and_then(|(from, to)| Some((usize::try_from(*from).ok()?, usize::try_from(*to).ok()?)))
        .and_then(|(from, to)| texts.value_data().get(from..to));
    // Strings one after the other are a string.
    gram::fold(
        std::str::from_utf8(all.unwrap_or(&[])).unwrap_or(""),
        folded,
    );
}

/// One row of [`Columns`].
pub(crate) struct ColumnRow<'a> {
    columns: &'a Columns,
    row: usize,
    /// Its fields without a column: they are decoded once, however many of them are asked for.
    more: OnceCell<Option<Row>>,
}

impl ColumnRow<'_> {
    fn more(&self) -> Option<&Row> {
        let decoded = self.more.get_or_init(|| self.columns.more(self.row));
        decoded.as_ref()
    }

    /// What orders events; needs the times and identities.
    pub(crate) fn position(&self) -> (i64, &str) {
        (
            self.columns.timestamp(self.row).unwrap_or(0),
            self.columns.text(ID_COLUMN, self.row).unwrap_or(""),
        )
    }
}

impl Fields for ColumnRow<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.columns.layout.place(name) {
            TIMESTAMP_COLUMN => {
                let at = self.columns.timestamp(self.row)?;
                Some(Cow::Owned(at.to_string()))
            }
            MORE_COLUMN => Some(Cow::Borrowed(self.more()?.get(name)?.as_str()?)),
            place => self.columns.text(place, self.row).map(Cow::Borrowed),
        }
    }

    fn any_text(&self, found: &mut dyn FnMut(&str) -> bool) -> bool {
        let layout = &self.columns.layout;
        layout.text_columns(&[], true).into_iter().any(|place| {
            if place == MORE_COLUMN {
                return self.more().is_some_and(|more| more.any_text(found));
            }
            self.columns.text(place, self.row).is_some_and(&mut *found)
        })
    }

    fn to_row(&self) -> Row {
        let mut row = self.more().cloned().unwrap_or_default();
        if let Some(at) = self.columns.timestamp(self.row) {
            row.insert(TIMESTAMP.to_owned(), at.into());
        }
        for (place, name) in self.columns.layout.names.iter().enumerate() {
            if place != MORE_COLUMN
                && let Some(text) = self.columns.text(place, self.row)
            {
                row.insert(name.clone(), text.into());
            }
        }
        row
    }
}
