//! One JSON object a line.

use super::Parsed;
use crate::json::{Members, REPLACED, flatten, text, without_lone_surrogates};
use crate::times::json_time;

/// Where lines keep their time, the first that is there and is a time.
const TIMES: [&str; 5] = ["@timestamp", "timestamp", "time", "ts", "_time"];

pub(super) fn parse(line: &str, parsed: &mut Parsed) -> Result<(), &'static str> {
    let mended = without_lone_surrogates(line);
    parsed.note = mended.as_ref().map(|_| REPLACED);
    let line = mended.as_deref().unwrap_or(line);
    let members = Members::of(line).ok_or("the line is not a JSON object")?;
    parsed.time = TIMES.iter().find_map(|name| {
        let given = members.get(name)?;
        let ms = json_time(given, None)?;
        Some((Some(ms), text(given)?.into_owned()))
    });
    flatten::flatten("", line, &mut parsed.fields);
    Ok(())
}
