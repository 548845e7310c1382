//! The remembered changes of one kind, within bounds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::world::{Document, Key};

/// The documents that the changes of one kind keep alive, as JSON.
const MAX_BYTES: u64 = 16 << 20;

/// What happened to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One change.
#[derive(Debug)]
pub(crate) struct Change {
    pub version: u64,
    pub kind: ChangeKind,
    pub key: Key,
    /// As it is now; of what was deleted, as it last was.
    pub document: Document,
    pub previous: Option<Document>,
    /// The document's length as JSON.
    pub bytes: u64,
}

pub(super) struct History {
    changes: VecDeque<Arc<Change>>,
    /// Everything after this version is remembered.
    floor: u64,
    bytes: u64,
    limit: usize,
}

impl History {
    pub(super) fn new(floor: u64, limit: usize) -> Self {
        Self {
            changes: VecDeque::new(),
            floor,
            bytes: 0,
            limit,
        }
    }

    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    pub(super) fn push(&mut self, change: Change) {
        self.bytes += change.bytes;
        self.changes.push_back(Arc::new(change));
        while (self.changes.len() > self.limit || self.bytes > MAX_BYTES)
            && let Some(oldest) = self.changes.pop_front()
        {
            self.bytes -= oldest.bytes;
            self.floor = oldest.version;
        }
    }

    fn first_after(&self, version: u64) -> Option<usize> {
        let first = self
            .changes
            .partition_point(|change| change.version <= version);
        (version >= self.floor).then_some(first)
    }

    /// At most `limit` changes after `version`; none where some of them are forgotten.
    pub(super) fn after(&self, version: u64, limit: usize) -> Option<Vec<Arc<Change>>> {
        let first = self.first_after(version)?;
        Some(self.changes.range(first..).take(limit).cloned().collect())
    }

    /// The documents as they were at `version`, where that is still known.
    pub(super) fn back_to(
        &self,
        version: u64,
        current: &BTreeMap<(String, String), Document>,
    ) -> Option<BTreeMap<(String, String), Document>> {
        let first = self.first_after(version)?;
        let mut documents = current.clone();
        for change in self.changes.range(first..).rev() {
            let place = (change.key.namespace.clone(), change.key.name.clone());
            match &change.previous {
                Some(previous) => documents.insert(place, previous.clone()),
                None => documents.remove(&place),
            };
        }
        Some(documents)
    }
}
