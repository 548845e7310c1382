//! Probes of a container, as the kubelet's prober has them
//! (<https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/>).
//!
//! One thing is other: until a container has been ready once it is asked sooner than its period
//! says, so that it is not found to be ready a whole period after it was.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use backstay_report::innermost;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;

use crate::exec;
use crate::groups::Groups;
use crate::launch::Surroundings;

/// The first of the waits of a container that has not been ready yet.
const FIRST_PROBE_DELAY: Duration = Duration::from_millis(50);

/// What a probe does, and how often.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub probe: Probe,
    pub delay: Duration,
    pub period: Duration,
    pub timeout: Duration,
    pub successes: u32,
    pub failures: u32,
}

impl Plan {
    /// With Kubernetes' defaults where the probe says nothing, or nonsense.
    pub fn of(probe: &Probe) -> Self {
        let number = |given: Option<i32>, least: u32, default: u32| {
            let given = given.and_then(|given| u32::try_from(given).ok());
            given.filter(|given| *given >= least).unwrap_or(default)
        };
        let seconds = |number: u32| Duration::from_secs(number.into());
        Self {
            delay: seconds(number(probe.initial_delay_seconds, 0, 0)),
            period: seconds(number(probe.period_seconds, 1, 10)),
            timeout: seconds(number(probe.timeout_seconds, 1, 1)),
            successes: number(probe.success_threshold, 1, 1),
            failures: number(probe.failure_threshold, 1, 3),
            probe: probe.clone(),
        }
    }

    /// The wait before the next probe of a container that has not been ready yet.
    pub fn eager(&self, asked: u32) -> Duration {
        FIRST_PROBE_DELAY
            .saturating_mul(1_u32.checked_shl(asked).unwrap_or(u32::MAX))
            .min(self.period)
    }
}

/// Counts answers in a row.
#[derive(Debug, Default)]
pub(crate) struct Streak {
    last: bool,
    length: u32,
}

impl Streak {
    /// With one more answer: what so many in a row say, or nothing yet.
    pub fn take(&mut self, answer: bool, plan: &Plan) -> Option<bool> {
        self.length = if answer == self.last {
            self.length.saturating_add(1)
        } else {
            1
        };
        self.last = answer;
        let needed = if answer {
            plan.successes
        } else {
            plan.failures
        };
        (self.length >= needed).then_some(answer)
    }
}

/// Why a probe's answer is no. Most of the texts are the kubelet's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeFailure {
    #[error("only httpGet, tcpSocket and exec are supported")]
    Unsupported,
    #[error("scheme {0:?} is neither HTTP nor HTTPS")]
    Scheme(String),
    #[error("{0} is not a valid port: use one of 1 to 65535")]
    Port(i32),
    #[error("the container has no port {0:?}")]
    NoPort(String),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the command ended with exit code {0}")]
    ExitCode(i32),
    #[error("{}", innermost(.0))]
    Http(#[from] reqwest::Error),
    #[error("HTTP probe failed with statuscode: {0}")]
    Status(u16),
}

/// Carries out a container's probes.
#[derive(Debug, Clone)]
pub(crate) struct Prober {
    http: reqwest::Client,
    groups: Arc<Groups>,
}

impl Prober {
    pub fn new(groups: Arc<Groups>) -> Result<Self, reqwest::Error> {
        // Another part of the program may have chosen it before.
        backstay_tls::install_provider();
        let http = reqwest::Client::builder()
            .user_agent("kube-probe/1.32")
            .no_proxy()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            // As in Kubernetes: whom it asks is known by the address.
            .tls_danger_accept_invalid_certs(true)
            .build()?;
        Ok(Self { http, groups })
    }

    /// Asks once; the error says why the answer is no.
    pub async fn ask(
        &self,
        plan: &Plan,
        container: &Container,
        surroundings: &Surroundings,
    ) -> Result<(), ProbeFailure> {
        let probe = &plan.probe;
        let address = surroundings.address;
        let asked = async {
            if let Some(get) = &probe.http_get {
                self.get(get, container, address).await
            } else if let Some(tcp) = &probe.tcp_socket {
                let host = tcp.host.clone().filter(|host| !host.is_empty());
                let host = host.unwrap_or_else(|| address.to_string());
                let port = port(&tcp.port, container)?;
                TcpStream::connect((host, port)).await?;
                Ok(())
            } else if let Some(exec) = &probe.exec {
                let command = exec.command.clone().unwrap_or_default();
                match exec::run(surroundings, &self.groups, &command)?.await? {
                    0 => Ok(()),
                    code => Err(ProbeFailure::ExitCode(code)),
                }
            } else {
                Err(ProbeFailure::Unsupported)
            }
        };
        tokio::time::timeout(plan.timeout, asked)
            .await
            .unwrap_or(Err(ProbeFailure::Timeout(plan.timeout)))
    }

    async fn get(
        &self,
        get: &HTTPGetAction,
        container: &Container,
        address: Ipv4Addr,
    ) -> Result<(), ProbeFailure> {
        let mut request = self.http.get(url(get, container, address)?);
        for header in get.http_headers.iter().flatten() {
            request = request.header(&header.name, &header.value);
        }
        match request.send().await?.status().as_u16() {
            200..400 => Ok(()),
            code => Err(ProbeFailure::Status(code)),
        }
    }
}

fn url(
    get: &HTTPGetAction,
    container: &Container,
    address: Ipv4Addr,
) -> Result<String, ProbeFailure> {
    let scheme = match get.scheme.as_deref().unwrap_or("HTTP") {
        "HTTP" | "" => "http",
        "HTTPS" => "https",
        other => return Err(ProbeFailure::Scheme(other.to_owned())),
    };
    let host = get.host.clone().filter(|host| !host.is_empty());
    let host = host.unwrap_or_else(|| address.to_string());
    let path = get.path.as_deref().unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    let port = port(&get.port, container)?;
    Ok(format!("{scheme}://{host}:{port}{slash}{path}"))
}

/// A port by number, or by its name in the container.
fn port(port: &IntOrString, container: &Container) -> Result<u16, ProbeFailure> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(text) => text.parse().ok().or_else(|| {
            let mut ports = container.ports.iter().flatten();
            let named = ports.find(|port| port.name.as_deref() == Some(text.as_str()));
            named.map(|port| port.container_port)
        }),
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| match port {
            IntOrString::Int(number) => ProbeFailure::Port(*number),
            IntOrString::String(text) => ProbeFailure::NoPort(text.clone()),
        })
}

#[cfg(test)]
mod tests;
