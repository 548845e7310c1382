//! The documents in memory, and changing them so that it can be undone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

use super::history::{Change, ChangeKind};
use crate::document::{self, MAX_DOCUMENT_BYTES, array, metadata_mut, size, text};
use crate::kind::Kind;
use crate::status::{ApiError, ApiResult};

/// A document that nobody changes any more.
pub(crate) type Document = Arc<Value>;

/// What tells a document from all others.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub kind: &'static Kind,
    /// Empty for what is in none.
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub(crate) fn new(kind: &'static Kind, namespace: &str, name: &str) -> Self {
        let namespace = if kind.namespaced { namespace } else { "" };
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    fn place(&self) -> (usize, (String, String)) {
        (
            self.kind.index(),
            (self.namespace.clone(), self.name.clone()),
        )
    }
}

type OfKind = BTreeMap<(String, String), Document>;

/// The documents of one kind.
#[derive(Debug, Clone, Default)]
struct Shelf {
    /// The kind as the last document was written in it; none before the first one.
    kind: Option<&'static Kind>,
    documents: OfKind,
}

/// All documents by kind, namespace and name. Kinds are added as documents of them come.
#[derive(Debug, Clone)]
pub(super) struct Documents(Vec<Shelf>);

impl Documents {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn of(&self, kind: usize) -> &OfKind {
        static NONE: OfKind = OfKind::new();
        self.0.get(kind).map_or(&NONE, |shelf| &shelf.documents)
    }

    fn shelves(&self) -> impl Iterator<Item = (&'static Kind, &OfKind)> {
        self.0
            .iter()
            .filter_map(|shelf| Some((shelf.kind?, &shelf.documents)))
    }

    fn key_of(&self, place: &(usize, String, String)) -> Option<Key> {
        let (kind, namespace, name) = place;
        Some(Key::new(self.0.get(*kind)?.kind?, namespace, name))
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Document> {
        let (kind, place) = key.place();
        self.of(kind).get(&place)
    }

    pub(super) fn insert(&mut self, key: &Key, document: Document) {
        let (kind, place) = key.place();
        if self.0.len() <= kind {
            self.0.resize_with(kind + 1, Shelf::default);
        }
        if let Some(shelf) = self.0.get_mut(kind) {
            shelf.kind = Some(key.kind);
            shelf.documents.insert(place, document);
        }
    }

    fn remove(&mut self, key: &Key) {
        let (kind, place) = key.place();
        if let Some(shelf) = self.0.get_mut(kind) {
            shelf.documents.remove(&place);
        }
    }

    /// Makes the change here too.
    pub(super) fn set(&mut self, change: &Change) {
        match change.kind {
            ChangeKind::Added | ChangeKind::Modified => {
                self.insert(&change.key, change.document.clone());
            }
            ChangeKind::Deleted => self.remove(&change.key),
        }
    }
}

/// The writer's copy of the world, with the changes since the last commit.
pub(crate) struct Transaction {
    documents: Documents,
    version: u64,
    changes: Vec<Change>,
    /// By the owner's uid, what says to be owned.
    owned: HashMap<String, BTreeSet<(usize, String, String)>>,
    /// Every uid there is.
    uids: HashMap<String, (usize, String, String)>,
    bytes: u64,
    limit: u64,
}

impl Transaction {
    pub(super) fn new(documents: Documents, version: u64, limit: u64) -> Self {
        let mut transaction = Self {
            documents: Documents::new(),
            version,
            changes: Vec::new(),
            owned: HashMap::new(),
            uids: HashMap::new(),
            bytes: 0,
            limit,
        };
        for (kind, documents) in documents.shelves() {
            for ((namespace, name), document) in documents {
                let key = Key::new(kind, namespace, name);
                let bytes = size(document);
                transaction.enter(&key, document.clone(), bytes);
            }
        }
        transaction
    }

    fn enter(&mut self, key: &Key, document: Document, bytes: u64) {
        let (kind, (namespace, name)) = key.place();
        let place = (kind, namespace, name);
        for owner in array(&document, "/metadata/ownerReferences") {
            self.owned
                .entry(text(owner, "/uid").to_owned())
                .or_default()
                .insert(place.clone());
        }
        self.uids.insert(document::uid(&document).to_owned(), place);
        self.bytes += bytes;
        self.documents.insert(key, document);
    }

    fn leave(&mut self, key: &Key, document: &Value, bytes: u64) {
        let (kind, (namespace, name)) = key.place();
        let place = (kind, namespace, name);
        for owner in array(document, "/metadata/ownerReferences") {
            let uid = text(owner, "/uid");
            if let Some(owned) = self.owned.get_mut(uid) {
                owned.remove(&place);
                if owned.is_empty() {
                    self.owned.remove(uid);
                }
            }
        }
        self.uids.remove(document::uid(document));
        self.bytes = self.bytes.saturating_sub(bytes);
        self.documents.remove(key);
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Document> {
        self.documents.get(key).cloned()
    }

    /// The documents of a kind, in one namespace or in all (empty).
    pub(crate) fn list(&self, kind: &'static Kind, namespace: &str) -> Vec<(Key, Document)> {
        self.documents
            .of(kind.index())
            .iter()
            .filter(|((place, _), _)| namespace.is_empty() || place == namespace)
            .map(|((place, name), document)| (Key::new(kind, place, name), document.clone()))
            .collect()
    }

    /// Everything in a namespace.
    pub(crate) fn contents(&self, namespace: &str) -> Vec<Key> {
        self.documents
            .shelves()
            .filter(|(kind, _)| kind.namespaced)
            .flat_map(|(kind, _)| self.list(kind, namespace))
            .map(|(key, _)| key)
            .collect()
    }

    /// Whether nothing is in a namespace.
    pub(crate) fn is_empty(&self, namespace: &str) -> bool {
        let from = (namespace.to_owned(), String::new());
        let mut shelves = self.documents.shelves();
        shelves.all(|(kind, documents)| {
            if !kind.namespaced {
                return true;
            }
            let next = documents.range(from.clone()..).next();
            next.is_none_or(|((place, _), _)| place != namespace)
        })
    }

    /// What says to be owned by this uid.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Key> {
        self.owned
            .get(uid)
            .into_iter()
            .flatten()
            .filter_map(|place| self.documents.key_of(place))
            .collect()
    }

    /// What has this uid.
    pub(crate) fn by_uid(&self, uid: &str) -> Option<Key> {
        self.documents.key_of(self.uids.get(uid)?)
    }

    /// Writes a document under a new version.
    pub(crate) fn put(&mut self, key: &Key, mut document: Value) -> Document {
        self.version += 1;
        metadata_mut(&mut document).insert(
            "resourceVersion".to_owned(),
            json!(self.version.to_string()),
        );
        let document = Arc::new(document);
        let bytes = size(&document);
        let previous = self.get(key);
        if let Some(previous) = &previous {
            let before = size(previous);
            self.leave(key, previous, before);
        }
        self.enter(key, document.clone(), bytes);
        self.changes.push(Change {
            version: self.version,
            kind: match previous {
                Some(_) => ChangeKind::Modified,
                None => ChangeKind::Added,
            },
            key: key.clone(),
            document: document.clone(),
            previous,
            bytes,
        });
        document
    }

    /// Removes a document. Its last state carries the version of the removal.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Document> {
        let previous = self.get(key)?;
        self.version += 1;
        let mut last = Value::clone(&previous);
        metadata_mut(&mut last).insert(
            "resourceVersion".to_owned(),
            json!(self.version.to_string()),
        );
        let last = Arc::new(last);
        let bytes = size(&previous);
        self.leave(key, &previous, bytes);
        self.changes.push(Change {
            version: self.version,
            kind: ChangeKind::Deleted,
            key: key.clone(),
            document: last.clone(),
            previous: Some(previous),
            bytes,
        });
        Some(last)
    }

    pub(super) fn mark(&self) -> usize {
        self.changes.len()
    }

    /// Forgets the changes after a mark. Their versions will be given again: nobody saw them.
    pub(super) fn undo_to(&mut self, mark: usize) {
        while self.changes.len() > mark
            && let Some(change) = self.changes.pop()
        {
            if change.kind != ChangeKind::Deleted {
                self.leave(&change.key, &change.document, change.bytes);
            }
            if let Some(previous) = change.previous {
                let bytes = size(&previous);
                self.enter(&change.key, previous, bytes);
            }
            self.version = change.version - 1;
        }
    }

    /// Whether what was written after a mark fits. An operation that only removes always does.
    pub(super) fn fits(&self, mark: usize) -> ApiResult<()> {
        let written = self.changes.get(mark..).unwrap_or_default();
        let mut written = written
            .iter()
            .filter(|change| change.kind != ChangeKind::Deleted)
            .peekable();
        if written.peek().is_some() && self.bytes > self.limit {
            return Err(ApiError::full(self.limit));
        }
        if written.any(|change| change.bytes > MAX_DOCUMENT_BYTES as u64) {
            return Err(ApiError::too_large(MAX_DOCUMENT_BYTES));
        }
        Ok(())
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }
}
