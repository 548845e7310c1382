//! The common and combined log formats of web servers
//! (<https://httpd.apache.org/docs/current/logs.html#accesslog>).

use std::sync::LazyLock;

use chrono::DateTime;
use regex::Regex;

use super::Parsed;

static LINE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"^(?P<client>\S+) \S+ (?P<userid>\S+) \[(?P<time>[^\]]+)\] "(?:(?P<method>[A-Z]+) (?P<url>\S+)(?: HTTP/(?P<httpversion>[\d.]+))?|(?P<request>(?:[^"\\]|\\.)*))" (?P<statuscode>\d{3}) (?P<responsesize>\d+|-)(?: "(?P<referrer>(?:[^"\\]|\\.)*)" "(?P<useragent>(?:[^"\\]|\\.)*)")?(?: (?P<responsetime>[\d.]+)(?:\s|$))?"#,
    )
    .ok()
});

const FIELDS: [&str; 11] = [
    "client",
    "userid",
    "method",
    "url",
    "httpversion",
    "request",
    "statuscode",
    "responsesize",
    "referrer",
    "useragent",
    "responsetime",
];

pub(super) fn parse(line: &str, parsed: &mut Parsed) -> Result<(), &'static str> {
    let not = "the line is in neither the common nor the combined log format";
    let captures = LINE.as_ref().and_then(|it| it.captures(line)).ok_or(not)?;
    for name in FIELDS {
        if let Some(value) = captures.name(name).filter(|it| it.as_str() != "-") {
            parsed.set(name, value.as_str());
        }
    }
    let time = DateTime::parse_from_str(&captures["time"], "%d/%b/%Y:%H:%M:%S %z");
    let time =
        time.map_err(|_| "the date in the brackets is not like 24/Nov/2026:03:00:00 +0000")?;
    parsed.time = Some((Some(time.timestamp_millis()), captures["time"].to_owned()));
    Ok(())
}
