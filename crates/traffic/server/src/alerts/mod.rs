//! Alerts: what Azure Monitor does with the health of endpoints.
//!
//! A metric alert ([`rule`]) watches one metric of profiles, whether an endpoint is up, over a
//! sliding window ([`series`]), is evaluated on its own schedule ([`evaluate`]), and fires or
//! resolves; each time, the webhooks of its action groups ([`group`]) are told, in the common
//! alert schema ([`schema`]). What has fired is an [`alert`], which people acknowledge and close.
//!
//! Receivers can be tried out without an alert ([`trial`]).
//!
//! Pure are the evaluation, what comes of it ([`turn`]), and when a webhook is called again
//! ([`courier`]). Around them: [`store`], in which everything is durable before it counts;
//! [`watch`], which evaluates; [`deliver`], which calls webhooks. An alert that fires and what is
//! to be sent of it are one write: after a kill it has fired and is told, or neither. A call that
//! was answered just before a kill may be made again; receivers know it by its alert id and
//! condition.

mod alert;
mod courier;
mod deliver;
mod evaluate;
mod group;
mod period;
mod rule;
mod rule_wire;
mod schema;
mod series;
mod store;
mod trial;
mod turn;
mod watch;

pub(crate) use alert::{Alert, AlertState};
pub(crate) use deliver::run as deliver;
pub(crate) use group::ActionGroup;
pub(crate) use rule::MetricAlert;
pub(crate) use store::{Alerts, AlertsState, Configured, Surroundings, path_beside};
pub(crate) use trial::{Request, Trial};
pub(crate) use watch::run as watch;

#[cfg(test)]
mod tests;
