//! From what is configured and what is known to what is published and answered. The decisions are those
//! of [`backstay_traffic_profile::status`] and [`backstay_traffic_profile::answer`]; here they are asked,
//! and what they decide is published.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use hickory_proto::ProtoError;

use super::watch::Watched;
use super::{Inner, Manager, Profiles, Published};
use crate::events::What;
use backstay_probe::Spec;
use backstay_traffic_dns::Pointer;
use backstay_traffic_dns::zone::absolute;
use backstay_traffic_profile::answer::{Answer, answer};
use backstay_traffic_profile::status::{
    EndpointFacts, EndpointMonitorStatus, Health, endpoint_status,
};
use backstay_traffic_profile::{Endpoint, Profile, Target};

impl Manager {
    /// Takes over a configuration: what to probe, statuses, answers.
    pub(super) fn adopt(&self, inner: &mut Inner, profiles: Profiles) -> Result<(), ProtoError> {
        let old = std::mem::replace(&mut inner.profiles, profiles);
        let mut changed: BTreeSet<String> = BTreeSet::new();
        for (id, profile) in &old {
            match inner.profiles.get(id) {
                Some(new) if Arc::ptr_eq(new, profile) => {}
                Some(_) => {
                    changed.insert(id.clone());
                }
                None => self.forget(inner, id, profile)?,
            }
        }
        let fresh = inner.profiles.keys().filter(|it| !old.contains_key(*it));
        changed.extend(fresh.cloned());
        // A name given up by one profile may be another's from now on, so old names go first.
        for id in &changed {
            let (before, now) = (old.get(id), inner.profiles.get(id));
            if let Some(before) = before
                && now.is_some_and(|it| it.relative_name != before.relative_name)
            {
                inner.points.remove(&before.relative_name);
                inner.builder.set(&before.relative_name, None)?;
            }
        }
        // Whether a target in our own zone runs depends on the other profiles.
        let linked = inner.profiles.iter().filter(|(_, it)| self.linked(it));
        changed.extend(linked.map(|(id, _)| id.clone()));
        for id in changed {
            self.refresh(inner, &id)?;
        }
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.profiles.set(count(inner.profiles.len()));
        self.metrics.endpoints.set(count(inner.watches.len()));
        self.show_counts(inner);
        if inner.watches.any_new() {
            self.new.notify_one();
        }
        self.show(inner)
    }

    fn forget(&self, inner: &mut Inner, id: &str, profile: &Profile) -> Result<(), ProtoError> {
        for published in inner.published.remove(id).unwrap_or_default() {
            self.gone(inner, profile, &published);
        }
        if inner.points.remove(&profile.relative_name).is_some() {
            inner.builder.set(&profile.relative_name, None)?;
            self.publish_answer(profile, Some("NXDOMAIN".to_owned()));
        }
        Ok(())
    }

    fn gone(&self, inner: &mut Inner, profile: &Profile, published: &Published) {
        inner.watches.remove(&published.key);
        inner.count(Some(published.status), None);
        self.publish(profile, &published.name, Some(published.status), None, None);
    }

    /// Works out what is to be probed of a profile, the statuses of its endpoints, and its answer.
    fn refresh(&self, inner: &mut Inner, id: &str) -> Result<(), ProtoError> {
        let Some(profile) = inner.profiles.get(id).cloned() else {
            return Ok(());
        };
        let before = inner.published.remove(id).unwrap_or_default().into_iter();
        let mut before: HashMap<String, Published> =
            before.map(|it| (it.key.clone(), it)).collect();
        let mut published = Vec::with_capacity(profile.endpoints.len());
        for endpoint in &profile.endpoints {
            let key = endpoint_key(&profile, &endpoint.name);
            let unknown = self.status(inner, &profile, endpoint, Health::Unknown);
            if unknown.monitored() {
                let spec = Spec::new(&profile.monitor, &endpoint.target, &endpoint.headers);
                let points = self.config.vantage_points.len();
                inner.watches.keep(&key, id, spec, points, self.quorum);
            } else {
                inner.watches.remove(&key);
            }
            let status = self.status(inner, &profile, endpoint, inner.health(&key));
            let from = before.remove(&key).map(|it| it.status);
            self.publish_change(inner, &profile, &endpoint.name, &key, from, status);
            published.push(Published {
                name: endpoint.name.clone(),
                key,
                status,
            });
        }
        for published in before.into_values() {
            self.gone(inner, &profile, &published);
        }
        let statuses: Vec<_> = published.iter().map(|it| it.status).collect();
        inner.published.insert(id.to_owned(), published);
        self.point(inner, &profile, &statuses)
    }

    /// The verdict on an endpoint has changed: its status, and perhaps its profile's answer. What
    /// is configured has not, so that this costs little however large the profile.
    pub(super) fn turn(&self, inner: &mut Inner, id: &str, key: &str) -> Result<(), ProtoError> {
        let Some(profile) = inner.profiles.get(id).cloned() else {
            return Ok(());
        };
        let health = inner.health(key);
        let published = inner
            .published
            .get(id)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let place = published.iter().position(|it| it.key == key);
        let Some((place, endpoint)) = place.and_then(|it| Some((it, profile.endpoints.get(it)?)))
        else {
            return Ok(());
        };
        let status = self.status(inner, &profile, endpoint, health);
        let published = inner.published.get_mut(id).and_then(|it| it.get_mut(place));
        let from = published.map(|it| std::mem::replace(&mut it.status, status));
        self.publish_change(inner, &profile, &endpoint.name, key, from, status);
        let statuses = inner.statuses(id);
        self.point(inner, &profile, &statuses)
    }

    fn status(
        &self,
        inner: &Inner,
        profile: &Profile,
        endpoint: &Endpoint,
        health: Health,
    ) -> EndpointMonitorStatus {
        endpoint_status(EndpointFacts {
            profile: profile.status,
            endpoint: endpoint.status,
            always_serve: endpoint.always_serve,
            runs: self.runs(inner, endpoint),
            health,
        })
    }

    /// Publishes a status if it differs from the one before.
    fn publish_change(
        &self,
        inner: &mut Inner,
        profile: &Profile,
        endpoint: &str,
        key: &str,
        from: Option<EndpointMonitorStatus>,
        status: EndpointMonitorStatus,
    ) {
        if from == Some(status) {
            return;
        }
        inner.count(from, Some(status));
        let watched = inner.watches.of(key);
        let reason = watched
            .filter(|_| status == EndpointMonitorStatus::Degraded)
            .and_then(Watched::last_error);
        self.publish(profile, endpoint, from, Some(status), reason);
    }

    fn point(
        &self,
        inner: &mut Inner,
        profile: &Profile,
        statuses: &[EndpointMonitorStatus],
    ) -> Result<(), ProtoError> {
        let label = &profile.relative_name;
        let (pointer, answered) = match answer(profile, statuses) {
            Answer::NoName => (None, Some("NXDOMAIN".to_owned())),
            Answer::Nothing => (Some(Pointer::Nothing), None),
            Answer::Endpoint(endpoint) => {
                let pointer = match &endpoint.target {
                    Target::Address(address) => Pointer::Address(*address),
                    Target::Name(name) => Pointer::Name(absolute(name)?),
                };
                (Some(pointer), Some(endpoint.target.to_string()))
            }
        };
        let now = pointer.map(|it| (it, profile.ttl));
        let before = inner.points.get(label);
        if before == now.as_ref() {
            return Ok(());
        }
        let moved = before.map(|(it, _)| it) != now.as_ref().map(|(it, _)| it);
        let with_ttl = now.as_ref().map(|(it, ttl)| (it, *ttl));
        inner.builder.set(label, with_ttl)?;
        match now {
            Some(now) => inner.points.insert(label.clone(), now),
            None => inner.points.remove(label),
        };
        if moved {
            self.publish_answer(profile, answered);
        }
        Ok(())
    }

    pub(super) fn show_counts(&self, inner: &Inner) {
        self.metrics
            .set_statuses(|it| inner.counts.get(&it).copied().unwrap_or(0));
    }

    /// Puts a new picture of the zone in place.
    pub(super) fn show(&self, inner: &mut Inner) -> Result<(), ProtoError> {
        self.zone.store(Arc::new(inner.builder.build()?));
        self.metrics.pictures.inc();
        Ok(())
    }

    /// Whether one of its endpoints points into our own zone.
    fn linked(&self, profile: &Profile) -> bool {
        let mut endpoints = profile.endpoints.iter();
        endpoints.any(|it| self.label(&it.target).is_some())
    }

    /// The label of a target that is a name in our own zone.
    fn label<'a>(&self, target: &'a Target) -> Option<&'a str> {
        match target {
            Target::Name(name) => name.strip_suffix(&self.config.zone)?.strip_suffix('.'),
            Target::Address(_) => None,
        }
    }

    /// Whether what an endpoint points to runs, see [`EndpointMonitorStatus::Stopped`].
    fn runs(&self, inner: &Inner, endpoint: &Endpoint) -> bool {
        let Some(label) = self.label(&endpoint.target) else {
            return true;
        };
        let mut profiles = inner.profiles.values();
        profiles.any(|it| it.relative_name == label && !it.inactive())
    }

    fn publish(
        &self,
        profile: &Profile,
        endpoint: &str,
        from: Option<EndpointMonitorStatus>,
        to: Option<EndpointMonitorStatus>,
        reason: Option<String>,
    ) {
        self.metrics.status_changes.inc();
        let word = |it: Option<EndpointMonitorStatus>| it.map_or("none", |it| it.as_str());
        tracing::info!(
            profile = profile.name,
            endpoint,
            from = word(from),
            to = word(to),
            reason,
            "endpoint status"
        );
        let what = What::Status {
            endpoint: endpoint.to_owned(),
            from,
            to,
            reason,
        };
        self.events.happened(profile.id(), what);
    }

    fn publish_answer(&self, profile: &Profile, to: Option<String>) {
        let name = profile.fqdn(&self.config.zone);
        tracing::info!(name, to, "answer");
        self.events
            .happened(profile.id(), What::Answer { name, to });
    }
}

fn endpoint_key(profile: &Profile, endpoint: &str) -> String {
    profile.endpoint_id(endpoint).to_ascii_lowercase()
}
