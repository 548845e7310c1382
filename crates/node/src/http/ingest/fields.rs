//! JSON as fields, and times as clients write them.

use chrono::{DateTime, FixedOffset, NaiveDateTime};
use serde_json::{Map, Value};

/// Most bytes of fields that one object or value becomes: 16 MiB. A field has the names of all
/// that it lies in, so that a long name above many values is much more than its text.
const MOST: usize = 16 << 20;

/// The fields of a value are too many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its fields would be more than 16 MiB; send smaller events")]
pub(in crate::http) struct TooMuch;

/// Flattens an object as LogScale does: `{"a":{"b":1},"c":[2]}` is `a.b=1`, `c[0]=2`. A null is no
/// field.
pub(in crate::http) fn flatten(
    object: &Map<String, Value>,
    fields: &mut Vec<(String, String)>,
) -> Result<(), TooMuch> {
    let mut left = MOST;
    for (name, value) in object {
        put_within(name.clone(), value, fields, &mut left)?;
    }
    Ok(())
}

/// One value under a name; an object or array as many.
pub(in crate::http) fn put(
    name: String,
    value: &Value,
    fields: &mut Vec<(String, String)>,
) -> Result<(), TooMuch> {
    let mut left = MOST;
    put_within(name, value, fields, &mut left)
}

fn put_within(
    name: String,
    value: &Value,
    fields: &mut Vec<(String, String)>,
    left: &mut usize,
) -> Result<(), TooMuch> {
    let text = match value {
        Value::Null => return Ok(()),
        Value::Object(object) => {
            for (inner, value) in object {
                put_within(format!("{name}.{inner}"), value, fields, left)?;
            }
            return Ok(());
        }
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                put_within(format!("{name}[{at}]"), value, fields, left)?;
            }
            return Ok(());
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let bytes = name.len() + text.len() + size_of::<(String, String)>();
    *left = left.checked_sub(bytes).ok_or(TooMuch)?;
    fields.push((name, text));
    Ok(())
}

/// A time as text, in ms since 1970: RFC 3339, or without a zone, which is `zone` then or UTC.
pub(in crate::http) fn time(text: &str, zone: Option<&str>) -> Option<i64> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_millis());
    }
    if let Ok(time) = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z") {
        return Some(time.timestamp_millis());
    }
    let local = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())?;
    let offset = match zone.map(str::trim) {
        None | Some("" | "Z" | "UTC" | "GMT" | "Etc/UTC") => FixedOffset::east_opt(0)?,
        Some(zone) => zone.parse::<FixedOffset>().ok()?,
    };
    let time = local.and_local_timezone(offset).single()?;
    Some(time.timestamp_millis())
}

/// A number as a time: seconds, ms, µs or ns since 1970, told apart by its size.
pub(in crate::http) fn epoch(number: f64) -> Option<i64> {
    let size = number.abs();
    let ms = if size < 1e11 {
        number * 1e3
    } else if size < 1e14 {
        number
    } else if size < 1e17 {
        number / 1e3
    } else {
        number / 1e6
    };
    // What a float holds exactly is far beyond any date.
    (ms.is_finite() && ms.abs() < 9e15).then_some(ms.round() as i64)
}

/// A JSON value as a time.
pub(in crate::http) fn value_time(value: &Value, zone: Option<&str>) -> Option<i64> {
    match value {
        Value::Number(number) => epoch(number.as_f64()?),
        Value::String(text) => time(text, zone).or_else(|| epoch(text.trim().parse().ok()?)),
        _ => None,
    }
}
