//! Times as clients write them, and which of them can be the time of an event.

use chrono::{DateTime, FixedOffset, NaiveDateTime};

use super::json;

/// An event cannot be older than this: 1971-01-01. A clock that was never set begins at 1970.
const EARLIEST_MS: i64 = 31_536_000_000;
/// An event may be so many ms ahead of the clock here, as LogScale has it.
const MAX_AHEAD_MS: i64 = 10_000;

/// Whether an event may have happened then.
pub(crate) fn is_of_event(ms: i64, now_ms: i64) -> bool {
    (EARLIEST_MS..=now_ms.saturating_add(MAX_AHEAD_MS)).contains(&ms)
}

/// A time as text, in ms since 1970: RFC 3339, or without a zone, which is `zone` then or UTC.
pub(crate) fn time(text: &str, zone: Option<&str>) -> Option<i64> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_millis());
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f%z"] {
        if let Ok(time) = DateTime::parse_from_str(text, format) {
            return Some(time.timestamp_millis());
        }
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
pub(crate) fn epoch(number: f64) -> Option<i64> {
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

/// A JSON value as a time: text, or a number since 1970.
pub(crate) fn json_time(json: &str, zone: Option<&str>) -> Option<i64> {
    match json.as_bytes().first() {
        Some(b'"') => {
            let text = json::string(json);
            time(&text, zone).or_else(|| epoch(text.trim().parse().ok()?))
        }
        Some(b'0'..=b'9' | b'-') => epoch(json.parse().ok()?),
        _ => None,
    }
}

/// A JSON value as a time of which a number is in ms.
pub(super) fn json_ms(json: &str, zone: Option<&str>) -> Option<i64> {
    match json.as_bytes().first() {
        Some(b'"') => time(&json::string(json), zone),
        Some(b'0'..=b'9' | b'-') => {
            let ms: f64 = json.parse().ok()?;
            json.parse()
                .ok()
                .or_else(|| (ms.abs() < 9e15).then_some(ms as i64))
        }
        _ => None,
    }
}
