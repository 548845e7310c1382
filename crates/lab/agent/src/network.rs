//! The addresses of pods: a /24 of loopback, each held by one pod until it is gone.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A /24 of loopback, written `127.71.11.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network([u8; 3]);

/// A text that is not a network of pods.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid network for pods: give a /24 of loopback, like 127.71.11.0/24")]
pub struct NetworkError(String);

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let wrong = || NetworkError(text.to_owned());
        let address = text.strip_suffix("/24").ok_or_else(wrong)?;
        match address.parse::<Ipv4Addr>().map_err(|_| wrong())?.octets() {
            [127, b, c, 0] => Ok(Self([127, b, c])),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.0;
        write!(f, "{a}.{b}.{c}.0/24")
    }
}

impl Network {
    fn address(self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.0;
        Ipv4Addr::new(a, b, c, last)
    }

    /// What the nodes themselves have: no pod gets the first address.
    pub(crate) fn node(self) -> Ipv4Addr {
        self.address(1)
    }
}

/// Which pod has which address.
#[derive(Debug)]
pub(crate) struct Addresses {
    network: Network,
    held: HashMap<Ipv4Addr, String>,
    /// The last one given out: the next are tried first, so that an address rests before it means
    /// another pod.
    last: u8,
}

const FIRST_HOST: u8 = 2;
const LAST_HOST: u8 = 254;

impl Addresses {
    pub fn new(network: Network) -> Self {
        Self {
            network,
            held: HashMap::new(),
            last: LAST_HOST,
        }
    }

    /// Keeps the address that a pod has had, where it is one of this network and nobody else's.
    pub fn keep(&mut self, uid: &str, address: Ipv4Addr) -> bool {
        let [a, b, c, last] = address.octets();
        if [a, b, c] != self.network.0 || !(FIRST_HOST..=LAST_HOST).contains(&last) {
            return false;
        }
        self.held.entry(address).or_insert_with(|| uid.to_owned()) == uid
    }

    /// The pod's address, a new one where it has none; `None` when all are held.
    pub fn take(&mut self, uid: &str) -> Option<Ipv4Addr> {
        if let Some((address, _)) = self.held.iter().find(|(_, holder)| *holder == uid) {
            return Some(*address);
        }
        let after = (FIRST_HOST..=LAST_HOST).filter(|last| *last > self.last);
        let before = (FIRST_HOST..=LAST_HOST).filter(|last| *last <= self.last);
        let last = after
            .chain(before)
            .find(|last| !self.held.contains_key(&self.network.address(*last)))?;
        self.last = last;
        let address = self.network.address(last);
        self.held.insert(address, uid.to_owned());
        Some(address)
    }

    /// The pod is gone.
    pub fn release(&mut self, uid: &str) {
        self.held.retain(|_, holder| holder != uid);
    }
}

#[cfg(test)]
mod tests;
