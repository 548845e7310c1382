//! Evaluates the rules on their schedule, from the statuses that the traffic manager itself has
//! found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::alert::MonitorCondition;
use super::evaluate::{Evaluator, Reading, Subject, Turn, Turned};
use super::rule::MetricAlert;
use super::store::Alerts;
use super::turn::take;
use crate::METRIC_ALERT;
use backstay_resource::ResourceName;
use backstay_traffic_profile::PROFILE;
use backstay_traffic_profile::status::EndpointMonitorStatus;

/// How long to sleep when there is no rule; a new one ends it.
const IDLE_SLEEP: Duration = Duration::from_secs(3_600);

/// The endpoints that rules are about, and what is known of them.
pub trait Endpoints: Send + Sync + 'static {
    /// The resource ids of all profiles, in lower case.
    fn profiles(&self) -> Vec<String>;

    /// The endpoints of a profile, by its id in lower case, and their status.
    fn statuses(&self, profile: &str) -> Option<Vec<(String, EndpointMonitorStatus)>>;
}

/// Evaluates until it is stopped.
pub async fn run(alerts: Arc<Alerts>, endpoints: Arc<dyn Endpoints>, stop: CancellationToken) {
    let begun = Instant::now();
    let mut evaluators = BTreeMap::new();
    loop {
        adopt(&mut evaluators, &alerts, begun.elapsed());
        for evaluator in evaluators.values_mut() {
            let now = begun.elapsed();
            if evaluator.due() > now {
                continue;
            }
            let proposed = evaluator.tick(now, |target| read(endpoints.as_ref(), target));
            if !proposed.is_empty() {
                turn(evaluator, &alerts, proposed).await;
            }
        }
        let due = evaluators.values().map(Evaluator::due).min();
        let pause = due.map_or(IDLE_SLEEP, |it| it.saturating_sub(begun.elapsed()));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = alerts.rules.notified() => {}
            () = stop.cancelled() => return,
        }
    }
}

/// One evaluator for each rule that is switched on. A rule that has changed starts afresh, except for
/// what has fired.
fn adopt(evaluators: &mut BTreeMap<String, Evaluator>, alerts: &Alerts, now: Duration) {
    let state = alerts.state();
    evaluators.retain(|key, it| {
        let rule = state.rules.get(key);
        rule.is_some_and(|rule| rule.enabled && Arc::ptr_eq(rule, it.rule()))
    });
    for (key, rule) in &state.rules {
        if !rule.enabled || evaluators.contains_key(key) {
            continue;
        }
        let fired = state.alerts.values();
        let fired = fired.filter(|it| it.held && it.condition == MonitorCondition::Fired);
        let fired = fired.filter(|it| it.rule.key(METRIC_ALERT) == *key);
        let fired: BTreeSet<Subject> = fired.map(|it| it.subject.clone()).collect();
        evaluators.insert(key.clone(), Evaluator::new(Arc::clone(rule), fired, now));
    }
}

/// What is known of a profile's endpoints. One that is not probed, or not yet, has no value.
fn read(endpoints: &dyn Endpoints, target: &str) -> Option<Reading> {
    let id = ResourceName::read(PROFILE, target)?;
    let statuses = endpoints.statuses(&id.key(PROFILE))?;
    let known = statuses.into_iter().map(|(name, it)| (name, up(it)));
    Some(known.collect())
}

fn up(status: EndpointMonitorStatus) -> Option<bool> {
    match status {
        EndpointMonitorStatus::Online => Some(true),
        EndpointMonitorStatus::Degraded => Some(false),
        EndpointMonitorStatus::Disabled
        | EndpointMonitorStatus::Inactive
        | EndpointMonitorStatus::Stopped
        | EndpointMonitorStatus::CheckingEndpoint
        | EndpointMonitorStatus::Unmonitored => None,
    }
}

/// Makes what an evaluation has come to durable; what cannot be is proposed again by the next one.
async fn turn(evaluator: &mut Evaluator, alerts: &Arc<Alerts>, proposed: Vec<Turned>) {
    let rule: Arc<MetricAlert> = Arc::clone(evaluator.rule());
    let change = alerts.change(move |state| {
        let taken = take(state, &rule, &proposed, Utc::now(), Uuid::new_v4);
        Ok::<_, std::convert::Infallible>(taken)
    });
    let name = evaluator.rule().id.name.clone();
    match change.await {
        Ok(taken) => {
            for turned in taken {
                let fired = turned.turn == Turn::Fire;
                alerts.metrics().turned(fired);
                tracing::info!(
                    rule = name,
                    endpoint = turned.subject.endpoint,
                    profile = turned.subject.target,
                    condition = if fired { "Fired" } else { "Resolved" },
                    "alert"
                );
                evaluator.happened(&turned);
            }
        }
        Err(error) => tracing::error!(
            %error,
            rule = name,
            "an alert could not be written down, so it has not happened; the next evaluation tries again"
        ),
    }
}
