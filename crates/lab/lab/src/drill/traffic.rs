//! Where the global name points, as the clients of a drill see it.

use std::net::IpAddr;
use std::time::Duration;

use backstay_names::Names;
use backstay_pair::Side;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::{ClientError, NodeClient};
use crate::workload::sender::Address;

/// How often the name is looked up: a client that keeps an answer for its second would do it so.
const LOOKUP_INTERVAL: Duration = Duration::from_millis(200);

/// How a region's ingress is reached, whichever it is.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The URL with the global name.
    pub base: String,
    /// A certificate (PEM) that is trusted besides those that authorities have signed.
    pub certificate: Option<Vec<u8>>,
}

impl Reach {
    fn node(&self, address: IpAddr) -> Result<NodeClient, ClientError> {
        NodeClient::at_address_trusting(&self.base, address, self.certificate.as_deref())
    }
}

/// Looks a name up again and again, and points clients to where it is. Dropping it ends that.
#[derive(Debug)]
pub struct Lookup {
    task: JoinHandle<()>,
}

impl Lookup {
    /// Points to the primary's ingress now, and from then on to the one of which `names` says that
    /// the host of `base` is there. The name may go back and forth while a region starts: which
    /// region acknowledged what is told by the address, not by how often it changed.
    ///
    /// # Errors
    /// When `base` is not a URL.
    pub fn start(
        names: &Names,
        base: &str,
        ingresses: [(Side, IpAddr); 2],
    ) -> Result<(Self, watch::Receiver<Address>), ClientError> {
        let reach = Reach {
            base: base.to_owned(),
            certificate: None,
        };
        Self::follow(names, &reach, ingresses)
    }

    /// The same, where there is more to say about how a region is reached.
    ///
    /// # Errors
    /// When it has no URL, or no certificate.
    pub fn follow(
        names: &Names,
        reach: &Reach,
        ingresses: [(Side, IpAddr); 2],
    ) -> Result<(Self, watch::Receiver<Address>), ClientError> {
        let [(side, first), _] = ingresses;
        let address = Address {
            side,
            node: reach.node(first)?,
        };
        let host = address
            .node
            .base()
            .host_str()
            .unwrap_or_default()
            .to_owned();
        let (sender, receiver) = watch::channel(address);
        let task = tokio::spawn(keep(names.clone(), host, reach.clone(), ingresses, sender));
        Ok((Self { task }, receiver))
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(
    names: Names,
    host: String,
    reach: Reach,
    ingresses: [(Side, IpAddr); 2],
    sender: watch::Sender<Address>,
) {
    loop {
        tokio::time::sleep(LOOKUP_INTERVAL).await;
        // While nobody says where it is, it is where it was.
        let Ok(found) = names.address(&host).await else {
            continue;
        };
        let Some((side, _)) = ingresses.iter().find(|(_, ip)| *ip == found) else {
            tracing::warn!(%host, address = %found, "the name points to neither region");
            continue;
        };
        if *side == sender.borrow().side {
            continue;
        }
        match reach.node(found) {
            Ok(node) => {
                tracing::info!(%host, address = %found, "the name points elsewhere");
                sender.send_replace(Address { side: *side, node });
            }
            Err(error) => tracing::warn!(%error, "a client cannot be made"),
        }
    }
}
