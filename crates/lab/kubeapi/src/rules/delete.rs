//! Deleting: at once, or in steps where finalizers or a running pod ask for it.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use super::cascade;
use super::existing;
use crate::document::{self, finalizers, is_deleting, metadata_mut, text, timestamp};
use crate::status::{ApiError, ApiResult, deleted};
use crate::store::{Document, Key, Transaction};

/// Waits for a document's dependents to be gone first.
pub(super) const FOREGROUND: &str = "foregroundDeletion";

/// What becomes of what a document owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// It is deleted after its owner.
    Background,
    /// It is deleted before its owner.
    Foreground,
    /// It stays.
    Orphan,
}

/// What must be so for a deletion to happen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Preconditions {
    pub uid: Option<String>,
    pub version: Option<String>,
}

/// What a deletion asks for.
#[derive(Debug, Clone)]
pub(crate) struct Deletion {
    /// Seconds a pod is given to end, instead of its own number.
    pub grace: Option<i64>,
    pub propagation: Propagation,
    pub preconditions: Preconditions,
    pub now: DateTime<Utc>,
}

/// How far a deletion has come.
#[derive(Debug, Clone)]
pub(crate) enum Deleted {
    /// It is gone; this was its last state.
    Gone(Document),
    /// It is marked, and goes when its finalizers, its dependents or its runner are done.
    Marked(Document),
}

impl Deleted {
    /// The body of the answer.
    pub(crate) fn answer(&self, key: &Key) -> Value {
        match self {
            // As kube-apiserver: what has a graceful end is answered with its last state.
            Self::Gone(last) if key.kind.graceful => Value::clone(last),
            Self::Gone(last) => deleted(key.kind, &key.name, document::uid(last)),
            Self::Marked(document) => Value::clone(document),
        }
    }
}

/// Deletes a document, or marks it to be deleted.
pub(crate) fn delete(
    transaction: &mut Transaction,
    key: &Key,
    deletion: &Deletion,
) -> ApiResult<Deleted> {
    let old = existing(transaction, key)?;
    preconditions(key, &old, &deletion.preconditions)?;
    if key.kind.plural == "namespaces" && key.kind.group.is_empty() {
        return Ok(cascade::end_namespace(transaction, key, &old, deletion.now));
    }

    if key.kind.defines() {
        return Ok(cascade::end_definition(
            transaction,
            key,
            &old,
            deletion.now,
        ));
    }

    let uid = document::uid(&old).to_owned();
    match deletion.propagation {
        Propagation::Orphan => cascade::release(transaction, &uid),
        Propagation::Foreground => {
            let marked = mark(transaction, key, &old, 0, true, deletion.now);
            cascade::foreground(transaction, key, deletion.now);
            return Ok(match transaction.get(key) {
                Some(document) => Deleted::Marked(document),
                None => Deleted::Gone(marked),
            });
        }
        Propagation::Background => {}
    }

    let grace = grace_of(key, &old, deletion.grace);
    let blocked = !finalizers(&old).is_empty();
    if blocked || grace > 0 {
        let already = is_deleting(&old);
        let shorter = old
            .pointer("/metadata/deletionGracePeriodSeconds")
            .and_then(Value::as_i64)
            .is_none_or(|before| grace < before);
        if already && !shorter {
            return Ok(Deleted::Marked(old));
        }
        let marked = mark(transaction, key, &old, grace, false, deletion.now);
        return Ok(Deleted::Marked(marked));
    }
    match cascade::remove(transaction, key, deletion.now) {
        Some(last) => Ok(Deleted::Gone(last)),
        None => Err(ApiError::not_found(key.kind, &key.name)),
    }
}

fn preconditions(key: &Key, old: &Value, wanted: &Preconditions) -> ApiResult<()> {
    let failed = |what: &str, wanted: &str, found: &str| {
        Err(ApiError::conflict(
            key.kind,
            &key.name,
            &format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
            ),
        ))
    };
    if let Some(uid) = &wanted.uid
        && uid != document::uid(old)
    {
        return failed("UID", uid, document::uid(old));
    }
    let version = text(old, "/metadata/resourceVersion");
    if let Some(wanted) = &wanted.version
        && wanted != version
    {
        return failed("ResourceVersion", wanted, version);
    }
    Ok(())
}

/// The seconds that a document is given to end. Only a pod that is placed on a node and has not
/// ended gets any: for all others there is nobody who would end it.
fn grace_of(key: &Key, old: &Value, asked: Option<i64>) -> i64 {
    let runs = key.kind.graceful
        && !text(old, "/spec/nodeName").is_empty()
        && !matches!(text(old, "/status/phase"), "Succeeded" | "Failed");
    if !runs {
        return 0;
    }
    let own = old
        .pointer("/spec/terminationGracePeriodSeconds")
        .and_then(Value::as_i64);
    asked.or(own).unwrap_or(30).max(0)
}

/// Writes that a document is to be deleted.
pub(super) fn mark(
    transaction: &mut Transaction,
    key: &Key,
    old: &Document,
    grace: i64,
    foreground: bool,
    now: DateTime<Utc>,
) -> Document {
    let mut marked = Value::clone(old);
    let mut all: Vec<&str> = finalizers(old);
    if foreground && !all.contains(&FOREGROUND) {
        all.push(FOREGROUND);
    }
    let metadata = metadata_mut(&mut marked);
    if !all.is_empty() {
        metadata.insert("finalizers".into(), json!(all));
    }
    // Far beyond any grace a person waits for, and within what a date can be.
    let ends = now + Duration::seconds(grace.clamp(0, 1 << 31));
    metadata.insert("deletionTimestamp".into(), json!(timestamp(ends)));
    metadata.insert("deletionGracePeriodSeconds".into(), json!(grace));
    if let Some(generation) = metadata.get("generation").and_then(Value::as_u64)
        && !is_deleting(old)
    {
        metadata.insert("generation".into(), json!(generation + 1));
    }
    if marked == **old {
        return old.clone();
    }
    transaction.put(key, marked)
}
