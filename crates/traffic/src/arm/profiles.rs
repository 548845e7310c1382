//! Profiles and endpoints: read, listed, made, changed, deleted.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::Done;
use super::error::ArmError;
use super::etag::{Conditions, etag};
use super::path::ProfileId;
use crate::config::NameServer;
use crate::manager::{Manager, Profiles};
use crate::profile::{
    Context, MAX_PROFILES, MAX_PROFILES_PER_SUBSCRIPTION, Profile, check_resource_name,
    endpoint_json, merge, parse_endpoint, parse_profile, profile_json,
};
use crate::status::EndpointMonitorStatus;

/// The subscriptions in which there are profiles: what a client lists when it logs in.
pub(super) fn subscriptions(manager: &Manager) -> Value {
    let profiles = manager.profiles(|_| true);
    let ids: BTreeSet<String> = profiles
        .iter()
        .map(|(it, _)| it.subscription.to_ascii_lowercase())
        .collect();
    let value: Vec<Value> = ids
        .iter()
        .map(|id| {
            json!({
                "id": format!("/subscriptions/{id}"),
                "subscriptionId": id,
                "displayName": id,
                "state": "Enabled",
            })
        })
        .collect();
    json!({ "value": value })
}

pub(super) fn list(manager: &Manager, subscription: &str, group: Option<&str>) -> Value {
    let profiles = manager.profiles(|it| {
        it.subscription.eq_ignore_ascii_case(subscription)
            && group.is_none_or(|group| it.resource_group.eq_ignore_ascii_case(group))
    });
    let zone = &manager.config().zone;
    let value: Vec<Value> = profiles
        .iter()
        .map(|(profile, statuses)| profile_json(profile, zone, statuses))
        .collect();
    json!({ "value": value })
}

pub(super) fn get(manager: &Manager, id: &ProfileId) -> Result<Done, ArmError> {
    show(manager, id, StatusCode::OK)
}

pub(super) fn get_endpoint(
    manager: &Manager,
    id: &ProfileId,
    endpoint: &str,
) -> Result<Done, ArmError> {
    show_endpoint(manager, id, endpoint, StatusCode::OK)
}

/// Makes or changes a profile.
pub(super) async fn put(
    manager: &Arc<Manager>,
    id: ProfileId,
    headers: &HeaderMap,
    patch: bool,
    body: Value,
) -> Result<Done, ArmError> {
    let conditions = Conditions::of(headers)?;
    check_resource_name(&id.name, "profile")?;
    check_resource_name(&id.resource_group, "resource group")?;
    check_resource_name(&id.subscription, "subscription")?;
    let (zone, limits) = (manager.config().zone.clone(), manager.config().limits);
    let servers = manager.config().name_servers.clone();
    let place = id.clone();
    let status = manager
        .change(move |profiles| {
            let key = id.key();
            let old = profiles.get(&key).cloned();
            conditions.hold(old.as_deref())?;
            let body = match (&old, patch) {
                (None, true) => return Err(not_found(&id)),
                (Some(old), true) => {
                    // What is read-only is not read back.
                    let statuses = vec![EndpointMonitorStatus::Online; old.endpoints.len()];
                    merge(profile_json(old, &zone, &statuses), body)
                }
                (_, false) => body,
            };
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
            let created = old.is_none();
            keep(profiles, key, old, profile);
            Ok(if created {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            })
        })
        .await?;
    show(manager, &place, status)
}

pub(super) async fn delete(
    manager: &Arc<Manager>,
    id: ProfileId,
    headers: &HeaderMap,
) -> Result<Done, ArmError> {
    let conditions = Conditions::of(headers)?;
    let deleted = manager
        .change(move |profiles: &mut Profiles| {
            let key = id.key();
            conditions.hold(profiles.get(&key).map(Arc::as_ref))?;
            Ok::<_, ArmError>(profiles.remove(&key).is_some())
        })
        .await?;
    Ok(gone(deleted))
}

/// Makes or changes an endpoint.
pub(super) async fn put_endpoint(
    manager: &Arc<Manager>,
    id: ProfileId,
    endpoint: String,
    headers: &HeaderMap,
    patch: bool,
    body: Value,
) -> Result<Done, ArmError> {
    let conditions = Conditions::of(headers)?;
    let zone = manager.config().zone.clone();
    let place = (id.clone(), endpoint.clone());
    let status = manager
        .change(move |profiles| {
            let key = id.key();
            let Some(profile) = profiles.get(&key).cloned() else {
                return Err(no_parent(&id, &endpoint));
            };
            let old = profile.endpoint(&endpoint);
            conditions.hold(old)?;
            let body = match (old, patch) {
                (None, true) => return Err(no_endpoint(&id, &endpoint)),
                (Some(old), true) => {
                    let online = EndpointMonitorStatus::Online;
                    merge(endpoint_json(&profile, old, online), body)
                }
                (_, false) => body,
            };
            let changed = parse_endpoint(&profile, &endpoint, body, &zone)?;
            let created = old.is_none();
            keep(profiles, key, Some(profile), changed);
            Ok(if created {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            })
        })
        .await?;
    show_endpoint(manager, &place.0, &place.1, status)
}

pub(super) async fn delete_endpoint(
    manager: &Arc<Manager>,
    id: ProfileId,
    endpoint: String,
    headers: &HeaderMap,
) -> Result<Done, ArmError> {
    let conditions = Conditions::of(headers)?;
    let deleted = manager
        .change(move |profiles: &mut Profiles| {
            let key = id.key();
            let Some(profile) = profiles.get(&key).cloned() else {
                return Err(no_parent(&id, &endpoint));
            };
            let old = profile.endpoint(&endpoint);
            conditions.hold(old)?;
            let mut changed = Profile::clone(&profile);
            changed
                .endpoints
                .retain(|it| !it.name.eq_ignore_ascii_case(&endpoint));
            let deleted = old.is_some();
            keep(profiles, key, Some(profile), changed);
            Ok(deleted)
        })
        .await?;
    Ok(gone(deleted))
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

fn show(manager: &Manager, id: &ProfileId, status: StatusCode) -> Result<Done, ArmError> {
    let found = manager.profile(&id.key());
    let (profile, statuses) = found.ok_or_else(|| not_found(id))?;
    Ok(Done {
        status,
        body: Some(profile_json(&profile, &manager.config().zone, &statuses)),
        etag: Some(etag(profile.as_ref())),
    })
}

fn show_endpoint(
    manager: &Manager,
    id: &ProfileId,
    name: &str,
    status: StatusCode,
) -> Result<Done, ArmError> {
    let found = manager.profile(&id.key());
    let (profile, statuses) = found.ok_or_else(|| no_parent(id, name))?;
    let mut endpoints = profile.endpoints.iter().zip(statuses);
    let found = endpoints.find(|(it, _)| it.name.eq_ignore_ascii_case(name));
    let (endpoint, known) = found.ok_or_else(|| no_endpoint(id, name))?;
    Ok(Done {
        status,
        body: Some(endpoint_json(&profile, endpoint, known)),
        etag: Some(etag(endpoint)),
    })
}

fn gone(deleted: bool) -> Done {
    Done {
        status: if deleted {
            StatusCode::OK
        } else {
            StatusCode::NO_CONTENT
        },
        body: deleted.then(|| json!({})),
        etag: None,
    }
}

fn not_found(id: &ProfileId) -> ArmError {
    ArmError::new(
        StatusCode::NOT_FOUND,
        "ResourceNotFound",
        format!(
            "The Resource 'Microsoft.Network/trafficManagerProfiles/{}' under resource group '{}' \
             was not found.",
            id.name, id.resource_group
        ),
    )
}

fn no_endpoint(id: &ProfileId, endpoint: &str) -> ArmError {
    ArmError::new(
        StatusCode::NOT_FOUND,
        "ResourceNotFound",
        format!(
            "The Resource 'Microsoft.Network/trafficManagerProfiles/{}/externalEndpoints/{endpoint}' \
             under resource group '{}' was not found.",
            id.name, id.resource_group
        ),
    )
}

fn no_parent(id: &ProfileId, endpoint: &str) -> ArmError {
    ArmError::new(
        StatusCode::NOT_FOUND,
        "ParentResourceNotFound",
        format!(
            "Failed to perform the operation on nested resource '{endpoint}': its parent \
             'Microsoft.Network/trafficManagerProfiles/{}' under resource group '{}' was not found.",
            id.name, id.resource_group
        ),
    )
}
