//! The API of alerts: what a request is about, and who answers it.

mod alerts;
mod configured;
mod notify;
mod versions;

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::Method;
use backstay_resource::{ResourceName, ResourceType, Scope};
use backstay_traffic_arm::{Address, ArmError, Call, Done, Provider, Served, on, only};
use backstay_traffic_profile::MonitorLimits;

use crate::group::ActionGroup;
use crate::rule::MetricAlert;
use crate::store::Alerts;
use crate::watch::Endpoints;
use crate::{ACTION_GROUP, METRIC_ALERT};

/// Metric alerts, action groups, and the alerts that have fired, for an API.
pub struct MonitorApi {
    alerts: Arc<Alerts>,
    endpoints: Arc<dyn Endpoints>,
    limits: MonitorLimits,
}

impl MonitorApi {
    /// That of these alerts, about these endpoints.
    pub fn new(alerts: Arc<Alerts>, endpoints: Arc<dyn Endpoints>, limits: MonitorLimits) -> Self {
        Self {
            alerts,
            endpoints,
            limits,
        }
    }
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The metric alerts of a scope.
    Rules(Scope),
    /// One of them.
    Rule(ResourceName),
    /// The action groups of a scope.
    Groups(Scope),
    /// One of them.
    Group(ResourceName),
    /// Test notifications of an action group are to be sent.
    Notify(ResourceName),
    /// What has become of one, by its id.
    Notified(ResourceName, String),
    /// The alerts of a subscription that have fired.
    Alerts(String),
    /// One of them, and what about it.
    Alert(String, String, AboutAlert),
}

/// What of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AboutAlert {
    /// All of it.
    Itself,
    /// Its state is to change.
    ChangeState,
    /// What has become of it so far.
    History,
}

#[async_trait]
impl Provider for MonitorApi {
    type Place = Place;

    fn in_groups(&self) -> &'static [Served] {
        &versions::IN_GROUPS
    }

    fn in_subscriptions(&self) -> &'static [Served] {
        &versions::IN_SUBSCRIPTIONS
    }

    fn subscriptions(&self) -> Vec<String> {
        let state = self.alerts.state();
        let rules = state.rules.values().map(|it| &it.id);
        let configured = rules.chain(state.groups.values().map(|it| &it.id));
        configured.map(|it| it.subscription.clone()).collect()
    }

    fn place(&self, address: &Address) -> Result<Option<Place>, ArmError> {
        Ok(place(address))
    }

    async fn answer(&self, place: Place, call: Call) -> Result<Done, ArmError> {
        let method = call.method().clone();
        let alerts = &self.alerts;
        match place {
            Place::Rules(scope) => only(&method, Method::GET, || {
                Ok(configured::list::<MetricAlert>(alerts, &scope))
            }),
            Place::Groups(scope) => only(&method, Method::GET, || {
                Ok(configured::list::<ActionGroup>(alerts, &scope))
            }),
            Place::Rule(id) => on(configured::At::<MetricAlert>::new(id), self, call.request).await,
            Place::Group(id) => {
                on(configured::At::<ActionGroup>::new(id), self, call.request).await
            }
            Place::Notify(id) if method == Method::POST => {
                notify::send(alerts, id, call.request.into_body(), &call.query).await
            }
            Place::Notify(_) => Err(ArmError::method(&method)),
            Place::Notified(id, trial) => only(&method, Method::GET, || {
                notify::get(alerts, &id, &trial, &call.query)
            }),
            Place::Alerts(subscription) => only(&method, Method::GET, || {
                alerts::list(alerts, &subscription, &call.query)
            }),
            Place::Alert(subscription, id, about) => {
                alerts::one(alerts, &subscription, &id, about, &method, &call.query).await
            }
        }
    }
}

fn place(address: &Address) -> Option<Place> {
    let below = address.below_in_lower_case();
    let below: Vec<&str> = below.iter().map(String::as_str).collect();
    let is = |it: ResourceType| it.is(&address.namespace, &address.of_type);
    if is(METRIC_ALERT) {
        rule(address, &below)
    } else if is(ACTION_GROUP) {
        group(address, &below)
    } else {
        alert(address, &below)
    }
}

fn rule(address: &Address, below: &[&str]) -> Option<Place> {
    match below {
        [] => Some(Place::Rules(address.scope())),
        [_] => address.resource().map(Place::Rule),
        _ => None,
    }
}

fn group(address: &Address, below: &[&str]) -> Option<Place> {
    if below.is_empty() {
        return Some(Place::Groups(address.scope()));
    }
    let id = address.resource()?;
    match below {
        [_] => Some(Place::Group(id)),
        [_, "createnotifications"] => Some(Place::Notify(id)),
        [_, "notificationstatus", _] => Some(Place::Notified(id, address.below.get(2)?.clone())),
        _ => None,
    }
}

/// Alerts that have fired belong to a subscription. What follows `alerts`: nothing is all of them.
fn alert(address: &Address, below: &[&str]) -> Option<Place> {
    if address.resource_group.is_some() {
        return None;
    }
    let about = match below {
        [] => return Some(Place::Alerts(address.subscription.clone())),
        [_] => AboutAlert::Itself,
        [_, "changestate"] => AboutAlert::ChangeState,
        [_, "history"] => AboutAlert::History,
        _ => return None,
    };
    let id = address.below.first()?.clone();
    Some(Place::Alert(address.subscription.clone(), id, about))
}

#[cfg(test)]
mod tests;
