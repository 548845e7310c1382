//! JSON as fields.

use std::fmt::Write as _;

use super::string;
use crate::draft::Fields;

/// Deepest nesting that becomes fields.
pub(crate) const DEPTH: usize = 100;

/// An object or array on the way down.
struct Level {
    /// What the name had before.
    name: usize,
    /// The place in an array.
    at: Option<usize>,
}

/// Flattens a JSON value as LogScale does: `{"a":{"b":1},"c":[2]}` is `a.b=1`, `c[0]=2`; a null is
/// no field, and a number keeps the digits that came. One pass, without recursion. False if
/// something of it was kept out by a bound.
pub(crate) fn flatten(prefix: &str, json: &str, fields: &mut Fields) -> bool {
    let bytes = json.as_bytes();
    let mut name = prefix.to_owned();
    // A name in front is a level above.
    let above = usize::from(!prefix.is_empty());
    let mut levels: Vec<Level> = Vec::new();
    let mut is_name_next = false;
    let mut fits = true;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => {
                let is_array = *byte == b'[';
                levels.push(Level {
                    name: name.len(),
                    at: is_array.then_some(0),
                });
                if is_array {
                    name.push_str("[0]");
                }
                is_name_next = !is_array;
            }
            b'}' | b']' => {
                let name_was = levels.pop().map_or(0, |level| level.name);
                name.truncate(name_was);
                is_name_next = false;
            }
            b',' => {
                if let Some(level) = levels.last_mut() {
                    name.truncate(level.name);
                    is_name_next = level.at.is_none();
                    if let Some(place) = &mut level.at {
                        *place += 1;
                        // Writing to a string does not fail.
                        let _ = write!(name, "[{place}]");
                    }
                }
            }
            b'"' => {
                let end = string_end(bytes, at);
                let text = string(json.get(at..end).unwrap_or_default());
                if is_name_next {
                    if above + levels.len() > 1 {
                        name.push('.');
                    }
                    name.push_str(&text);
                    is_name_next = false;
                } else {
                    fits &= put(&name, &text, above + levels.len(), fields);
                    if fields.is_full() && !fits {
                        return false;
                    }
                }
                at = end;
                continue;
            }
            b':' => {}
            byte if byte.is_ascii_whitespace() => {}
            _ => {
                let end = bytes[at..]
                    .iter()
                    .position(|byte| b",]}".contains(byte) || byte.is_ascii_whitespace())
                    .map_or(bytes.len(), |length| at + length);
                let literal = json.get(at..end).unwrap_or_default();
                if literal != "null" {
                    fits &= put(&name, literal, above + levels.len(), fields);
                    if fields.is_full() && !fits {
                        return false;
                    }
                }
                at = end;
                continue;
            }
        }
        at += 1;
    }
    fits
}

/// One member of an object.
pub(crate) fn flatten_member(name: &str, json: &str, fields: &mut Fields) -> bool {
    match json.as_bytes().first() {
        Some(b'{' | b'[') => flatten(name, json, fields),
        _ => super::text(json).is_none_or(|value| fields.push(name, &value)),
    }
}

fn put(name: &str, value: &str, depth: usize, fields: &mut Fields) -> bool {
    if depth > DEPTH {
        fields.keep_out_deep()
    } else {
        fields.push(name, value)
    }
}

/// Behind the quote that ends the string that begins here.
fn string_end(bytes: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    while let Some(found) = bytes
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        at += found;
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            _ => at += 2,
        }
    }
    bytes.len()
}
