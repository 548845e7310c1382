//! What a write does to a document: the rules that all kinds share. Each is an operation on a
//! [`Transaction`], so it sees one state and happens whole.

mod cascade;
mod check;
mod delete;
mod fields;
mod scale;

use chrono::{DateTime, Utc};
use rand::RngExt as _;
use serde_json::{Map, Value, json};

pub(crate) use fields::{Validation, Warnings};

pub(crate) use delete::{Deleted, Deletion, Preconditions, Propagation, delete};
use scale::rescaled;
pub(crate) use scale::scale_of;

use crate::definition;
use crate::document::{self, as_object, fill, metadata_mut, text, timestamp};
use crate::kind::Kind;
use crate::managed::{self, Manager};
use crate::patch::Patch;
use crate::status::{ApiError, ApiResult};
use crate::store::{Document, Key, Transaction};

/// Which part of a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All but the status, where the kind keeps that apart.
    Main,
    /// Only the status.
    Status,
    /// Only `spec.replicas`, given as a `Scale`.
    Scale,
}

impl Part {
    pub(crate) fn subresource(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Scale => "scale",
        }
    }
}

/// Who writes, and when.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    pub manager: Manager,
    pub now: DateTime<Utc>,
    /// What becomes of fields that the kind does not have.
    pub validation: Validation,
    /// Where to put what the sender should know and is no error.
    pub warnings: Warnings,
}

impl Writer {
    fn time(&self) -> String {
        timestamp(self.now)
    }
}

/// What server-side apply wants.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub document: Value,
    /// Take over what others own.
    pub force: bool,
}

/// How often a generated name that is taken is generated again.
const MAX_NAME_ATTEMPTS: usize = 8;

/// Makes a document.
pub(crate) fn create(
    transaction: &mut Transaction,
    kind: &'static Kind,
    namespace: &str,
    body: Value,
    writer: &Writer,
) -> ApiResult<Document> {
    let (key, mut body) = prepare(transaction, kind, namespace, body, writer)?;
    managed::book_update(kind, None, &mut body, &writer.manager, &writer.time());
    let made = transaction.put(&key, body);
    cascade::orphaned(transaction, &key, writer.now);
    Ok(made)
}

/// A new document as it will be, except for the owners of its fields.
fn prepare(
    transaction: &Transaction,
    kind: &'static Kind,
    namespace: &str,
    mut body: Value,
    writer: &Writer,
) -> ApiResult<(Key, Value)> {
    adopt(kind, namespace, &mut body)?;
    fields::of_body(kind, &mut body, writer)?;
    if !text(&body, "/metadata/resourceVersion").is_empty() {
        return Err(ApiError::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    let key = name_it(transaction, kind, namespace, &mut body)?;
    admit(transaction, &key)?;

    let metadata = metadata_mut(&mut body);
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "managedFields",
    ] {
        metadata.remove(field);
    }
    metadata.insert("uid".into(), json!(uuid::Uuid::new_v4().to_string()));
    metadata.insert("creationTimestamp".into(), json!(writer.time()));
    if kind.generation {
        metadata.insert("generation".into(), json!(1));
    }
    if kind.status {
        as_object(&mut body).remove("status");
    }
    normalise(kind, &mut body);
    check::document(kind, &key.name, &body, None)?;
    if kind.defines() {
        definition::settle(transaction, &mut body, writer.now);
    }
    Ok((key, body))
}

/// Replaces a part of a document.
pub(crate) fn update(
    transaction: &mut Transaction,
    key: &Key,
    part: Part,
    mut body: Value,
    writer: &Writer,
) -> ApiResult<Document> {
    let old = existing(transaction, key)?;
    if part == Part::Scale {
        body = rescaled(key, &old, &body)?;
    } else {
        adopt(key.kind, &key.namespace, &mut body)?;
        fields::of_body(key.kind, &mut body, writer)?;
    }
    let name = document::name(&body);
    if name != key.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            key.name
        )));
    }
    if key.kind.custom && text(&body, "/metadata/resourceVersion").is_empty() {
        let missing = check::no_version();
        return Err(ApiError::invalid(key.kind, &key.name, &[missing]));
    }
    replace(transaction, key, part, &old, body, Some(writer), writer.now)
}

/// Changes a document by a patch.
pub(crate) fn patch(
    transaction: &mut Transaction,
    key: &Key,
    part: Part,
    patch: &Patch,
    writer: &Writer,
) -> ApiResult<Document> {
    let old = existing(transaction, key)?;
    let body = if part == Part::Scale {
        let scale = patch.apply(key.kind, &scale_of(&old))?;
        rescaled(key, &old, &scale)?
    } else {
        let old = fields::as_known(key.kind, &old);
        let mut body = patch.apply(key.kind, &old)?;
        adopt(key.kind, &key.namespace, &mut body)?;
        fields::of_patched(key.kind, &mut body, writer)?;
        body
    };
    if document::name(&body) != key.name {
        let changed = check::changed_name(document::name(&body));
        return Err(ApiError::invalid(key.kind, &key.name, &[changed]));
    }
    replace(transaction, key, part, &old, body, Some(writer), writer.now)
}

/// Server-side apply. Also says whether the document is new.
pub(crate) fn apply(
    transaction: &mut Transaction,
    key: &Key,
    part: Part,
    mut wanted: Wanted,
    writer: &Writer,
) -> ApiResult<(Document, bool)> {
    if part == Part::Scale {
        return Err(ApiError::bad_request(
            "apply patch on scale is not supported; use a merge patch",
        ));
    }
    adopt(key.kind, &key.namespace, &mut wanted.document)?;
    fields::of_applied(key, &mut wanted.document, writer)?;
    // Before it is merged: what is only for writing is no part of a document, and has no owner.
    keep_texts(key.kind, &mut wanted.document);
    let metadata = metadata_mut(&mut wanted.document);
    if metadata.contains_key("managedFields") {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    if document::name(&wanted.document) != key.name {
        metadata_mut(&mut wanted.document).insert("name".into(), json!(key.name));
    }
    let time = writer.time();
    let Some(old) = transaction.get(key) else {
        if part != Part::Main {
            return Err(ApiError::not_found(key.kind, &key.name));
        }
        let (kind, namespace) = (key.kind, &key.namespace);
        let wanted = wanted.document;
        let (key, body) = prepare(transaction, kind, namespace, wanted.clone(), writer)?;
        let body = managed::apply(kind, &body, &wanted, &writer.manager, true, &time)?;
        let made = transaction.put(&key, body);
        cascade::orphaned(transaction, &key, writer.now);
        return Ok((made, true));
    };
    let wants_version = text(&wanted.document, "/metadata/resourceVersion").to_owned();
    if key.kind.status {
        let other = if part == Part::Status {
            "spec"
        } else {
            "status"
        };
        as_object(&mut wanted.document).remove(other);
    }
    for field in ["resourceVersion", "uid", "creationTimestamp", "generation"] {
        metadata_mut(&mut wanted.document).remove(field);
    }
    let mut body = managed::apply(
        key.kind,
        &old,
        &wanted.document,
        &writer.manager,
        wanted.force,
        &time,
    )?;
    if !wants_version.is_empty() {
        metadata_mut(&mut body).insert("resourceVersion".into(), json!(wants_version));
    }
    let written = replace(transaction, key, part, &old, body, None, writer.now)?;
    Ok((written, false))
}

fn existing(transaction: &Transaction, key: &Key) -> ApiResult<Document> {
    transaction
        .get(key)
        .ok_or_else(|| ApiError::not_found(key.kind, &key.name))
}

/// Makes sure that a body is of this kind and namespace, and says so itself.
fn adopt(kind: &Kind, namespace: &str, body: &mut Value) -> ApiResult<()> {
    if !body.is_object() {
        return Err(ApiError::bad_request(
            "the object provided is unrecognized: it is not a JSON object",
        ));
    }
    let (given, wanted) = (text(body, "/apiVersion"), kind.api_version());
    if !given.is_empty() && given != wanted {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({given}) does not match the expected API version ({wanted})"
        )));
    }
    let given = text(body, "/kind");
    if !given.is_empty() && given != kind.kind {
        return Err(ApiError::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: the kind in the data is {given}",
            given, wanted, kind.kind
        )));
    }
    let object = as_object(body);
    object.insert("apiVersion".into(), json!(wanted));
    object.insert("kind".into(), json!(kind.kind));
    if object
        .get("metadata")
        .is_some_and(|m| !m.is_object() && !m.is_null())
    {
        return Err(ApiError::bad_request("metadata is not an object"));
    }
    if kind.namespaced {
        let given = document::namespace(body);
        if !given.is_empty() && given != namespace {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        metadata_mut(body).insert("namespace".into(), json!(namespace));
    } else {
        metadata_mut(body).remove("namespace");
    }
    Ok(())
}

fn name_it(
    transaction: &Transaction,
    kind: &'static Kind,
    namespace: &str,
    body: &mut Value,
) -> ApiResult<Key> {
    let name = document::name(body);
    if !name.is_empty() {
        check::name(kind, name)?;
        let key = Key::new(kind, namespace, name);
        return match transaction.get(&key) {
            Some(_) => Err(ApiError::already_exists(kind, name)),
            None => Ok(key),
        };
    }
    let prefix = text(body, "/metadata/generateName").to_owned();
    if prefix.is_empty() {
        return Err(ApiError::invalid(kind, "", &[check::no_name()]));
    }
    for _ in 0..MAX_NAME_ATTEMPTS {
        let name = format!("{prefix}{}", suffix());
        check::name(kind, &name)?;
        let key = Key::new(kind, namespace, &name);
        if transaction.get(&key).is_none() {
            metadata_mut(body).insert("name".into(), json!(name));
            return Ok(key);
        }
    }
    Err(ApiError::already_exists(kind, &prefix))
}

/// Five letters without vowels and what looks like them, as Kubernetes generates names.
fn suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rng = rand::rng();
    (0..5)
        .map(|_| {
            let at = rng.random_range(0..LETTERS.len());
            char::from(LETTERS.get(at).copied().unwrap_or(b'x'))
        })
        .collect()
}

/// Nothing is made in a namespace that is not there or is ending.
fn admit(transaction: &Transaction, key: &Key) -> ApiResult<()> {
    if key.kind.defined.is_some() {
        defined(transaction, key.kind)?;
    }
    if !key.kind.namespaced {
        return Ok(());
    }
    let Some(namespaces) = crate::kind::find("", "v1", "namespaces") else {
        return Ok(());
    };
    match transaction.get(&Key::new(namespaces, "", &key.namespace)) {
        None => Err(ApiError::not_found(namespaces, &key.namespace)),
        Some(namespace) if document::is_deleting(&namespace) => Err(ApiError::forbidden(
            key.kind,
            &key.name,
            &format!(
                "unable to create new content in namespace {} because it is being terminated",
                key.namespace
            ),
        )),
        Some(_) => Ok(()),
    }
}

/// Nothing is made of a kind whose definition is gone or ending.
fn defined(transaction: &Transaction, kind: &Kind) -> ApiResult<()> {
    let definition = definition::definitions()
        .and_then(|definitions| transaction.get(&Key::new(definitions, "", &kind.resource())));
    match definition {
        None => Err(ApiError::no_such_resource()),
        Some(definition) if document::is_deleting(&definition) => {
            let mut refused = ApiError::method_not_allowed("create");
            "create not allowed while custom resource definition is terminating"
                .clone_into(&mut refused.message);
            Err(refused)
        }
        Some(_) => Ok(()),
    }
}

/// Fills in what the kind says by default, and turns what is only for writing into what is kept.
fn normalise(kind: &Kind, body: &mut Value) {
    keep_texts(kind, body);
    fill(as_object(body), kind.default_fields());
    if let Some(defined) = kind.defined {
        defined.schema.fill(body);
    }
    if kind.defines() {
        definition::complete(body);
    }
}

/// A secret's `stringData` becomes `data`.
fn keep_texts(kind: &Kind, body: &mut Value) {
    let object = as_object(body);
    if kind.group.is_empty()
        && kind.kind == "Secret"
        && let Some(Value::Object(texts)) = object.remove("stringData")
    {
        use base64::Engine as _;
        let data = object
            .entry("data")
            .or_insert_with(|| Value::Object(Map::new()));
        for (key, text) in texts {
            let text = text.as_str().unwrap_or_default();
            let encoded = base64::engine::general_purpose::STANDARD.encode(text);
            as_object(data).insert(key, json!(encoded));
        }
    }
}

/// What only the server writes in metadata.
const SERVERS_OWN: [&str; 5] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
];

/// Writes `body` in the place of `old`. Without a `writer`, the owners of fields are in `body`.
fn replace(
    transaction: &mut Transaction,
    key: &Key,
    part: Part,
    old: &Document,
    mut body: Value,
    writer: Option<&Writer>,
    now: DateTime<Utc>,
) -> ApiResult<Document> {
    let kind = key.kind;
    let given = text(&body, "/metadata/resourceVersion");
    if !given.is_empty() && given != text(old, "/metadata/resourceVersion") {
        return Err(ApiError::modified(kind, &key.name));
    }
    let given = document::uid(&body);
    if !given.is_empty() && given != document::uid(old) {
        return Err(ApiError::conflict(
            kind,
            &key.name,
            &format!(
                "Precondition failed: UID in precondition: {given}, UID in object meta: {}",
                document::uid(old)
            ),
        ));
    }
    if part == Part::Status {
        let owners = body.pointer("/metadata/managedFields").cloned();
        let mut whole = Value::clone(old);
        match as_object(&mut body).remove("status") {
            Some(status) => as_object(&mut whole).insert("status".into(), status),
            None => as_object(&mut whole).remove("status"),
        };
        if writer.is_none() {
            match owners {
                Some(owners) => metadata_mut(&mut whole).insert("managedFields".into(), owners),
                None => metadata_mut(&mut whole).remove("managedFields"),
            };
        }
        body = whole;
    } else {
        if kind.status {
            match old.get("status") {
                Some(status) => as_object(&mut body).insert("status".into(), status.clone()),
                None => as_object(&mut body).remove("status"),
            };
        }
        let metadata = metadata_mut(&mut body);
        for field in SERVERS_OWN {
            match old.pointer("/metadata").and_then(|m| m.get(field)) {
                Some(value) => metadata.insert(field.into(), value.clone()),
                None => metadata.remove(field),
            };
        }
    }
    normalise(kind, &mut body);
    check::document(kind, &key.name, &body, Some(old))?;
    if kind.defines() && part == Part::Main {
        definition::settle(transaction, &mut body, now);
    }
    if let Some(writer) = writer {
        let mut manager = writer.manager.clone();
        manager.subresource = part.subresource();
        managed::book_update(kind, Some(old), &mut body, &manager, &writer.time());
    }
    if kind.generation && spec_differs(old, &body) {
        let generation = old.pointer("/metadata/generation").and_then(Value::as_u64);
        metadata_mut(&mut body).insert("generation".into(), json!(generation.unwrap_or(0) + 1));
    }
    let version = text(old, "/metadata/resourceVersion");
    metadata_mut(&mut body).insert("resourceVersion".into(), json!(version));
    if body == **old {
        return Ok(old.clone());
    }
    let written = transaction.put(key, body);
    cascade::unblocked(transaction, key, now);
    Ok(written)
}

/// Whether more than metadata and status differs.
fn spec_differs(old: &Value, new: &Value) -> bool {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return true;
    };
    let counts = |key: &&String| !matches!(key.as_str(), "metadata" | "status");
    old.keys()
        .chain(new.keys())
        .filter(counts)
        .any(|key| old.get(key) != new.get(key))
}

#[cfg(test)]
mod tests;
