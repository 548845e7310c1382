//! Endpoints that are probed, and what came of it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use backstay_probe::{Outcome, ProbeError, Spec};
use backstay_traffic_profile::monitor::{Agent, Monitor};
use backstay_traffic_profile::status::Health;

/// Stands for an endpoint and the way in which it is probed. When that changes, it is given up:
/// what is still under way for it counts for nothing.
pub(crate) type WatchId = u64;

/// Results that are kept of an endpoint, for the console.
const MAX_HISTORY: usize = 60;

/// The result of a probe.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sample {
    /// When it ended.
    pub(crate) at: DateTime<Utc>,
    /// The vantage point that probed, by its place in the configuration.
    pub(crate) vantage: usize,
    /// Milliseconds until the verdict.
    pub(crate) took_ms: u64,
    /// Why it is no health.
    #[serde(serialize_with = "as_text")]
    pub(crate) error: Option<ProbeError>,
}

fn as_text<S: serde::Serializer>(error: &Option<ProbeError>, to: S) -> Result<S::Ok, S::Error> {
    match error {
        Some(error) => to.collect_str(error),
        None => to.serialize_none(),
    }
}

/// An endpoint that is probed.
#[derive(Debug)]
pub(crate) struct Watched {
    key: String,
    profile: String,
    spec: Arc<Spec>,
    monitor: Monitor,
    history: VecDeque<Sample>,
}

impl Watched {
    pub(crate) fn health(&self) -> Health {
        self.monitor.health()
    }

    pub(crate) fn agents(&self) -> &[Agent] {
        self.monitor.agents()
    }

    pub(crate) fn history(&self) -> impl Iterator<Item = &Sample> {
        self.history.iter()
    }

    /// The last error, as far as history goes.
    pub(crate) fn last_error(&self) -> Option<String> {
        let mut errors = self.history.iter().rev().filter_map(|it| it.error.as_ref());
        errors.next().map(ToString::to_string)
    }
}

/// All endpoints that are probed.
#[derive(Debug)]
pub(crate) struct Watches {
    all: HashMap<WatchId, Watched>,
    by_endpoint: HashMap<String, WatchId>,
    new: Vec<WatchId>,
    count: WatchId,
    /// Endpoints that were degraded when the server last ran, until they are all read in.
    saved: BTreeSet<String>,
}

impl Watches {
    pub(crate) fn new(saved: BTreeSet<String>) -> Self {
        Self {
            all: HashMap::new(),
            by_endpoint: HashMap::new(),
            new: Vec::new(),
            count: 0,
            saved,
        }
    }

    /// From now on, new endpoints are unknown, whatever their names.
    pub(crate) fn forget_saved(&mut self) {
        self.saved.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn of(&self, key: &str) -> Option<&Watched> {
        self.all.get(self.by_endpoint.get(key)?)
    }

    pub(crate) fn spec(&self, id: WatchId) -> Option<Arc<Spec>> {
        self.all.get(&id).map(|it| Arc::clone(&it.spec))
    }

    /// Sees to it that this endpoint is probed in this way. What is known of it stays if the same
    /// is asked of it, be it at other intervals.
    pub(crate) fn keep(
        &mut self,
        key: &str,
        profile: &str,
        spec: Spec,
        vantage_points: usize,
        quorum: usize,
    ) {
        let old = match self.by_endpoint.get(key) {
            Some(id) if self.all.get(id).is_some_and(|it| *it.spec == spec) => return,
            Some(id) => self.all.remove(id),
            None => None,
        };
        let (monitor, history) = match old {
            Some(old) if old.spec.asks_the_same(&spec) => (old.monitor, old.history),
            _ => {
                let health = if self.saved.contains(key) {
                    Health::Unhealthy
                } else {
                    Health::Unknown
                };
                let monitor = Monitor::new(vantage_points, quorum, health);
                (monitor, VecDeque::new())
            }
        };
        self.count += 1;
        let watched = Watched {
            key: key.to_owned(),
            profile: profile.to_owned(),
            spec: Arc::new(spec),
            monitor,
            history,
        };
        self.all.insert(self.count, watched);
        self.by_endpoint.insert(key.to_owned(), self.count);
        self.new.push(self.count);
    }

    pub(crate) fn remove(&mut self, key: &str) {
        if let Some(id) = self.by_endpoint.remove(key) {
            self.all.remove(&id);
        }
    }

    pub(crate) fn any_new(&self) -> bool {
        !self.new.is_empty()
    }

    /// What is new, with its interval.
    pub(crate) fn take_new(&mut self) -> Vec<(WatchId, Duration)> {
        let new = std::mem::take(&mut self.new);
        new.into_iter()
            .filter_map(|id| Some((id, self.all.get(&id)?.spec.interval())))
            .collect()
    }

    /// A probe has ended. Returns the profile and the endpoint when the verdict on it has changed.
    pub(crate) fn probed(
        &mut self,
        id: WatchId,
        vantage: usize,
        outcome: Outcome,
        took: Duration,
    ) -> Option<(String, String)> {
        let watched = self.all.get_mut(&id)?;
        let error = match outcome {
            Outcome::Healthy => None,
            Outcome::Failed(error) => Some(error),
            Outcome::Void(_) => return None,
        };
        let tolerated = watched.spec.monitor().tolerated;
        let ok = error.is_none();
        if watched.history.len() >= MAX_HISTORY {
            watched.history.pop_front();
        }
        watched.history.push_back(Sample {
            at: Utc::now(),
            vantage,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            error,
        });
        watched.monitor.observe(vantage, ok, tolerated)?;
        Some((watched.profile.clone(), watched.key.clone()))
    }

    /// The endpoints that are degraded, by their keys.
    pub(crate) fn degraded(&self) -> BTreeSet<String> {
        let all = self.all.values();
        all.filter(|it| it.health() == Health::Unhealthy)
            .map(|it| it.key.clone())
            .collect()
    }
}
