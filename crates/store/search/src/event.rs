//! One event, as it travels from ingest through the journal into a segment.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::memory::allocated;
use crate::work;

/// Name of the field that holds the time, in ms since 1970.
pub(crate) const TIMESTAMP: &str = "@timestamp";
/// Name of the field that holds the original text.
pub(crate) const RAW: &str = "@rawstring";
/// Name of the field that holds the identity.
pub(crate) const ID: &str = "@id";

/// Names among which one is looked for one by one.
const MAX_LINEAR_SEARCH_NAMES: usize = 32;

/// One event.
///
/// A name is looked up in this order: `@timestamp`, `@rawstring` and `@id` are always the members
/// of that name; then the tags (queries write them `#name`); then the fields. Of two entries with
/// one name the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened, ms since 1970.
    pub timestamp_ms: i64,
    /// The original text of the event.
    pub raw: String,
    /// Its identity (`@id`); unique in a cluster.
    pub id: String,
    /// Tags, without the leading `#` (one that is there is ignored).
    pub tags: Vec<(String, String)>,
    /// Fields that a parser found.
    pub fields: Vec<(String, String)>,
}

impl Event {
    /// What it takes in memory, in bytes, with what an allocator adds.
    pub fn memory_bytes(&self) -> usize {
        let pairs = self.tags.iter().chain(&self.fields);
        let texts: usize = pairs
            .map(|(name, value)| allocated(name.capacity()) + allocated(value.capacity()))
            .sum();
        size_of::<Self>()
            + allocated(self.raw.capacity())
            + allocated(self.id.capacity())
            + allocated(self.tags.capacity() * size_of::<(String, String)>())
            + allocated(self.fields.capacity() * size_of::<(String, String)>())
            + texts
    }

    /// The value of a field, a tag (`#name`) or one of the `@` members.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            TIMESTAMP => return Some(Cow::Owned(self.timestamp_ms.to_string())),
            RAW => return Some(Cow::Borrowed(&self.raw)),
            ID => return Some(Cow::Borrowed(&self.id)),
            _ => {}
        }
        let tag = name.strip_prefix('#').and_then(|tag| {
            self.tags
                .iter()
                .find(|(key, _)| key.strip_prefix('#').unwrap_or(key) == tag)
        });
        tag.or_else(|| self.fields.iter().find(|(key, _)| key == name))
            .map(|(_, value)| Cow::Borrowed(value.as_str()))
    }

    /// Tags and fields under the names that queries use, each name once.
    pub(crate) fn attributes(&self) -> Vec<(Cow<'_, str>, &str)> {
        let tags = self.tags.iter().map(|(key, value)| {
            let name = if key.starts_with('#') {
                Cow::Borrowed(key.as_str())
            } else {
                Cow::Owned(format!("#{key}"))
            };
            (name, value.as_str())
        });
        let fields = self
            .fields
            .iter()
            .filter(|(key, _)| ![TIMESTAMP, RAW, ID].contains(&key.as_str()))
            .map(|(key, value)| (Cow::Borrowed(key.as_str()), value.as_str()));
        let most = self.tags.len() + self.fields.len();
        let mut all: Vec<(Cow<'_, str>, &str)> = Vec::with_capacity(most);
        // For few names a look at each is faster than a set; what others send may have hundreds
        // of thousands.
        let mut seen: Option<HashSet<Cow<'_, str>>> =
            (most > MAX_LINEAR_SEARCH_NAMES).then(|| HashSet::with_capacity(most));
        for (name, value) in tags.chain(fields) {
            let is_new = if let Some(seen) = &mut seen {
                work::add(1);
                seen.insert(name.clone())
            } else {
                work::add(all.len());
                !all.iter().any(|(known, _)| *known == name)
            };
            if is_new {
                all.push((name, value));
            }
        }
        all
    }

    /// Bytes of all its texts.
    pub(crate) fn bytes(&self) -> usize {
        let named = self.fields.iter().chain(&self.tags);
        let named = named.map(|(name, value)| name.len() + value.len());
        self.raw.len() + self.id.len() + named.sum::<usize>()
    }
}
