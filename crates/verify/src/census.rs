//! Whether every segment that the state names is in the bucket, with its size.
//!
//! By listing, not by asking for each: a million segments are a thousand pages. What is expected and
//! what is listed are two sorted sequences of ids, merged one repository at a time, so nothing is
//! held but the ids of the repositories that are under way (24 bytes a segment).

use std::collections::{BTreeMap, BTreeSet};

use backstay_bucket::{Bucket, ObjectInfo};
use backstay_global::{RepositoryId, Segment, SegmentId, State};
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream};

/// Repositories that are listed at the same time.
const AT_ONCE: usize = 4;
/// Objects that are named in a sentence.
const NAMED: usize = 3;

/// What a count has come to.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// Segments that the state names.
    pub(crate) segments: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Those that are not there.
    pub(crate) missing: Shortcomings,
    /// Those of another size.
    pub(crate) resized: Shortcomings,
    /// Which of them are not as they should be, for whoever reads contents.
    pub(crate) bad: BTreeSet<SegmentId>,
    /// When the newest of them was written, by the store's clock.
    pub(crate) newest: Option<DateTime<Utc>>,
}

impl Counted {
    pub(crate) fn add(&mut self, other: Self) {
        self.segments += other.segments;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.missing.add(other.missing);
        self.resized.add(other.resized);
        self.bad.extend(other.bad);
        self.newest = self.newest.max(other.newest);
    }
}

/// How many, and the names of the first ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shortcomings {
    pub(crate) count: u64,
    pub(crate) named: Vec<String>,
}

impl Shortcomings {
    fn note(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(what());
        }
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.named.extend(other.named);
        self.named.sort_unstable();
        self.named.dedup();
        self.named.truncate(NAMED);
    }

    /// `2 (a, b)`, `1000 (a, b, c, …)`.
    pub(crate) fn described(&self) -> String {
        let more = if self.count > self.named.len() as u64 {
            ", …"
        } else {
            ""
        };
        format!("{} ({}{more})", self.count, self.named.join(", "))
    }
}

/// Counts one bucket's segments: those that the state says are in the bucket entities `ids`.
pub(crate) async fn count(
    bucket: &Bucket,
    state: &State,
    is_there: impl Fn(&Segment) -> bool,
) -> backstay_bucket::Result<Counted> {
    let mut repositories: BTreeMap<&RepositoryId, usize> = BTreeMap::new();
    for segment in state.segments.iter().filter(|it| is_there(it)) {
        *repositories.entry(&segment.repository).or_default() += 1;
    }
    let is_there = &is_there;
    let each = stream::iter(repositories).map(|(repository, segments)| async move {
        let mut expected = Vec::with_capacity(segments);
        let all = state.segments.of(repository).filter(|it| is_there(it));
        expected.extend(all.map(|it| (it.id, it.size)));
        let mut merge = Merge::new(repository.as_str(), expected);
        let mut objects = bucket.list(&merge.prefix, None);
        while let Some(object) = objects.try_next().await? {
            merge.see(&object);
        }
        Ok(merge.finish())
    });
    let mut counted = Counted::default();
    let mut each = each.buffer_unordered(AT_ONCE);
    while let Some(one) = each.try_next().await? {
        counted.add(one);
    }
    Ok(counted)
}

/// The merge of one repository's expected segments with the objects that are listed.
struct Merge {
    prefix: String,
    /// Ids and sizes, by ascending id, which is the order of their names.
    expected: std::vec::IntoIter<(SegmentId, u64)>,
    next: Option<(SegmentId, u64)>,
    counted: Counted,
}

impl Merge {
    fn new(repository: &str, mut expected: Vec<(SegmentId, u64)>) -> Self {
        expected.sort_unstable();
        let mut expected = expected.into_iter();
        Self {
            prefix: format!("segments/{repository}/"),
            next: expected.next(),
            expected,
            counted: Counted::default(),
        }
    }

    /// The next object of the listing. One that is no segment of ours, or that the state does not
    /// name (yet), is passed over.
    fn see(&mut self, object: &ObjectInfo) {
        let name = object.key.strip_prefix(&self.prefix);
        let Some(id) = name.and_then(|name| name.parse::<SegmentId>().ok()) else {
            return;
        };
        while let Some((next, size)) = self.next {
            if next > id {
                return;
            }
            self.next = self.expected.next();
            self.counted.segments += 1;
            self.counted.bytes = self.counted.bytes.saturating_add(size);
            if next < id {
                self.miss(next);
                continue;
            }
            self.counted.newest = self.counted.newest.max(Some(object.modified));
            if object.size != size {
                self.counted.bad.insert(id);
                let Self {
                    counted, prefix, ..
                } = self;
                counted
                    .resized
                    .note(|| format!("{prefix}{id}: {} bytes instead of {size}", object.size));
            }
            return;
        }
    }

    fn miss(&mut self, id: SegmentId) {
        let Self {
            counted, prefix, ..
        } = self;
        counted.bad.insert(id);
        counted.missing.note(|| format!("{prefix}{id}"));
    }

    fn finish(mut self) -> Counted {
        while let Some((next, size)) = self.next {
            self.next = self.expected.next();
            self.counted.segments += 1;
            self.counted.bytes = self.counted.bytes.saturating_add(size);
            self.miss(next);
        }
        self.counted
    }
}

#[cfg(test)]
mod tests;
