//! Spans of time as Azure writes them: ISO 8601 durations in whole seconds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const UNITS: [(char, u32); 4] = [('D', 86_400), ('H', 3_600), ('M', 60), ('S', 1)];

/// A span of time, such as `PT5M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Period(u32);

/// It is no span of time in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no ISO 8601 duration in whole seconds, such as PT5M")]
pub(crate) struct NoPeriod;

impl Period {
    pub(crate) const fn seconds(seconds: u32) -> Self {
        Self(seconds)
    }

    pub(crate) fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl FromStr for Period {
    type Err = NoPeriod;

    fn from_str(text: &str) -> Result<Self, NoPeriod> {
        let rest = text.strip_prefix('P').ok_or(NoPeriod)?;
        let (days, time) = match rest.split_once('T') {
            Some((_, "")) => return Err(NoPeriod),
            Some(parts) => parts,
            None => (rest, ""),
        };
        let [day, of_time @ ..] = &UNITS;
        let mut seconds = sum(days, std::slice::from_ref(day))?;
        seconds = seconds.checked_add(sum(time, of_time)?).ok_or(NoPeriod)?;
        if rest.is_empty() {
            return Err(NoPeriod);
        }
        Ok(Self(seconds))
    }
}

/// Numbers with their units, each at most once and in this order.
fn sum(text: &str, units: &[(char, u32)]) -> Result<u32, NoPeriod> {
    let mut units = units.iter();
    let (mut rest, mut sum) = (text, 0_u32);
    while !rest.is_empty() {
        let end = rest.find(|it: char| !it.is_ascii_digit()).ok_or(NoPeriod)?;
        let (number, after) = rest.split_at(end);
        let unit = after.chars().next().ok_or(NoPeriod)?;
        let (_, seconds) = units.find(|(it, _)| *it == unit).ok_or(NoPeriod)?;
        let number: u32 = number.parse().map_err(|_| NoPeriod)?;
        let part = number.checked_mul(*seconds).ok_or(NoPeriod)?;
        sum = sum.checked_add(part).ok_or(NoPeriod)?;
        rest = after.get(unit.len_utf8()..).unwrap_or_default();
    }
    Ok(sum)
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P")?;
        let mut left = self.0;
        for (unit, seconds) in UNITS {
            let count = left / seconds;
            left %= seconds;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
            if unit == 'D' && (left > 0 || self.0 == 0) {
                f.write_str("T")?;
            }
        }
        if self.0 == 0 {
            f.write_str("0S")
        } else {
            Ok(())
        }
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

impl TryFrom<String> for Period {
    type Error = NoPeriod;

    fn try_from(text: String) -> Result<Self, NoPeriod> {
        text.parse()
    }
}
