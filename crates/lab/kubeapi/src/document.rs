//! Reading and changing the parts that every Kubernetes document has.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};

/// A document may be nested so deep. JSON is read to a depth of 128, and `managedFields` repeats
/// the nesting of a document some levels down.
pub(crate) const MAX_DEPTH: usize = 100;
/// The largest document, as JSON, as etcd's.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 3 << 19;

/// A string below `pointer`, or the empty one.
pub(crate) fn text<'a>(document: &'a Value, pointer: &str) -> &'a str {
    document
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(crate) fn name(document: &Value) -> &str {
    text(document, "/metadata/name")
}

pub(crate) fn namespace(document: &Value) -> &str {
    text(document, "/metadata/namespace")
}

pub(crate) fn uid(document: &Value) -> &str {
    text(document, "/metadata/uid")
}

pub(crate) fn is_deleting(document: &Value) -> bool {
    !text(document, "/metadata/deletionTimestamp").is_empty()
}

/// The strings of the list below `pointer`.
pub(crate) fn strings<'a>(document: &'a Value, pointer: &str) -> Vec<&'a str> {
    array(document, pointer)
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

/// The list below `pointer`, or the empty one.
pub(crate) fn array<'a>(document: &'a Value, pointer: &str) -> &'a [Value] {
    document
        .pointer(pointer)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

pub(crate) fn finalizers(document: &Value) -> Vec<&str> {
    strings(document, "/metadata/finalizers")
}

/// The object called `key` in `document`, made where it is missing. A value of another type is
/// replaced: whoever calls this is about to write what must be there.
pub(crate) fn object_mut<'a>(document: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    let child = as_object(document)
        .entry(key)
        .or_insert_with(|| Value::Object(Map::new()));
    as_object(child)
}

/// `document` as an object; anything else becomes an empty one.
pub(crate) fn as_object(document: &mut Value) -> &mut Map<String, Value> {
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    match document {
        Value::Object(map) => map,
        _ => unreachable!("it was made an object above"),
    }
}

pub(crate) fn metadata_mut(document: &mut Value) -> &mut Map<String, Value> {
    object_mut(document, "metadata")
}

/// Fills what `document` leaves out from `defaults`, at every depth of objects; lists are not
/// looked into.
pub(crate) fn fill(document: &mut Map<String, Value>, defaults: &Map<String, Value>) {
    for (key, default) in defaults {
        match document.get_mut(key) {
            None | Some(Value::Null) => {
                document.insert(key.clone(), default.clone());
            }
            Some(Value::Object(inside)) => {
                if let Value::Object(default) = default {
                    fill(inside, default);
                }
            }
            Some(_) => {}
        }
    }
}

/// A moment as Kubernetes writes it: RFC 3339 in UTC, whole seconds.
pub(crate) fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Whether nothing in it is nested deeper than `depth`.
pub(crate) fn is_shallow(document: &Value, depth: usize) -> bool {
    let Some(below) = depth.checked_sub(1) else {
        return false;
    };
    match document {
        Value::Object(map) => map.values().all(|value| is_shallow(value, below)),
        Value::Array(list) => list.iter().all(|value| is_shallow(value, below)),
        _ => true,
    }
}

/// The length of the document as JSON.
pub(crate) fn size(document: &Value) -> u64 {
    struct Count(u64);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting cannot fail, and a `Value` is always JSON.
    let _ = serde_json::to_writer(&mut count, document);
    count.0
}
