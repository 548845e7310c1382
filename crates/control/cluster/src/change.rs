//! What turns one document into another, as a JSON patch (RFC 6902) that tests each value that it
//! replaces: nothing is changed but what was read, where it was read, and lists keep their order.

use serde_json::{Map, Value, json};

/// The operations that make `new` of `old`, which is at `path`; none when they are the same. A field
/// of `new` that is null is one that is not there.
pub(crate) fn operations(path: &str, old: &Value, new: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    value(path, old, new, &mut all);
    all
}

fn value(path: &str, old: &Value, new: &Value, all: &mut Vec<Value>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Value::Object(old), Value::Object(new)) => object(path, old, new, all),
        (Value::Array(old), Value::Array(new)) => array(path, old, new, all),
        (old, new) => replace(path, old, new, all),
    }
}

fn test(path: &str, old: &Value) -> Value {
    json!({ "op": "test", "path": path, "value": old })
}

fn replace(path: &str, old: &Value, new: &Value, all: &mut Vec<Value>) {
    all.push(test(path, old));
    all.push(json!({ "op": "replace", "path": path, "value": new }));
}

fn object(path: &str, old: &Map<String, Value>, new: &Map<String, Value>, all: &mut Vec<Value>) {
    let is_there = |fields: &Map<String, Value>, key: &str| {
        fields.get(key).is_some_and(|value| !value.is_null())
    };
    for (key, there) in old {
        let path = format!("{path}/{}", escaped(key));
        match new.get(key) {
            Some(wanted) if !wanted.is_null() && !there.is_null() => {
                value(&path, there, wanted, all);
            }
            None | Some(Value::Null) if !there.is_null() => {
                all.push(test(&path, there));
                all.push(json!({ "op": "remove", "path": path }));
            }
            _ => {}
        }
    }
    for (key, wanted) in new {
        if is_there(new, key) && !is_there(old, key) {
            let path = format!("{path}/{}", escaped(key));
            all.push(json!({ "op": "add", "path": path, "value": wanted }));
        }
    }
}

/// What is the same at both ends stays; what is between is changed place by place.
fn array(path: &str, old: &[Value], new: &[Value], all: &mut Vec<Value>) {
    let shorter = old.len().min(new.len());
    let same = |(a, b): &(&Value, &Value)| a == b;
    let begin = old.iter().zip(new).take_while(same).count();
    let backwards = old.iter().rev().zip(new.iter().rev());
    let end = backwards.take_while(same).count().min(shorter - begin);
    let (old_end, new_end) = (old.len() - end, new.len() - end);
    let both = old_end.min(new_end);
    for at in begin..both {
        element(&format!("{path}/{at}"), &old[at], &new[at], all);
    }
    for at in (both..old_end).rev() {
        let path = format!("{path}/{at}");
        all.push(test(&path, &old[at]));
        all.push(json!({ "op": "remove", "path": path }));
    }
    for (at, wanted) in new.iter().enumerate().take(new_end).skip(both) {
        all.push(json!({ "op": "add", "path": format!("{path}/{at}"), "value": wanted }));
    }
}

/// One of a list. What has a name is only changed as long as that is at this place.
fn element(path: &str, old: &Value, new: &Value, all: &mut Vec<Value>) {
    match (old.get("name"), new.get("name")) {
        (Some(name), Some(wanted)) if name == wanted => {
            all.push(test(&format!("{path}/name"), name));
            value(path, old, new, all);
        }
        _ => replace(path, old, new, all),
    }
}

/// A key as a part of a path (RFC 6901).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests;
