//! Whether every segment that the state names is in the bucket, with its size.
//!
//! By listing, not by asking for each: a million segments are a thousand pages. What is expected and
//! what is listed are two sorted sequences of ids, merged one repository at a time, so nothing is
//! held but the ids of the repositories that are under way (24 bytes a segment).
//!
//! Where all were counted a while ago, only what has come since is looked for: a repository without
//! any is passed over, and where there are few, each is asked for.

use std::collections::{BTreeMap, BTreeSet};

use backstay_bucket::{Bucket, Error, ObjectInfo};
use backstay_global::{RepositoryId, Segment, SegmentId, State};
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream};

/// Repositories that are listed at the same time.
const CONCURRENT_LISTINGS: usize = 4;
/// So many segments of a repository are asked for one by one. A page of a listing has 5000, and what
/// is asked for is a handful compared with what a repository has.
const MAX_SINGLE_LOOKUPS: usize = 64;
/// Segments that are asked for at the same time.
const CONCURRENT_LOOKUPS: usize = 8;
/// Objects that are named in a sentence.
const MAX_NAMED_OBJECTS: usize = 3;

/// What a count has come to.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// Segments that the state names.
    pub(crate) segments: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// So many of them were not looked for, because they were found before.
    pub(crate) before: u64,
    /// Those that are not there.
    pub(crate) missing: Mismatches,
    /// Those of another size.
    pub(crate) resized: Mismatches,
    /// Which of them are not as they should be, for whoever reads contents.
    pub(crate) bad: BTreeSet<SegmentId>,
    /// When the newest of them was written, by the store's clock.
    pub(crate) newest: Option<DateTime<Utc>>,
}

impl Counted {
    pub(crate) fn add(&mut self, other: Self) {
        self.segments += other.segments;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.before += other.before;
        self.missing.add(other.missing);
        self.resized.add(other.resized);
        self.bad.extend(other.bad);
        self.newest = self.newest.max(other.newest);
    }
}

/// How many, and the names of the first ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mismatches {
    pub(crate) count: u64,
    pub(crate) named: Vec<String>,
}

impl Mismatches {
    fn note(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.named.len() < MAX_NAMED_OBJECTS {
            self.named.push(what());
        }
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.named.extend(other.named);
        self.named.sort_unstable();
        self.named.dedup();
        self.named.truncate(MAX_NAMED_OBJECTS);
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

/// Counts one bucket's segments: those of the state that `is_there` says are in it. `before`: a state
/// whose segments were all found.
pub(crate) async fn count(
    bucket: &Bucket,
    state: &State,
    before: Option<&State>,
    is_there: impl Fn(&Segment) -> bool,
) -> backstay_bucket::Result<Counted> {
    let mut counted = Counted::default();
    let mut repositories: BTreeMap<&RepositoryId, usize> = BTreeMap::new();
    let is_known = |it: &Segment| before.is_some_and(|before| knows(before, it));
    for segment in state.segments.iter().filter(|it| is_there(it)) {
        if is_known(segment) {
            counted.before += 1;
            counted.segments += 1;
            counted.bytes = counted.bytes.saturating_add(segment.size);
        } else {
            *repositories.entry(&segment.repository).or_default() += 1;
        }
    }
    let (is_there, is_known) = (&is_there, &is_known);
    let each = stream::iter(repositories).map(|(repository, segments)| async move {
        let mut expected = Vec::with_capacity(segments);
        let all = state.segments.of(repository);
        let all = all.filter(|it| is_there(it) && !is_known(it));
        expected.extend(all.map(|it| (it.id, it.size)));
        let mut merge = Merge::new(repository.as_str(), expected);
        if before.is_some()
            && segments <= MAX_SINGLE_LOOKUPS
            && let Some(objects) = ask(bucket, &merge).await?
        {
            objects.iter().for_each(|object| merge.see(object));
            return Ok(merge.finish());
        }
        let mut objects = bucket.list(&merge.prefix, None);
        while let Some(object) = objects.try_next().await? {
            merge.see(&object);
        }
        Ok(merge.finish())
    });
    let mut each = each.buffer_unordered(CONCURRENT_LISTINGS);
    while let Some(one) = each.try_next().await? {
        counted.add(one);
    }
    Ok(counted)
}

/// Whether a state has this very segment, in the same bucket.
fn knows(before: &State, segment: &Segment) -> bool {
    let there = before.segments.get(&segment.reference());
    there.is_some_and(|it| (it.bucket, it.size) == (segment.bucket, segment.size))
}

/// Asks for each of the expected objects; answers with those that are there, by ascending id. `None`
/// when one of them is of a size that only a listing tells.
async fn ask(bucket: &Bucket, merge: &Merge) -> backstay_bucket::Result<Option<Vec<ObjectInfo>>> {
    let expected = merge.next.iter().chain(merge.expected.as_slice());
    let keys: Vec<String> = expected
        .map(|(id, _)| format!("{}{id}", merge.prefix))
        .collect();
    let asked = stream::iter(keys).map(|key| async move {
        match bucket.head(&key).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    });
    let found: Result<Vec<_>, Error> = asked.buffered(CONCURRENT_LOOKUPS).try_collect().await;
    match found {
        Ok(found) => Ok(Some(found.into_iter().flatten().collect())),
        Err(Error::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
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
