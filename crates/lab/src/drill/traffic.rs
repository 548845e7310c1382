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
const LOOKUP: Duration = Duration::from_millis(200);

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
    /// When `base` is no URL.
    pub fn start(
        names: &Names,
        base: &str,
        ingresses: [(Side, IpAddr); 2],
    ) -> Result<(Self, watch::Receiver<Address>), ClientError> {
        let [(side, first), _] = ingresses;
        let address = Address {
            side,
            node: NodeClient::at_address(base, first)?,
        };
        let host = address
            .node
            .base()
            .host_str()
            .unwrap_or_default()
            .to_owned();
        let (sender, receiver) = watch::channel(address);
        let task = tokio::spawn(follow(
            names.clone(),
            host,
            base.to_owned(),
            ingresses,
            sender,
        ));
        Ok((Self { task }, receiver))
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(
    names: Names,
    host: String,
    base: String,
    ingresses: [(Side, IpAddr); 2],
    sender: watch::Sender<Address>,
) {
    loop {
        tokio::time::sleep(LOOKUP).await;
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
        match NodeClient::at_address(&base, found) {
            Ok(node) => {
                tracing::info!(%host, address = %found, "the name points elsewhere");
                sender.send_replace(Address { side: *side, node });
            }
            Err(error) => tracing::warn!(%error, "a client cannot be made"),
        }
    }
}
