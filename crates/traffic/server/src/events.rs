//! What has happened, for those who watch.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::broadcast;

use backstay_traffic_profile::status::EndpointMonitorStatus;

/// Events that one who watches may be behind.
const MAX_UNREAD_EVENTS: usize = 1024;
/// Events that one who comes back finds.
const KEPT_EVENTS: usize = 1024;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its number, counting up from 1 at every start of the server.
    pub sequence: u64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The profile's resource id.
    pub profile: String,
    /// What has happened.
    #[serde(flatten)]
    pub what: What,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum What {
    /// An endpoint has another status.
    #[serde(rename_all = "camelCase")]
    Status {
        /// The endpoint's name within its profile.
        endpoint: String,
        /// Before; none for a new one.
        from: Option<EndpointMonitorStatus>,
        /// Now; none for one that is gone.
        to: Option<EndpointMonitorStatus>,
        /// The last error, when it is degraded.
        reason: Option<String>,
    },
    /// A name points elsewhere.
    #[serde(rename_all = "camelCase")]
    Answer {
        /// The DNS name whose answer has changed.
        name: String,
        /// The endpoint's target; `NXDOMAIN` for no name, none for nothing.
        to: Option<String>,
    },
}

impl What {
    /// Its kind, as SSE's `event:`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Answer { .. } => "answer",
        }
    }
}

/// All that has happened lately.
#[derive(Debug)]
pub(crate) struct Events {
    sender: broadcast::Sender<Event>,
    kept: Mutex<(u64, VecDeque<Event>)>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self {
            sender: broadcast::channel(MAX_UNREAD_EVENTS).0,
            kept: Mutex::new((0, VecDeque::new())),
        }
    }

    pub(crate) fn happened(&self, profile: String, what: What) {
        let mut kept = self.kept.lock();
        let (last, events) = &mut *kept;
        *last += 1;
        let event = Event {
            sequence: *last,
            at: Utc::now(),
            profile,
            what,
        };
        if events.len() >= KEPT_EVENTS {
            events.pop_front();
        }
        events.push_back(event.clone());
        // Nobody may be watching. Sent under the lock, so that events come in their order.
        let _ = self.sender.send(event);
    }

    /// What came after the event of this number, as far as it is kept, and what will come.
    pub(crate) fn since(&self, sequence: u64) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let kept = self.kept.lock();
        let (last, events) = &*kept;
        // A number that we have not given out yet is of an earlier run.
        let sequence = if sequence > *last { 0 } else { sequence };
        let after = events.iter().filter(|it| it.sequence > sequence).cloned();
        (after.collect(), self.sender.subscribe())
    }

    /// The number of the last event.
    pub(crate) fn last(&self) -> u64 {
        self.kept.lock().0
    }
}
