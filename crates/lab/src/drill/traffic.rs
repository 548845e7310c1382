//! Where the global name points, as the clients of a drill see it.

use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::{ClientError, NodeClient};
use crate::name::Names;
use crate::workload::sender::Address;

/// How often the name is looked up: a client that keeps an answer for its second would do it so.
const LOOKUP: Duration = Duration::from_millis(200);

/// Looks a name up again and again, and points clients to where it is. Dropping it ends that.
#[derive(Debug)]
pub struct Lookup {
    task: JoinHandle<()>,
}

impl Lookup {
    /// Points to `first` now, and to wherever `names` says that the host of `base` is from then on.
    ///
    /// # Errors
    /// When `base` is no URL.
    pub fn start(
        names: &Names,
        base: &str,
        first: IpAddr,
    ) -> Result<(Self, watch::Receiver<Address>), ClientError> {
        let address = Address {
            generation: 0,
            node: NodeClient::at_address(base, first)?,
        };
        let host = address
            .node
            .base()
            .host_str()
            .unwrap_or_default()
            .to_owned();
        let (sender, receiver) = watch::channel(address);
        let task = tokio::spawn(follow(names.clone(), host, base.to_owned(), first, sender));
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
    mut at: IpAddr,
    sender: watch::Sender<Address>,
) {
    loop {
        tokio::time::sleep(LOOKUP).await;
        // While nobody says where it is, it is where it was.
        let Ok(found) = names.address(&host).await else {
            continue;
        };
        if found == at {
            continue;
        }
        match NodeClient::at_address(&base, found) {
            Ok(node) => {
                at = found;
                tracing::info!(%host, address = %found, "the name points elsewhere");
                sender.send_modify(|address| {
                    address.generation += 1;
                    address.node = node;
                });
            }
            Err(error) => tracing::warn!(%error, "a client cannot be made"),
        }
    }
}
