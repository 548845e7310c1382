//! Profiles and endpoints: what is configured, with Azure's names, limits and defaults, and what
//! follows from it. Nothing here does I/O:
//!
//! - [`parse_profile`] reads what is configured, checked by Azure's rules, and [`profile_json`] writes
//!   it;
//! - [`status`], [`monitor`], [`schedule`]: what is known of each endpoint, and when to look again;
//! - [`answer`]: which endpoint a name points to, given both.
//!
//! Sources: <https://learn.microsoft.com/rest/api/trafficmanager/profiles/create-or-update>
//! (api-version 2022-04-01) for the names,
//! <https://learn.microsoft.com/azure/traffic-manager/traffic-manager-monitoring> for the monitor's
//! limits and defaults, <https://learn.microsoft.com/azure/traffic-manager/traffic-manager-faqs>
//! for targets and TTL,
//! <https://learn.microsoft.com/azure/azure-resource-manager/management/azure-subscription-service-limits>
//! for how many there may be.

pub mod answer;
mod check;
mod endpoints;
pub mod monitor;
pub mod schedule;
pub mod status;
mod wire;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use backstay_probe::{Header, MonitorConfig, Protocol, StatusRange, Target};
use backstay_resource::ResourceType;
pub use backstay_resource::{MonitorLimits, Switch};
pub use check::{Context, parse_profile};
pub use endpoints::{next_priority, parse_endpoint};
pub use wire::{endpoint_json, profile_json};

/// The type of profiles.
pub const PROFILE: ResourceType = ResourceType {
    namespace: "Microsoft.Network",
    name: "trafficManagerProfiles",
};

/// Endpoints a profile may have, as in Azure.
pub const MAX_ENDPOINTS: usize = 200;
/// Profiles a subscription may have, as in Azure.
pub const MAX_PROFILES_PER_SUBSCRIPTION: usize = 200;
/// Profiles one server keeps.
pub const MAX_PROFILES: usize = 2_000;
/// Custom headers, and ranges of status codes, a monitor may have, as in Azure.
pub const MAX_HEADERS: usize = 8;
/// Ranges of expected status codes a monitor may have, as in Azure.
pub const MAX_RANGES: usize = 8;

/// An endpoint of a profile, named by a DNS name or an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// `target`.
    pub target: Target,
    /// `endpointStatus`.
    pub status: Switch,
    /// `priority`, 1 to 1000; less is preferred.
    pub priority: u32,
    /// `weight`, 1 to 1000; kept for clients, without meaning under Priority routing.
    pub weight: u32,
    /// `endpointLocation`; likewise.
    pub location: Option<String>,
    /// `alwaysServe`.
    pub always_serve: Switch,
    /// `customHeaders`; they win over those of the profile.
    pub headers: Vec<Header>,
}

/// A Traffic Manager profile: a DNS name and the endpoints behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The id of the subscription that holds it.
    pub subscription: String,
    /// The resource group that holds it.
    pub resource_group: String,
    /// Its name.
    pub name: String,
    /// `tags`.
    pub tags: BTreeMap<String, String>,
    /// `profileStatus`.
    pub status: Switch,
    /// `dnsConfig.relativeName`.
    pub relative_name: String,
    /// `dnsConfig.ttl`, in seconds.
    pub ttl: u32,
    /// `monitorConfig`.
    pub monitor: MonitorConfig,
    /// `endpoints`.
    pub endpoints: Vec<Endpoint>,
}

impl Profile {
    /// The profile's resource id in Azure's form.
    pub fn id(&self) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/{PROFILE}/{}",
            self.subscription, self.resource_group, self.name
        )
    }

    /// The resource id of one of its endpoints.
    pub fn endpoint_id(&self, endpoint: &str) -> String {
        format!("{}/externalEndpoints/{endpoint}", self.id())
    }

    /// The endpoint of this name; names are the same in either case.
    pub fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints
            .iter()
            .find(|it| it.name.eq_ignore_ascii_case(name))
    }

    /// The name that it answers to.
    pub fn fqdn(&self, zone: &str) -> String {
        format!("{}.{zone}", self.relative_name)
    }

    /// Whether nothing of it can take traffic, by its configuration alone.
    pub fn inactive(&self) -> bool {
        self.status == Switch::Disabled
            || self
                .endpoints
                .iter()
                .all(|it| it.status == Switch::Disabled)
    }
}

#[cfg(test)]
mod tests;
