//! The takeover: what is so, read from the world, and each of its steps.

use std::time::Duration;

use backstay_azure::{AzureError, Switch};
use backstay_cluster::loader::Stage;
use backstay_cluster::{ClusterError, Pod, Region};
use backstay_failover::edge::{Takeover, Traffic as _};
use backstay_failover::observation::Known;
use backstay_failover::takeover::{Fact, Facts, Step};
use backstay_pair::Side;
use backstay_probe::Outcome;
use backstay_retry::Deadline;

use crate::journal::JournalError;
use crate::world::World;

/// Longest wait for what the facts ask: what does not answer is open, and the rest goes on.
const FACTS_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest attempt at a step. It is tried again for as long as it does not hold.
pub(crate) const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a step of the takeover was not done. It is tried again for as long as it does not hold,
/// whatever the reason: a person may be putting it right.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Azure(#[from] AzureError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

fn fact(holds: bool) -> Fact {
    match holds {
        true => Fact::Holds,
        false => Fact::Open,
    }
}

/// Where a test can end the process: in front of a step that changes something, and behind it.
fn failpoints(step: Step) -> Option<(&'static str, &'static str)> {
    match step {
        Step::Seal => Some(("failover.seal.before", "failover.seal.after")),
        Step::Disable => Some(("failover.disable.before", "failover.disable.after")),
        Step::CleanSecrets => Some(("failover.clean.before", "failover.clean.after")),
        Step::Operator => Some(("failover.operator.before", "failover.operator.after")),
        Step::Lock
        | Step::PodReady
        | Step::Recovery
        | Step::Status
        | Step::Traffic
        | Step::Finish => None,
    }
}

impl World {
    /// Whether the standby's nodes have recovered: by their log; or, where a pod has been started
    /// again since and its log says nothing, by the term that only a recovery begins.
    fn recovered(&self, pods: &[Pod], term: &Known<Side>) -> bool {
        let recovery = self.recoveries.follow(pods);
        let again = recovery.own_snapshot().is_some() && pods.iter().any(|pod| pod.ready);
        let begun = *term == Known::Is(Side::Secondary);
        recovery.stage() == Stage::Patched || (again && begun)
    }

    /// Does a step, while the run lock is ours.
    async fn step(&self, step: Step) -> Result<(), StepError> {
        let deadline = Deadline::after(STEP_TIMEOUT);
        let standby = self.standby.under(self.guard.clone());
        match step {
            Step::Seal => Ok(self.journals.seal(&self.guard).await?),
            Step::Disable => {
                let azure = self.azure.under(self.guard.clone());
                Ok(self.disable(&azure, deadline).await?)
            }
            Step::CleanSecrets => Ok(self.clean(&standby, deadline).await?),
            Step::Operator => {
                let name = &self.settings.place.deployment;
                standby.scale(name, 1, deadline).await?;
                Ok(())
            }
            // These are waited for, and the lock and the end are the round's.
            Step::Lock
            | Step::PodReady
            | Step::Recovery
            | Step::Status
            | Step::Traffic
            | Step::Finish => Ok(()),
        }
    }

    async fn clean(&self, standby: &Region, deadline: Deadline) -> Result<(), ClusterError> {
        let cluster = &self.pair.secondary.cluster;
        for (secret, fate) in standby.stale_tls_secrets(cluster, deadline).await? {
            tracing::info!(secret = secret.name, ?fate, "a stale TLS secret is deleted");
            standby.delete_stale(&secret, deadline).await?;
        }
        Ok(())
    }
}

impl Takeover for World {
    /// The lock, the end and what has failed before are the round's to know.
    async fn facts(&self) -> Facts {
        let deadline = Deadline::after(FACTS_TIMEOUT);
        let (endpoint, cluster) = (&self.primary_endpoint, &self.pair.secondary.cluster);
        let (name, nodes) = (&self.settings.place.deployment, self.nodes(Side::Secondary));
        let (disabled, stale, operator, pods, status, global, secondary, term) = tokio::join!(
            self.azure.endpoint_at(endpoint, deadline),
            self.standby.stale_tls_secrets(cluster, deadline),
            self.standby.operator(name, deadline),
            self.standby.pods(&nodes, deadline),
            self.probe(Side::Secondary),
            self.global_name(),
            self.region_addresses(Side::Secondary),
            self.term(),
        );
        let pods = pods.unwrap_or_default();
        // While the primary holds the term, nothing of this run has recovered or sealed it, whatever
        // the log of a pod from an earlier one says.
        let earlier = term == Known::Is(Side::Primary);
        let recovered = !earlier && self.recovered(&pods, &term);
        // The recovery's own lines say that it has sealed: it does not get there without.
        let sealed = !earlier && (self.journals.sealed() || recovered);
        let moved = match (global, secondary) {
            (Ok(name), Ok(secondary)) => !name.is_empty() && name.is_subset(&secondary),
            _ => false,
        };
        let all = [
            (Step::Seal, sealed),
            (
                Step::Disable,
                disabled.is_ok_and(|it| it.status == Switch::Disabled),
            ),
            (Step::CleanSecrets, stale.is_ok_and(|it| it.is_empty())),
            (Step::Operator, operator.is_ok_and(|it| it.replicas >= 1)),
            (Step::PodReady, pods.iter().any(|pod| pod.ready)),
            (Step::Recovery, recovered),
            (Step::Status, status == Outcome::Healthy),
            (Step::Traffic, moved),
        ];
        Facts(all.map(|(step, holds)| (step, fact(holds))).into())
    }

    async fn perform(&self, step: Step) -> Fact {
        let points = failpoints(step);
        if let Some((before, _)) = points {
            backstay_failpoint::hit(before);
        }
        let done = self.step(step).await;
        if let Some((_, after)) = points {
            backstay_failpoint::hit(after);
        }
        match done {
            Ok(()) if step.changes() => Fact::Holds,
            Ok(()) => Fact::Open,
            Err(error) => Fact::Failed(error.to_string()),
        }
    }
}
