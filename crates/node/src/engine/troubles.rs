//! What goes wrong in the background or in searches, for as long as it does.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{Duration, Instant};

use backstay_search::SearchError as ExecutionError;
use parking_lot::Mutex;

use super::api::SearchError;
use super::running::Running;
use super::view;

/// What a step of one partition has said is forgotten when it is not repeated for so long: the
/// partition may be another node's by now.
const STEP_EXPIRY: Duration = Duration::from_secs(120);
/// For so long the status reports that a search has failed.
const SEARCH_FAILURE_EXPIRY: Duration = Duration::from_secs(600);
/// So many failures of searches are kept.
const MAX_SEARCH_FAILURES: usize = 8;

/// A step that does not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Name of the step, as the metric has it.
    pub(crate) step: &'static str,
    /// The partition, or the bucket, where it is one's.
    pub(crate) of: Option<u32>,
    /// Since when it has not succeeded.
    pub(crate) since: Instant,
    /// When it was last tried.
    pub(crate) last: Instant,
    /// What it said last.
    pub(crate) text: String,
}

/// All that goes wrong.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    steps: Mutex<BTreeMap<(&'static str, Option<u32>), Trouble>>,
    searches: Mutex<BTreeMap<String, Instant>>,
    /// Since when a partition has had no live owner.
    unowned: Mutex<BTreeMap<u32, Instant>>,
    /// Why this node cannot take a partition over until somebody helps.
    blocked: Mutex<BTreeMap<u32, String>>,
    /// Since when a step of a partition has been under way without getting on.
    under_way: Mutex<BTreeMap<(&'static str, u32), Instant>>,
}

/// A step of a partition, for as long as it is under way.
pub(crate) struct UnderWay<'a> {
    troubles: &'a Troubles,
    step: (&'static str, u32),
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.troubles.under_way.lock().remove(&self.step);
    }
}

impl Troubles {
    fn note(&self, step: &'static str, of: Option<u32>, error: Option<String>) {
        let now = Instant::now();
        let mut steps = self.steps.lock();
        let Some(text) = error else {
            steps.remove(&(step, of));
            return;
        };
        let known = steps.entry((step, of)).or_insert_with(|| Trouble {
            step,
            of,
            since: now,
            last: now,
            text: String::new(),
        });
        known.last = now;
        known.text = text;
    }

    fn note_search(&self, text: String) {
        let mut searches = self.searches.lock();
        searches.insert(text, Instant::now());
        while searches.len() > MAX_SEARCH_FAILURES {
            let oldest = searches.iter().min_by_key(|(_, at)| **at);
            let Some(oldest) = oldest.map(|(text, _)| text.clone()) else {
                return;
            };
            searches.remove(&oldest);
        }
    }

    /// The steps that do not succeed.
    pub(crate) fn steps(&self, now: Instant) -> Vec<Trouble> {
        let mut steps = self.steps.lock();
        steps.retain(|_, it| {
            it.of.is_none() || now.saturating_duration_since(it.last) < STEP_EXPIRY
        });
        steps.values().cloned().collect()
    }

    /// What searches have failed with of late, and when last.
    pub(crate) fn searches(&self, now: Instant) -> Vec<(String, Duration)> {
        let mut searches = self.searches.lock();
        searches.retain(|_, at| now.saturating_duration_since(*at) < SEARCH_FAILURE_EXPIRY);
        let all = searches.iter();
        all.map(|(text, at)| (text.clone(), now.saturating_duration_since(*at)))
            .collect()
    }

    /// A step of a partition begins.
    pub(crate) fn begin(&self, step: &'static str, of: u32) -> UnderWay<'_> {
        self.makes_progress(step, of);
        UnderWay {
            troubles: self,
            step: (step, of),
        }
    }

    /// It gets on, so that it does not hang.
    pub(crate) fn makes_progress(&self, step: &'static str, of: u32) {
        self.under_way.lock().insert((step, of), Instant::now());
    }

    /// The steps that are under way, and for how long they have not got on.
    pub(crate) fn under_way(&self, now: Instant) -> Vec<(&'static str, u32, Duration)> {
        let all = self.under_way.lock();
        let lasts = |since: &Instant| now.saturating_duration_since(*since);
        all.iter()
            .map(|((step, of), since)| (*step, *of, lasts(since)))
            .collect()
    }

    /// Why this node cannot take a partition over, where that will not pass by itself.
    pub(crate) fn blocked(&self, partition: u32) -> Option<String> {
        self.blocked.lock().get(&partition).cloned()
    }

    /// Notes whether it cannot.
    pub(crate) fn block(&self, partition: u32, why: Option<String>) {
        let mut blocked = self.blocked.lock();
        match why {
            Some(why) => blocked.insert(partition, why),
            None => blocked.remove(&partition),
        };
    }

    /// The partitions without a live owner, and for how long.
    pub(crate) fn unowned(&self, now: Instant) -> Vec<(u32, Duration)> {
        let unowned = self.unowned.lock();
        unowned
            .iter()
            .map(|(id, since)| (*id, now.saturating_duration_since(*since)))
            .collect()
    }
}

impl Running {
    /// Notes how a background step went.
    pub(crate) fn note<T, E: Display>(&self, step: &'static str, result: &Result<T, E>) {
        self.note_in(step, None, result);
    }

    /// The same for the step of one partition, or of one bucket.
    pub(crate) fn note_in<T, E: Display>(
        &self,
        step: &'static str,
        of: Option<u32>,
        result: &Result<T, E>,
    ) {
        let text = result.as_ref().err().map(ToString::to_string);
        if let Some(error) = &text {
            self.metrics.retried(step);
            tracing::warn!(step, of, error, "will be tried again");
        }
        self.troubles.note(step, of, text);
    }

    /// Notes what a search has failed with, where something that it needs is not as it should be.
    pub(crate) fn note_search(&self, error: &SearchError) {
        let is_ours = match error {
            SearchError::Unavailable { .. } => true,
            SearchError::Execution(error) => matches!(
                error,
                ExecutionError::Source { .. } | ExecutionError::Corrupt { .. }
            ),
            _ => false,
        };
        if is_ours {
            self.troubles.note_search(error.to_string());
        }
    }

    /// Notes which partitions nobody who lives writes.
    pub(crate) fn note_owners(&self, now: Instant) {
        let alive = self.alive.read();
        let owned = self.owned.read();
        let without = |(id, owner, _): &(u32, Option<String>, u64)| match owner {
            None => true,
            Some(owner) if *owner == self.host => !owned.contains_key(id),
            Some(owner) => !alive.contains_key(owner),
        };
        let ownership = self.global.read(view::ownership);
        let without: Vec<u32> = ownership
            .iter()
            .filter(|it| without(it))
            .map(|(id, ..)| *id)
            .collect();
        let mut unowned = self.troubles.unowned.lock();
        unowned.retain(|id, _| without.contains(id));
        for id in without {
            unowned.entry(id).or_insert(now);
        }
    }
}
