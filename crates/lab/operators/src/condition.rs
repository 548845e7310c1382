//! Conditions of a status: each says since when it is so.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::api::{array, text};

/// A condition that a status should show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub kind: &'static str,
    pub holds: bool,
    pub reason: &'static str,
    pub message: String,
}

/// The conditions of `status` with these in them. Moments change only with what they are about,
/// so an unchanged world gives an unchanged status.
pub(crate) fn with(status: &Value, conditions: &[Condition], now: DateTime<Utc>) -> Value {
    let mut all = array(status, "/conditions").to_vec();
    for condition in conditions {
        let holds = if condition.holds { "True" } else { "False" };
        let old = all
            .iter()
            .position(|old| text(old, "/type") == condition.kind);
        let since = old
            .and_then(|at| all.get(at))
            .filter(|old| text(old, "/status") == holds)
            .map(|old| text(old, "/lastTransitionTime").to_owned())
            .filter(|since| !since.is_empty())
            .unwrap_or_else(|| timestamp(now));
        let new = json!({
            "type": condition.kind,
            "status": holds,
            "reason": condition.reason,
            "message": condition.message,
            "lastTransitionTime": since,
        });
        match old.and_then(|at| all.get_mut(at)) {
            Some(old) => *old = new,
            None => all.push(new),
        }
    }
    Value::Array(all)
}

/// Whether the condition of this type is true.
pub(crate) fn holds(status: &Value, kind: &str) -> bool {
    array(status, "/conditions")
        .iter()
        .any(|condition| text(condition, "/type") == kind && text(condition, "/status") == "True")
}

/// A moment as Kubernetes writes it.
pub(crate) fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests;
