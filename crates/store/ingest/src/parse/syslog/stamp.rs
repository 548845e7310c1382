//! The times that stand at the beginning of syslog lines.
//!
//! `Nov 28 03:13:14` is what RFC 3164 has. There are fractions (`03:13:14.663`), a year before or
//! behind the clock, a weekday, a zone, a colon behind all of it (Cisco), a mark of a clock that is
//! not synchronized (`*`, `.`), ISO 8601 with `T` or a space, with and without a zone.

use chrono::{DateTime, Datelike, Days, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime};

use crate::times::time;

/// A time, as ms and as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp<'a> {
    pub(super) ms: i64,
    pub(super) text: &'a str,
}

/// Names of zones that RFC 2822 knows, with their hours.
const ZONES: [(&str, i32); 12] = [
    ("UTC", 0),
    ("GMT", 0),
    ("Z", 0),
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
    ("CET", 1),
];

/// The words of a line, each with what is behind it.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a str> {
        let rest = self.rest.trim_start_matches(' ');
        rest.split(' ').next().filter(|word| !word.is_empty())
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.peek()?;
        let rest = self.rest.trim_start_matches(' ');
        self.rest = rest.get(word.len()..).unwrap_or_default();
        Some(word)
    }
}

/// The time that a line begins with, and what is behind it.
pub(super) fn read(line: &str, now_ms: i64) -> Option<(Stamp<'_>, &str)> {
    let begin = line.strip_prefix(['*', '.']).unwrap_or(line);
    let (ms, rest) = iso(begin).or_else(|| bsd(begin, now_ms))?;
    let text = line.get(..line.len() - rest.len())?;
    Some((Stamp { ms, text }, rest))
}

/// The same behind Cisco's sequence number, and the name or address of the device.
pub(super) fn behind_prefix(line: &str, now_ms: i64) -> Option<(&str, Stamp<'_>, &str)> {
    let mut words = Words { rest: line };
    let mut host = "";
    for _ in 0..2 {
        let word = words.next()?.strip_suffix(':')?;
        if !word.bytes().all(|byte| byte.is_ascii_digit()) {
            host = word;
        }
        let rest = words.rest.trim_start_matches(' ');
        if let Some((stamp, rest)) = read(rest, now_ms) {
            return Some((host, stamp, rest));
        }
    }
    None
}

/// ISO 8601 in one word, or its date and its clock in two.
fn iso(line: &str) -> Option<(i64, &str)> {
    if !line.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut words = Words { rest: line };
    let first = words.next()?;
    if let Some(ms) = time(first.strip_suffix(':').unwrap_or(first), None) {
        return Some((ms, words.rest));
    }
    let clock = words.next()?;
    let clock = clock.strip_suffix(':').unwrap_or(clock);
    let ms = time(&format!("{first} {clock}"), None)?;
    Some((ms, words.rest))
}

/// A month's name, a day, a clock; UTC without a zone, and without a year the last such day that is
/// not after tomorrow.
fn bsd(line: &str, now_ms: i64) -> Option<(i64, &str)> {
    let mut words = Words { rest: line };
    let mut month = words.next()?;
    if WEEKDAYS.contains(&month.trim_end_matches(',')) {
        month = words.next()?;
    }
    let day = words.next()?;
    let mut year = words.peek().and_then(as_year);
    if year.is_some() {
        words.next()?;
    }
    let mut word = words.next()?;
    let mut ends = word.ends_with(':');
    let clock = clock(word)?;
    let mut offset = 0;
    while !ends {
        let Some(next) = words.peek() else { break };
        word = next.strip_suffix(':').unwrap_or(next);
        match (as_zone(word), as_year(word)) {
            (Some(seconds), _) => offset = seconds,
            (None, Some(found)) if year.is_none() => year = Some(found),
            _ => break,
        }
        ends = next.ends_with(':');
        words.next()?;
    }
    let date = match year {
        Some(year) => date(year, month, day)?,
        None => latest(month, day, now_ms)?,
    };
    let zone = FixedOffset::east_opt(offset)?;
    let time = NaiveDateTime::new(date, clock)
        .and_local_timezone(zone)
        .single()?;
    Some((time.timestamp_millis(), words.rest))
}

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// `03:13:14`, with a fraction behind a point or a comma, and a colon behind all of it.
fn clock(word: &str) -> Option<NaiveTime> {
    let word = word.strip_suffix(':').unwrap_or(word).replace(',', ".");
    NaiveTime::parse_from_str(&word, "%H:%M:%S%.f").ok()
}

fn as_year(word: &str) -> Option<i32> {
    let is_year = word.len() == 4 && (word.starts_with("19") || word.starts_with("20"));
    word.parse().ok().filter(|_| is_year)
}

/// The seconds east of Greenwich of a zone.
fn as_zone(word: &str) -> Option<i32> {
    if let Some((_, hours)) = ZONES.iter().find(|(name, _)| *name == word) {
        return Some(hours * 3600);
    }
    let offset = word.starts_with(['+', '-']).then_some(word)?;
    let offset: FixedOffset = offset.parse().ok()?;
    Some(offset.local_minus_utc())
}

fn date(year: i32, month: &str, day: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(&format!("{year} {month} {day}"), "%Y %b %d").ok()
}

/// 29 February is in one year of four, at times in one of eight.
fn latest(month: &str, day: &str, now_ms: i64) -> Option<NaiveDate> {
    let now = DateTime::from_timestamp_millis(now_ms)?.date_naive();
    let latest = now.checked_add_days(Days::new(1))?;
    (0..9)
        .filter_map(|back| date(latest.year().checked_sub(back)?, month, day))
        .find(|date| *date <= latest)
}
