//! What the story is played on: how its clients and commands reach it, and what can be done to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backstay_pair::Side;
use tokio::sync::watch;

use super::against::Clusters;
use super::clock::WAIT_TIMEOUT;
use super::hands::Hands;
use super::traffic::Lookup;
use super::{DrillError, Fault, Options, Progress, region};
use crate::client::NodeClient;
use crate::up::Lab;
use crate::up::sweep::MARK;
use crate::workload::sender::Address;

/// A lab, or a pair of clusters.
enum On {
    Lab(Box<Lab>),
    Pair(Box<Clusters>),
}

/// What the story is played on.
pub(super) struct Scene {
    on: On,
    /// Whoever types commands about it.
    pub(super) hands: Hands,
    logs: PathBuf,
}

impl Scene {
    pub(super) fn of_lab(options: &Options, lab: Lab) -> Self {
        let place = lab.place();
        let path = |path: PathBuf| path.display().to_string();
        let variables = [
            ("BACKSTAY_PAIR", path(place.pair())),
            ("BACKSTAY_AZURE_TOKEN_FILE", path(place.arm_token())),
            ("KUBECONFIG", path(place.kubeconfig())),
            ("BACKSTAY_DNS", place.dns().to_string()),
            (MARK, path(place.folder.clone())),
        ];
        let variables: BTreeMap<String, String> = variables
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        let hands = Hands {
            program: options.program.clone(),
            secluded: true,
            variables,
        };
        Self {
            logs: place.logs(),
            on: On::Lab(Box::new(lab)),
            hands,
        }
    }

    pub(super) fn of_pair(options: &Options, clusters: Clusters, logs: &Path) -> Self {
        let file = clusters.file().display().to_string();
        let mut variables = BTreeMap::from([("BACKSTAY_PAIR".to_owned(), file)]);
        if let Some(dns) = clusters.dns() {
            variables.insert("BACKSTAY_DNS".to_owned(), dns.to_string());
        }
        Self {
            on: On::Pair(Box::new(clusters)),
            hands: Hands {
                program: options.program.clone(),
                secluded: false,
                variables,
            },
            logs: logs.to_owned(),
        }
    }

    /// Ends it: a lab altogether, and of a pair whatever we have done to it.
    pub(super) async fn end(self, remove: bool) {
        match self.on {
            On::Lab(lab) => lab.stop(remove).await,
            On::Pair(clusters) => clusters.tidy().await,
        }
    }

    /// Whether it is a lab, whose times are short, and whose buckets and pods are reached from here.
    pub(super) fn is_lab(&self) -> bool {
        matches!(self.on, On::Lab(_))
    }

    /// Where logs are kept, in words.
    pub(super) fn store(&self) -> String {
        match &self.on {
            On::Lab(lab) => lab.store().to_owned(),
            On::Pair(clusters) => format!("the pair {}", clusters.pair().name),
        }
    }

    /// Longest wait for a failover.
    pub(super) fn patience(&self) -> Duration {
        match &self.on {
            On::Lab(_) => WAIT_TIMEOUT,
            On::Pair(clusters) => clusters.patience(),
        }
    }

    /// Where one of our own writes what it says.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// Where logs are to be looked for, in words.
    pub(super) fn look(&self) -> String {
        format!("logs are in {}", self.logs.display())
    }

    /// Asks a person whether something may be done to a pair; a lab is ours.
    ///
    /// # Errors
    /// When it may not.
    pub(super) async fn ask(&self, what: &str) -> Result<(), DrillError> {
        match &self.on {
            On::Lab(_) => Ok(()),
            On::Pair(clusters) => clusters.ask(what).await,
        }
    }

    /// Follows the global name.
    pub(super) fn follow(&self) -> Result<(Lookup, watch::Receiver<Address>), DrillError> {
        match &self.on {
            On::Pair(clusters) => clusters.follow(),
            On::Lab(lab) => {
                let port = lab.ingress(Side::Primary).port();
                let base = format!("http://{}:{port}/", lab.pair().global_host);
                let ips: [(Side, IpAddr); 2] =
                    Side::BOTH.map(|side| (side, lab.ingress(side).ip()));
                Lookup::start(lab.names(), &base, ips).map_err(region::call(Side::Primary))
            }
        }
    }

    /// Returns when both regions are as they were asked to be. Of a pair that is `backstay verify`'s to say.
    pub(super) async fn ready(&self, progress: &Progress) -> Result<(), DrillError> {
        for side in Side::BOTH {
            self.ready_side(side, progress).await?;
        }
        Ok(())
    }

    /// The same of one region.
    pub(super) async fn ready_side(
        &self,
        side: Side,
        progress: &Progress,
    ) -> Result<(), DrillError> {
        let on_progress = |what: &str| progress.note(what);
        match &self.on {
            On::Lab(lab) => Ok(lab.ready_side(side, &on_progress).await?),
            On::Pair(_) => Ok(()),
        }
    }

    pub(super) async fn admin_token(&self, side: Side) -> Result<String, DrillError> {
        match &self.on {
            On::Lab(lab) => region::admin_token(lab, side).await,
            On::Pair(clusters) => clusters.admin_token(side).await,
        }
    }

    /// The keys of the segments in a region's bucket; nothing, where it is not reached from here.
    pub(super) async fn segments(
        &self,
        side: Side,
    ) -> Result<Option<BTreeSet<String>>, DrillError> {
        match &self.on {
            On::Lab(lab) => region::segments(lab, side).await.map(Some),
            On::Pair(_) => Ok(None),
        }
    }

    /// Clients of the nodes in a region's pods, past its ingress; nothing, where none is reached from
    /// here.
    pub(super) async fn nodes(
        &self,
        side: Side,
    ) -> Result<Option<Vec<(String, NodeClient)>>, DrillError> {
        match &self.on {
            On::Lab(lab) => region::nodes(lab, side).await.map(Some),
            On::Pair(_) => Ok(None),
        }
    }

    /// It hits the primary.
    pub(super) async fn strike(&self, fault: Fault) -> Result<(), DrillError> {
        match &self.on {
            On::Lab(lab) => {
                for disaster in fault.disasters() {
                    lab.inject(Side::Primary, *disaster).await?;
                }
                Ok(())
            }
            On::Pair(clusters) => clusters.strike().await,
        }
    }

    /// Whatever hit the primary is over.
    pub(super) async fn restore(&self) -> Result<(), DrillError> {
        match &self.on {
            On::Lab(lab) => Ok(lab.restore(Some(Side::Primary)).await?),
            On::Pair(clusters) => clusters.restore().await,
        }
    }
}
