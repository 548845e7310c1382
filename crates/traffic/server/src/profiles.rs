//! Profiles and endpoints, for the API: read, listed, made, changed, deleted.
//!
//! Source: <https://learn.microsoft.com/rest/api/trafficmanager/>.

mod versions;

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::{Method, StatusCode};
use backstay_resource::body::check_resource_name;
use backstay_resource::{ResourceName, Scope};
use backstay_traffic_arm::{
    Address, ArmError, Call, Conditions, Done, Provider, Resource, Served, Wanted, not_found, on,
    only,
};
use backstay_traffic_profile::status::EndpointMonitorStatus;
use backstay_traffic_profile::{
    Context, MAX_PROFILES, MAX_PROFILES_PER_SUBSCRIPTION, PROFILE, Profile, endpoint_json,
    parse_endpoint, parse_profile, profile_json,
};

use crate::config::NameServer;
use crate::manager::{Manager, Profiles};

/// Profiles and their endpoints, for an API.
pub(crate) struct ProfilesApi(pub(crate) Arc<Manager>);

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The profiles of a scope.
    Profiles(Scope),
    /// One of them.
    Profile(ResourceName),
    /// An external endpoint of one.
    Endpoint(ResourceName, String),
}

#[async_trait]
impl Provider for ProfilesApi {
    type Place = Place;

    fn in_groups(&self) -> &'static [Served] {
        &versions::SERVED
    }

    fn subscriptions(&self) -> Vec<String> {
        let profiles = self.0.profiles(|_| true);
        profiles
            .iter()
            .map(|(it, _)| it.subscription.clone())
            .collect()
    }

    fn place(&self, address: &Address) -> Result<Option<Place>, ArmError> {
        place(address)
    }

    async fn answer(&self, place: Place, call: Call) -> Result<Done, ArmError> {
        match place {
            Place::Profiles(scope) => {
                only(call.method(), Method::GET, || Ok(list(&self.0, &scope)))
            }
            Place::Profile(id) => on(ProfileAt(id), &self.0, call.request).await,
            Place::Endpoint(id, name) => on(EndpointAt(id, name), &self.0, call.request).await,
        }
    }
}

fn place(address: &Address) -> Result<Option<Place>, ArmError> {
    let below = address.below_in_lower_case();
    let below: Vec<&str> = below.iter().map(String::as_str).collect();
    Ok(match (address.resource(), below.as_slice()) {
        (_, []) => Some(Place::Profiles(address.scope())),
        (Some(id), [_]) => Some(Place::Profile(id)),
        (Some(id), [_, "externalendpoints", _]) => {
            let name = address.below.get(2).cloned();
            name.map(|it| Place::Endpoint(id, it))
        }
        (Some(_), [_, "azureendpoints" | "nestedendpoints", _]) => {
            let kind = address.below.get(1).map_or("", String::as_str);
            return Err(ArmError::bad(
                "BadRequest",
                format!(
                    "Endpoints of type '{kind}' are not offered by this server; use \
                     externalEndpoints."
                ),
            ));
        }
        _ => None,
    })
}

/// A profile, there or not.
struct ProfileAt(ResourceName);

/// An endpoint of a profile, likewise.
struct EndpointAt(ResourceName, String);

fn list(manager: &Manager, scope: &Scope) -> Done {
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
    type Keeper = Arc<Manager>;

    async fn get(self, manager: &Arc<Manager>) -> Result<Done, ArmError> {
        show(manager, &self.0, StatusCode::OK)
    }

    async fn put(self, manager: &Arc<Manager>, wanted: Wanted) -> Result<Done, ArmError> {
        let id = self.0;
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
                let key = id.key(PROFILE);
                let old = profiles.get(&key).cloned();
                // What is read-only is not read back.
                let online = |old: &Profile| {
                    let statuses = vec![EndpointMonitorStatus::Online; old.endpoints.len()];
                    profile_json(old, &zone, &statuses)
                };
                let missing = || not_found(PROFILE, &id, "");
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

    async fn delete(
        self,
        manager: &Arc<Manager>,
        conditions: Conditions,
    ) -> Result<Done, ArmError> {
        let key = self.0.key(PROFILE);
        let delete = move |profiles: &mut Profiles| {
            conditions.hold(profiles.get(&key).map(Arc::as_ref))?;
            Ok::<_, ArmError>(profiles.remove(&key).is_some())
        };
        Ok(Done::gone(manager.change(delete).await?))
    }
}

impl Resource for EndpointAt {
    type Keeper = Arc<Manager>;

    async fn get(self, manager: &Arc<Manager>) -> Result<Done, ArmError> {
        show_endpoint(manager, &self, StatusCode::OK)
    }

    async fn put(self, manager: &Arc<Manager>, wanted: Wanted) -> Result<Done, ArmError> {
        let zone = manager.config().zone.clone();
        let place = Self(self.0.clone(), self.1.clone());
        let status = manager
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
        show_endpoint(manager, &place, status)
    }

    async fn delete(
        self,
        manager: &Arc<Manager>,
        conditions: Conditions,
    ) -> Result<Done, ArmError> {
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
        Ok(Done::gone(manager.change(delete).await?))
    }
}

impl EndpointAt {
    /// Its profile, with the key by which that is kept.
    fn parent(&self, profiles: &Profiles) -> Result<(String, Arc<Profile>), ArmError> {
        let key = self.0.key(PROFILE);
        match profiles.get(&key).cloned() {
            Some(profile) => Ok((key, profile)),
            None => Err(self.no_parent()),
        }
    }

    fn missing(&self) -> ArmError {
        not_found(PROFILE, &self.0, &format!("/externalEndpoints/{}", self.1))
    }

    fn no_parent(&self) -> ArmError {
        let Self(profile, endpoint) = self;
        ArmError::new(
            StatusCode::NOT_FOUND,
            "ParentResourceNotFound",
            format!(
                "Failed to perform the operation on nested resource '{endpoint}': its parent \
                 '{}/{}' under resource group '{}' was not found.",
                PROFILE, profile.name, profile.resource_group
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

fn show(manager: &Manager, id: &ResourceName, status: StatusCode) -> Result<Done, ArmError> {
    let found = manager.profile(&id.key(PROFILE));
    let (profile, statuses) = found.ok_or_else(|| not_found(PROFILE, id, ""))?;
    let shown = profile_json(&profile, &manager.config().zone, &statuses);
    Ok(Done::resource(status, shown, profile.as_ref()))
}

fn show_endpoint(
    manager: &Manager,
    place: &EndpointAt,
    status: StatusCode,
) -> Result<Done, ArmError> {
    let found = manager.profile(&place.0.key(PROFILE));
    let (profile, statuses) = found.ok_or_else(|| place.no_parent())?;
    let mut endpoints = profile.endpoints.iter().zip(statuses);
    let found = endpoints.find(|(it, _)| it.name.eq_ignore_ascii_case(&place.1));
    let (endpoint, known) = found.ok_or_else(|| place.missing())?;
    let shown = endpoint_json(&profile, endpoint, known);
    Ok(Done::resource(status, shown, endpoint))
}

#[cfg(test)]
mod tests;
