//! A lab that runs: its parts, its fault proxies, and what is done to them.
//!
//! [`Lab`] is the supervisor. It starts the traffic manager, an Azurite where there is one, and a
//! process for each region, provisions them, and keeps them running. All wires go through its
//! [proxies](crate::fault_proxy). Others reach it by a socket in its folder ([`Request`]).

pub mod arm;
pub mod describe;
pub mod disaster;
mod error;
pub mod keys;
pub mod part;
pub mod provision;
mod start;
pub mod status;
pub mod store;
pub mod sweep;
pub mod view;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backstay_names::Names;
use backstay_pair::{Pair, Side};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

pub use error::LabError;
pub use start::remembered_block;
pub use status::LabStatus;

use crate::cluster::{self, Answer};
use crate::control::{self, Control, ControlError, Refusal};
use crate::fault_proxy::FaultProxy;
use crate::place::Place;
use arm::Arm;
use describe::Times;
use disaster::{Disaster, Disasters};
use keys::Keys;
use part::Part;
use store::{Store, Wanted};
use view::View;

/// How often a region is looked at while it is waited for.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Longest wait for a region to do what it was asked.
const READY_TIMEOUT: Duration = Duration::from_secs(180);
/// Longest wait for a region's own process to answer.
const REGION_TIMEOUT: Duration = Duration::from_secs(5);

/// The options of a lab.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// The lab's folder and its block of addresses.
    pub place: Place,
    /// The `backstay` binary that its parts run.
    pub program: PathBuf,
    /// What its pods run as nodes, where that is another program: for tests of the drill.
    pub node: Option<PathBuf>,
    /// Where it keeps its logs.
    pub store: Wanted,
    /// Whether an active region has pools of its own for searches and for events.
    pub pools: bool,
    /// What the memory of all nodes of a new lab may come to, in bytes.
    pub memory: u64,
    /// The times of a new lab.
    pub times: Times,
}

/// What a lab is asked by its socket.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Report the state of the lab.
    Status,
    /// Answer when both regions are as they were asked to be.
    Ready,
    /// A fault hits a region.
    Inject(Side, Disaster),
    /// Everything that hit this region, or both, is over.
    Restore(Option<Side>),
    /// End the lab with all its processes.
    Down,
}

/// What a lab answers to a [`Request`].
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It was done; there is nothing to answer.
    Done,
    /// The state of the lab, for [`Request::Status`].
    Status(Box<LabStatus>),
}

/// Two regions that run. Dropping it ends them.
#[derive(Debug)]
pub struct Lab {
    inner: Arc<Inner>,
    _control: Control,
}

struct Inner {
    place: Place,
    pair: Pair,
    store: Store,
    keys: Keys,
    arm: Arm,
    http: reqwest::Client,
    names: Names,
    clients: BTreeMap<Side, kube::Client>,
    /// The processes of both regions, and those that both share.
    regions: BTreeMap<Side, Part>,
    shared: Vec<Part>,
    world_proxies: BTreeMap<Side, Vec<FaultProxy>>,
    bucket_proxies: BTreeMap<Side, FaultProxy>,
    state: Mutex<State>,
    down: tokio_util::sync::CancellationToken,
    _lock: std::fs::File,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    disasters: Disasters,
    /// Process groups of the pods of regions that are frozen, and cannot answer.
    frozen: BTreeMap<Side, Vec<i32>>,
}

impl Lab {
    /// Starts a lab, or goes on with the one in the folder; `on_progress` is called with what it is at. It is
    /// reachable afterwards, but not yet [ready](Self::ready).
    ///
    /// # Errors
    /// When a part of it does not start.
    pub async fn start(
        options: &LabOptions,
        on_progress: &(dyn Fn(&str) + Sync),
    ) -> Result<Self, LabError> {
        let inner = Arc::new(start::start(options, on_progress).await?);
        let asked = Arc::clone(&inner);
        let socket = inner.place.socket();
        let control = Control::serve(&socket, move |request: Request| {
            let inner = Arc::clone(&asked);
            async move { inner.answer(request).await.map_err(|it| Refusal::of(&it)) }
        })?;
        Ok(Self {
            inner,
            _control: control,
        })
    }

    /// The lab's folder and its block of addresses.
    pub fn place(&self) -> &Place {
        &self.inner.place
    }

    /// The pair that it is.
    pub fn pair(&self) -> &Pair {
        &self.inner.pair
    }

    /// `azurite` or `folder`.
    pub fn store(&self) -> &'static str {
        self.inner.store.as_str()
    }

    /// A client of a region's API, as its admin and from outside.
    pub fn client(&self, side: Side) -> &kube::Client {
        // Both were made at the start.
        &self.inner.clients[&side]
    }

    /// A client of the lab's Resource Manager.
    pub fn arm(&self) -> &Arm {
        &self.inner.arm
    }

    /// What its DNS says.
    pub fn names(&self) -> &Names {
        &self.inner.names
    }

    /// Where a region's ingress is, for HTTP, seen from outside.
    pub fn ingress(&self, side: Side) -> SocketAddr {
        self.inner.place.ingress_proxies(side)[0]
    }

    /// The variables by which a region's bucket is opened to look into it.
    ///
    /// # Errors
    /// When there are none: a fault of this crate.
    pub fn bucket(&self, side: Side) -> Result<BTreeMap<String, String>, LabError> {
        self.inner.bucket(side)
    }

    /// Returns when both regions are as they were asked to be.
    ///
    /// # Errors
    /// When they take too long; with what they wait for.
    pub async fn ready(&self, on_progress: &(dyn Fn(&str) + Sync)) -> Result<(), LabError> {
        self.inner.ready(on_progress).await
    }

    /// Returns when one region is as it was asked to be.
    ///
    /// # Errors
    /// When it takes too long; with what it waits for.
    pub async fn ready_side(
        &self,
        side: Side,
        on_progress: &(dyn Fn(&str) + Sync),
    ) -> Result<(), LabError> {
        self.inner.ready_side(side, on_progress).await
    }

    /// The state of the lab and both its regions at this moment.
    pub async fn status(&self) -> LabStatus {
        self.inner.status().await
    }

    /// A fault hits a region, from now on.
    ///
    /// # Errors
    /// When it cannot be done to this lab.
    pub async fn inject(&self, side: Side, disaster: Disaster) -> Result<(), LabError> {
        self.inner.inject(side, disaster).await
    }

    /// Whatever hit a region, or both, is over.
    ///
    /// # Errors
    /// When a region cannot be reached.
    pub async fn restore(&self, side: Option<Side>) -> Result<(), LabError> {
        self.inner.restore(side).await
    }

    /// Resolves when somebody asked it to end.
    pub async fn asked_to_end(&self) {
        self.inner.down.cancelled().await;
    }

    /// Ends all parts. What they kept stays; containers in an Azurite of others go when `remove`.
    pub async fn stop(self, remove: bool) {
        let Self { inner, _control } = self;
        if let (true, Store::Azurite(blobs)) = (remove, &inner.store)
            && let Err(error) = blobs.remove_containers(&inner.keys).await
        {
            tracing::warn!(%error, "a container of the lab was left behind");
        }
        inner.end().await;
    }
}

impl Inner {
    async fn answer(&self, request: Request) -> Result<Reply, LabError> {
        match request {
            Request::Status => Ok(Reply::Status(Box::new(self.status().await))),
            Request::Ready => self.ready(&|_| {}).await.map(|()| Reply::Done),
            Request::Inject(side, disaster) => {
                self.inject(side, disaster).await.map(|()| Reply::Done)
            }
            Request::Restore(side) => self.restore(side).await.map(|()| Reply::Done),
            Request::Down => {
                self.down.cancel();
                Ok(Reply::Done)
            }
        }
    }

    async fn look(&self, side: Side) -> View {
        let Some(client) = self.clients.get(&side) else {
            return View::default();
        };
        let [ingress, _] = self.place.ingress_proxies(side);
        // A region that is cut off does not answer at all.
        timeout(
            REGION_TIMEOUT,
            view::look(client, &self.http, &self.pair, side, ingress),
        )
        .await
        .unwrap_or_default()
    }

    async fn ready(&self, on_progress: &(dyn Fn(&str) + Sync)) -> Result<(), LabError> {
        for side in Side::BOTH {
            self.ready_side(side, on_progress).await?;
        }
        Ok(())
    }

    async fn ready_side(
        &self,
        side: Side,
        on_progress: &(dyn Fn(&str) + Sync),
    ) -> Result<(), LabError> {
        let start = tokio::time::Instant::now();
        while let Some(missing) = self.look(side).await.missing() {
            on_progress(&format!("waiting for {missing} of the {side} region"));
            if start.elapsed() > READY_TIMEOUT {
                return Err(LabError::NotReady {
                    side,
                    missing,
                    seconds: READY_TIMEOUT.as_secs(),
                    folder: self.place.region(side),
                });
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    async fn inject(&self, side: Side, disaster: Disaster) -> Result<(), LabError> {
        if disaster.needs_azurite() && self.store == Store::Folder {
            return Err(LabError::NeedsAzurite(disaster));
        }
        disaster::add(&mut self.state.lock().disasters, side, disaster);
        self.set_proxies();
        match disaster {
            Disaster::Kill => self.kill(side).await,
            Disaster::Freeze => self.freeze(side).await?,
            Disaster::Partition | Disaster::SlowBucket(_) | Disaster::DenyBucket => {}
        }
        tracing::warn!(%side, %disaster, "a disaster");
        Ok(())
    }

    async fn restore(&self, side: Option<Side>) -> Result<(), LabError> {
        for side in side.map_or(Side::BOTH.to_vec(), |side| vec![side]) {
            let (hit, frozen) = {
                let mut state = self.state.lock();
                (state.disasters.remove(&side), state.frozen.remove(&side))
            };
            self.set_proxies();
            let Some(part) = self.regions.get(&side) else {
                continue;
            };
            if frozen.is_some() && !hit.is_some_and(|it| it.contains(&Disaster::Kill)) {
                part.signal(Signal::SIGCONT)
                    .map_err(|source| LabError::Signal { side, source })?;
                self.region(side, cluster::Request::Thaw).await?;
            }
            part.up();
            tracing::info!(%side, "restored");
        }
        Ok(())
    }

    fn set_proxies(&self) {
        let disasters = &self.state.lock().disasters;
        for (side, proxies) in &self.world_proxies {
            for proxy in proxies {
                proxy.set(disaster::world_rules(disasters, *side));
            }
        }
        for (side, proxy) in &self.bucket_proxies {
            proxy.set(disaster::bucket_rules(disasters, &self.place, *side));
        }
    }

    async fn region(&self, side: Side, request: cluster::Request) -> Result<Answer, ControlError> {
        let socket = cluster::socket(&self.place, side);
        control::ask(&socket, &request).await
    }

    /// The process groups of a region's pods; none when it cannot say.
    async fn groups(&self, side: Side) -> Vec<i32> {
        if let Some(known) = self.state.lock().frozen.get(&side) {
            return known.clone();
        }
        match timeout(REGION_TIMEOUT, self.region(side, cluster::Request::Groups)).await {
            Ok(Ok(Answer::Groups(groups))) => groups,
            _ => Vec::new(),
        }
    }

    /// All at once: nothing of it may live longer than the rest and tidy up.
    async fn kill(&self, side: Side) {
        let groups = self.groups(side).await;
        if let Some(part) = self.regions.get(&side) {
            part.down();
        }
        for group in groups {
            // It may have ended by itself.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }

    async fn freeze(&self, side: Side) -> Result<(), LabError> {
        let groups = self.groups(side).await;
        self.region(side, cluster::Request::Freeze).await?;
        self.state.lock().frozen.insert(side, groups);
        match self.regions.get(&side) {
            Some(part) => part
                .signal(Signal::SIGSTOP)
                .map_err(|source| LabError::Signal { side, source }),
            None => Ok(()),
        }
    }

    async fn end(&self) {
        // What is frozen cannot end by itself.
        let frozen: Vec<Side> = self.state.lock().frozen.keys().copied().collect();
        for side in frozen {
            self.kill(side).await;
        }
        let regions = self.regions.values().map(Part::end);
        futures::future::join_all(regions).await;
        let shared = self.shared.iter().map(Part::end);
        futures::future::join_all(shared).await;
        sweep::sweep(&self.place.folder);
    }
}
