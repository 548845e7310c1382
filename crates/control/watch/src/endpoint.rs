//! The traffic manager's endpoints, and who holds the journal's term.

use std::collections::BTreeSet;
use std::net::IpAddr;

use backstay_azure::{AzureError, Client, Switch};
use backstay_failover::edge::Traffic;
use backstay_failover::observation::Known;
use backstay_failover::verdict::Endpoint;
use backstay_names::NameError;
use backstay_pair::Side;
use backstay_retry::Deadline;

use crate::world::World;

impl Traffic for World {
    /// As the look found it, which has just asked: a Resource Manager that hangs is waited for once.
    async fn endpoint(&self) -> Known<Endpoint> {
        let found = self.endpoint_was.lock().clone();
        found.unwrap_or_else(|| Known::Unknown("nobody has looked".to_owned()))
    }

    async fn term(&self) -> Known<Side> {
        self.journals.term().await
    }
}

/// Whether an endpoint is switched on, by what was read of it.
pub(crate) fn switched(read: &Result<backstay_azure::Endpoint, AzureError>) -> Known<Endpoint> {
    match read {
        Ok(endpoint) if endpoint.status == Switch::Disabled => Known::Is(Endpoint::Disabled),
        Ok(_) => Known::Is(Endpoint::Enabled),
        Err(error) => Known::Unknown(error.to_string()),
    }
}

impl World {
    /// Disables the primary's endpoint and reads it back, until it holds.
    pub(crate) async fn disable(
        &self,
        azure: &Client,
        deadline: Deadline,
    ) -> Result<(), AzureError> {
        let endpoint = &self.primary_endpoint;
        azure
            .hold_endpoint_status(endpoint, Switch::Disabled, deadline)
            .await
            .map(drop)
    }

    /// Where the global name points.
    ///
    /// # Errors
    /// When nobody says.
    pub async fn global_name(&self) -> Result<BTreeSet<IpAddr>, NameError> {
        let found = self.names.addresses(&self.pair.global_host).await?;
        Ok(found.into_iter().collect())
    }

    /// The addresses of a region's endpoint.
    ///
    /// # Errors
    /// When nobody says.
    pub async fn region_addresses(&self, side: Side) -> Result<BTreeSet<IpAddr>, NameError> {
        let target = &self.pair.region(side).endpoint_target;
        if let Ok(address) = target.parse() {
            return Ok(BTreeSet::from([address]));
        }
        Ok(self.names.addresses(target).await?.into_iter().collect())
    }
}
