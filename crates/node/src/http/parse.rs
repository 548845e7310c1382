//! A raw line into fields: LogScale's built-in parsers json, kv, accesslog and syslog.
//!
//! A parser never loses a line: what it cannot take apart is kept as it is, and says so in `@error`
//! and `@error_msg`, as LogScale's do.

mod accesslog;
mod json;
mod kv;
mod syslog;

#[cfg(test)]
mod tests;

use backstay_search::Event;

/// The parser for JSON objects.
pub(super) const JSON: &str = "json";

/// What a parser found in a line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parsed {
    fields: Vec<(String, String)>,
    timestamp_ms: Option<i64>,
}

impl Parsed {
    fn set(&mut self, name: &str, value: &str) {
        self.fields.push((name.to_owned(), value.to_owned()));
    }
}

type Parser = fn(&str, i64) -> Result<Parsed, &'static str>;

fn parser(name: &str) -> Option<Parser> {
    match name {
        JSON => Some(json::parse),
        "kv" => Some(kv::parse),
        "accesslog" => Some(accesslog::parse),
        "syslog" => Some(syslog::parse),
        _ => None,
    }
}

/// Whether there is a parser of that name.
pub(super) fn is_known(name: &str) -> bool {
    parser(name).is_some()
}

/// Takes an event's line apart, in place, and tags it with the parser's name (`#type`).
/// `now_ms` completes dates without a year.
pub(super) fn apply(name: &str, event: &mut Event, now_ms: i64) {
    if !event
        .tags
        .iter()
        .any(|(tag, _)| tag.trim_start_matches('#') == "type")
    {
        event.tags.push(("type".to_owned(), name.to_owned()));
    }
    let parsed = match parser(name) {
        Some(parse) => parse(&event.raw, now_ms),
        None => Err("there is no parser of that name; there are json, kv, accesslog and syslog"),
    };
    match parsed {
        Ok(parsed) => {
            event.fields.extend(parsed.fields);
            event.timestamp_ms = parsed.timestamp_ms.unwrap_or(event.timestamp_ms);
        }
        Err(problem) => {
            event.fields.push(("@error".to_owned(), "true".to_owned()));
            let message = format!("{name}: {problem}");
            event.fields.push(("@error_msg".to_owned(), message));
        }
    }
}
