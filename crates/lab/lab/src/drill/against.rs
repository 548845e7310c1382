//! A pair of clusters that is no lab, reached as a person would reach it: by a kubeconfig, by the
//! system's name servers, by HTTPS.
//!
//! A disaster cannot be played here. What is done instead is the controlled test of the manual: the
//! primary's ingress is scaled to 0, so that it serves nobody, and back to what it was.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backstay_cluster::{Access, ClusterError, Region};
use backstay_names::Names;
use backstay_pair::{INGRESS_CONTROLLER, Pair, Side};
use backstay_retry::{Deadline, Policy};
use parking_lot::Mutex;
use secrecy::ExposeSecret as _;
use tokio::sync::watch;

use super::DrillError;
use super::traffic::{Lookup, Reach};
use crate::workload::sender::Address;

/// What a failover may take besides what the pair's file says.
const FAILOVER_ALLOWANCE: Duration = Duration::from_secs(1_800);

/// How calls of its clusters are tried again.
const POLICY: Policy = Policy {
    first: Duration::from_millis(250),
    longest: Duration::from_secs(4),
    jitter: 0.25,
    attempt: Duration::from_secs(10),
};

/// Longest wait for one of them.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Asks a person whether something may be done. `false` is no.
pub type Ask = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// The pair that a drill is played against, instead of a lab.
#[derive(Clone)]
pub struct Against {
    /// The path of the file that describes the pair.
    pub file: PathBuf,
    /// The pair that the file describes.
    pub pair: Pair,
    /// The DNS server that is asked where the global name points; the system's without one.
    pub dns: Option<SocketAddr>,
    /// Asked before each step that changes the pair.
    pub ask: Ask,
}

impl fmt::Debug for Against {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Against")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// The pair, reached.
pub(super) struct Clusters {
    against: Against,
    regions: BTreeMap<Side, Region>,
    names: Names,
    reach: Reach,
    ips: [(Side, IpAddr); 2],
    /// Replicas of the primary's ingress, while they are at 0 because of us.
    taken: Mutex<Option<u16>>,
}

fn failed(side: Side) -> impl Fn(ClusterError) -> DrillError {
    move |error| DrillError::Cluster {
        side,
        problem: error.to_string(),
    }
}

impl Clusters {
    pub(super) async fn connect(against: &Against) -> Result<Self, DrillError> {
        let pair = &against.pair;
        let mut regions = BTreeMap::new();
        for side in Side::BOTH {
            let access = Access::Kubeconfig {
                path: None,
                context: pair.region(side).context.clone(),
            };
            let region = Region::connect(&access, &pair.namespace, POLICY).await;
            regions.insert(side, region.map_err(failed(side))?);
        }
        let names = match against.dns {
            Some(server) => Names::of(server),
            None => Names::of_system(),
        };
        let names = names.map_err(DrillError::Names)?;
        let mut ips = Vec::new();
        for side in Side::BOTH {
            let target = &pair.region(side).endpoint_target;
            let ip = match target.parse() {
                Ok(ip) => ip,
                Err(_) => names.address(target).await.map_err(DrillError::Names)?,
            };
            ips.push((side, ip));
        }
        let certificate = match &pair.tls_secret {
            None => None,
            Some(name) => certificate(&regions[&Side::Primary], name).await?,
        };
        let ingress = &pair.primary.ingress;
        let base = match &pair.tls_secret {
            None => format!("http://{}:{}/", pair.global_host, ingress.http_port),
            Some(_) => format!("https://{}:{}/", pair.global_host, ingress.https_port),
        };
        Ok(Self {
            against: against.clone(),
            regions,
            names,
            reach: Reach { base, certificate },
            ips: [ips[0], ips[1]],
            taken: Mutex::default(),
        })
    }

    pub(super) fn pair(&self) -> &Pair {
        &self.against.pair
    }

    pub(super) async fn admin_token(&self, side: Side) -> Result<String, DrillError> {
        // Both were made at the start.
        let cluster = &self.pair().region(side).cluster;
        let token = self.regions[&side].admin_token(cluster, Deadline::after(REQUEST_TIMEOUT));
        let token = token.await.map_err(failed(side))?;
        Ok(token.expose_secret().to_owned())
    }

    pub(super) fn file(&self) -> &Path {
        &self.against.file
    }

    pub(super) fn dns(&self) -> Option<SocketAddr> {
        self.against.dns
    }

    /// Longest wait for a failover: the holdoff is the pair's.
    pub(super) fn patience(&self) -> Duration {
        let holdoff = self.pair().failover.pre_failover_failure_seconds;
        FAILOVER_ALLOWANCE + Duration::from_secs(u64::from(holdoff))
    }

    pub(super) fn follow(&self) -> Result<(Lookup, watch::Receiver<Address>), DrillError> {
        let followed = Lookup::follow(&self.names, &self.reach, self.ips);
        followed.map_err(super::region::call(Side::Primary))
    }

    /// Asks whether something may be done.
    ///
    /// # Errors
    /// When it may not.
    pub(super) async fn ask(&self, what: &str) -> Result<(), DrillError> {
        let (ask, text) = (self.against.ask.clone(), what.to_owned());
        // It waits for a person.
        let asked = tokio::task::spawn_blocking(move || ask(&text)).await;
        match asked {
            Ok(true) => Ok(()),
            _ => Err(DrillError::Declined(what.to_owned())),
        }
    }

    /// The namespace of the primary's ingress.
    fn ingress(&self) -> Region {
        self.regions[&Side::Primary].in_namespace(&self.pair().ingress_namespace)
    }

    async fn scale(&self, replicas: u16) -> Result<(), DrillError> {
        let ingress = self.ingress();
        let scaled = ingress.scale(
            INGRESS_CONTROLLER,
            replicas,
            Deadline::after(REQUEST_TIMEOUT),
        );
        scaled.await.map(drop).map_err(failed(Side::Primary))
    }

    /// The primary's ingress to 0.
    pub(super) async fn strike(&self) -> Result<(), DrillError> {
        let ingress = self.ingress();
        let found = ingress.operator(INGRESS_CONTROLLER, Deadline::after(REQUEST_TIMEOUT));
        let found = found.await.map_err(failed(Side::Primary))?;
        *self.taken.lock() = Some(u16::try_from(found.replicas).unwrap_or(1));
        self.scale(0).await
    }

    /// The primary's ingress to what it was.
    pub(super) async fn restore(&self) -> Result<(), DrillError> {
        let Some(replicas) = *self.taken.lock() else {
            return Ok(());
        };
        self.scale(replicas).await?;
        *self.taken.lock() = None;
        Ok(())
    }

    /// Whatever became of the drill: the ingress is not left at 0.
    pub(super) async fn tidy(&self) {
        if let Err(error) = self.restore().await {
            tracing::error!(
                %error,
                "the primary's ingress is still at 0; kubectl --context {} -n {} scale deploy {INGRESS_CONTROLLER} --replicas=N",
                self.pair().primary.context,
                self.pair().ingress_namespace,
            );
        }
    }
}

/// The certificate that the ingress shows, out of its secret: one that no authority has signed is
/// trusted for what it is.
async fn certificate(region: &Region, name: &str) -> Result<Option<Vec<u8>>, DrillError> {
    let secret = match region.secret(name, Deadline::after(REQUEST_TIMEOUT)).await {
        Ok(secret) => secret,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(failed(Side::Primary)(error)),
    };
    let certificate = secret.value("tls.crt");
    Ok(certificate.map(|it| it.expose_secret().to_vec()))
}
