//! How endpoints are probed, in the words of Azure's profiles.
//!
//! Source: <https://learn.microsoft.com/rest/api/trafficmanager/profiles/create-or-update>
//! (api-version 2022-04-01), `monitorConfig`.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// How an endpoint is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// GET over HTTP.
    Http,
    /// GET over TLS; certificates are not verified, as in Azure.
    Https,
    /// A connection, no more.
    Tcp,
}

impl Protocol {
    /// As Azure writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tcp => "TCP",
        }
    }
}

/// A header of a probe. Its value may be a credential, so it is not shown in logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The header's name.
    pub name: String,
    /// What is sent with it.
    pub value: String,
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ***", self.name)
    }
}

/// Status codes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRange {
    /// The lowest code that is expected.
    pub min: u16,
    /// The highest code that is expected.
    pub max: u16,
}

/// How the endpoints of a profile are probed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorConfig {
    /// What an attempt consists of (Azure's `protocol`).
    pub protocol: Protocol,
    /// The endpoint's port (Azure's `port`).
    pub port: u16,
    /// `path`; none with TCP.
    pub path: Option<String>,
    /// Seconds from one probe to the next (`intervalInSeconds`).
    pub interval: u32,
    /// Seconds after which a probe has failed (`timeoutInSeconds`).
    pub timeout: u32,
    /// Failures in a row that change nothing (`toleratedNumberOfFailures`).
    pub tolerated: u32,
    /// Headers of each request (`customHeaders`); an endpoint's win over these.
    pub headers: Vec<Header>,
    /// `expectedStatusCodeRanges`; none is 200 alone.
    pub expected: Vec<StatusRange>,
}

impl MonitorConfig {
    /// Whether this status code means health.
    pub fn expects(&self, code: u16) -> bool {
        if self.expected.is_empty() {
            return code == 200;
        }
        self.expected
            .iter()
            .any(|range| (range.min..=range.max).contains(&code))
    }
}

/// What an endpoint is reached by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum Target {
    /// An address: answered as A or AAAA.
    Address(IpAddr),
    /// A name: answered as CNAME.
    Name(String),
}

impl From<String> for Target {
    fn from(text: String) -> Self {
        text.parse().map_or(Self::Name(text), Self::Address)
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}
