//! One JSON object a line.

use serde_json::{Map, Value};

use super::Parsed;
use crate::http::ingest::fields::{flatten, value_time};

/// Where lines keep their time, the first that is there and is a time.
const TIMES: [&str; 5] = ["@timestamp", "timestamp", "time", "ts", "_time"];

pub(super) fn parse(line: &str, _: i64) -> Result<Parsed, &'static str> {
    let object: Map<String, Value> =
        serde_json::from_str(line).map_err(|_| "the line is no JSON object")?;
    let mut parsed = Parsed {
        timestamp_ms: TIMES
            .iter()
            .find_map(|name| value_time(object.get(*name)?, None)),
        ..Parsed::default()
    };
    flatten(&object, &mut parsed.fields)
        .map_err(|_| "the line's fields would be more than 16 MiB")?;
    // `@timestamp` is the event's own member, not a field beside it.
    parsed.fields.retain(|(name, _)| name != "@timestamp");
    Ok(parsed)
}
