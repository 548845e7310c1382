//! What follows from a removal: dependents go or are released, owners that waited for them go,
//! namespaces that are empty at last go. Kubernetes leaves this to its garbage collector; here it
//! is part of the same step.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::delete::{Deleted, Deletion, FOREGROUND, Preconditions, Propagation, delete, mark};
use crate::definition::{self, CLEANUP};
use crate::document::{self, array, finalizers, is_deleting, metadata_mut, text};
use crate::kind;
use crate::store::{Document, Key, Transaction};

/// Removes a document, and all that follows. Answers with its last state.
///
/// What follows is a queue and not a recursion: chains of owners may be long.
pub(super) fn remove(
    transaction: &mut Transaction,
    key: &Key,
    now: DateTime<Utc>,
) -> Option<Document> {
    let last = transaction.remove(key)?;
    let mut removed = VecDeque::from([last.clone()]);
    while let Some(gone) = removed.pop_front() {
        for dependent in transaction.dependents(document::uid(&gone)) {
            if let Some(last) = drop_dependent(transaction, &dependent, now) {
                removed.push_back(last);
            }
        }
        for owner in array(&gone, "/metadata/ownerReferences") {
            if let Some(owner) = transaction.by_uid(text(owner, "/uid"))
                && let Some(last) = finish_foreground(transaction, &owner)
            {
                removed.push_back(last);
            }
        }
        if let Some(last) = finish_namespace(transaction, document::namespace(&gone)) {
            removed.push_back(last);
        }
        finish_definitions(transaction);
    }
    Some(last)
}

/// A dependent of an owner that is gone: it stays while another owner is there.
fn drop_dependent(
    transaction: &mut Transaction,
    key: &Key,
    now: DateTime<Utc>,
) -> Option<Document> {
    let document = transaction.get(key)?;
    if has_owner(transaction, &document) {
        let kept: Vec<Value> = array(&document, "/metadata/ownerReferences")
            .iter()
            .filter(|owner| transaction.by_uid(text(owner, "/uid")).is_some())
            .cloned()
            .collect();
        let mut changed = Value::clone(&document);
        metadata_mut(&mut changed).insert("ownerReferences".into(), json!(kept));
        transaction.put(key, changed);
        return None;
    }
    let grace = text(&document, "/spec/nodeName");
    let ends_slowly = key.kind.graceful && !grace.is_empty();
    if ends_slowly || !finalizers(&document).is_empty() {
        // It is marked only: nothing is removed yet, so nothing follows yet.
        if !is_deleting(&document) {
            let _ = delete(transaction, key, &in_background(now));
        }
        return None;
    }
    transaction.remove(key)
}

fn in_background(now: DateTime<Utc>) -> Deletion {
    Deletion {
        grace: None,
        propagation: Propagation::Background,
        preconditions: Preconditions::default(),
        now,
    }
}

fn has_owner(transaction: &Transaction, document: &Value) -> bool {
    array(document, "/metadata/ownerReferences")
        .iter()
        .any(|owner| transaction.by_uid(text(owner, "/uid")).is_some())
}

/// Deletes a new document whose owners are all gone already.
pub(super) fn orphaned(transaction: &mut Transaction, key: &Key, now: DateTime<Utc>) {
    if let Some(document) = transaction.get(key)
        && !array(&document, "/metadata/ownerReferences").is_empty()
        && !has_owner(transaction, &document)
    {
        let _ = delete(transaction, key, &in_background(now));
    }
}

/// After an update: a document that was only waiting for its finalizers goes.
pub(super) fn unblocked(transaction: &mut Transaction, key: &Key, now: DateTime<Utc>) {
    let Some(document) = transaction.get(key) else {
        return;
    };
    if !is_deleting(&document) || !finalizers(&document).is_empty() {
        return;
    }
    if key.kind.kind == "Namespace" {
        if transaction.is_empty(&key.name) {
            remove(transaction, key, now);
        }
        return;
    }
    let still_ending = key.kind.graceful
        && document
            .pointer("/metadata/deletionGracePeriodSeconds")
            .and_then(Value::as_i64)
            .is_some_and(|grace| grace > 0);
    if !still_ending {
        remove(transaction, key, now);
    }
}

/// Takes an owner out of all that it owns.
pub(super) fn release(transaction: &mut Transaction, uid: &str) {
    for key in transaction.dependents(uid) {
        let Some(document) = transaction.get(&key) else {
            continue;
        };
        let kept: Vec<Value> = array(&document, "/metadata/ownerReferences")
            .iter()
            .filter(|owner| text(owner, "/uid") != uid)
            .cloned()
            .collect();
        let mut changed = Value::clone(&document);
        let metadata = metadata_mut(&mut changed);
        if kept.is_empty() {
            metadata.remove("ownerReferences");
        } else {
            metadata.insert("ownerReferences".into(), json!(kept));
        }
        transaction.put(&key, changed);
    }
}

fn blocks(document: &Value, owner: &str) -> bool {
    array(document, "/metadata/ownerReferences")
        .iter()
        .any(|reference| {
            text(reference, "/uid") == owner && reference["blockOwnerDeletion"] == true
        })
}

/// Deletes what a marked document owns, the same way, and then the document where nothing that
/// blocks it is left.
pub(super) fn foreground(transaction: &mut Transaction, key: &Key, now: DateTime<Utc>) {
    let mut owners = VecDeque::from([key.clone()]);
    let mut marked = Vec::new();
    while let Some(owner) = owners.pop_front() {
        let Some(document) = transaction.get(&owner) else {
            continue;
        };
        for dependent in transaction.dependents(document::uid(&document)) {
            let Some(found) = transaction.get(&dependent) else {
                continue;
            };
            if is_deleting(&found) {
                continue;
            }
            if transaction.dependents(document::uid(&found)).is_empty() {
                let _ = delete(transaction, &dependent, &in_background(now));
            } else {
                mark(transaction, &dependent, &found, 0, true, now);
                owners.push_back(dependent);
            }
        }
        marked.push(owner);
    }
    // The deepest first: each removal may unblock the one above it.
    for owner in marked.into_iter().rev() {
        settle_foreground(transaction, &owner, now);
    }
}

fn settle_foreground(transaction: &mut Transaction, key: &Key, now: DateTime<Utc>) {
    if let Some(freed) = without_foreground(transaction, key) {
        if finalizers(&freed).is_empty() {
            remove(transaction, key, now);
        } else {
            transaction.put(key, freed);
        }
    }
}

/// The document without the finalizer, where nothing blocks it any more.
fn without_foreground(transaction: &Transaction, key: &Key) -> Option<Value> {
    let document = transaction.get(key)?;
    let all = finalizers(&document);
    if !is_deleting(&document) || !all.contains(&FOREGROUND) {
        return None;
    }
    let uid = document::uid(&document);
    let blocked = transaction.dependents(uid).iter().any(|dependent| {
        transaction
            .get(dependent)
            .is_some_and(|dependent| blocks(&dependent, uid))
    });
    if blocked {
        return None;
    }
    let rest: Vec<&str> = all.into_iter().filter(|f| *f != FOREGROUND).collect();
    let mut freed = Value::clone(&document);
    metadata_mut(&mut freed).insert("finalizers".into(), json!(rest));
    Some(freed)
}

fn finish_foreground(transaction: &mut Transaction, key: &Key) -> Option<Document> {
    let freed = without_foreground(transaction, key)?;
    if finalizers(&freed).is_empty() {
        transaction.remove(key)
    } else {
        transaction.put(key, freed);
        None
    }
}

/// Deletes a namespace with all that is in it.
pub(super) fn end_namespace(
    transaction: &mut Transaction,
    key: &Key,
    old: &Document,
    now: DateTime<Utc>,
) -> Deleted {
    let mut marked = mark(transaction, key, old, 0, false, now);
    if text(&marked, "/status/phase") != "Terminating" {
        let mut ending = Value::clone(&marked);
        document::object_mut(&mut ending, "status").insert("phase".into(), json!("Terminating"));
        marked = transaction.put(key, ending);
    }
    for inside in transaction.contents(&key.name) {
        let _ = delete(transaction, &inside, &in_background(now));
    }
    finish_namespace(transaction, &key.name);
    match transaction.get(key) {
        Some(document) => Deleted::Marked(document),
        // kube-apiserver never removes a namespace within the request; `kubectl` expects it back.
        None => Deleted::Marked(marked),
    }
}

/// Deletes a definition with all documents of its kind. It stays until the last one is gone.
pub(super) fn end_definition(
    transaction: &mut Transaction,
    key: &Key,
    old: &Document,
    now: DateTime<Utc>,
) -> Deleted {
    let mut marked = mark(transaction, key, old, 0, false, now);
    if !finalizers(&marked).contains(&CLEANUP) {
        let mut ending = Value::clone(&marked);
        definition::ending(&mut ending, now);
        marked = transaction.put(key, ending);
    }
    if let Some(kind) = definition::kinds_of(&marked).first() {
        for (instance, _) in transaction.list(kind, "") {
            let _ = delete(transaction, &instance, &in_background(now));
        }
    }
    finish_definitions(transaction);
    match transaction.get(key) {
        Some(document) => Deleted::Marked(document),
        None => Deleted::Gone(marked),
    }
}

/// Removes the definitions that are ending and have no documents any more.
fn finish_definitions(transaction: &mut Transaction) {
    let Some(definitions) = definition::definitions() else {
        return;
    };
    for (key, document) in transaction.list(definitions, "") {
        let over = is_deleting(&document)
            && finalizers(&document) == [CLEANUP]
            && definition::kinds_of(&document)
                .first()
                .is_none_or(|kind| transaction.list(kind, "").is_empty());
        if over {
            transaction.remove(&key);
        }
    }
}

fn finish_namespace(transaction: &mut Transaction, namespace: &str) -> Option<Document> {
    if namespace.is_empty() {
        return None;
    }
    let key = Key::new(kind::find("", "v1", "namespaces")?, "", namespace);
    let document = transaction.get(&key)?;
    let over = is_deleting(&document)
        && finalizers(&document).is_empty()
        && transaction.is_empty(namespace);
    if over { transaction.remove(&key) } else { None }
}
