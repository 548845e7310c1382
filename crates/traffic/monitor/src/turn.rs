//! What comes of a turn: an alert that fires or resolves, and who is to be told. Pure.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::alert::{Alert, MonitorCondition};
use super::evaluate::{Turn, Turned};
use super::rule::MetricAlert;
use super::schema;
use super::store::AlertsState;
use crate::{ACTION_GROUP, METRIC_ALERT};
use backstay_resource::ResourceName;

/// Alerts that are kept, besides those that are still to be resolved.
pub(super) const MAX_ALERTS: usize = 1_000;
/// And for how long, as in Azure.
pub(super) const ALERT_RETENTION: TimeDelta = TimeDelta::days(30);
/// Notifications that wait.
pub(super) const MAX_PENDING: usize = 1_000;

/// What one receiver is to be told.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Notification {
    pub(super) id: Uuid,
    pub(super) alert: Uuid,
    pub(super) receiver: String,
    /// Where; it may hold a credential.
    pub(super) uri: String,
    pub(super) body: Value,
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.alert, self.receiver)
    }
}

/// Takes what an evaluation of `rule` has proposed. Returns what was taken: nothing if the rule
/// has been changed meanwhile, and no second alert for what has fired already.
pub(super) fn take(
    state: &mut AlertsState,
    rule: &MetricAlert,
    proposed: &[Turned],
    now: DateTime<Utc>,
    mut new_id: impl FnMut() -> Uuid,
) -> Vec<Turned> {
    let key = rule.id.key(METRIC_ALERT);
    if !rule.enabled || state.rules.get(&key).is_none_or(|it| **it != *rule) {
        return Vec::new();
    }
    let mut taken = Vec::with_capacity(proposed.len());
    for turned in proposed {
        let subject = &turned.subject;
        let held = state.alerts.values().find(|it| {
            let of_it = it.rule.key(METRIC_ALERT) == key && it.subject == *subject;
            of_it && it.held && it.condition == MonitorCondition::Fired
        });
        let mut alert = match (turned.turn, held) {
            (Turn::Fire, None) => {
                let (id, subject) = (rule.id.clone(), subject.clone());
                Alert::new(new_id(), id, subject, rule.auto_mitigate, now)
            }
            (Turn::Resolve, Some(alert)) => {
                let mut alert = Alert::clone(alert);
                alert.resolve(now);
                alert
            }
            (Turn::Fire, Some(_)) | (Turn::Resolve, None) => {
                // So it is already.
                taken.push(turned.clone());
                continue;
            }
        };
        alert.severity = rule.severity;
        alert.description.clone_from(&rule.description);
        alert.context = schema::context(rule, &alert, &turned.values, now);
        notify(state, rule, &alert, &mut new_id);
        state.alerts.insert(alert.id, Arc::new(alert));
        taken.push(turned.clone());
    }
    prune(state, now);
    taken
}

/// Puts down what receivers are to be told.
fn notify(
    state: &mut AlertsState,
    rule: &MetricAlert,
    alert: &Alert,
    new_id: &mut impl FnMut() -> Uuid,
) {
    let mut notifications = Vec::new();
    for action in &rule.actions {
        let group = ResourceName::read(ACTION_GROUP, &action.group);
        let group = group.and_then(|it| state.groups.get(&it.key(ACTION_GROUP)));
        let Some(group) = group else {
            tracing::warn!(
                rule = rule.id.name,
                group = action.group,
                "an action group of this rule does not exist; nobody is told by it"
            );
            continue;
        };
        notifications.extend(group.called().map(|receiver| {
            let body = if receiver.common_schema {
                schema::common(alert, &action.properties)
            } else {
                schema::older(alert, &action.properties)
            };
            Arc::new(Notification {
                id: new_id(),
                alert: alert.id,
                receiver: receiver.name.clone(),
                uri: receiver.uri.clone(),
                body,
            })
        }));
    }
    state.pending.extend(notifications);
    while state.pending.len() > MAX_PENDING {
        let lost = state.pending.remove(0);
        tracing::error!(
            alert = %lost.alert,
            receiver = lost.receiver,
            "too many notifications wait; this one is given up"
        );
    }
}

/// Forgets alerts that are over: after their time, and the oldest ones when there are too many.
/// One that its rule will resolve stays, however old, so that it does not fire again.
pub(super) fn prune(state: &mut AlertsState, now: DateTime<Utc>) {
    let over = |it: &Alert| !it.held || it.condition == MonitorCondition::Resolved;
    state
        .alerts
        .retain(|_, it| !over(it) || now.signed_duration_since(it.modified) < ALERT_RETENTION);
    let mut ended: Vec<_> = state
        .alerts
        .values()
        .filter(|it| over(it))
        .map(|it| (it.modified, it.id))
        .collect();
    let many = ended.len().saturating_sub(MAX_ALERTS);
    ended.sort_unstable();
    for (_, id) in ended.iter().take(many) {
        state.alerts.remove(id);
    }
}
