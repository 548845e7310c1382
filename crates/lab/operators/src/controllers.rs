//! What `kube-controller-manager`, the scheduler and the cluster autoscaler do for a region.
//!
//! Left out: replica sets (a deployment's pods are its own), `minReadySeconds`, progress deadlines,
//! roll-backs, stateful sets, jobs, endpoint slices; of
//! scheduling, all but `nodeSelector`, required node affinity and required anti-affinity between hosts.

mod claims;
mod deployments;
mod endpoints;
mod ephemeral;
mod nodes;
mod scheduler;

use std::time::Duration;

use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::api::Objects;

/// How the controllers of a region run.
#[derive(Debug, Clone)]
pub struct ControllerOptions {
    /// The region that its nodes are in, `eastus2`.
    pub region: String,
    /// The node pool of pods that ask for none.
    pub default_pool: String,
    /// How long a node stays that no pod needs.
    pub idle_node: Duration,
}

impl Default for ControllerOptions {
    /// With AKS' own name for the first pool, and its autoscaler's `scale-down-unneeded-time`
    /// (<https://learn.microsoft.com/azure/aks/cluster-autoscaler>).
    fn default() -> Self {
        Self {
            region: "local".to_owned(),
            default_pool: "agentpool".to_owned(),
            idle_node: Duration::from_secs(600),
        }
    }
}

/// Runs all of them until `stop` is cancelled. The client may do everything.
///
/// It can be stopped, dropped or killed anywhere, and run again.
pub async fn run(client: Client, options: ControllerOptions, stop: CancellationToken) {
    let objects = Objects::new(client);
    let all = futures::future::join(
        ephemeral::run(objects.clone()),
        futures::future::join5(
            deployments::run(objects.clone()),
            scheduler::run(objects.clone(), options.clone()),
            nodes::run(objects.clone(), options),
            endpoints::run(objects.clone()),
            claims::run(objects),
        ),
    );
    tokio::select! {
        _ = all => {}
        () = stop.cancelled() => {}
    }
}
