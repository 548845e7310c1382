//! When an alert fires and when it resolves: pure, over samples and a clock.
//!
//! As in Azure (<https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-troubleshoot-metric>):
//! "once an alert is fired on a specific metric time series, more alerts on that time series won't
//! be fired until the issue is no longer observed", "the alert is resolved automatically when the
//! alert condition isn't met for three consecutive evaluations", and without `autoMitigate` one is
//! fired "on every evaluation in which the alert condition is met". Each endpoint that a rule is
//! split by is a time series of its own.
//!
//! No values in the window decide nothing: what is not probed (switched off, or its profile gone)
//! neither fires nor resolves. A time series begins with what is known when the rule, or the
//! server, starts; it does not wait for a whole window.
//!
//! Times are durations on a monotonic clock, so that setting the machine's clock changes nothing.
//! The evaluator proposes; only what its caller has made durable counts ([`Evaluator::happened`]),
//! so that a change that could not be written is proposed again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rule::MetricAlert;
use super::series::Series;
use backstay_resource::ResourceName;
use backstay_traffic_profile::PROFILE;

/// Evaluations in a row without the condition, after which an alert resolves.
pub(super) const CLEAR_EVALUATIONS: u32 = 3;
/// Health is looked at so often, at most and at least.
const SAMPLE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How often within a window.
const SAMPLES_PER_WINDOW: u32 = 60;

/// What fires and resolves for itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Subject {
    /// The profile's resource id, in lower case: a rule that comes again in other words is about
    /// the same.
    pub(crate) target: String,
    /// The endpoint, where the rule is split by endpoints; in lower case.
    pub(crate) endpoint: Option<String>,
}

impl Subject {
    /// The profile's resource group and name, in lower case.
    pub(crate) fn place(&self) -> (String, String) {
        let id = ResourceName::read(PROFILE, &self.target);
        id.map_or_else(Default::default, |it| (it.resource_group, it.name))
    }
}

/// Where one stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing has fired.
    #[default]
    Clear,
    /// It has fired, and for so many evaluations the condition has not been met since.
    Fired(u32),
}

/// What an evaluation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Fire,
    Resolve,
}

/// One evaluation of one subject: where it stands if nothing turns, and what should turn.
pub(super) fn step(phase: Phase, met: Option<bool>, auto_mitigate: bool) -> (Phase, Option<Turn>) {
    match (phase, met) {
        (phase, None) => (phase, None),
        (Phase::Clear, Some(true)) => (phase, Some(Turn::Fire)),
        (Phase::Clear, Some(false)) => (phase, None),
        (Phase::Fired(_), Some(true)) => (Phase::Fired(0), (!auto_mitigate).then_some(Turn::Fire)),
        (Phase::Fired(clear), Some(false)) => {
            let clear = clear.saturating_add(1);
            let resolved = auto_mitigate && clear >= CLEAR_EVALUATIONS;
            (Phase::Fired(clear), resolved.then_some(Turn::Resolve))
        }
    }
}

/// A turn that should be taken.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Turned {
    pub(super) subject: Subject,
    pub(super) turn: Turn,
    /// The value of each criterion.
    pub(super) values: Vec<f64>,
}

/// An endpoint's name and whether it is up; nothing when that is not known.
pub(super) type Reading = Vec<(String, Option<bool>)>;

/// A rule being evaluated.
#[derive(Debug)]
pub(super) struct Evaluator {
    rule: Arc<MetricAlert>,
    series: BTreeMap<(Subject, usize), Series>,
    /// Those that are not clear.
    phases: BTreeMap<Subject, Phase>,
    next_sample: Duration,
    next_evaluation: Duration,
}

impl Evaluator {
    /// Of a rule of which this has fired and not resolved. It is evaluated for the first time an
    /// evaluation period from now.
    pub(super) fn new(rule: Arc<MetricAlert>, fired: BTreeSet<Subject>, now: Duration) -> Self {
        let next_evaluation = now.saturating_add(rule.frequency.duration());
        Self {
            rule,
            series: BTreeMap::new(),
            phases: fired.into_iter().map(|it| (it, Phase::Fired(0))).collect(),
            next_sample: now,
            next_evaluation,
        }
    }

    pub(super) fn rule(&self) -> &Arc<MetricAlert> {
        &self.rule
    }

    /// When it is to be called again.
    pub(super) fn due(&self) -> Duration {
        self.next_sample.min(self.next_evaluation)
    }

    /// Looks and evaluates, as far as either is due. `read` tells of a profile, by its resource
    /// id.
    pub(super) fn tick(
        &mut self,
        now: Duration,
        read: impl Fn(&str) -> Option<Reading>,
    ) -> Vec<Turned> {
        if !self.rule.enabled {
            return Vec::new();
        }
        let frequency = self.rule.frequency.duration();
        let sample = (self.rule.window.duration() / SAMPLES_PER_WINDOW)
            .clamp(SAMPLE.0, SAMPLE.1)
            .min(frequency);
        // A clock that has gone back must not silence a rule.
        self.next_sample = self.next_sample.min(now.saturating_add(sample));
        self.next_evaluation = self.next_evaluation.min(now.saturating_add(frequency));
        let evaluates = now >= self.next_evaluation;
        if evaluates || now >= self.next_sample {
            self.sample(now, read);
            self.next_sample = now.saturating_add(sample);
        }
        if !evaluates {
            return Vec::new();
        }
        let next = self.next_evaluation.saturating_add(frequency);
        // What was missed is not made up for.
        self.next_evaluation = if next > now {
            next
        } else {
            now.saturating_add(frequency)
        };
        self.evaluate(now)
    }

    /// A proposed turn has become durable.
    pub(super) fn happened(&mut self, turned: &Turned) {
        match turned.turn {
            Turn::Fire if self.rule.auto_mitigate => {
                self.phases.insert(turned.subject.clone(), Phase::Fired(0));
            }
            // One that does not resolve is not remembered either.
            Turn::Fire | Turn::Resolve => {
                self.phases.remove(&turned.subject);
            }
        }
    }

    fn sample(&mut self, now: Duration, read: impl Fn(&str) -> Option<Reading>) {
        let rule = Arc::clone(&self.rule);
        let window = rule.window.duration();
        for target in &rule.scopes {
            for (endpoint, up) in read(target).unwrap_or_default() {
                let Some(up) = up else { continue };
                let name = endpoint.to_ascii_lowercase();
                let subject = Subject {
                    target: target.to_ascii_lowercase(),
                    endpoint: rule.splits().then_some(name),
                };
                for (place, criterion) in rule.criteria.iter().enumerate() {
                    if criterion.selects(&endpoint) {
                        self.series
                            .entry((subject.clone(), place))
                            .or_insert_with(|| Series::new(window))
                            .record(now, f64::from(u8::from(up)));
                    }
                }
            }
        }
    }

    fn evaluate(&mut self, now: Duration) -> Vec<Turned> {
        let rule = Arc::clone(&self.rule);
        let subjects: BTreeSet<Subject> = self.series.keys().map(|(it, _)| it.clone()).collect();
        let mut turned = Vec::new();
        for subject in subjects {
            let mut values = Vec::with_capacity(rule.criteria.len());
            for (place, criterion) in rule.criteria.iter().enumerate() {
                let series = self.series.get_mut(&(subject.clone(), place));
                values.extend(series.and_then(|it| it.value(now, criterion.aggregation)));
            }
            // One of which nothing is known decides nothing, whatever the others say.
            let known = values.len() == rule.criteria.len();
            let met = known.then(|| {
                let mut both = rule.criteria.iter().zip(&values);
                both.all(|(it, value)| it.operator.holds(*value, it.threshold))
            });
            let phase = self.phases.get(&subject).copied().unwrap_or_default();
            let (stands, turn) = step(phase, met, rule.auto_mitigate);
            if stands != phase {
                self.phases.insert(subject.clone(), stands);
            }
            if values.is_empty() {
                // An endpoint that is gone leaves nothing behind.
                self.series.retain(|(it, _), _| *it != subject);
            }
            if let Some(turn) = turn {
                turned.push(Turned {
                    subject,
                    turn,
                    values,
                });
            }
        }
        turned
    }
}
