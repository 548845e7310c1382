//! A raw line into fields: LogScale's built-in parsers json, kv, accesslog and syslog.
//!
//! A parser never loses a line: what it cannot take apart is kept as it is, and says so in `@error`
//! and `@error_msg`, as LogScale's do. Each takes time in proportion to the line.

mod accesslog;
mod json;
mod kv;
mod syslog;

#[cfg(test)]
mod tests;

use super::draft::{Draft, Fields};

/// The parser for JSON objects.
pub(crate) const JSON: &str = "json";

/// What a parser finds in a line.
struct Parsed {
    fields: Fields,
    /// The time, with the text that says it.
    time: Option<(Option<i64>, String)>,
    /// Completes dates without a year.
    now_ms: i64,
    /// What is to be said of a line that could be taken apart.
    note: Option<&'static str>,
}

impl Parsed {
    fn set(&mut self, name: &str, value: &str) {
        self.fields.push(name, value);
    }
}

type Parser = fn(&str, &mut Parsed) -> Result<(), &'static str>;

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
pub fn is_known(name: &str) -> bool {
    parser(name).is_some()
}

/// Takes an event's line apart, in place, and tags it with the parser's name (`#type`).
pub(crate) fn apply(name: &str, draft: &mut Draft) {
    draft.parsed_by(name);
    let mut parsed = Parsed {
        fields: draft.found.emptied(),
        time: None,
        now_ms: draft.now_ms(),
        note: None,
    };
    let result = match parser(name) {
        Some(parse) => parse(&draft.raw, &mut parsed),
        None => Err("there is no parser of that name; there are json, kv, accesslog and syslog"),
    };
    match result {
        Ok(()) => {
            draft.found = parsed.fields;
            if let Some((ms, given)) = parsed.time {
                draft.set_time(ms, &given);
            }
            if let Some(note) = parsed.note {
                draft.problem(note);
            }
        }
        Err(problem) => draft.problem(format!("{name}: {problem}")),
    }
}
