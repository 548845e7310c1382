//! What an HTTP answer says about another attempt.

use std::time::{Duration, SystemTime};

use crate::Verdict;

/// What a status code says. `wish` is what `Retry-After` said.
///
/// 429 and the 5xx that pass are worth another attempt; a refusal is not, whatever else it is.
pub fn after_status(code: u16, wish: Option<Duration>) -> Verdict {
    match code {
        429 | 500 | 502 | 503 | 504 => Verdict::Again { after: wish },
        _ => Verdict::Final,
    }
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110, 10.2.3). What is neither is no wish.
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}
