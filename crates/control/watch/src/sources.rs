//! What describes and reaches the pair: its file, a kubeconfig, Azure's variables.

use std::net::SocketAddr;
use std::time::Duration;

use backstay_azure::Client;
use backstay_cluster::Region;
use backstay_failover::settings::{OperatorLocation, Settings, SettingsError};
use backstay_names::Names;
use backstay_pair::{HUMIO_OPERATOR, Pair, Side};
use backstay_probe::Prober;
use backstay_retry::Policy;
use backstay_verify::access;

use crate::world::World;

/// Calls of a look must not take long: there is the next look.
const POLICY: Policy = Policy {
    first: Duration::from_millis(250),
    longest: Duration::from_secs(4),
    jitter: 0.25,
    attempt: Duration::from_secs(4),
};

/// Why the pair cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The standby's cluster: without it nothing can be agreed upon.
    #[error("the standby's cluster: {0}")]
    Standby(#[source] backstay_cluster::ClusterError),
    /// No identity for Azure, or an address that is not valid.
    #[error("the Resource Manager: {0}")]
    Azure(#[from] backstay_azure::SetUpError),
    /// A resource id that the pair's file makes.
    #[error("the pair's file makes no resource id: {0}")]
    Id(#[from] backstay_azure::NotAnId),
    /// This machine's name resolution cannot be set up.
    #[error(transparent)]
    Names(#[from] backstay_names::NameError),
    /// Probes cannot be made: TLS cannot be set up.
    #[error("probes cannot be set up: {0}")]
    Probes(String),
    /// The pair's times.
    #[error("the pair's file, [failover]: {0}")]
    Settings(#[from] SettingsError),
}

/// What describes and reaches a pair.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The pair that is watched.
    pub pair: Pair,
    /// The DNS server that is asked where the global name points; the system's without one.
    pub dns: Option<SocketAddr>,
    /// Run in a pod of the standby's cluster, with its service account.
    pub in_cluster: bool,
}

impl Sources {
    /// Sets up everything. Nothing is asked yet but the files that say how.
    ///
    /// # Errors
    /// When one of them cannot be used; see [`SourceError`]. The primary's cluster may be missing.
    pub async fn connect(self) -> Result<World, SourceError> {
        let settings = settings(&self.pair);
        settings.check()?;
        let standby = access(&self.pair, Side::Secondary, self.in_cluster);
        let namespace = &self.pair.namespace;
        let standby = Region::connect(&standby, namespace, POLICY)
            .await
            .map_err(SourceError::Standby)?;
        let primary = access(&self.pair, Side::Primary, false);
        let primary = match Region::connect(&primary, namespace, POLICY).await {
            Ok(region) => Some(region),
            Err(error) => {
                tracing::info!(%error, "no way into the primary's cluster; a failover needs none");
                None
            }
        };
        let azure = Client::of_process(&self.pair.traffic_manager.arm_endpoint, POLICY)?;
        let names = match self.dns {
            Some(server) => Names::of(server)?,
            None => Names::of_system()?,
        };
        let prober = Prober::new().map_err(|error| SourceError::Probes(error.to_string()))?;
        World::new(self.pair, settings, standby, primary, azure, names, prober)
    }
}

/// The decision's settings, from the pair's file.
fn settings(pair: &Pair) -> Settings {
    let seconds = |it: u32| Duration::from_secs(u64::from(it));
    let defaults = Settings::default();
    let holdoff = seconds(pair.failover.pre_failover_failure_seconds);
    let recovered = seconds(pair.failover.recovered_seconds);
    let spacing = seconds(pair.failover.probe_interval_seconds);
    Settings {
        holdoff,
        spacing,
        cooldown: seconds(pair.failover.cooldown_seconds),
        unwatched: defaults.unwatched.max(spacing.saturating_mul(3)),
        recovered,
        crash_loop: Some(
            seconds(pair.failover.crash_loop_seconds).max(holdoff.saturating_add(recovered)),
        ),
        look: defaults
            .look
            .max(seconds(pair.failover.probe_timeout_seconds).saturating_mul(3)),
        place: OperatorLocation {
            context: pair.secondary.context.clone(),
            namespace: pair.namespace.clone(),
            deployment: HUMIO_OPERATOR.to_owned(),
        },
        ..defaults
    }
}
