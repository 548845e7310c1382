//! Which messages have been taken: each is to wake once, however often it comes.
//!
//! A message is known by its alert, its condition and its time. It is remembered until it is too
//! old to be taken at all, so there is no moment at which it could be taken again.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::inbox::MAX_AGE;
use crate::{Condition, Message};

/// So many are remembered, and the oldest is forgotten first. Only who is let in can fill it, and
/// what is forgotten too early does no more than wake.
const MAX_REMEMBERED: usize = 4096;

/// What has been taken, by time.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeSet<(DateTime<Utc>, Condition, String)>);

impl Seen {
    /// Remembers a message that is young enough to be taken. Whether it is new.
    pub(crate) fn is_new(&mut self, message: &Message, now: DateTime<Utc>) -> bool {
        let oldest = now - MAX_AGE;
        while self.0.first().is_some_and(|(at, ..)| *at < oldest) || self.0.len() >= MAX_REMEMBERED
        {
            self.0.pop_first();
        }
        let key = (message.at(), message.condition, message.id.clone());
        self.0.insert(key)
    }

    /// As if it had not come.
    pub(crate) fn forget(&mut self, message: &Message) {
        let key = (message.at(), message.condition, message.id.clone());
        self.0.remove(&key);
    }
}

#[cfg(test)]
mod tests;
