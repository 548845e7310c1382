//! Strategic merge patch: a merge patch that merges keyed lists item by item and takes directives
//! (<https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md>).

use serde_json::{Map, Value};

use crate::kind::{Kind, ListRule};
use crate::status::{ApiError, ApiResult};

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// `document` with the patch.
pub(super) fn apply(kind: &Kind, document: &Value, patch: &Value) -> ApiResult<Value> {
    let (Value::Object(document), Value::Object(patch)) = (document, patch) else {
        return Err(ApiError::bad_request(
            "error decoding patch: a strategic merge patch is an object",
        ));
    };
    let mut path = Vec::new();
    Ok(Value::Object(merge_object(
        kind, &mut path, document, patch,
    )?))
}

fn directive(patch: &Map<String, Value>) -> ApiResult<Option<&str>> {
    match patch.get(DIRECTIVE) {
        None => Ok(None),
        Some(Value::String(word)) if matches!(word.as_str(), "replace" | "delete" | "merge") => {
            Ok(Some(word))
        }
        Some(other) => Err(ApiError::bad_request(format!(
            "unknown patch directive: {other}"
        ))),
    }
}

fn is_directive(key: &str) -> bool {
    key == DIRECTIVE || key == RETAIN || key.starts_with(DELETE_FROM) || key.starts_with(ORDER)
}

/// The patch where there is nothing to merge it with: without directives and nulls.
fn plain(patch: &Value) -> Value {
    match patch {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(key, value)| !is_directive(key) && !value.is_null())
                .map(|(key, value)| (key.clone(), plain(value)))
                .collect(),
        ),
        Value::Array(list) => Value::Array(
            list.iter()
                .filter(|item| item.get(DIRECTIVE).is_none_or(|word| word != "delete"))
                .map(plain)
                .filter(|item| item.as_object().is_none_or(|map| !map.is_empty()))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn merge_object<'a>(
    kind: &Kind,
    path: &mut Vec<&'a str>,
    document: &Map<String, Value>,
    patch: &'a Map<String, Value>,
) -> ApiResult<Map<String, Value>> {
    match directive(patch)? {
        Some("replace") => {
            return Ok(match plain(&Value::Object(patch.clone())) {
                Value::Object(map) => map,
                _ => Map::new(),
            });
        }
        Some("delete") => return Ok(Map::new()),
        _ => {}
    }
    let mut merged = document.clone();
    if let Some(Value::Array(keep)) = patch.get(RETAIN) {
        merged.retain(|key, _| keep.iter().any(|kept| kept == key));
    }
    for (key, value) in patch {
        if let Some(field) = key.strip_prefix(DELETE_FROM)
            && let (Some(Value::Array(list)), Value::Array(gone)) = (merged.get_mut(field), value)
        {
            list.retain(|item| !gone.contains(item));
        }
    }
    for (key, value) in patch.iter().filter(|(key, _)| !is_directive(key)) {
        path.push(key);
        match (merged.get(key), value) {
            (_, Value::Null) => {
                merged.remove(key);
            }
            (Some(Value::Object(old)), Value::Object(new)) => {
                let deletes = directive(new)? == Some("delete");
                let child = merge_object(kind, path, old, new)?;
                if deletes {
                    merged.remove(key);
                } else {
                    merged.insert(key.clone(), Value::Object(child));
                }
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                let child = merge_list(kind, path, old, new)?;
                merged.insert(key.clone(), Value::Array(child));
            }
            (_, new) => {
                merged.insert(key.clone(), plain(new));
            }
        }
        path.pop();
    }
    for (key, order) in patch {
        if let Some(field) = key.strip_prefix(ORDER)
            && let (Some(Value::Array(list)), Value::Array(order)) = (merged.get_mut(field), order)
        {
            path.push(field);
            sort(kind.list_rule(path), list, order);
            path.pop();
        }
    }
    Ok(merged)
}

fn merge_list<'a>(
    kind: &Kind,
    path: &mut Vec<&'a str>,
    old: &[Value],
    new: &'a [Value],
) -> ApiResult<Vec<Value>> {
    let replaces = new
        .iter()
        .any(|item| item.get(DIRECTIVE).is_some_and(|word| word == "replace"));
    let key = match kind.list_rule(path) {
        Some(ListRule::Keyed(keys)) if !replaces => keys.first().copied().unwrap_or_default(),
        Some(ListRule::Set) if !replaces => {
            let mut merged = old.to_vec();
            for item in new {
                if !merged.contains(item) {
                    merged.push(item.clone());
                }
            }
            return Ok(merged);
        }
        _ => {
            return Ok(match plain(&Value::Array(new.to_vec())) {
                Value::Array(list) => list,
                _ => Vec::new(),
            });
        }
    };
    let mut merged = old.to_vec();
    for item in new {
        let Value::Object(item) = item else {
            return Err(ApiError::bad_request(
                "error decoding patch: an item of a keyed list is an object",
            ));
        };
        let Some(identity) = item.get(key) else {
            // Not the item itself: it may hold a secret.
            return Err(ApiError::bad_request(format!(
                "map does not contain declared merge key: {key}"
            )));
        };
        let place = merged.iter().position(|old| old.get(key) == Some(identity));
        if directive(item)? == Some("delete") {
            merged.retain(|old| old.get(key) != Some(identity));
            continue;
        }
        match place.and_then(|place| merged.get_mut(place)) {
            Some(Value::Object(old)) => *old = merge_object(kind, path, old, item)?,
            _ => merged.push(plain(&Value::Object(item.clone()))),
        }
    }
    Ok(merged)
}

/// Puts the items that `order` names into its order; the others keep their place after the one
/// before them.
fn sort(rule: Option<ListRule>, list: &mut Vec<Value>, order: &[Value]) {
    let rank = |item: &Value| match rule {
        Some(ListRule::Keyed(keys)) => {
            let key = keys.first().copied().unwrap_or_default();
            order
                .iter()
                .position(|ordered| ordered.get(key) == item.get(key))
        }
        _ => order.iter().position(|ordered| ordered == item),
    };
    let mut ranked: Vec<(usize, Value)> = Vec::with_capacity(list.len());
    let mut last = 0;
    for item in list.drain(..) {
        last = rank(&item).unwrap_or(last);
        ranked.push((last, item));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    list.extend(ranked.into_iter().map(|(_, item)| item));
}
