//! Events that are in no segment yet, however somebody keeps them.

use std::sync::Arc;

use crate::{Event, SearchError};

/// Events of a vector that are looked at on one thread without a pause.
const PIECE_EVENTS: usize = 8192;

/// Events that are in no segment yet, in pieces that are looked at one by one: whoever keeps them
/// packed unpacks no more than one event at a time.
pub trait LiveEvents: Send + Sync {
    /// How many pieces there are.
    fn pieces(&self) -> usize;

    /// First and last ms of a piece; `None` when nothing is in it.
    fn extent(&self, piece: usize) -> Option<(i64, i64)>;

    /// What the events of a piece take in memory once they are unpacked.
    fn memory(&self, piece: usize) -> usize;

    /// Shows the events of a piece, in order.
    ///
    /// # Errors
    /// What `see` says, and when the events cannot be unpacked.
    fn look(
        &self,
        piece: usize,
        see: &mut dyn FnMut(&Event) -> Result<(), SearchError>,
    ) -> Result<(), SearchError>;

    /// The name of the repository that they are in, where there is one; see [`crate::live_of`].
    fn repository(&self) -> Option<Arc<str>> {
        None
    }
}

impl LiveEvents for Vec<Event> {
    fn pieces(&self) -> usize {
        self.len().div_ceil(PIECE_EVENTS)
    }

    fn extent(&self, piece: usize) -> Option<(i64, i64)> {
        let times = self.iter().skip(piece * PIECE_EVENTS).take(PIECE_EVENTS);
        times
            .map(|event| (event.timestamp_ms, event.timestamp_ms))
            .reduce(|(a, b), (c, d)| (a.min(c), b.max(d)))
    }

    fn memory(&self, piece: usize) -> usize {
        let events = self.iter().skip(piece * PIECE_EVENTS).take(PIECE_EVENTS);
        events
            .map(|event| {
                let pairs = event.tags.len() + event.fields.len();
                size_of::<Event>() + event.bytes() + pairs * size_of::<(String, String)>()
            })
            .sum()
    }

    fn look(
        &self,
        piece: usize,
        see: &mut dyn FnMut(&Event) -> Result<(), SearchError>,
    ) -> Result<(), SearchError> {
        let mut events = self.iter().skip(piece * PIECE_EVENTS).take(PIECE_EVENTS);
        events.try_for_each(see)
    }
}
