//! Metric alerts and action groups: read, listed, made, changed, deleted.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::http::StatusCode;

use super::Arm;
use super::error::ArmError;
use super::etag::Conditions;
use super::frame::{Done, Resource, Wanted, not_found};
use crate::alerts::{Alerts, AlertsState, Configured, Surroundings};
use crate::profile::check_resource_name;
use crate::resource::{Kind, ResourceId, Scope};

/// One of them, there or not.
pub(super) struct At<C> {
    id: ResourceId,
    kind: PhantomData<fn() -> C>,
}

impl<C: Configured> At<C> {
    pub(super) fn new(id: ResourceId) -> Self {
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
    async fn get(self, arm: &Arm) -> Result<Done, ArmError> {
        let state = arm.alerts.state();
        let found = C::of(&state).get(&self.id.key(C::KIND));
        let found = found.ok_or_else(|| self.missing())?;
        Ok(Done::resource(
            StatusCode::OK,
            found.shown(),
            found.as_ref(),
        ))
    }

    async fn put(self, arm: &Arm, wanted: Wanted) -> Result<Done, ArmError> {
        let name = C::KIND.parts().1;
        check_resource_name(&self.id.name, name)?;
        check_resource_name(&self.id.resource_group, "resource group")?;
        check_resource_name(&self.id.subscription, "subscription")?;
        let profiles = arm.manager.profiles(|_| true);
        let around = Surroundings {
            limits: arm.manager.config().limits,
            profiles: profiles
                .iter()
                .map(|(it, _)| it.id().to_ascii_lowercase())
                .collect(),
        };
        let put = move |state: &mut AlertsState| {
            let old = C::of(state).get(&self.id.key(C::KIND)).cloned();
            let (body, status) = wanted.of(old.as_deref(), C::shown, || self.missing())?;
            let status = match C::KIND {
                // Azure answers so to a new one as well, and its SDKs refuse a 201.
                Kind::MetricAlert => StatusCode::OK,
                _ => status,
            };
            // Names keep the case in which they were made.
            let id = old.as_ref().map_or(&self.id, |it| it.id()).clone();
            let new = C::read(id, body, &around)?;
            new.check(old.as_deref(), state, &around)?;
            new.clone().keep(state)?;
            Ok::<_, ArmError>((new, status))
        };
        let (new, status) = arm.alerts.change(put).await?;
        let warnings = new.warnings();
        for warning in &warnings {
            tracing::warn!(kind = %C::KIND, name = new.id().name, warning, "accepted, but");
        }
        Ok(Done::resource(status, new.shown(), &new).with_warnings(warnings))
    }

    async fn delete(self, arm: &Arm, conditions: Conditions) -> Result<Done, ArmError> {
        let key = self.id.key(C::KIND);
        let delete = move |state: &mut AlertsState| {
            conditions.hold(C::of(state).get(&key).map(Arc::as_ref))?;
            let deleted = C::of_mut(state).remove(&key).is_some();
            C::forgotten(&key, state);
            Ok::<_, ArmError>(deleted)
        };
        Ok(Done::gone(arm.alerts.change(delete).await?))
    }
}
