//! The vantage points: our own probe of the primary's ingress, and what the traffic manager says.
//!
//! Our own probe is the traffic manager's, from where we run: the same port, path and host, the
//! certificate not judged (a probe carries nothing that could be stolen, and whoever sits in its
//! way can make a region look dead by dropping it as well).

use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use backstay_azure::{AzureError, Endpoint, ReportedMonitorStatus, Switch};
use backstay_failover::edge::LookOut;
use backstay_failover::observation::{Control, Observation, OurSide, Ours, Saw};
use backstay_pair::{Pair, Protocol, Side};
use backstay_probe::{Header, MonitorConfig, Outcome, ProbeError, Protocol as ProbeProtocol, Spec};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::endpoint::switched;
use crate::world::World;

/// The name of our own probe among the vantage points.
pub(crate) const OUR_PROBE: &str = "our own probe";
/// The name of the traffic manager among them.
pub(crate) const MONITOR: &str = "the traffic manager";

/// Longest wait for a control.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(2);

/// How a region is probed.
pub(crate) fn spec(pair: &Pair, side: Side) -> Spec {
    let manager = &pair.traffic_manager;
    let monitor = MonitorConfig {
        protocol: match manager.probe_protocol {
            Protocol::Http => ProbeProtocol::Http,
            Protocol::Https => ProbeProtocol::Https,
        },
        port: manager.probe_port,
        path: Some(manager.probe_path.clone()),
        interval: pair.failover.probe_interval_seconds,
        timeout: pair.failover.probe_timeout_seconds,
        tolerated: 0,
        headers: vec![Header {
            name: "host".to_owned(),
            value: pair.global_host.clone(),
        }],
        expected: Vec::new(),
    };
    let target = pair.region(side).endpoint_target.clone().into();
    Spec::new(&monitor, &target, &[])
}

/// What a probe's outcome is to a vantage point.
fn seen(outcome: &Outcome) -> Saw {
    match outcome {
        Outcome::Healthy => Saw::Answers,
        Outcome::Failed(error) => match error {
            ProbeError::Timeout(_) => Saw::TimedOut,
            ProbeError::Resolve(_) => Saw::Nothing(Ours::Dns),
            ProbeError::Status(status) => Saw::WrongStatus(*status),
            // No way there: it may be our own that is missing, so it is worth what a timeout is.
            ProbeError::Connect(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable)
            | ProbeError::Connect(ErrorKind::TimedOut) => Saw::TimedOut,
            ProbeError::Connect(_)
            | ProbeError::Tls(_)
            | ProbeError::Broken(_)
            | ProbeError::Closed
            | ProbeError::NotHttp
            | ProbeError::Head => Saw::Refused,
        },
        Outcome::Void(_) => Saw::Nothing(Ours::Network),
    }
}

/// What the traffic manager's word is to a vantage point; nothing, where it does not look.
fn monitored(read: &Result<Endpoint, AzureError>) -> Option<Saw> {
    match read {
        Ok(endpoint) if endpoint.status == Switch::Disabled => None,
        Ok(endpoint) => match endpoint.monitor_status {
            ReportedMonitorStatus::Online | ReportedMonitorStatus::CheckingEndpoint => {
                Some(Saw::StillTrusted)
            }
            ReportedMonitorStatus::Degraded => Some(Saw::GivenUp),
            ReportedMonitorStatus::Disabled
            | ReportedMonitorStatus::Inactive
            | ReportedMonitorStatus::Stopped
            | ReportedMonitorStatus::Unmonitored
            | ReportedMonitorStatus::Unknown => None,
        },
        Err(
            AzureError::Identity { .. }
            | AzureError::Unauthenticated { .. }
            | AzureError::Forbidden { .. },
        ) => Some(Saw::Nothing(Ours::Identity)),
        Err(_) => Some(Saw::Nothing(Ours::Network)),
    }
}

impl World {
    /// Probes a region from here.
    pub async fn probe(&self, side: Side) -> Outcome {
        let [primary, secondary] = &self.probes;
        let spec = match side {
            Side::Primary => primary,
            Side::Secondary => secondary,
        };
        self.prober.probe(spec, None).await.0
    }

    /// Whether our own network and name resolution work, by the Resource Manager, which is in
    /// neither region, or by the standby's API server.
    async fn our_side(&self) -> OurSide {
        let arm = self.azure.arm();
        let host = arm.host_str().unwrap_or_default();
        let port = arm.port_or_known_default().unwrap_or(443);
        let is_name = host.parse::<IpAddr>().is_err();
        let dns = async {
            if !is_name {
                return Control::Untried;
            }
            match timeout(CONTROL_TIMEOUT, tokio::net::lookup_host((host, port))).await {
                Ok(Ok(_)) => Control::Works,
                _ => Control::Fails,
            }
        };
        let arm_there = async {
            let connected = timeout(CONTROL_TIMEOUT, TcpStream::connect((host, port))).await;
            matches!(connected, Ok(Ok(_)))
        };
        let standby_there = async {
            let name = &self.settings.place.deployment;
            let read = timeout(CONTROL_TIMEOUT, self.standby.operator(name, Self::soon())).await;
            matches!(read, Ok(Ok(_)))
        };
        // Either will do, and the standby's is asked anyway before long.
        let network = async {
            match arm_there.await || standby_there.await {
                true => Control::Works,
                false => Control::Fails,
            }
        };
        let (dns, network) = tokio::join!(dns, network);
        OurSide { dns, network }
    }
}

impl LookOut for World {
    async fn look(&self) -> (Vec<Observation>, OurSide) {
        let monitor = self.azure.endpoint_at(&self.primary_endpoint, Self::soon());
        let (own, monitor, ours) =
            tokio::join!(self.probe(Side::Primary), monitor, self.our_side());
        *self.endpoint_was.lock() = Some(switched(&monitor));
        let mut observations = vec![Observation {
            from: OUR_PROBE.to_owned(),
            saw: seen(&own),
        }];
        observations.extend(monitored(&monitor).map(|saw| Observation {
            from: MONITOR.to_owned(),
            saw,
        }));
        (observations, ours)
    }
}

#[cfg(test)]
mod tests;
