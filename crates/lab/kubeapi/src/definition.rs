//! Custom kinds: what a CustomResourceDefinition must say, and the kinds that it makes
//! (`k8s.io/apiextensions-apiserver`).
//!
//! Kinds are data that lives as long as the process: a definition is read once for all servers in it,
//! and what is read is kept. A process that is given ever new definitions grows; a region has a
//! dozen.

mod check;
mod path;
mod shipped;

use std::collections::HashMap;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

pub(crate) use check::check;
pub(crate) use path::JsonPath;
pub use shipped::crds;

use crate::document::{array, as_object, metadata_mut, name, object_mut, text, timestamp};
use crate::kind::{Cell, Column, Kind, NO_KIND, find, keep};
use crate::schema::{self, Schema};
use crate::store::Transaction;

/// Keeps a definition until its last instance is gone.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The kind of definitions themselves.
pub(crate) fn definitions() -> Option<&'static Kind> {
    find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
}

impl Kind {
    /// Whether documents of this kind define kinds.
    pub(crate) fn defines(&self) -> bool {
        self.group == "apiextensions.k8s.io" && self.kind == "CustomResourceDefinition"
    }
}

/// What Kubernetes fills in where a definition says nothing.
pub(crate) fn complete(definition: &mut Value) {
    let kind = text(definition, "/spec/names/kind").to_owned();
    let spec = object_mut(definition, "spec");
    spec.entry("conversion")
        .or_insert_with(|| json!({ "strategy": "None" }));
    if let Some(Value::Object(names)) = spec.get_mut("names")
        && !kind.is_empty()
    {
        names
            .entry("singular")
            .or_insert_with(|| json!(kind.to_lowercase()));
        names
            .entry("listKind")
            .or_insert_with(|| json!(format!("{kind}List")));
    }
}

/// The status of a definition: its names are taken unless another has them, and then it is served.
pub(crate) fn settle(
    transaction: &Transaction,
    definition: &mut Value,
    now: chrono::DateTime<chrono::Utc>,
) {
    let taken = taken(transaction, definition);
    let names = definition.pointer("/spec/names").cloned();
    let stored: Vec<String> = array(definition, "/spec/versions")
        .iter()
        .filter(|version| version["storage"] == true)
        .map(|version| text(version, "/name").to_owned())
        .collect();
    let mut versions: Vec<String> = array(definition, "/status/storedVersions")
        .iter()
        .filter_map(|version| version.as_str().map(str::to_owned))
        .collect();
    for version in stored {
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    let conditions = match &taken {
        None => [
            (
                "NamesAccepted",
                "True",
                "NoConflicts",
                "no conflicts found".to_owned(),
            ),
            (
                "Established",
                "True",
                "InitialNamesAccepted",
                "the initial names have been accepted".to_owned(),
            ),
        ],
        Some(name) => [
            (
                "NamesAccepted",
                "False",
                "NamesConflict",
                format!("{name:?} is already in use"),
            ),
            (
                "Established",
                "False",
                "NotAccepted",
                "not all names are accepted".to_owned(),
            ),
        ],
    };
    let before = array(definition, "/status/conditions").to_vec();
    let time = timestamp(now);
    let mut all: Vec<Value> = conditions
        .into_iter()
        .map(|(kind, status, reason, message)| {
            let since = before
                .iter()
                .find(|old| text(old, "/type") == kind && text(old, "/status") == status)
                .map_or(time.as_str(), |old| text(old, "/lastTransitionTime"));
            json!({
                "type": kind, "status": status, "reason": reason, "message": message,
                "lastTransitionTime": since,
            })
        })
        .collect();
    all.extend(
        before
            .into_iter()
            .filter(|old| text(old, "/type") == "Terminating"),
    );
    let status = object_mut(definition, "status");
    status.insert("conditions".into(), json!(all));
    if taken.is_none() {
        status.insert("acceptedNames".into(), names.unwrap_or_default());
    } else {
        status
            .entry("acceptedNames")
            .or_insert_with(|| json!({ "kind": "", "plural": "" }));
    }
    status.insert("storedVersions".into(), json!(versions));
}

/// A name of this definition that another of its group has.
fn taken(transaction: &Transaction, definition: &Value) -> Option<String> {
    let group = text(definition, "/spec/group");
    let own = names(definition, "/spec/names");
    for (_, other) in transaction.list(definitions()?, "") {
        if text(&other, "/spec/group") == group && name(&other) != name(definition) {
            let theirs = names(&other, "/status/acceptedNames");
            if let Some(both) = own.iter().find(|name| theirs.contains(name)) {
                return Some((*both).to_owned());
            }
        }
    }
    None
}

fn names<'a>(definition: &'a Value, below: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> = ["plural", "singular", "kind", "listKind"]
        .iter()
        .map(|field| text(definition, &format!("{below}/{field}")))
        .filter(|name| !name.is_empty())
        .collect();
    names.extend(crate::document::strings(
        definition,
        &format!("{below}/shortNames"),
    ));
    names
}

/// Marks that a definition ends, and keeps it until its instances are gone.
pub(crate) fn ending(definition: &mut Value, now: chrono::DateTime<chrono::Utc>) {
    let metadata = metadata_mut(definition);
    let finalizers = metadata.entry("finalizers").or_insert_with(|| json!([]));
    if let Value::Array(finalizers) = finalizers
        && !finalizers.contains(&json!(CLEANUP))
    {
        finalizers.push(json!(CLEANUP));
    }
    let conditions = object_mut(definition, "status")
        .entry("conditions")
        .or_insert_with(|| json!([]));
    if let Value::Array(conditions) = conditions {
        conditions.push(json!({
            "type": "Terminating", "status": "True", "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
            "lastTransitionTime": timestamp(now),
        }));
    }
}

/// The kinds that a definition makes, one for each version that is served, once its names are
/// accepted.
pub(crate) fn kinds_of(definition: &Value) -> Vec<&'static Kind> {
    let established = array(definition, "/status/conditions")
        .iter()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True");
    match definition.get("spec") {
        Some(spec) if established => known(name(definition), spec),
        _ => Vec::new(),
    }
}

/// What is made of a definition's spec, and read again only when it differs.
type Known = HashMap<String, Vec<(Value, Vec<&'static Kind>)>>;

fn known(name: &str, spec: &Value) -> Vec<&'static Kind> {
    static KNOWN: Mutex<Option<Known>> = Mutex::new(None);
    let mut known = KNOWN.lock();
    let known = known.get_or_insert_with(Known::new);
    let place = known.len();
    let fresh = !known.contains_key(name);
    let of_name = known.entry(name.to_owned()).or_default();
    if let Some((_, kinds)) = of_name.iter().find(|(old, _)| old == spec) {
        return kinds.clone();
    }
    // A resource keeps its place whatever becomes of its definition.
    let built_in = crate::kind::KINDS
        .iter()
        .find(|kind| kind.resource() == name);
    let before = of_name
        .first()
        .and_then(|(_, kinds)| kinds.first().copied());
    let index = match built_in.or(before) {
        Some(kind) => kind.index(),
        None if fresh => crate::kind::KINDS.len() + place,
        None => return Vec::new(),
    };
    let kinds: Vec<&'static Kind> = array(spec, "/versions")
        .iter()
        .filter(|version| version["served"] == true)
        .map(|version| &*Box::leak(Box::new(kind(spec, version, index))))
        .collect();
    if !kinds.is_empty() {
        of_name.push((spec.clone(), kinds.clone()));
    } else if fresh {
        known.remove(name);
    }
    kinds
}

fn kind(spec: &Value, version: &Value, index: usize) -> Kind {
    let of = |pointer: &str| keep(text(spec, pointer));
    let list = |pointer: &str| -> &'static [&'static str] {
        let texts = crate::document::strings(spec, pointer);
        Vec::leak(texts.into_iter().map(keep).collect())
    };
    let json = version
        .pointer("/schema/openAPIV3Schema")
        .cloned()
        .unwrap_or_default();
    let (schema, _) = schema::parse(&json);
    let selectable: Vec<&'static str> = array(version, "/selectableFields")
        .iter()
        .map(|field| keep(text(field, "/jsonPath").trim_start_matches('.')))
        .collect();
    Kind {
        group: of("/group"),
        version: keep(text(version, "/name")),
        kind: of("/names/kind"),
        plural: of("/names/plural"),
        singular: of("/names/singular"),
        short_names: list("/names/shortNames"),
        categories: list("/names/categories"),
        namespaced: text(spec, "/scope") == "Namespaced",
        status: version.pointer("/subresources/status").is_some(),
        scale: version.pointer("/subresources/scale").is_some(),
        custom: true,
        generation: true,
        selectable: Vec::leak(selectable),
        columns: Vec::leak(columns(version)),
        defined: Some(Box::leak(Box::new(Defined {
            index,
            schema,
            json,
        }))),
        ..NO_KIND
    }
}

/// What only a custom kind has.
#[derive(Debug)]
pub(crate) struct Defined {
    /// Where its documents stand among those of all kinds.
    pub index: usize,
    pub schema: Schema,
    /// The schema as it was given.
    pub json: Value,
}

fn columns(version: &Value) -> Vec<Column> {
    let mut columns: Vec<Column> = array(version, "/additionalPrinterColumns")
        .iter()
        // Every table has the age once, at its end.
        .filter(|column| text(column, "/jsonPath") != ".metadata.creationTimestamp")
        .filter_map(|column| {
            let path = JsonPath::parse(text(column, "/jsonPath"))?;
            let kind = keep(text(column, "/type"));
            Some(Column {
                name: keep(text(column, "/name")),
                kind,
                wide: column["priority"]
                    .as_i64()
                    .is_some_and(|priority| priority > 0),
                cell: Cell::Path(Box::leak(Box::new(path)), kind == "date"),
            })
        })
        .collect();
    // `kubectl` prints by priority; the age stands between.
    columns.sort_by_key(|column| column.wide);
    columns
}

/// What a document of a custom kind is kept as: the version that it was written in is no part of it.
pub(crate) fn in_version(kind: &Kind, document: &Value) -> Value {
    let mut shown = document.clone();
    if kind.custom && text(document, "/apiVersion") != kind.api_version() {
        as_object(&mut shown).insert("apiVersion".into(), json!(kind.api_version()));
    }
    shown
}

/// An empty map, for schemas that are asked of a kind that has none.
pub(crate) fn free_schema() -> Map<String, Value> {
    let mut free = Map::new();
    free.insert("type".into(), json!("object"));
    free.insert("x-kubernetes-preserve-unknown-fields".into(), json!(true));
    free
}

#[cfg(test)]
mod tests;
