//! What becomes of a message that may be heard.

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::refusal::Refusal;
use crate::seen::Seen;
use crate::{Condition, Message, Rule};

/// An older message is refused. Azure tries for a good minute, then lets the receiver be for a
/// quarter of an hour, and its alerts may be minutes late; so this is far more than any honest
/// message needs.
pub const MAX_AGE: TimeDelta = TimeDelta::hours(1);
/// A message may come from so far ahead: clocks differ.
pub const MAX_AHEAD: TimeDelta = TimeDelta::minutes(5);

/// An alert that wakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its resource id.
    pub id: String,
    /// Its rule, as it was named.
    pub rule: String,
    /// Whether its cause is there.
    pub condition: Condition,
    /// When that came about, by Azure's clock.
    pub at: DateTime<Utc>,
    /// When it was received, by ours.
    pub received: DateTime<Utc>,
}

/// Why to look now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wake {
    /// An alert of the rule has fired or resolved.
    Alert(Alert),
    /// The timer of the Functions host.
    Timer,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Woke,
    Replayed,
    Ignored,
    Test,
}

impl Outcome {
    /// In words, for the answer.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Woke => "taken\n",
            Self::Replayed => "taken before\n",
            Self::Ignored => "of another rule, ignored\n",
            Self::Test => "a test, heard\n",
        }
    }
}

/// Whether a message of `at` is to be heard now.
pub(crate) fn in_time(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let age = now.signed_duration_since(at);
    age <= MAX_AGE && -age <= MAX_AHEAD
}

/// Takes messages, and wakes.
#[derive(Debug)]
pub(crate) struct Inbox {
    rule: Rule,
    seen: Mutex<Seen>,
    on: Sender<Wake>,
}

impl Inbox {
    pub(crate) fn new(rule: Rule, on: Sender<Wake>) -> Self {
        Self {
            rule,
            seen: Mutex::default(),
            on,
        }
    }

    pub(crate) fn take(&self, message: &Message, now: DateTime<Utc>) -> Result<Outcome, Refusal> {
        let at = message.at();
        if message.is_test() {
            tracing::info!(
                rule = message.rule,
                "a test notification is heard, and wakes nobody"
            );
            return Ok(Outcome::Test);
        }
        if !self.rule.is_of(message) {
            tracing::info!(alert = message.id, rule = message.rule, wanted = %self.rule, "an alert of another rule is ignored");
            return Ok(Outcome::Ignored);
        }
        if !in_time(at, now) {
            return Err(Refusal::OutOfTime { at, now });
        }
        let mut seen = self.seen.lock();
        if !seen.is_new(message, now) {
            tracing::info!(alert = message.id, condition = ?message.condition, %at, "an alert was told again");
            return Ok(Outcome::Replayed);
        }
        let alert = Alert {
            id: message.id.clone(),
            rule: message.rule.clone(),
            condition: message.condition,
            at,
            received: now,
        };
        if let Err(gone) = self.wake(Wake::Alert(alert)) {
            seen.forget(message);
            return Err(gone);
        }
        tracing::info!(
            alert = message.id,
            rule = message.rule,
            condition = ?message.condition,
            %at,
            severity = message.severity,
            signal = message.signal,
            targets = ?message.targets,
            "an alert wakes the watch"
        );
        Ok(Outcome::Woke)
    }

    /// Where there is no room, a wake waits already, and one is enough.
    pub(crate) fn wake(&self, wake: Wake) -> Result<(), Refusal> {
        match self.on.try_send(wake) {
            Ok(()) | Err(TrySendError::Full(_)) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(Refusal::Ended),
        }
    }
}
