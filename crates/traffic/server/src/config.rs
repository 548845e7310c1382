//! What a traffic manager is configured with at its start.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use backstay_traffic_profile::MonitorLimits;

/// A place from which endpoints are probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VantagePoint {
    /// Its name.
    pub name: String,
    /// The local address its probes come from; the system's choice when there is none.
    pub source: Option<IpAddr>,
}

/// A name server of the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServer {
    /// Its name.
    pub name: String,
    /// Its address, answered when the name is in the zone.
    pub address: Option<IpAddr>,
}

/// Why a value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not `NAME` or `NAME=ADDRESS`.
    #[error("'{0}' is not NAME or NAME=ADDRESS, such as west=192.0.2.7")]
    NameAndAddress(String),
    /// Not a DNS name.
    #[error("'{0}' is not a valid DNS name; give one such as tm.example.net")]
    Name(String),
    /// Two vantage points of one name.
    #[error("two vantage points are called '{0}'; give each a name of its own")]
    SameName(String),
    /// A quorum that cannot be reached.
    #[error(
        "a quorum of {quorum} cannot be had from {vantage_points} vantage points; give 1 to {vantage_points}"
    )]
    Quorum {
        /// The quorum as it was given.
        quorum: usize,
        /// How many there are.
        vantage_points: usize,
    },
    /// Too many, or none.
    #[error("{0} vantage points are given; give 1 to 16")]
    VantagePoints(usize),
}

impl FromStr for VantagePoint {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let (name, source) = name_and_address(text)?;
        Ok(Self { name, source })
    }
}

impl FromStr for NameServer {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let (name, address) = name_and_address(text)?;
        Ok(Self { name, address })
    }
}

fn name_and_address(text: &str) -> Result<(String, Option<IpAddr>), ConfigError> {
    let wrong = || ConfigError::NameAndAddress(text.to_owned());
    let (name, address) = match text.split_once('=') {
        Some((name, address)) => (name, Some(address.parse().map_err(|_| wrong())?)),
        None => (text, None),
    };
    let plain = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    if name.is_empty() || name.len() > 253 || !name.chars().all(plain) {
        return Err(wrong());
    }
    Ok((name.to_ascii_lowercase(), address))
}

/// What a traffic manager is configured with at its start.
#[derive(Clone, Debug)]
pub struct TrafficConfig {
    /// Where DNS is answered, on UDP and TCP. One socket an address, so that answers leave from
    /// the address that was asked.
    pub dns: Vec<SocketAddr>,
    /// Sockets (and threads) for each of those.
    pub dns_workers: usize,
    /// Queries a second that one source may ask of one socket; 0 is any number.
    pub dns_rate: u32,
    /// Where the Resource Manager API is.
    pub arm: SocketAddr,
    /// Where metrics, events and the picture for the console are.
    pub observe: SocketAddr,
    /// The file with the profiles; alerts are kept in one next to it.
    pub state: PathBuf,
    /// The file with the token of the Resource Manager API.
    pub token: PathBuf,
    /// The certificate and the key of the Resource Manager API, PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The zone in which profiles have their names.
    pub zone: String,
    /// The zone's name servers, the primary first.
    pub name_servers: Vec<NameServer>,
    /// From where endpoints are probed.
    pub vantage_points: Vec<VantagePoint>,
    /// How many of them must agree; more than half when there is none.
    pub quorum: Option<usize>,
    /// Probes on their way at the same time, at most.
    pub max_probes: usize,
    /// Which monitor settings clients may choose, and how often alerts are evaluated.
    pub limits: MonitorLimits,
}

impl TrafficConfig {
    /// Checks what clap cannot, and puts names in their one form.
    ///
    /// # Errors
    /// When a value cannot be used.
    pub fn checked(mut self) -> Result<Self, ConfigError> {
        let zone = self.zone.trim_end_matches('.').to_ascii_lowercase();
        let label = |it: &str| {
            (1..=63).contains(&it.len())
                && it
                    .bytes()
                    .all(|it| it.is_ascii_alphanumeric() || it == b'-' || it == b'_')
        };
        // A relative name of 63 and the name servers' labels must still fit in 255 bytes.
        if zone.len() > 180 || !zone.split('.').all(label) {
            return Err(ConfigError::Name(self.zone));
        }
        self.zone = zone;
        for server in &mut self.name_servers {
            let name = server.name.trim_end_matches('.').to_ascii_lowercase();
            if name.len() > 253 || !name.split('.').all(label) {
                return Err(ConfigError::Name(server.name.clone()));
            }
            server.name = name;
        }
        if !(1..=16).contains(&self.vantage_points.len()) {
            return Err(ConfigError::VantagePoints(self.vantage_points.len()));
        }
        let mut names: Vec<_> = self.vantage_points.iter().map(|it| &it.name).collect();
        names.sort_unstable();
        if let Some([same, _]) = names.windows(2).find(|it| it.first() == it.last()) {
            return Err(ConfigError::SameName((*same).clone()));
        }
        if let Some(quorum) = self.quorum
            && !(1..=self.vantage_points.len()).contains(&quorum)
        {
            return Err(ConfigError::Quorum {
                quorum,
                vantage_points: self.vantage_points.len(),
            });
        }
        Ok(self)
    }
}
