//! Syslog lines, as RFC 5424 and RFC 3164 have them.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime};

use super::{Parsed, kv};
use crate::http::ingest::fields::time;

pub(super) fn parse(line: &str, now_ms: i64) -> Result<Parsed, &'static str> {
    let mut parsed = Parsed::default();
    let rest = match priority(line) {
        Some((priority, rest)) => {
            parsed.set("priority", &priority.to_string());
            parsed.set("facility", &(priority / 8).to_string());
            parsed.set("severity", &(priority % 8).to_string());
            rest
        }
        None => line,
    };
    match rest.strip_prefix("1 ") {
        Some(rest) => rfc5424(rest, parsed),
        None => rfc3164(rest, parsed, now_ms),
    }
}

/// `<PRI>`: facility × 8 + severity, 0 to 191.
fn priority(line: &str) -> Option<(u8, &str)> {
    let (digits, rest) = line.strip_prefix('<')?.split_once('>')?;
    let priority: u8 = digits.parse().ok()?;
    (priority < 192 && digits.len() <= 3).then_some((priority, rest))
}

/// `TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG` (RFC 5424, section 6).
fn rfc5424(rest: &str, mut parsed: Parsed) -> Result<Parsed, &'static str> {
    let mut parts = rest.splitn(6, ' ');
    let stamp = parts.next().unwrap_or_default();
    if stamp != "-" {
        let time = time(stamp, None).ok_or("the time is none of RFC 5424")?;
        parsed.timestamp_ms = Some(time);
    }
    for name in ["host", "app", "pid", "msgid"] {
        let value = parts.next().ok_or("the header ends too early")?;
        if value != "-" {
            parsed.set(name, value);
        }
    }
    let rest = parts
        .next()
        .ok_or("there is no structured data, nor a `-`")?;
    let message = match rest.strip_prefix('-') {
        Some(rest) => rest,
        None => structured_data(rest, &mut parsed)?,
    };
    let message = message.trim_start_matches(' ');
    // A byte-order mark says that the message is UTF-8, and is no part of it.
    parsed.set(
        "message",
        message.strip_prefix('\u{feff}').unwrap_or(message),
    );
    Ok(parsed)
}

/// `[id name="value" …]…`; returns what is behind it.
fn structured_data<'a>(text: &'a str, parsed: &mut Parsed) -> Result<&'a str, &'static str> {
    let mut rest = text;
    while let Some(element) = rest.strip_prefix('[') {
        let end = element_end(element).ok_or("the structured data has no end")?;
        let (id, pairs) = element[..end]
            .split_once(' ')
            .unwrap_or((&element[..end], ""));
        for (name, value) in kv::pairs(pairs) {
            parsed.set(&format!("{id}.{name}"), &value);
        }
        rest = &element[end + 1..];
    }
    Ok(rest)
}

/// Where the `]` is that is not within quotes.
fn element_end(element: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    element.char_indices().find_map(|(at, c)| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ']' if !quoted => return Some(at),
            _ => {}
        }
        None
    })
}

/// `Mmm dd hh:mm:ss HOSTNAME TAG[PID]: MSG` (RFC 3164, section 4); an RFC 3339 time in its place is
/// taken too, as rsyslog writes it.
fn rfc3164(rest: &str, mut parsed: Parsed, now_ms: i64) -> Result<Parsed, &'static str> {
    let not = "the line begins with no time of RFC 3164 or RFC 5424";
    let (stamp, rest) = match rest.get(..15).and_then(|text| bsd_time(text, now_ms)) {
        Some(stamp) => (stamp, &rest[15..]),
        None => {
            let (first, rest) = rest.split_once(' ').ok_or(not)?;
            (time(first, None).ok_or(not)?, rest)
        }
    };
    parsed.timestamp_ms = Some(stamp);
    let (host, rest) = rest
        .trim_start()
        .split_once(' ')
        .ok_or("there is no host")?;
    parsed.set("host", host);
    let tag_end = rest.find([':', ' ']).unwrap_or(rest.len());
    if rest[tag_end..].starts_with(':') {
        match rest[..tag_end].split_once('[') {
            Some((app, pid)) => {
                parsed.set("app", app);
                parsed.set("pid", pid.trim_end_matches(']'));
            }
            None => parsed.set("app", &rest[..tag_end]),
        }
        parsed.set("message", rest[tag_end + 1..].trim_start());
    } else {
        parsed.set("message", rest);
    }
    Ok(parsed)
}

/// A time without a year and zone: UTC, and the last such day that is not after tomorrow.
fn bsd_time(text: &str, now_ms: i64) -> Option<i64> {
    let (month, rest) = text.split_at_checked(4)?;
    let (day, clock) = rest.split_at_checked(3)?;
    let clock = NaiveTime::parse_from_str(clock.trim(), "%H:%M:%S").ok()?;
    let now = DateTime::from_timestamp_millis(now_ms)?.date_naive();
    let latest = now.checked_add_days(Days::new(1))?;
    // 29 February is in one year of four, at times in one of eight.
    (0..9)
        .filter_map(|back| {
            let written = format!("{} {} {}", latest.year() - back, month.trim(), day.trim());
            NaiveDate::parse_from_str(&written, "%Y %b %d").ok()
        })
        .find(|date| *date <= latest)
        .map(|date| NaiveDateTime::new(date, clock).and_utc().timestamp_millis())
}
