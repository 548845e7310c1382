//! Alerts that have fired: listed, read, acknowledged, closed.
//!
//! The parameters of a list are those of
//! <https://learn.microsoft.com/rest/api/monitor/alertsmanagement/alerts/get-all>. Unlike there, a
//! list without a time range holds everything that is kept, so that an alert that fired two days
//! ago and was never closed is not overlooked; and it comes as one page, whatever `pageCount`.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::AboutAlert;
use crate::METRIC_ALERT;
use crate::alert::{Alert, AlertState};
use crate::store::{Alerts, AlertsState};
use backstay_resource::text::shown;
use backstay_traffic_arm::{ArmError, Done, Query, only};
use backstay_traffic_profile::PROFILE;

const CONDITIONS: [&str; 2] = ["Fired", "Resolved"];
const SEVERITIES: [&str; 5] = ["Sev0", "Sev1", "Sev2", "Sev3", "Sev4"];
const RANGES: [&str; 4] = ["1h", "1d", "7d", "30d"];
const SORTS: [&str; 6] = [
    "startDateTime",
    "lastModifiedDateTime",
    "severity",
    "alertState",
    "monitorCondition",
    "name",
];

pub(super) fn list(alerts: &Alerts, subscription: &str, query: &Query) -> Result<Done, ArmError> {
    let state = alerts.state();
    let filter = Filter::of(query, Utc::now())?;
    let all = state.alerts.values();
    let mut found: Vec<&Arc<Alert>> = all
        .filter(|it| it.rule.subscription.eq_ignore_ascii_case(subscription) && filter.holds(it))
        .collect();
    let by = choice(query, "sortby", &SORTS)?.unwrap_or("lastModifiedDateTime");
    found.sort_by(|a, b| match by {
        "startDateTime" => a.fired.cmp(&b.fired),
        "severity" => a.severity.cmp(&b.severity),
        "alertState" => a.state.as_str().cmp(b.state.as_str()),
        "monitorCondition" => a.condition.as_str().cmp(b.condition.as_str()),
        "name" => a.rule.name.cmp(&b.rule.name),
        _ => a.modified.cmp(&b.modified),
    });
    if choice(query, "sortorder", &["asc", "desc"])? != Some("asc") {
        found.reverse();
    }
    let context = query.get("includecontext");
    let context = context.is_some_and(|it| it.eq_ignore_ascii_case("true"));
    Ok(Done::list(
        found.iter().map(|it| it.json(context)).collect(),
    ))
}

/// Answers what is asked of one alert.
pub(super) async fn one(
    alerts: &Arc<Alerts>,
    subscription: &str,
    id: &str,
    about: AboutAlert,
    method: &Method,
    query: &Query,
) -> Result<Done, ArmError> {
    let state = alerts.state();
    let missing = || {
        ArmError::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFound",
            format!("There is no alert '{}' in this subscription.", shown(id)),
        )
    };
    let uuid: Uuid = id.parse().map_err(|_| missing())?;
    let alert = state.alerts.get(&uuid).ok_or_else(missing)?;
    if !alert.rule.subscription.eq_ignore_ascii_case(subscription) {
        return Err(missing());
    }
    match about {
        AboutAlert::Itself => only(method, Method::GET, || Ok(Done::ok(alert.json(true)))),
        AboutAlert::History => only(method, Method::GET, || Ok(Done::ok(alert.history_json()))),
        AboutAlert::ChangeState if *method == Method::POST => {
            let names = AlertState::ALL.map(AlertState::as_str);
            let wanted = choice(query, "newstate", &names)?;
            let wanted = AlertState::ALL
                .into_iter()
                .find(|it| wanted == Some(it.as_str()));
            let wanted = wanted.ok_or_else(|| {
                let which = names.join(", ");
                ArmError::bad(
                    "BadRequest",
                    format!("newState is missing; give one of {which}."),
                )
            })?;
            let comments = query.get("comment").unwrap_or_default().to_owned();
            let gone = missing();
            let change = move |state: &mut AlertsState| {
                let alert = state.alerts.get_mut(&uuid).ok_or(gone)?;
                Arc::make_mut(alert).change_state(wanted, &comments, Utc::now());
                Ok::<_, ArmError>(alert.json(true))
            };
            Ok(Done::ok(alerts.change(change).await?))
        }
        AboutAlert::ChangeState => Err(ArmError::method(method)),
    }
}

/// What an alert must be like.
struct Filter<'a> {
    target: Option<&'a str>,
    target_type: Option<&'a str>,
    target_group: Option<&'a str>,
    service: Option<&'a str>,
    condition: Option<&'static str>,
    severity: Option<&'static str>,
    state: Option<&'static str>,
    rule: Option<&'a str>,
    times: Option<Times>,
}

/// From when to when it fired, both included.
type Times = (DateTime<Utc>, DateTime<Utc>);

impl<'a> Filter<'a> {
    fn of(query: &'a Query, now: DateTime<Utc>) -> Result<Self, ArmError> {
        let names = AlertState::ALL.map(AlertState::as_str);
        Ok(Self {
            target: query.get("targetresource"),
            target_type: query.get("targetresourcetype"),
            target_group: query.get("targetresourcegroup"),
            service: query.get("monitorservice"),
            condition: choice(query, "monitorcondition", &CONDITIONS)?,
            severity: choice(query, "severity", &SEVERITIES)?,
            state: choice(query, "alertstate", &names)?,
            rule: query.get("alertrule"),
            times: times(query, now)?,
        })
    }

    fn holds(&self, alert: &Alert) -> bool {
        let same = |wanted: Option<&str>, it: &str| {
            wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(it))
        };
        let target = &alert.subject.target;
        let (group, _) = alert.subject.place();
        let kind = PROFILE.to_string();
        let rule = alert.rule.path(METRIC_ALERT);
        let (fired, times) = (alert.fired, self.times);
        same(self.target, target)
            && (same(self.target_type, &kind) || same(self.target_type, PROFILE.name))
            && same(self.target_group, &group)
            && same(self.service, "Platform")
            && same(self.condition, alert.condition.as_str())
            && same(self.severity, &format!("Sev{}", alert.severity))
            && same(self.state, alert.state.as_str())
            && (same(self.rule, &rule) || same(self.rule, &alert.rule.name))
            && times.is_none_or(|(from, to)| (from..=to).contains(&fired))
    }
}

/// One of the values that a parameter can have, in their own case.
fn choice<'v>(query: &Query, name: &str, values: &[&'v str]) -> Result<Option<&'v str>, ArmError> {
    let Some(given) = query.get(name) else {
        return Ok(None);
    };
    let found = values.iter().find(|it| it.eq_ignore_ascii_case(given));
    match found {
        Some(found) => Ok(Some(found)),
        None => Err(ArmError::bad(
            "BadRequest",
            format!(
                "'{}' is no {name}; it is one of {}.",
                shown(given),
                values.join(", ")
            ),
        )),
    }
}

fn times(query: &Query, now: DateTime<Utc>) -> Result<Option<Times>, ArmError> {
    if let Some(range) = choice(query, "timerange", &RANGES)? {
        let span = match range {
            "1h" => TimeDelta::hours(1),
            "1d" => TimeDelta::days(1),
            "7d" => TimeDelta::days(7),
            _ => TimeDelta::days(30),
        };
        return Ok(Some((now - span, DateTime::<Utc>::MAX_UTC)));
    }
    let Some(custom) = query.get("customtimerange") else {
        return Ok(None);
    };
    let time = |text: &str| {
        DateTime::parse_from_rfc3339(text)
            .map(|it| it.to_utc())
            .ok()
    };
    let both = custom.split_once('/');
    let both = both.and_then(|(from, to)| Some((time(from)?, time(to)?)));
    both.map(Some).ok_or_else(|| {
        ArmError::bad(
            "BadRequest",
            format!(
                "customTimeRange '{}' is not of the form start/end with ISO 8601 times.",
                shown(custom)
            ),
        )
    })
}
