//! All segments: a sorted base that clones share, and a small map of changes on top of it.
//!
//! Snapshots are written from a clone while the log moves on, so cloning must not copy a million
//! segments. The order (repository, end, id) makes "what of this repository can have events since
//! then" one contiguous piece.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::iter::Peekable;
use std::sync::Arc;

use crate::entity::RepositoryId;
use crate::segment::{Segment, SegmentId, SegmentRef};

/// Changes are folded into the base when there are more than this many and a 32nd of the base.
const MIN_CHANGES_TO_FOLD: usize = 1024;

/// The segments of a cluster, ordered by repository, end and id. Cheap to clone.
#[derive(Clone, Default)]
pub struct SegmentSet {
    base: Arc<Vec<Segment>>,
    /// `None`: removed from the base.
    changes: BTreeMap<SegmentRef, Option<Segment>>,
    /// How many are in each bucket; together, all of them.
    buckets: BTreeMap<u32, usize>,
}

impl SegmentSet {
    /// A set of segments in any order.
    ///
    /// # Errors
    /// When two of them are the same; the answer names it.
    pub fn from_vec(mut segments: Vec<Segment>) -> Result<Self, SegmentId> {
        if !segments.is_sorted_by(|a, b| order(a, b).is_lt()) {
            segments.sort_unstable_by(order);
            let twins = segments.windows(2).find(|pair| match pair {
                [a, b] => order(a, b).is_eq(),
                _ => false,
            });
            if let Some([twin, _]) = twins {
                return Err(twin.id);
            }
        }
        let mut set = Self::default();
        set.set_base(segments);
        Ok(set)
    }

    fn set_base(&mut self, segments: Vec<Segment>) {
        self.buckets.clear();
        for segment in &segments {
            *self.buckets.entry(segment.bucket).or_default() += 1;
        }
        self.base = Arc::new(segments);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.buckets.values().sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The ids of the buckets that they are in.
    pub fn buckets(&self) -> impl Iterator<Item = u32> {
        self.buckets.keys().copied()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Segment> {
        Merged::new(&self.base, self.changes.iter())
    }

    /// Those of a repository, by ascending end.
    pub fn of<'a>(&'a self, repository: &'a RepositoryId) -> impl Iterator<Item = &'a Segment> {
        self.ending_from(repository, i64::MIN)
    }

    /// Those of a repository that may have events between the two times, both included.
    pub fn overlapping<'a>(
        &'a self,
        repository: &'a RepositoryId,
        start_ms: i64,
        end_ms: i64,
    ) -> impl Iterator<Item = &'a Segment> {
        self.ending_from(repository, start_ms)
            .filter(move |segment| segment.start_ms <= end_ms)
    }

    fn ending_from<'a>(
        &'a self,
        repository: &'a RepositoryId,
        end_ms: i64,
    ) -> impl Iterator<Item = &'a Segment> {
        let from = self
            .base
            .partition_point(|s| (&s.repository, s.end_ms) < (repository, end_ms));
        let first = SegmentRef {
            repository: repository.clone(),
            end_ms,
            id: SegmentId::from(uuid::Uuid::nil()),
        };
        let base = self.base.get(from..).unwrap_or_default();
        Merged::new(base, self.changes.range(first..))
            .take_while(move |segment| segment.repository == *repository)
    }

    /// The segment of that name.
    pub fn get(&self, name: &SegmentRef) -> Option<&Segment> {
        match self.changes.get(name) {
            Some(change) => change.as_ref(),
            None => self.in_base(name),
        }
    }

    fn in_base(&self, name: &SegmentRef) -> Option<&Segment> {
        let at = self.base.binary_search_by(|s| against(s, name)).ok()?;
        self.base.get(at)
    }

    /// Adds a segment, or replaces the one of the same name.
    pub fn insert(&mut self, segment: Segment) {
        let name = segment.reference();
        if let Some(known) = self.get(&name).map(|known| known.bucket) {
            self.count_out(known);
        }
        *self.buckets.entry(segment.bucket).or_default() += 1;
        self.changes.insert(name, Some(segment));
        self.fold_if_due();
    }

    /// Removes a segment; `false` if it is not there.
    pub fn remove(&mut self, name: &SegmentRef) -> bool {
        let Some(known) = self.get(name).map(|known| known.bucket) else {
            return false;
        };
        self.count_out(known);
        if self.in_base(name).is_some() {
            self.changes.insert(name.clone(), None);
        } else {
            self.changes.remove(name);
        }
        self.fold_if_due();
        true
    }

    /// Changes or removes (by `false`) each of them. The change must leave repository, end and
    /// id alone.
    pub(crate) fn retain_mut(&mut self, mut keep: impl FnMut(&mut Segment) -> bool) {
        let mut all = self.take_all();
        all.retain_mut(|segment| keep(segment));
        self.set_base(all);
    }

    /// One less in that bucket.
    fn count_out(&mut self, bucket: u32) {
        if let Some(count) = self.buckets.get_mut(&bucket) {
            *count -= 1;
            if *count == 0 {
                self.buckets.remove(&bucket);
            }
        }
    }

    /// Folds when the changes have become many.
    fn fold_if_due(&mut self) {
        if self.changes.len() > MIN_CHANGES_TO_FOLD + self.base.len() / 32 {
            self.base = Arc::new(self.take_all());
        }
    }

    /// Everything, in order; copies only what a clone still shares.
    fn take_all(&mut self) -> Vec<Segment> {
        if !self.changes.is_empty() {
            let all = self.iter().cloned().collect();
            self.changes.clear();
            return all;
        }
        match Arc::try_unwrap(std::mem::take(&mut self.base)) {
            Ok(own) => own,
            Err(shared) => shared.to_vec(),
        }
    }
}

fn order(a: &Segment, b: &Segment) -> Ordering {
    (&a.repository, a.end_ms, a.id).cmp(&(&b.repository, b.end_ms, b.id))
}

fn against(segment: &Segment, name: &SegmentRef) -> Ordering {
    (&segment.repository, segment.end_ms, segment.id).cmp(&(&name.repository, name.end_ms, name.id))
}

impl PartialEq for SegmentSet {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for SegmentSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} segments", self.len())
    }
}

impl<'a> IntoIterator for &'a SegmentSet {
    type Item = &'a Segment;
    type IntoIter = Box<dyn Iterator<Item = &'a Segment> + 'a>;
    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

/// Base and changes as one ordered sequence.
struct Merged<'a, C: Iterator<Item = (&'a SegmentRef, &'a Option<Segment>)>> {
    base: &'a [Segment],
    changes: Peekable<C>,
}

impl<'a, C: Iterator<Item = (&'a SegmentRef, &'a Option<Segment>)>> Merged<'a, C> {
    fn new(base: &'a [Segment], changes: C) -> Self {
        Self {
            base,
            changes: changes.peekable(),
        }
    }

    fn next_of_base(&mut self) -> Option<&'a Segment> {
        let (first, rest) = self.base.split_first()?;
        self.base = rest;
        Some(first)
    }
}

impl<'a, C: Iterator<Item = (&'a SegmentRef, &'a Option<Segment>)>> Iterator for Merged<'a, C> {
    type Item = &'a Segment;

    fn next(&mut self) -> Option<&'a Segment> {
        loop {
            let Some((name, _)) = self.changes.peek() else {
                return self.next_of_base();
            };
            match self.base.first().map(|segment| against(segment, name)) {
                Some(Ordering::Less) => return self.next_of_base(),
                Some(Ordering::Equal) => {
                    self.next_of_base();
                }
                Some(Ordering::Greater) | None => {}
            }
            if let Some((_, Some(segment))) = self.changes.next() {
                return Some(segment);
            }
        }
    }
}

#[cfg(test)]
mod tests;
