//! `key=value` pairs anywhere in a line; values may be quoted.

use super::Parsed;
use crate::http::ingest::fields::{epoch, time};

/// Where lines keep their time, the first that is there and is a time.
const TIMES: [&str; 3] = ["ts", "time", "timestamp"];

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@' | b'#' | b'/')
}

/// All pairs. `=` is ASCII, so no cut is within a character.
pub(super) fn pairs(line: &str) -> Vec<(&str, String)> {
    let bytes = line.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(offset) = bytes[at..].iter().position(|byte| *byte == b'=') {
        let equals = at + offset;
        let begin = bytes[at..equals]
            .iter()
            .rposition(|byte| !is_key(*byte))
            .map_or(at, |before| at + before + 1);
        let (value, end) = value(line, equals + 1);
        if begin < equals {
            found.push((&line[begin..equals], value));
        }
        at = end;
    }
    found
}

/// The value that begins at `from`, and where it ends.
fn value(line: &str, from: usize) -> (String, usize) {
    let rest = &line[from..];
    let quote = match rest.as_bytes().first() {
        Some(quote @ (b'"' | b'\'')) => char::from(*quote),
        _ => {
            let end = rest
                .find(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ')' | ']' | '}'))
                .unwrap_or(rest.len());
            return (rest[..end].to_owned(), from + end);
        }
    };
    let mut text = String::new();
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => {
                text.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            _ if c == quote => return (text, from + at + 1),
            _ => text.push(c),
        }
    }
    (text, line.len())
}

pub(super) fn parse(line: &str, _: i64) -> Result<Parsed, &'static str> {
    let mut parsed = Parsed::default();
    for (name, value) in pairs(line) {
        parsed.set(name, &value);
    }
    let field = |name: &str| {
        let found = parsed.fields.iter().find(|(key, _)| key == name)?;
        time(&found.1, None).or_else(|| epoch(found.1.parse().ok()?))
    };
    let first = line.split_whitespace().next().unwrap_or_default();
    parsed.timestamp_ms = TIMES
        .iter()
        .find_map(|name| field(name))
        .or_else(|| time(first, None));
    Ok(parsed)
}
