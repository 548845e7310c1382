//! When which webhook is called, and when again: pure, over a clock that the caller holds.
//!
//! As in Azure (<https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups>, "Webhook"):
//! a call is retried after 408, 429, 503, 504 and when there was no answer at all, at most five
//! times, 5, 20, 5, 40 and 5 seconds after one another; "after retries attempted to call the
//! webhook fail, no action group calls the endpoint for 15 minutes". What the notification was
//! about is then not told, as in Azure. Azure does not say what becomes of notifications that fall
//! into those minutes; here they wait for their end.
//!
//! One receiver gets one call at a time, in the order in which things happened, and a slow or dead
//! one holds up no other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::turn::Notification;

/// The pauses between attempts.
pub(super) const RETRY_DELAYS: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(20),
    Duration::from_secs(5),
    Duration::from_secs(40),
    Duration::from_secs(5),
];
/// The rest after the last one.
pub(super) const REST_PERIOD: Duration = Duration::from_secs(15 * 60);
/// Calls under way at the same time.
const MAX_CALLS: usize = 16;

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was taken.
    Taken,
    /// It may be taken another time.
    Again(String),
    /// It will not be taken.
    Refused(String),
}

/// What is to be done with a notification whose call has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Delivered,
    GivenUp,
    Later,
}

#[derive(Clone, Copy, Debug, Default)]
struct Way {
    failures: usize,
    due: Duration,
    busy: bool,
}

/// The state of all receivers, by their URIs.
#[derive(Debug, Default)]
pub(super) struct Courier {
    ways: HashMap<String, Way>,
}

impl Courier {
    /// The calls to be made now; each is under way from here on until [`Self::ended`].
    pub(super) fn start(
        &mut self,
        now: Duration,
        pending: &[Arc<Notification>],
    ) -> Vec<Arc<Notification>> {
        self.ways.retain(|uri, way| {
            way.busy || way.due > now || pending.iter().any(|it| it.uri == *uri)
        });
        let mut busy = self.ways.values().filter(|it| it.busy).count();
        let mut started: Vec<Arc<Notification>> = Vec::new();
        for notification in pending {
            if busy >= MAX_CALLS {
                break;
            }
            let way = self.ways.entry(notification.uri.clone()).or_default();
            if !way.busy && way.due <= now {
                way.busy = true;
                busy += 1;
                started.push(Arc::clone(notification));
            }
        }
        started
    }

    /// When there may be another call to make, if none ends before.
    pub(super) fn due(&self, pending: &[Arc<Notification>]) -> Option<Duration> {
        if self.ways.values().filter(|it| it.busy).count() >= MAX_CALLS {
            return None;
        }
        let waiting = pending.iter().filter_map(|it| self.ways.get(&it.uri));
        waiting.filter(|it| !it.busy).map(|it| it.due).min()
    }

    /// A call has ended.
    pub(super) fn ended(&mut self, now: Duration, uri: &str, outcome: &Outcome) -> Verdict {
        let way = self.ways.entry(uri.to_owned()).or_default();
        way.busy = false;
        let (verdict, failures, pause) = match outcome {
            Outcome::Taken => (Verdict::Delivered, 0, Duration::ZERO),
            Outcome::Refused(_) => (Verdict::GivenUp, 0, Duration::ZERO),
            Outcome::Again(_) => match RETRY_DELAYS.get(way.failures) {
                Some(pause) => (Verdict::Later, way.failures + 1, *pause),
                None => (Verdict::GivenUp, 0, REST_PERIOD),
            },
        };
        way.failures = failures;
        way.due = now.saturating_add(pause);
        verdict
    }

    /// What came of a call could not be written down: it is made again after a while.
    pub(super) fn unwritten(&mut self, now: Duration, uri: &str) {
        let way = self.ways.entry(uri.to_owned()).or_default();
        let [pause, ..] = RETRY_DELAYS;
        way.due = way.due.max(now.saturating_add(pause));
    }
}
