//! Server-side apply: the sender says what it wants of a document, all of it and nothing else.

use serde_json::{Map, Value};

use super::fields::{Fields, item_step, value_step};
use super::{Entry, Manager, read, write};
use crate::document::metadata_mut;
use crate::kind::{Kind, ListRule};
use crate::status::{ApiError, ApiResult};

/// `live` as it is once `manager` has applied `wanted`, with the owners of its fields. `force`
/// takes over what others own.
///
/// # Errors
/// When others own a field that `wanted` has with another value.
pub(crate) fn apply(
    kind: &Kind,
    live: &Value,
    wanted: &Value,
    manager: &Manager,
    force: bool,
    time: &str,
) -> ApiResult<Value> {
    let set = Fields::of(kind, wanted);
    let mut entries = read(live);
    let mine = |entry: &Entry| entry.is(manager, "Apply");

    let mut conflicts = Vec::new();
    for entry in entries.iter_mut().filter(|entry| !mine(entry)) {
        let common = entry.fields.intersection(&set);
        let mut differing = Fields::default();
        let mut paths = Vec::new();
        leaves(&common, &mut Vec::new(), &mut paths);
        for path in paths {
            if find(kind, live, &path) != find(kind, wanted, &path) {
                differing = differing.union(&single(&path));
                if !force {
                    let name = format!("{:?} using {}", entry.manager, entry.version);
                    conflicts.push((name, readable(&path)));
                }
            }
        }
        entry.fields = entry.fields.difference(&differing);
    }
    if !conflicts.is_empty() {
        return Err(ApiError::apply_conflict(&conflicts));
    }

    let mut merged = live.clone();
    merge(kind, &mut Vec::new(), &mut merged, wanted);
    let others = entries
        .iter()
        .filter(|entry| !mine(entry))
        .fold(Fields::default(), |all, entry| all.union(&entry.fields));
    if let Some(before) = entries.iter().find(|entry| mine(entry)) {
        let kept = others.union(&set);
        let gone = before.fields.difference(&kept);
        remove(kind, &mut Vec::new(), &mut merged, &gone, &kept);
    }

    match entries.iter_mut().find(|entry| mine(entry)) {
        Some(entry) if entry.fields == set => {}
        Some(entry) => {
            entry.fields = set;
            time.clone_into(&mut entry.time);
        }
        None => entries.push(Entry {
            manager: manager.name.clone(),
            operation: "Apply",
            version: kind.api_version(),
            subresource: manager.subresource.to_owned(),
            time: time.to_owned(),
            fields: set,
        }),
    }
    metadata_mut(&mut merged).remove("managedFields");
    let all = Fields::of(kind, &merged);
    for entry in &mut entries {
        entry.fields = entry.fields.intersection(&all);
    }
    write(&mut merged, entries);
    Ok(merged)
}

fn leaves(fields: &Fields, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    for (step, below) in fields.children() {
        path.push(step.clone());
        if below.is_empty() {
            found.push(path.clone());
        } else {
            leaves(below, path, found);
        }
        path.pop();
    }
}

fn single(path: &[String]) -> Fields {
    let written = path
        .iter()
        .rev()
        .fold(Value::Object(Map::new()), |below, step| {
            let mut map = Map::new();
            map.insert(step.clone(), below);
            Value::Object(map)
        });
    Fields::from_json(&written)
}

/// `.spec.template.spec.containers[name="humio"].image`.
fn readable(path: &[String]) -> String {
    let mut text = String::new();
    for step in path {
        if let Some(name) = step.strip_prefix("f:") {
            text.push('.');
            text.push_str(name);
        } else if let Some(keys) = step.strip_prefix("k:") {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
            text.push_str(&format!("[{}]", keys.join(",")));
        } else if let Some(value) = step.strip_prefix("v:") {
            text.push_str(&format!("[{value}]"));
        }
    }
    text
}

/// What is at a path. A path that ends at an item of a list finds only that the item is there: what is
/// in the item is compared by paths of its own.
fn find<'a>(kind: &Kind, document: &'a Value, path: &[String]) -> Option<&'a Value> {
    static PRESENT: Value = Value::Bool(true);
    let mut names: Vec<&str> = Vec::new();
    let mut at = document;
    let mut at_item = false;
    for step in path {
        at_item = false;
        if let Some(name) = step.strip_prefix("f:") {
            names.push(name);
            at = at.get(name)?;
        } else {
            at_item = true;
            let rule = kind.list_rule(&names);
            at = at
                .as_array()?
                .iter()
                .find(|item| is_step(rule, item, step))?;
        }
    }
    Some(if at_item { &PRESENT } else { at })
}

fn is_step(rule: Option<ListRule>, item: &Value, step: &str) -> bool {
    match rule {
        Some(ListRule::Keyed(keys)) => item_step(keys, item) == step,
        Some(ListRule::Set) => value_step(item) == step,
        None => false,
    }
}

fn merge<'a>(kind: &Kind, path: &mut Vec<&'a str>, live: &mut Value, wanted: &'a Value) {
    match (&mut *live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            for (key, value) in wanted {
                path.push(key);
                match live.get_mut(key) {
                    Some(child) => merge(kind, path, child, value),
                    None => {
                        live.insert(key.clone(), value.clone());
                    }
                }
                path.pop();
            }
        }
        (Value::Array(live), Value::Array(wanted)) => match kind.list_rule(path) {
            Some(ListRule::Keyed(keys)) => {
                for item in wanted {
                    let step = item_step(keys, item);
                    match live.iter_mut().find(|old| item_step(keys, old) == step) {
                        Some(old) => merge(kind, path, old, item),
                        None => live.push(item.clone()),
                    }
                }
            }
            Some(ListRule::Set) => {
                for item in wanted {
                    if !live.contains(item) {
                        live.push(item.clone());
                    }
                }
            }
            None => wanted.clone_into(live),
        },
        _ => *live = wanted.clone(),
    }
}

/// Removes `gone` from `live`, but no list item of which somebody still keeps a part.
fn remove<'a>(
    kind: &Kind,
    path: &mut Vec<&'a str>,
    live: &mut Value,
    gone: &'a Fields,
    kept: &Fields,
) {
    let nothing = Fields::default();
    for (step, below) in gone.children() {
        let still_kept = kept.children().get(step);
        if let (Some(name), Value::Object(map)) = (step.strip_prefix("f:"), &mut *live) {
            match map.get_mut(name) {
                Some(child) if !below.is_empty() => {
                    path.push(name);
                    remove(kind, path, child, below, still_kept.unwrap_or(&nothing));
                    path.pop();
                    let hollow = child.as_object().is_some_and(Map::is_empty)
                        || child.as_array().is_some_and(Vec::is_empty);
                    if hollow && still_kept.is_none() {
                        map.remove(name);
                    }
                }
                _ if still_kept.is_none() => {
                    map.remove(name);
                }
                _ => {}
            }
        } else if let Value::Array(list) = &mut *live {
            let rule = kind.list_rule(path);
            match still_kept {
                None => list.retain(|item| !is_step(rule, item, step)),
                Some(kept) => {
                    if let Some(item) = list.iter_mut().find(|item| is_step(rule, item, step)) {
                        remove(kind, path, item, below, kept);
                    }
                }
            }
        }
    }
}
