//! Test notifications of an action group: sent, and what has become of them.
//!
//! A request is answered with 202 and where to ask; that is answered with 202 until every receiver
//! was told or given up, and with 200 then.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use chrono::Utc;
use uuid::Uuid;

use crate::ACTION_GROUP;
use crate::store::{Alerts, AlertsState};
use crate::trial::{Request, Trial};
use backstay_resource::ResourceName;
use backstay_resource::text::shown;
use backstay_traffic_arm::{ArmError, Done, Query, body, not_found};

pub(super) async fn send(
    alerts: &Arc<Alerts>,
    group: ResourceName,
    sent: Body,
    query: &Query,
) -> Result<Done, ArmError> {
    let request = Request::parse(body(sent).await?)?;
    let (asked, missing) = (group.clone(), not_found(ACTION_GROUP, &group, ""));
    let keep = move |state: &mut AlertsState| {
        if !state.groups.contains_key(&group.key(ACTION_GROUP)) {
            return Err(missing);
        }
        Ok(request.keep(state, &group, Utc::now()))
    };
    let trial = alerts.change(keep).await?;
    tracing::info!(trial = %trial.id, group = asked.name, "a test notification is sent");
    Ok(status(&asked, &trial, query))
}

pub(super) fn get(
    alerts: &Alerts,
    group: &ResourceName,
    id: &str,
    query: &Query,
) -> Result<Done, ArmError> {
    let state = alerts.state();
    let trial = id.parse().ok().and_then(|it: Uuid| state.trials.get(&it));
    let of_group = trial.filter(|it| it.group == group.key(ACTION_GROUP));
    let trial = of_group.ok_or_else(|| {
        ArmError::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFound",
            format!(
                "There is no test notification '{}' of this action group.",
                shown(id)
            ),
        )
    })?;
    Ok(status(group, trial, query))
}

fn status(group: &ResourceName, trial: &Trial, query: &Query) -> Done {
    if trial.is_over() {
        return Done::ok(trial.json());
    }
    let version = query.get("api-version").unwrap_or_default();
    let place = format!(
        "{}/notificationStatus/{}?api-version={version}",
        group.path(ACTION_GROUP),
        trial.id
    );
    Done::accepted(trial.json(), place)
}
