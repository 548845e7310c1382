//! The stretch of time that a query looks at.

/// A stretch of time: from `start_ms` (inclusive) to `end_ms` (exclusive), ms since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// First ms that belongs to it.
    pub start_ms: i64,
    /// First ms that does not.
    pub end_ms: i64,
}

/// A time that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a valid time; use ms since 1970, `now`, or an age such as `30s`, `15m`, `24h` or `7d`"
)]
pub struct RangeError {
    /// The text as it came.
    pub text: String,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl TimeRange {
    /// All of time, from the earliest to the latest millisecond.
    pub const ALL: Self = Self {
        start_ms: i64::MIN,
        end_ms: i64::MAX,
    };

    /// What LogScale's clients mean by `start` and `end`: ms since 1970, `now`, or an age
    /// (`24h`, `24hours`, `1 day`, `now-24h`). Without a start it is the last 24 hours before the end;
    /// without an end, now: what is dated later (a clock may be decades ahead) is found by who asks
    /// for it with an `end`.
    ///
    /// # Errors
    /// When a text is none of these.
    pub fn parse(start: Option<&str>, end: Option<&str>, now_ms: i64) -> Result<Self, RangeError> {
        let end_ms = match end {
            Some(text) => time(text, now_ms)?,
            // With what has come in this very ms.
            None => now_ms.saturating_add(1),
        };
        let start_ms = match start {
            Some(text) => time(text, now_ms)?,
            None => end_ms.min(now_ms).saturating_sub(DAY_MS),
        };
        Ok(Self { start_ms, end_ms })
    }

    /// Whether an instant belongs to it.
    pub fn contains(&self, at_ms: i64) -> bool {
        // The very last ms has no successor that could be the exclusive end.
        self.start_ms <= at_ms && (at_ms < self.end_ms || self.end_ms == i64::MAX)
    }

    /// Whether any instant of `first..=last` belongs to it.
    pub(crate) fn touches(&self, first_ms: i64, last_ms: i64) -> bool {
        last_ms >= self.start_ms && (first_ms < self.end_ms || self.end_ms == i64::MAX)
    }
}

/// Ms of `count` of a unit as LogScale spells it.
pub(crate) fn unit_ms(unit: &str) -> Option<i64> {
    Some(match unit {
        "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => DAY_MS,
        "w" | "week" | "weeks" => 7 * DAY_MS,
        "mon" | "month" | "months" => 30 * DAY_MS,
        "y" | "year" | "years" => 365 * DAY_MS,
        _ => return None,
    })
}

/// Ms of a span such as `5m` or `2 hours`; a unit without a number counts once.
pub(crate) fn span_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (count, unit) = text.split_at_checked(digits)?;
    let count = if count.is_empty() {
        1
    } else {
        count.parse::<i64>().ok()?
    };
    count.checked_mul(unit_ms(unit.trim())?)
}

fn time(text: &str, now_ms: i64) -> Result<i64, RangeError> {
    let error = || RangeError {
        text: text.to_owned(),
    };
    let trimmed = text.trim();
    if trimmed == "now" {
        return Ok(now_ms);
    }
    if let Ok(ms) = trimmed.parse::<i64>() {
        return Ok(ms);
    }
    let age = trimmed.strip_prefix("now").map_or(trimmed, |rest| {
        let rest = rest.trim_start();
        rest.strip_prefix('-').unwrap_or("")
    });
    let age = span_ms(age).ok_or_else(error)?;
    Ok(now_ms.saturating_sub(age))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;

    #[test]
    fn times_as_clients_write_them() {
        let parse = |start, end| TimeRange::parse(start, end, NOW_MS).unwrap();
        assert_eq!(
            parse(Some("24hours"), Some("now")),
            TimeRange {
                start_ms: NOW_MS - DAY_MS,
                end_ms: NOW_MS
            }
        );
        assert_eq!(parse(Some("now-15m"), None).start_ms, NOW_MS - 900_000);
        assert_eq!(parse(Some("1 day"), None).start_ms, NOW_MS - DAY_MS);
        assert_eq!(parse(Some("day"), None).start_ms, NOW_MS - DAY_MS);
        assert_eq!(parse(Some("-5"), Some("7")).start_ms, -5);
    }

    #[test]
    fn without_times_it_is_the_last_day_until_now() {
        let range = TimeRange::parse(None, None, NOW_MS).unwrap();
        assert!(range.contains(NOW_MS - DAY_MS));
        assert!(!range.contains(NOW_MS - DAY_MS - 1));
        assert!(range.contains(NOW_MS));
        assert!(!range.contains(NOW_MS + 1));
        let ahead = TimeRange::parse(None, Some("4102444800000"), NOW_MS).unwrap();
        assert!(ahead.contains(4_102_444_799_999));
    }

    #[test]
    fn what_is_no_time_is_named() {
        for text in [
            "",
            "yesterday",
            "5 parsecs",
            "now+1h",
            "99999999999999999999d",
            "é5",
        ] {
            assert_eq!(
                TimeRange::parse(Some(text), None, NOW_MS),
                Err(RangeError { text: text.into() })
            );
        }
    }
}
