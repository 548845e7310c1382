//! The status of endpoints and profiles: one table each, as in Azure.
//!
//! Source: <https://learn.microsoft.com/azure/traffic-manager/traffic-manager-monitoring>, the
//! tables "Endpoint monitor status" and "Profile monitor status".

use serde::{Deserialize, Serialize};

use crate::Switch;

/// What probing has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It answers as it should.
    Healthy,
    /// More failures in a row than are tolerated.
    Unhealthy,
}

/// What is known of an endpoint, in Azure's words (`endpointMonitorStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EndpointMonitorStatus {
    /// Monitored and healthy; gets traffic.
    Online,
    /// Its checks fail; gets no traffic, unless all are degraded.
    Degraded,
    /// Switched off; not monitored.
    Disabled,
    /// Its profile is switched off; not monitored.
    Inactive,
    /// What it points to does not run; not monitored. In Azure that is a stopped web app or a
    /// nested profile that is disabled or inactive; here, a target in our own zone whose profile
    /// is.
    Stopped,
    /// Monitored, but the first result is still awaited; gets traffic.
    CheckingEndpoint,
    /// Always Serve is on: not monitored, gets traffic.
    Unmonitored,
}

impl EndpointMonitorStatus {
    /// All statuses, for metrics that show each.
    pub const ALL: [Self; 7] = [
        Self::Online,
        Self::Degraded,
        Self::Disabled,
        Self::Inactive,
        Self::Stopped,
        Self::CheckingEndpoint,
        Self::Unmonitored,
    ];

    /// As Azure writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "Online",
            Self::Degraded => "Degraded",
            Self::Disabled => "Disabled",
            Self::Inactive => "Inactive",
            Self::Stopped => "Stopped",
            Self::CheckingEndpoint => "CheckingEndpoint",
            Self::Unmonitored => "Unmonitored",
        }
    }

    /// Whether the endpoint is among those that are answered.
    pub fn available(self) -> bool {
        matches!(
            self,
            Self::Online | Self::CheckingEndpoint | Self::Unmonitored
        )
    }

    /// Whether it is probed.
    pub fn monitored(self) -> bool {
        matches!(self, Self::Online | Self::CheckingEndpoint | Self::Degraded)
    }
}

/// What is known of a profile, in Azure's words (`profileMonitorStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProfileMonitorStatus {
    /// It takes traffic and nothing is degraded.
    Online,
    /// At least one endpoint is degraded.
    Degraded,
    /// Switched off.
    Disabled,
    /// Switched on, but no endpoint is in play.
    Inactive,
    /// First results are awaited.
    CheckingEndpoints,
}

impl ProfileMonitorStatus {
    /// As Azure writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "Online",
            Self::Degraded => "Degraded",
            Self::Disabled => "Disabled",
            Self::Inactive => "Inactive",
            Self::CheckingEndpoints => "CheckingEndpoints",
        }
    }
}

/// What decides the status of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointFacts {
    /// `profileStatus`.
    pub profile: Switch,
    /// `endpointStatus`.
    pub endpoint: Switch,
    /// `alwaysServe`.
    pub always_serve: Switch,
    /// Whether what it points to runs at all, see [`EndpointMonitorStatus::Stopped`].
    pub runs: bool,
    /// What probing has found.
    pub health: Health,
}

/// The status of an endpoint.
///
/// The order is Azure's: `Disabled` of the endpoint stands above everything ("&lt;any&gt;,
/// Disabled, Disabled"), then comes the profile ("takes precedence").
pub fn endpoint_status(facts: EndpointFacts) -> EndpointMonitorStatus {
    match facts {
        EndpointFacts {
            endpoint: Switch::Disabled,
            ..
        } => EndpointMonitorStatus::Disabled,
        EndpointFacts {
            profile: Switch::Disabled,
            ..
        } => EndpointMonitorStatus::Inactive,
        EndpointFacts { runs: false, .. } => EndpointMonitorStatus::Stopped,
        EndpointFacts {
            always_serve: Switch::Enabled,
            ..
        } => EndpointMonitorStatus::Unmonitored,
        EndpointFacts { health, .. } => match health {
            Health::Unknown => EndpointMonitorStatus::CheckingEndpoint,
            Health::Healthy => EndpointMonitorStatus::Online,
            Health::Unhealthy => EndpointMonitorStatus::Degraded,
        },
    }
}

/// The status of a profile with these endpoints.
///
/// Azure's table does not name `Unmonitored`; such an endpoint takes traffic, so it counts as
/// online.
pub fn profile_status(
    profile: Switch,
    endpoints: &[EndpointMonitorStatus],
) -> ProfileMonitorStatus {
    let any = |wanted: &[EndpointMonitorStatus]| endpoints.iter().any(|it| wanted.contains(it));
    if profile == Switch::Disabled {
        ProfileMonitorStatus::Disabled
    } else if any(&[EndpointMonitorStatus::Degraded]) {
        ProfileMonitorStatus::Degraded
    } else if any(&[
        EndpointMonitorStatus::Online,
        EndpointMonitorStatus::Unmonitored,
    ]) {
        ProfileMonitorStatus::Online
    } else if any(&[EndpointMonitorStatus::CheckingEndpoint]) {
        ProfileMonitorStatus::CheckingEndpoints
    } else {
        ProfileMonitorStatus::Inactive
    }
}

#[cfg(test)]
mod tests;
