//! Metric alerts and action groups: read, listed, made, changed, deleted.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::http::StatusCode;

use super::MonitorApi;
use crate::METRIC_ALERT;
use crate::store::{Alerts, AlertsState, Configured, Surroundings};
use backstay_resource::body::check_resource_name;
use backstay_resource::{ResourceName, Scope};
use backstay_traffic_arm::{ArmError, Conditions, Done, Resource, Wanted, not_found};

/// One of them, there or not.
pub(super) struct At<C> {
    id: ResourceName,
    kind: PhantomData<fn() -> C>,
}

impl<C: Configured> At<C> {
    pub(super) fn new(id: ResourceName) -> Self {
        Self {
            id,
            kind: PhantomData,
        }
    }

    fn missing(&self) -> ArmError {
        not_found(C::KIND, &self.id, "")
    }
}

pub(super) fn list<C: Configured>(alerts: &Alerts, scope: &Scope) -> Done {
    let state = alerts.state();
    let all = C::of(&state).values();
    let wanted = all.filter(|it| scope.holds(&it.id().subscription, &it.id().resource_group));
    Done::list(wanted.map(|it| it.shown()).collect())
}

impl<C: Configured> Resource for At<C> {
    type Keeper = MonitorApi;

    async fn get(self, api: &MonitorApi) -> Result<Done, ArmError> {
        let state = api.alerts.state();
        let found = C::of(&state).get(&self.id.key(C::KIND));
        let found = found.ok_or_else(|| self.missing())?;
        Ok(Done::resource(
            StatusCode::OK,
            found.shown(),
            found.as_ref(),
        ))
    }

    async fn put(self, api: &MonitorApi, wanted: Wanted) -> Result<Done, ArmError> {
        let name = C::KIND.name;
        check_resource_name(&self.id.name, name)?;
        check_resource_name(&self.id.resource_group, "resource group")?;
        check_resource_name(&self.id.subscription, "subscription")?;
        let around = Surroundings {
            limits: api.limits,
            profiles: api.endpoints.profiles(),
        };
        let put = move |state: &mut AlertsState| {
            let old = C::of(state).get(&self.id.key(C::KIND)).cloned();
            let (body, status) = wanted.of(old.as_deref(), C::shown, || self.missing())?;
            // Azure answers so to a new rule as well, and its SDKs refuse a 201.
            let status = if C::KIND == METRIC_ALERT {
                StatusCode::OK
            } else {
                status
            };
            // Names keep the case in which they were made.
            let id = old.as_ref().map_or(&self.id, |it| it.id()).clone();
            let new = C::read(id, body, &around)?;
            new.check(old.as_deref(), state, &around)?;
            new.clone().keep(state)?;
            Ok::<_, ArmError>((new, status))
        };
        let (new, status) = api.alerts.change(put).await?;
        let warnings = new.warnings();
        for warning in &warnings {
            tracing::warn!(kind = %C::KIND, name = new.id().name, warning, "accepted, but");
        }
        Ok(Done::resource(status, new.shown(), &new).with_warnings(warnings))
    }

    async fn delete(self, api: &MonitorApi, conditions: Conditions) -> Result<Done, ArmError> {
        let key = self.id.key(C::KIND);
        let delete = move |state: &mut AlertsState| {
            conditions.hold(C::of(state).get(&key).map(Arc::as_ref))?;
            let deleted = C::of_mut(state).remove(&key).is_some();
            C::forgotten(&key, state);
            Ok::<_, ArmError>(deleted)
        };
        Ok(Done::gone(api.alerts.change(delete).await?))
    }
}
