//! What turns one document into another, as a merge patch (RFC 7386): only what differs is written,
//! so that what others have set in the meantime, or what this program does not know, stays.

use serde_json::{Map, Value};

/// What is to be merged into `old` to make `new` of it; `None` when they are the same. A field of
/// `new` that is null is one that is not there: a merge patch cannot say anything else.
pub(crate) fn patch(old: &Value, new: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return (old != new).then(|| new.clone());
    };
    let mut changes = Map::new();
    for (key, there) in old {
        match new.get(key) {
            None | Some(Value::Null) if there.is_null() => {}
            None => {
                changes.insert(key.clone(), Value::Null);
            }
            Some(wanted) => {
                if let Some(change) = patch(there, wanted) {
                    changes.insert(key.clone(), change);
                }
            }
        }
    }
    let added = new
        .iter()
        .filter(|(key, value)| !old.contains_key(*key) && !value.is_null());
    changes.extend(added.map(|(key, value)| (key.clone(), value.clone())));
    (!changes.is_empty()).then_some(Value::Object(changes))
}

#[cfg(test)]
mod tests;
