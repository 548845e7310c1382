//! `key=value` pairs anywhere in a line; values may be quoted.

use super::Parsed;
use crate::times::{epoch, time};

/// Where lines keep their time, the first that is there and is a time.
const TIMES: [&str; 3] = ["ts", "time", "timestamp"];

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@' | b'#' | b'/')
}

/// All pairs, one by one. `=` is ASCII, so no cut is within a character.
pub(super) fn pairs(line: &str) -> impl Iterator<Item = (&str, String)> {
    let bytes = line.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let offset = memchr::memchr(b'=', bytes.get(at..)?)?;
            let equals = at + offset;
            let begin = bytes[at..equals]
                .iter()
                .rposition(|byte| !is_key(*byte))
                .map_or(at, |before| at + before + 1);
            let (value, end) = value(line, equals + 1);
            at = end;
            if begin < equals {
                return Some((&line[begin..equals], value));
            }
        }
    })
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

pub(super) fn parse(line: &str, parsed: &mut Parsed) -> Result<(), &'static str> {
    for (name, value) in pairs(line) {
        if !parsed.fields.push(name, &value) && parsed.fields.is_full() {
            break;
        }
    }
    let field = |name: &str| {
        let found = parsed.fields.get(name)?;
        let ms = time(found, None).or_else(|| epoch(found.parse().ok()?))?;
        Some((Some(ms), found.to_owned()))
    };
    let first = line.split_whitespace().next().unwrap_or_default();
    parsed.time = TIMES
        .iter()
        .find_map(|name| field(name))
        .or_else(|| Some((Some(time(first, None)?), first.to_owned())));
    Ok(())
}
