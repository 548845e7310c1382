//! Where everything of a lab is: its folder, and its addresses.
//!
//! A lab has a block of loopback addresses, `127.B.0.0/16`, and each region its own addresses in
//! it, because the endpoints of a traffic manager's profile differ by address and share the port,
//! as they do in Azure. Ports are the usual ones, so that a lab looks like what it stands for;
//! none is below 1024, which only root may take.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use backstay_pair::Side;

/// The second byte of the addresses of a lab, unless another one is given.
pub const DEFAULT_BLOCK: u8 = 71;

/// The port of the socket that claims a block.
const CLAIM_PORT: u16 = 5299;

/// Blocks that a lab takes when any will do: a drill's, a test's.
const ANY: std::ops::Range<u8> = 100..250;

/// A region's context in the lab's kubeconfig.
pub fn context(side: Side) -> &'static str {
    match side {
        Side::Primary => "aks-primary",
        Side::Secondary => "aks-secondary",
    }
}

fn number(side: Side) -> u8 {
    match side {
        Side::Primary => 1,
        Side::Secondary => 2,
    }
}

/// Holds a block of addresses for the lab that is about to be in it.
#[derive(Debug)]
pub struct Claim {
    _socket: UdpSocket,
}

/// A folder and a block of addresses.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// Everything that a lab writes is in here.
    pub folder: PathBuf,
    /// The second byte of its addresses.
    pub block: u8,
}

impl Place {
    /// A lab in this folder, with a block that no other lab of this machine has, nor gets in this
    /// way as long as the claim is held.
    ///
    /// # Errors
    /// When all are taken.
    pub fn with_any_block(folder: PathBuf) -> io::Result<(Self, Claim)> {
        let start: u8 = rand::random_range(ANY);
        let blocks = (start..ANY.end).chain(ANY.start..start);
        for block in blocks {
            let place = Self {
                folder: folder.clone(),
                block,
            };
            // Of two that look at the same moment, one gets it.
            match UdpSocket::bind(place.shared(CLAIM_PORT)) {
                Ok(socket) if place.is_free()? => return Ok((place, Claim { _socket: socket })),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "every block of addresses from 127.100 to 127.249 has a lab already",
        ))
    }

    /// Whether no lab is in this block now.
    ///
    /// # Errors
    /// When the machine has no such addresses, as macOS has not before they are made.
    pub fn is_free(&self) -> io::Result<bool> {
        match TcpListener::bind(self.arm()) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn shared(&self, port: u16) -> SocketAddr {
        (Ipv4Addr::new(127, self.block, 0, 1), port).into()
    }

    fn of(&self, side: Side, host: u8, port: u16) -> SocketAddr {
        (Ipv4Addr::new(127, self.block, number(side), host), port).into()
    }

    /// The traffic manager's DNS.
    pub fn dns(&self) -> SocketAddr {
        self.shared(5300)
    }

    /// Azure's Resource Manager API.
    pub fn arm(&self) -> SocketAddr {
        self.shared(8070)
    }

    /// The traffic manager's metrics, events and status.
    pub fn observe(&self) -> SocketAddr {
        self.shared(8071)
    }

    /// Azurite, which only the fault proxies talk to.
    pub fn azurite(&self) -> SocketAddr {
        self.shared(10000)
    }

    /// The fault proxy by which the bucket of a region is reached.
    pub fn bucket_proxy(&self, bucket: Side) -> SocketAddr {
        self.shared(10000 + u16::from(number(bucket)))
    }

    /// The Kubernetes API of a region, as the world sees it.
    pub fn api_proxy(&self, side: Side) -> SocketAddr {
        self.of(side, 1, 6443)
    }

    /// The same as the region itself sees it.
    pub fn api(&self, side: Side) -> SocketAddr {
        self.of(side, 1, 6444)
    }

    /// The address of a region's ingress: what the traffic manager's endpoint points to.
    pub fn ingress_address(&self, side: Side) -> IpAddr {
        self.of(side, 2, 0).ip()
    }

    /// The ports of a region's ingress as the world sees them: HTTP and HTTPS.
    pub fn ingress_proxies(&self, side: Side) -> [SocketAddr; 2] {
        [self.of(side, 2, 8080), self.of(side, 2, 8443)]
    }

    /// Where the ingress controller listens behind its fault proxies: HTTP, HTTPS, health.
    pub fn ingress(&self, side: Side) -> [SocketAddr; 3] {
        [8080, 8443, 8081].map(|port| self.of(side, 3, port))
    }

    /// The first three bytes of the addresses of a region's pods.
    pub fn pods(&self, side: Side) -> [u8; 3] {
        [127, self.block, 10 + number(side)]
    }

    /// The folder of a region.
    pub fn region(&self, side: Side) -> PathBuf {
        self.folder.join(side.as_str())
    }

    /// Where logs of the lab's own processes go.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// For people and their `kubectl`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The file that describes the pair.
    pub fn pair(&self) -> PathBuf {
        self.folder.join("backstay.toml")
    }

    /// The Resource Manager API's token.
    pub fn arm_token(&self) -> PathBuf {
        self.folder.join("arm-token.txt")
    }

    /// The bucket of a region, where it is a folder.
    pub fn bucket(&self, side: Side) -> PathBuf {
        self.folder.join(format!("{side}-bucket"))
    }

    /// The socket by which commands reach a lab that runs.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("lab.sock")
    }
}

/// The folder of a lab for which none is given: next to what other programs remember of a user, and not
/// in the folder one happens to stand in, so that `lab status` finds it from anywhere
/// (<https://specifications.freedesktop.org/basedir-spec/latest/>).
pub fn default_folder(vars: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| vars(name).filter(|value| Path::new(value).is_absolute());
    let state = set("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".local/state")))?;
    Some(state.join("backstay/lab"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use backstay_pair::Side;

    use super::{Place, default_folder};

    #[test]
    fn no_two_parts_share_an_address() {
        let place = Place {
            folder: PathBuf::new(),
            block: 71,
        };
        let mut all = vec![place.dns(), place.arm(), place.observe(), place.azurite()];
        for side in Side::BOTH {
            all.extend([place.api(side), place.api_proxy(side)]);
            all.extend(place.ingress_proxies(side));
            all.extend(place.ingress(side));
            all.push(place.bucket_proxy(side));
        }
        let count = all.len();
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), count);
        assert_ne!(place.pods(Side::Primary), place.pods(Side::Secondary));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn no_block_is_given_twice() {
        let claimed: Vec<_> = (0..20)
            .map(|_| Place::with_any_block(PathBuf::new()).unwrap())
            .collect();
        let blocks: BTreeSet<u8> = claimed.iter().map(|(place, _)| place.block).collect();
        assert_eq!(blocks.len(), claimed.len());
    }

    #[test]
    fn the_default_folder_is_the_users_state() {
        let with = |name: &'static str, value: &'static str| {
            default_folder(&move |asked| (asked == name).then(|| value.to_owned()))
        };
        assert_eq!(
            with("HOME", "/u"),
            Some("/u/.local/state/backstay/lab".into())
        );
        assert_eq!(with("XDG_STATE_HOME", "/s"), Some("/s/backstay/lab".into()));
        assert_eq!(with("XDG_STATE_HOME", "relative"), None);
    }
}
