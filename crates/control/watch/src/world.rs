//! Everything that is asked and changed.

use std::time::Duration;

use backstay_azure::{Client, ResourceId};
use backstay_bucket::Bucket;
use backstay_cluster::Region;
use backstay_failover::lock::LEASE;
use backstay_failover::observation::Known;
use backstay_failover::settings::Settings;
use backstay_failover::takeover::Barrier;
use backstay_failover::verdict::Endpoint;
use backstay_kinds::label;
use backstay_names::Names;
use backstay_pair::{Pair, Side};
use backstay_probe::{Outcome, Prober, Spec};
use backstay_retry::{Deadline, WriteGuard};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::degraded;
use crate::journal::{Held, JournalError, Journals};
use crate::lookout;
use crate::recovery::Recoveries;
use crate::sources::SourceError;
use crate::status::{RegionView, WatchStatus};

/// Longest wait for what a look asks: there is the next look.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for what only people want to know.
const INSPECTION_TIMEOUT: Duration = Duration::from_secs(3);

/// This machine's name, for other people.
pub fn host() -> String {
    nix::unistd::gethostname()
        .map(|it| it.to_string_lossy().into_owned())
        .unwrap_or_else(|_| "unknown".to_owned())
}

/// The pair, connected.
#[derive(Debug)]
pub struct World {
    /// The name by which this process holds the run lock; no other has ever had it.
    pub(crate) me: String,
    /// Authorizes changes for as long as this process holds the run lock.
    pub(crate) guard: WriteGuard,
    pub(crate) pair: Pair,
    pub(crate) settings: Settings,
    pub(crate) standby: Region,
    pub(crate) primary: Option<Region>,
    pub(crate) azure: Client,
    pub(crate) primary_endpoint: ResourceId,
    pub(crate) secondary_endpoint: ResourceId,
    pub(crate) names: Names,
    pub(crate) prober: Prober,
    pub(crate) probes: [Spec; 2],
    pub(crate) journals: Journals,
    pub(crate) recoveries: Recoveries,
    /// The primary's endpoint, as the last look found it.
    pub(crate) endpoint_was: Mutex<Option<Known<Endpoint>>>,
    /// What was last found out about the standby, and when.
    pub(crate) standby_was: Mutex<Option<crate::standby::Kept>>,
}

impl World {
    pub(crate) fn new(
        pair: Pair,
        settings: Settings,
        standby: Region,
        primary: Option<Region>,
        azure: Client,
        names: Names,
        prober: Prober,
    ) -> Result<Self, SourceError> {
        let id = |side| -> Result<ResourceId, SourceError> {
            Ok(pair.traffic_manager.endpoint_id(side).parse()?)
        };
        let me = format!("{}-{}", host(), Uuid::new_v4().simple());
        Ok(Self {
            guard: standby.while_holding(LEASE, &me),
            me,
            primary_endpoint: id(Side::Primary)?,
            secondary_endpoint: id(Side::Secondary)?,
            probes: Side::BOTH.map(|side| lookout::spec(&pair, side)),
            journals: Journals::new(standby.clone(), pair.clone()),
            recoveries: Recoveries::new(standby.clone()),
            endpoint_was: Mutex::default(),
            standby_was: Mutex::default(),
            pair,
            settings,
            standby,
            primary,
            azure,
            names,
            prober,
        })
    }

    /// The pair that the world was connected to.
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// The settings of the decision.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The standby's cluster.
    pub fn standby(&self) -> &Region {
        &self.standby
    }

    /// The primary's, where there is a way into it.
    pub fn primary(&self) -> Option<&Region> {
        self.primary.as_ref()
    }

    /// The Resource Manager.
    pub fn azure(&self) -> &Client {
        &self.azure
    }

    /// A region's endpoint of the traffic manager.
    pub fn endpoint_id(&self, side: Side) -> &ResourceId {
        match side {
            Side::Primary => &self.primary_endpoint,
            Side::Secondary => &self.secondary_endpoint,
        }
    }

    /// A region's bucket, to be written to, as the standby's own nodes would open it.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub async fn bucket(&self, side: Side) -> Result<&Bucket, JournalError> {
        self.journals.bucket(side).await
    }

    /// Who holds the journal in a region's bucket.
    ///
    /// # Errors
    /// Why that is not known.
    pub async fn holder(&self, side: Side) -> Result<Held, JournalError> {
        self.journals.held(side).await
    }

    /// Whether the regions have a journal of ours in their buckets: a real LogScale has Kafka. One
    /// whose bucket cannot be reached is taken to have one.
    pub async fn has_journal(&self) -> bool {
        self.journals.barrier().await == Barrier::SealByEither
    }

    /// What a status shows besides: where the global name points, and whom that means.
    pub(crate) async fn complete(&self, status: &mut WatchStatus) {
        let (name, primary, secondary) = tokio::join!(
            self.global_name(),
            self.region_addresses(Side::Primary),
            self.region_addresses(Side::Secondary),
        );
        let name = name.unwrap_or_default();
        let sides = [(Side::Primary, primary), (Side::Secondary, secondary)];
        status.regions = sides
            .into_iter()
            .map(|(side, addresses)| RegionView {
                region: self.pair.region(side).region.clone(),
                serves: addresses.is_ok_and(|it| name.iter().any(|at| it.contains(at))),
                ..RegionView::default()
            })
            .collect();
        status.name = name.into_iter().collect();
    }

    /// Looks at both regions more closely than a decision needs.
    pub(crate) async fn inspect(&self, status: &mut WatchStatus) {
        let (primary, secondary) =
            tokio::join!(self.region(Side::Primary), self.region(Side::Secondary));
        for (view, found) in status.regions.iter_mut().zip([primary, secondary]) {
            (view.answers, view.endpoint, view.cluster) =
                (found.answers, found.endpoint, found.cluster);
            view.degraded = found.degraded;
        }
    }

    async fn region(&self, side: Side) -> RegionView {
        let deadline = Deadline::after(INSPECTION_TIMEOUT);
        let (id, region) = match side {
            Side::Primary => (&self.primary_endpoint, self.primary.as_ref()),
            Side::Secondary => (&self.secondary_endpoint, Some(&self.standby)),
        };
        let cluster = async {
            let region = match region {
                Some(region) => region,
                None => return ("no context in the kubeconfig".to_owned(), Vec::new()),
            };
            let (operator, nodes) = (&self.settings.place.deployment, self.nodes(side));
            let name = &self.pair.region(side).cluster;
            let read = tokio::try_join!(
                region.operator(operator, deadline),
                region.pods(&nodes, deadline)
            );
            match read {
                Ok((operator, pods)) => {
                    let ready = pods.iter().filter(|pod| pod.ready).count();
                    let nodes = format!(
                        "operator at {}, {ready} of {} nodes ready",
                        operator.replicas,
                        pods.len()
                    );
                    (nodes, degraded::of(region, name, &pods, deadline).await)
                }
                Err(error) => (error.to_string(), Vec::new()),
            }
        };
        let endpoint = async {
            match self.azure.endpoint_at(id, deadline).await {
                Ok(endpoint) => format!("{}, {:?}", endpoint.status, endpoint.monitor_status),
                Err(error) => error.to_string(),
            }
        };
        let (probe, endpoint, (cluster, degraded)) =
            tokio::join!(self.probe(side), endpoint, cluster);
        let answers = match probe {
            Outcome::Healthy => "answers".to_owned(),
            Outcome::Failed(error) => error.to_string(),
            Outcome::Void(why) => format!("not known: {why}"),
        };
        RegionView {
            answers: Some(answers),
            endpoint: Some(endpoint),
            cluster: Some(cluster),
            degraded,
            ..RegionView::default()
        }
    }

    pub(crate) fn soon() -> Deadline {
        Deadline::after(LOOK_TIMEOUT)
    }

    /// The label selector of a region's nodes.
    pub fn nodes(&self, side: Side) -> String {
        format!(
            "{},{}={}",
            label::HUMIO_SELECTOR,
            label::INSTANCE,
            self.pair.region(side).cluster
        )
    }
}
