//! When a node goes.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// What is to be done with a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Idle {
    /// Nothing: pods need it.
    Leave,
    /// Pods need it again.
    Needed,
    /// From this moment no pod needs it.
    Mark(DateTime<Utc>),
    /// It goes after so long, unless a pod comes.
    Wait(Duration),
    /// It has been idle for long enough.
    Remove,
}

/// `since` is what the node says of itself; what is no moment, or lies ahead, says nothing.
pub(super) fn decide(has_pods: bool, since: &str, limit: Duration, now: DateTime<Utc>) -> Idle {
    if has_pods {
        return if since.is_empty() {
            Idle::Leave
        } else {
            Idle::Needed
        };
    }
    let idle = DateTime::parse_from_rfc3339(since)
        .ok()
        .and_then(|since| (now - since.to_utc()).to_std().ok());
    match idle {
        None => Idle::Mark(now),
        Some(idle) if idle < limit => Idle::Wait(limit - idle),
        Some(_) => Idle::Remove,
    }
}

#[cfg(test)]
mod tests;
