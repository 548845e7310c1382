//! Profiles and endpoints: read, listed, made, changed, deleted.

use std::sync::Arc;

use axum::http::StatusCode;

use super::Arm;
use super::error::ArmError;
use super::etag::Conditions;
use super::frame::{Done, Resource, Wanted, not_found};
use crate::config::NameServer;
use crate::manager::{Manager, Profiles};
use crate::profile::{
    Context, MAX_PROFILES, MAX_PROFILES_PER_SUBSCRIPTION, Profile, check_resource_name,
    endpoint_json, parse_endpoint, parse_profile, profile_json,
};
use crate::resource::{Kind, ResourceId, Scope};
use crate::status::EndpointMonitorStatus;

/// A profile, there or not.
pub(super) struct ProfileAt(pub(super) ResourceId);

/// An endpoint of a profile, likewise.
pub(super) struct EndpointAt(pub(super) ResourceId, pub(super) String);

pub(super) fn list(manager: &Manager, scope: &Scope) -> Done {
    let profiles = manager.profiles(|it| scope.holds(&it.subscription, &it.resource_group));
    let zone = &manager.config().zone;
    let shown = profiles.iter();
    Done::list(
        shown
            .map(|(profile, statuses)| profile_json(profile, zone, statuses))
            .collect(),
    )
}

impl Resource for ProfileAt {
    async fn get(self, arm: &Arm) -> Result<Done, ArmError> {
        show(&arm.manager, &self.0, StatusCode::OK)
    }

    async fn put(self, arm: &Arm, wanted: Wanted) -> Result<Done, ArmError> {
        let (id, manager) = (self.0, &arm.manager);
        // Azure's own words. To take them as the whole list would delete those that are left out.
        if wanted.patches("endpoints") {
            return Err(ArmError::bad(
                "BadRequest",
                "The 'endpoints' property cannot be specified when updating a profile using PATCH. \
                 Please use PUT to update the profile instead."
                    .to_owned(),
            ));
        }
        check_resource_name(&id.name, "profile")?;
        check_resource_name(&id.resource_group, "resource group")?;
        check_resource_name(&id.subscription, "subscription")?;
        let (zone, limits) = (manager.config().zone.clone(), manager.config().limits);
        let servers = manager.config().name_servers.clone();
        let place = id.clone();
        let status = manager
            .change(move |profiles| {
                let key = id.key(Kind::Profile);
                let old = profiles.get(&key).cloned();
                // What is read-only is not read back.
                let online = |old: &Profile| {
                    let statuses = vec![EndpointMonitorStatus::Online; old.endpoints.len()];
                    profile_json(old, &zone, &statuses)
                };
                let missing = || not_found(Kind::Profile, &id, "");
                let (body, status) = wanted.of(old.as_deref(), online, missing)?;
                // Names keep the case in which they were made.
                let (subscription, resource_group, name) = match &old {
                    Some(old) => (&old.subscription, &old.resource_group, &old.name),
                    None => (&id.subscription, &id.resource_group, &id.name),
                };
                let context = Context {
                    subscription,
                    resource_group,
                    profile: name,
                    zone: &zone,
                    limits,
                };
                let profile = parse_profile(context, body)?;
                check_place(profiles, &servers, &key, &profile, &zone)?;
                keep(profiles, key, old, profile);
                Ok::<_, ArmError>(status)
            })
            .await?;
        show(manager, &place, status)
    }

    async fn delete(self, arm: &Arm, conditions: Conditions) -> Result<Done, ArmError> {
        let key = self.0.key(Kind::Profile);
        let delete = move |profiles: &mut Profiles| {
            conditions.hold(profiles.get(&key).map(Arc::as_ref))?;
            Ok::<_, ArmError>(profiles.remove(&key).is_some())
        };
        Ok(Done::gone(arm.manager.change(delete).await?))
    }
}

impl Resource for EndpointAt {
    async fn get(self, arm: &Arm) -> Result<Done, ArmError> {
        show_endpoint(&arm.manager, &self, StatusCode::OK)
    }

    async fn put(self, arm: &Arm, wanted: Wanted) -> Result<Done, ArmError> {
        let zone = arm.manager.config().zone.clone();
        let place = Self(self.0.clone(), self.1.clone());
        let status = arm
            .manager
            .change(move |profiles: &mut Profiles| {
                let (key, profile) = self.parent(profiles)?;
                let old = profile.endpoint(&self.1);
                let online = |it: &_| endpoint_json(&profile, it, EndpointMonitorStatus::Online);
                let (body, status) = wanted.of(old, online, || self.missing())?;
                let changed = parse_endpoint(&profile, &self.1, body, &zone)?;
                keep(profiles, key, Some(profile), changed);
                Ok::<_, ArmError>(status)
            })
            .await?;
        show_endpoint(&arm.manager, &place, status)
    }

    async fn delete(self, arm: &Arm, conditions: Conditions) -> Result<Done, ArmError> {
        let delete = move |profiles: &mut Profiles| {
            let (key, profile) = self.parent(profiles)?;
            let old = profile.endpoint(&self.1);
            conditions.hold(old)?;
            let mut changed = Profile::clone(&profile);
            changed
                .endpoints
                .retain(|it| !it.name.eq_ignore_ascii_case(&self.1));
            let deleted = old.is_some();
            keep(profiles, key, Some(profile), changed);
            Ok::<_, ArmError>(deleted)
        };
        Ok(Done::gone(arm.manager.change(delete).await?))
    }
}

impl EndpointAt {
    /// Its profile, with the key by which that is kept.
    fn parent(&self, profiles: &Profiles) -> Result<(String, Arc<Profile>), ArmError> {
        let key = self.0.key(Kind::Profile);
        match profiles.get(&key).cloned() {
            Some(profile) => Ok((key, profile)),
            None => Err(self.no_parent()),
        }
    }

    fn missing(&self) -> ArmError {
        not_found(
            Kind::Profile,
            &self.0,
            &format!("/externalEndpoints/{}", self.1),
        )
    }

    fn no_parent(&self) -> ArmError {
        let Self(profile, endpoint) = self;
        ArmError::new(
            StatusCode::NOT_FOUND,
            "ParentResourceNotFound",
            format!(
                "Failed to perform the operation on nested resource '{endpoint}': its parent \
                 '{}/{}' under resource group '{}' was not found.",
                Kind::Profile,
                profile.name,
                profile.resource_group
            ),
        )
    }
}

/// Puts a profile in its place; one that is the same leaves everything as it is.
fn keep(profiles: &mut Profiles, key: String, old: Option<Arc<Profile>>, new: Profile) {
    if old.is_none_or(|old| *old != new) {
        profiles.insert(key, Arc::new(new));
    }
}

/// What concerns profiles together.
fn check_place(
    profiles: &Profiles,
    servers: &[NameServer],
    key: &str,
    profile: &Profile,
    zone: &str,
) -> Result<(), ArmError> {
    let others = || profiles.iter().filter(|(it, _)| *it != key);
    let fqdn = profile.fqdn(zone);
    let of_server = servers.iter().any(|it| it.name == fqdn);
    if of_server || others().any(|(_, it)| it.relative_name == profile.relative_name) {
        return Err(ArmError::bad(
            "BadRequest",
            format!("Domain name {fqdn} already exists. Please choose a different DNS prefix."),
        ));
    }
    let of_subscription = others()
        .filter(|(_, it)| it.subscription.eq_ignore_ascii_case(&profile.subscription))
        .count();
    if of_subscription >= MAX_PROFILES_PER_SUBSCRIPTION || others().count() >= MAX_PROFILES {
        return Err(ArmError::new(
            StatusCode::CONFLICT,
            "ProfilesQuotaExceeded",
            format!(
                "A subscription has at most {MAX_PROFILES_PER_SUBSCRIPTION} profiles, and this \
                 server {MAX_PROFILES}."
            ),
        ));
    }
    Ok(())
}

fn show(manager: &Manager, id: &ResourceId, status: StatusCode) -> Result<Done, ArmError> {
    let found = manager.profile(&id.key(Kind::Profile));
    let (profile, statuses) = found.ok_or_else(|| not_found(Kind::Profile, id, ""))?;
    let shown = profile_json(&profile, &manager.config().zone, &statuses);
    Ok(Done::resource(status, shown, profile.as_ref()))
}

fn show_endpoint(
    manager: &Manager,
    place: &EndpointAt,
    status: StatusCode,
) -> Result<Done, ArmError> {
    let found = manager.profile(&place.0.key(Kind::Profile));
    let (profile, statuses) = found.ok_or_else(|| place.no_parent())?;
    let mut endpoints = profile.endpoints.iter().zip(statuses);
    let found = endpoints.find(|(it, _)| it.name.eq_ignore_ascii_case(&place.1));
    let (endpoint, known) = found.ok_or_else(|| place.missing())?;
    let shown = endpoint_json(&profile, endpoint, known);
    Ok(Done::resource(status, shown, endpoint))
}
