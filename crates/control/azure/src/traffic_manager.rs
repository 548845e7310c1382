//! Profiles and external endpoints of the Traffic Manager.
//!
//! Source: <https://learn.microsoft.com/rest/api/trafficmanager/> (api-version 2022-04-01).

use backstay_retry::Deadline;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use serde_json::json;

use crate::client::{Call, Got};
use crate::{AzureError, Client, NotAnId, ResourceId, Switch};

const API_VERSION: &str = "2022-04-01";

/// The state of a resource that a change demands (`If-Match`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    pub(crate) fn read(value: &HeaderValue) -> Option<Self> {
        let value = value.to_str().ok()?;
        (!value.is_empty()).then(|| Self(value.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the API says that probing has found of an endpoint. A value that is new to us is [`Self::Unknown`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ReportedMonitorStatus {
    /// Not probed yet.
    CheckingEndpoint,
    /// Its probes succeed; it is answered with.
    Online,
    /// More probes in a row have failed than are tolerated.
    Degraded,
    /// It is switched off, and not probed.
    Disabled,
    /// Its profile is switched off.
    Inactive,
    /// What it stands for does not run.
    Stopped,
    /// Always Serve is on: it is answered with and not probed.
    Unmonitored,
    /// A value that is new to us.
    #[default]
    #[serde(other)]
    Unknown,
}

/// An external endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The resource id, with subscription and group.
    pub id: ResourceId,
    /// Whether it may be answered with.
    pub status: Switch,
    /// What probing says.
    pub monitor_status: ReportedMonitorStatus,
    /// Where it points.
    pub target: String,
    /// Its place in the order; 1 is first.
    pub priority: Option<u32>,
    /// The state that was read. Azure's own Traffic Manager does not offer any.
    pub etag: Option<ETag>,
}

/// How a profile's endpoints are probed, as the API says it. What is new to us, or missing, is let
/// through: this is judged, and not probed by.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedMonitor {
    /// `HTTP`, `HTTPS` or `TCP`.
    pub protocol: String,
    /// The port that is probed.
    pub port: u32,
    /// What a probe asks for; none with TCP.
    pub path: Option<String>,
    /// Seconds between probes.
    pub interval_in_seconds: Option<u32>,
    /// Seconds that a probe may take.
    pub timeout_in_seconds: Option<u32>,
    /// Failures that are tolerated.
    pub tolerated_number_of_failures: Option<u32>,
}

/// A profile: one name, and the endpoints it can point to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The resource id, with subscription and group.
    pub id: ResourceId,
    /// Whether its name is answered.
    pub status: Switch,
    /// Its name in DNS.
    pub fqdn: String,
    /// Seconds for which an answer may be kept.
    pub ttl: u32,
    /// `Priority` is the one that a pair needs.
    pub routing_method: String,
    /// How endpoints are probed.
    pub monitor: ReportedMonitor,
    /// All of its endpoints, in the API's order.
    pub endpoints: Vec<Endpoint>,
    /// The state that was read.
    pub etag: Option<ETag>,
}

#[derive(Deserialize)]
struct WireEndpoint {
    id: Option<String>,
    name: String,
    properties: WireEndpointProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEndpointProperties {
    endpoint_status: Switch,
    #[serde(default)]
    endpoint_monitor_status: ReportedMonitorStatus,
    target: Option<String>,
    priority: Option<u32>,
}

#[derive(Deserialize)]
struct WireProfile {
    properties: WireProfileProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireProfileProperties {
    profile_status: Switch,
    traffic_routing_method: String,
    dns_config: WireDns,
    monitor_config: ReportedMonitor,
    #[serde(default)]
    endpoints: Vec<WireEndpoint>,
}

#[derive(Deserialize)]
struct WireDns {
    fqdn: String,
    ttl: u32,
}

impl WireEndpoint {
    fn endpoint(
        self,
        profile: Option<&ResourceId>,
        etag: Option<ETag>,
    ) -> Result<Endpoint, NotAnId> {
        let id = match (self.id, profile) {
            (Some(id), _) => id.parse()?,
            (None, Some(profile)) => profile.child("externalEndpoints", &self.name)?,
            (None, None) => self.name.parse()?,
        };
        Ok(Endpoint {
            id,
            status: self.properties.endpoint_status,
            monitor_status: self.properties.endpoint_monitor_status,
            target: self.properties.target.unwrap_or_default(),
            priority: self.properties.priority,
            etag,
        })
    }
}

impl Client {
    /// Reads a profile.
    ///
    /// # Errors
    /// See [`AzureError`].
    pub async fn profile(
        &self,
        id: &ResourceId,
        deadline: Deadline,
    ) -> Result<Profile, AzureError> {
        let call = Call::new(
            Method::GET,
            id,
            API_VERSION,
            "Microsoft.Network/trafficManagerProfiles/read",
        );
        let got: Got<WireProfile> = self.call(call, deadline).await?;
        let wire = got.body.properties;
        let endpoints = wire
            .endpoints
            .into_iter()
            .map(|it| it.endpoint(Some(id), None));
        Ok(Profile {
            id: id.clone(),
            status: wire.profile_status,
            fqdn: wire.dns_config.fqdn,
            ttl: wire.dns_config.ttl,
            routing_method: wire.traffic_routing_method,
            monitor: wire.monitor_config,
            endpoints: endpoints.collect::<Result<_, _>>()?,
            etag: got.etag,
        })
    }

    /// Reads an endpoint.
    ///
    /// # Errors
    /// See [`AzureError`].
    pub async fn endpoint_at(
        &self,
        id: &ResourceId,
        deadline: Deadline,
    ) -> Result<Endpoint, AzureError> {
        let call = Call::new(
            Method::GET,
            id,
            API_VERSION,
            "Microsoft.Network/trafficManagerProfiles/externalEndpoints/read",
        );
        self.read(id, self.call(call, deadline).await?)
    }

    /// Sets an endpoint's status, once: `if_match` demands the state in which it was read.
    ///
    /// An attempt whose answer was lost may have been carried out; the next one then finds another
    /// state. If that is the wanted one, it is a success.
    ///
    /// # Errors
    /// [`AzureError::Changed`] when it is in another state than `if_match` says; else as ever.
    pub async fn set_endpoint_status(
        &self,
        id: &ResourceId,
        status: Switch,
        if_match: Option<&ETag>,
        deadline: Deadline,
    ) -> Result<Endpoint, AzureError> {
        let call = Call {
            body: Some(json!({ "properties": { "endpointStatus": status } })),
            if_match,
            ..Call::new(
                Method::PATCH,
                id,
                API_VERSION,
                "Microsoft.Network/trafficManagerProfiles/externalEndpoints/write",
            )
        };
        match self.call(call, deadline).await {
            Ok(got) => self.read(id, got),
            Err(AzureError::Changed { resource }) => {
                let now = self.endpoint_at(id, deadline).await?;
                match now.status == status {
                    true => Ok(now),
                    false => Err(AzureError::Changed { resource }),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Sets an endpoint's status and reads it back, again and again until it is so, or the deadline
    /// has passed. Nothing is written where it is so already.
    ///
    /// # Errors
    /// [`AzureError::NotHeld`] when someone sets it back for so long; a refusal at once.
    pub async fn hold_endpoint_status(
        &self,
        id: &ResourceId,
        wanted: Switch,
        deadline: Deadline,
    ) -> Result<Endpoint, AzureError> {
        let mut found = None;
        let held = self.hold(id, wanted, &mut found, deadline).await;
        match (held, found) {
            // The last call was cut off by the deadline; what was read before says more.
            (Err(error), Some(found)) if error.is_unreachable() && deadline.passed() => {
                Err(AzureError::NotHeld {
                    resource: id.clone(),
                    wanted,
                    found,
                })
            }
            (held, _) => held,
        }
    }

    /// `found` is what was read after it was set.
    async fn hold(
        &self,
        id: &ResourceId,
        wanted: Switch,
        found: &mut Option<Switch>,
        deadline: Deadline,
    ) -> Result<Endpoint, AzureError> {
        let mut rounds: u32 = 0;
        loop {
            let read = self.endpoint_at(id, deadline).await?;
            if read.status == wanted {
                return Ok(read);
            }
            if rounds > 0 {
                *found = Some(read.status);
                let pause = self.policy().jittered(rounds);
                if pause >= deadline.left() {
                    return Err(AzureError::NotHeld {
                        resource: id.clone(),
                        wanted,
                        found: read.status,
                    });
                }
                tracing::warn!(endpoint = %id, %wanted, found = %read.status, "an endpoint does not stay as it was set");
                tokio::time::sleep(pause).await;
            }
            rounds = rounds.saturating_add(1);
            let set = self
                .set_endpoint_status(id, wanted, read.etag.as_ref(), deadline)
                .await;
            match set {
                // What counts is what is read back.
                Ok(_) | Err(AzureError::Changed { .. }) => {}
                // Another change is under way.
                Err(AzureError::Refused { status: 409, .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&self, id: &ResourceId, got: Got<WireEndpoint>) -> Result<Endpoint, AzureError> {
        let endpoint = got.body.endpoint(id.parent().as_ref(), got.etag)?;
        if endpoint.id == *id {
            return Ok(endpoint);
        }
        Err(AzureError::Answer {
            resource: id.clone(),
            endpoint: self.endpoint(),
            problem: format!("with another endpoint, {}", endpoint.id),
        })
    }
}
