//! Who owns which field (`metadata.managedFields`): what lets server-side apply tell a change of
//! mine from a change of yours, and remove what its sender no longer asks for.

mod apply;
mod fields;

use serde_json::{Value, json};

pub(crate) use apply::apply;
pub(crate) use fields::Fields;

use crate::document::{array, metadata_mut, text};
use crate::kind::Kind;

/// More managers that update than this are drawn together into one, as kube-apiserver does.
const MAX_UPDATERS: usize = 10;
const DRAWN_TOGETHER: &str = "ancient-changes";

/// Who writes, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manager {
    /// `kubectl-client-side-apply`, `humio-operator`, …
    pub name: String,
    /// `status`, `scale`, or empty.
    pub subresource: &'static str,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    manager: String,
    operation: &'static str,
    version: String,
    subresource: String,
    time: String,
    fields: Fields,
}

impl Entry {
    fn is(&self, manager: &Manager, operation: &str) -> bool {
        self.operation == operation
            && self.manager == manager.name
            && self.subresource == manager.subresource
    }
}

fn read(document: &Value) -> Vec<Entry> {
    array(document, "/metadata/managedFields")
        .iter()
        .map(|entry| Entry {
            manager: text(entry, "/manager").to_owned(),
            operation: match text(entry, "/operation") {
                "Apply" => "Apply",
                _ => "Update",
            },
            version: text(entry, "/apiVersion").to_owned(),
            subresource: text(entry, "/subresource").to_owned(),
            time: text(entry, "/time").to_owned(),
            fields: Fields::from_json(&entry["fieldsV1"]),
        })
        .collect()
}

fn write(document: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    let updaters = entries.iter().filter(|e| e.operation == "Update").count();
    if updaters > MAX_UPDATERS {
        draw_together(&mut entries, updaters - MAX_UPDATERS + 1);
    }
    let written: Vec<Value> = entries
        .into_iter()
        .map(|entry| {
            let mut written = json!({
                "manager": entry.manager,
                "operation": entry.operation,
                "apiVersion": entry.version,
                "time": entry.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": entry.fields.to_json(),
            });
            if !entry.subresource.is_empty() {
                written["subresource"] = json!(entry.subresource);
            }
            written
        })
        .collect();
    let metadata = metadata_mut(document);
    if written.is_empty() {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".to_owned(), Value::Array(written));
    }
}

/// Makes one of the `count` updaters that are longest unchanged.
fn draw_together(entries: &mut Vec<Entry>, count: usize) {
    let mut oldest: Vec<(String, usize)> = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.operation == "Update")
        .map(|(place, entry)| (entry.time.clone(), place))
        .collect();
    oldest.sort();
    let mut places: Vec<usize> = oldest.into_iter().take(count).map(|(_, at)| at).collect();
    places.sort_unstable();
    let mut drawn: Option<Entry> = None;
    for place in places.into_iter().rev() {
        let entry = entries.remove(place);
        drawn = Some(match drawn {
            None => Entry {
                manager: DRAWN_TOGETHER.to_owned(),
                ..entry
            },
            Some(drawn) => Entry {
                fields: drawn.fields.union(&entry.fields),
                ..drawn
            },
        });
    }
    entries.extend(drawn);
}

/// Books the difference between `old` and `new` to `manager`. The owners that `new` itself lists
/// are not believed, except that an empty list clears them (as Kubernetes documents it).
pub(crate) fn book_update(
    kind: &Kind,
    old: Option<&Value>,
    new: &mut Value,
    manager: &Manager,
    time: &str,
) {
    let cleared = new.pointer("/metadata/managedFields").is_some_and(|list| {
        list.as_array()
            .is_none_or(|list| list.is_empty() || list == &[json!({})])
    }) && old.is_some();
    let mut entries = match old {
        Some(old) if !cleared => read(old),
        _ => Vec::new(),
    };
    metadata_mut(new).remove("managedFields");
    let all = Fields::of(kind, new);
    let changed = match old {
        Some(old) => Fields::changed(kind, old, new),
        None => all.clone(),
    };
    for entry in &mut entries {
        entry.fields = entry.fields.intersection(&all);
        if !entry.is(manager, "Update") {
            entry.fields = entry.fields.difference(&changed);
        }
    }
    if !changed.is_empty() {
        match entries.iter_mut().find(|e| e.is(manager, "Update")) {
            Some(entry) => {
                entry.fields = entry.fields.union(&changed);
                time.clone_into(&mut entry.time);
            }
            None => entries.push(Entry {
                manager: manager.name.clone(),
                operation: "Update",
                version: kind.api_version(),
                subresource: manager.subresource.to_owned(),
                time: time.to_owned(),
                fields: changed,
            }),
        }
    }
    write(new, entries);
}

#[cfg(test)]
mod tests;
