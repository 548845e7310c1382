//! What is configured and what is known, kept together: every change goes through here, is made
//! durable, and becomes an answer.
//!
//! Two kinds of change: of the configuration, by the Resource Manager API, one at a time and
//! acknowledged only when it is on disk and DNS answers by it; and of an endpoint's health, by
//! probes, which become answers at once and are written down behind that.

mod decide;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use hickory_proto::ProtoError;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::TrafficConfig;
use crate::events::Events;
use crate::metrics::Metrics;
use crate::saved::Saved;
use backstay_probe::{Outcome, Spec};
use backstay_traffic_dns::{Pointer, Zone, ZoneBuilder};
use backstay_traffic_monitor::Endpoints;
use backstay_traffic_profile::Profile;
use backstay_traffic_profile::monitor::majority;
use backstay_traffic_profile::status::{EndpointMonitorStatus, Health};
use backstay_traffic_state::{ChangeError, StateFile, save};

pub(crate) use watch::{Sample, WatchId};
use watch::{Watched, Watches};

/// All profiles, by resource id in lower case.
pub(crate) type Profiles = BTreeMap<String, Arc<Profile>>;

/// How long changes of health are gathered before they are written.
const SAVE_DELAY: Duration = Duration::from_secs(1);

pub(crate) struct Manager {
    config: TrafficConfig,
    quorum: usize,
    metrics: Arc<Metrics>,
    events: Events,
    zone: Arc<ArcSwap<Zone>>,
    inner: Mutex<Inner>,
    /// Changes of the configuration are made one at a time.
    file: Arc<tokio::sync::Mutex<StateFile<Saved>>>,
    /// There is something new to probe.
    new: Notify,
    /// The picture of the zone is out of date.
    picture: Notify,
    /// What is known to be degraded is not on disk.
    health: Notify,
}

/// The status of an endpoint that was last published: as event, metric and in the API.
struct Published {
    name: String,
    key: String,
    status: EndpointMonitorStatus,
}

struct Inner {
    profiles: Profiles,
    watches: Watches,
    /// The last published status of each endpoint, in the profile's order.
    published: HashMap<String, Vec<Published>>,
    /// What each label points to.
    points: HashMap<String, (Pointer, u32)>,
    /// How many endpoints have each status.
    counts: HashMap<EndpointMonitorStatus, usize>,
    builder: ZoneBuilder,
}

impl Manager {
    pub(crate) fn new(
        config: TrafficConfig,
        file: StateFile<Saved>,
        saved: Saved,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, ProtoError> {
        let servers: Vec<_> = config
            .name_servers
            .iter()
            .map(|it| (it.name.clone(), it.address))
            .collect();
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |it| it.as_secs());
        // Serials are compared in circles of 32 bits, so the lower ones are enough.
        let mut builder = ZoneBuilder::new(&config.zone, &servers, seconds as u32)?;
        let zone = Arc::new(ArcSwap::from_pointee(builder.build()?));
        let quorum = config
            .quorum
            .unwrap_or_else(|| majority(config.vantage_points.len()));
        let manager = Arc::new(Self {
            quorum,
            metrics,
            events: Events::new(),
            zone,
            inner: Mutex::new(Inner {
                profiles: Profiles::new(),
                watches: Watches::new(saved.degraded),
                published: HashMap::new(),
                points: HashMap::new(),
                counts: HashMap::new(),
                builder,
            }),
            file: Arc::new(tokio::sync::Mutex::new(file)),
            new: Notify::new(),
            picture: Notify::new(),
            health: Notify::new(),
            config,
        });
        manager.adopt(&mut manager.inner.lock(), saved.profiles)?;
        manager.inner.lock().watches.forget_saved();
        Ok(manager)
    }

    pub(crate) fn config(&self) -> &TrafficConfig {
        &self.config
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    pub(crate) fn zone(&self) -> &Arc<ArcSwap<Zone>> {
        &self.zone
    }

    /// The profile of this resource id (lower case), with a status for each of its endpoints.
    pub(crate) fn profile(&self, id: &str) -> Option<(Arc<Profile>, Vec<EndpointMonitorStatus>)> {
        let inner = self.inner.lock();
        let profile = inner.profiles.get(id)?;
        Some((Arc::clone(profile), inner.statuses(id)))
    }

    /// All profiles for which `wanted` holds, with statuses.
    pub(crate) fn profiles(
        &self,
        wanted: impl Fn(&Profile) -> bool,
    ) -> Vec<(Arc<Profile>, Vec<EndpointMonitorStatus>)> {
        let inner = self.inner.lock();
        let found = inner.profiles.iter().filter(|(_, it)| wanted(it));
        found
            .map(|(id, it)| (Arc::clone(it), inner.statuses(id)))
            .collect()
    }

    /// What is known of an endpoint, beyond its status.
    pub(crate) fn known<T>(
        &self,
        endpoint_id: &str,
        read: impl FnOnce(&Watched) -> T,
    ) -> Option<T> {
        let id = endpoint_id.to_ascii_lowercase();
        self.inner.lock().watches.of(&id).map(read)
    }

    /// Changes the configuration. When this returns without an error, the change is on disk and
    /// DNS answers by it; when it returns with one, nothing has changed. It is carried out even
    /// if the caller goes away.
    pub(crate) async fn change<T, E>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Profiles) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ChangeError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let manager = Arc::clone(self);
        let changed = tokio::spawn(async move {
            let file = Arc::clone(&manager.file).lock_owned().await;
            let (old, degraded) = {
                let inner = manager.inner.lock();
                (inner.profiles.clone(), inner.watches.degraded())
            };
            let mut profiles = old.clone();
            let result = change(&mut profiles).map_err(ChangeError::Refused)?;
            if profiles == old {
                return Ok(result);
            }
            let saved = Saved {
                profiles: profiles.clone(),
                degraded,
            };
            // The file stays ours until the answers have changed, too.
            let _file = save(file, saved).await.map_err(ChangeError::Write)?;
            manager.metrics.writes.inc();
            manager
                .adopt(&mut manager.inner.lock(), profiles)
                .map_err(|error| ChangeError::Write(std::io::Error::other(error)))?;
            Ok(result)
        });
        changed.await.unwrap_or(Err(ChangeError::BrokenOff))
    }

    /// What has come to be probed since the last call, each once for every vantage point.
    pub(crate) fn take_new(&self) -> Vec<(WatchId, Duration)> {
        self.inner.lock().watches.take_new()
    }

    /// Waits until there is something new to probe.
    pub(crate) async fn something_new(&self) {
        self.new.notified().await;
    }

    /// What to probe under this number; none when it is not to be probed any more.
    pub(crate) fn spec(&self, watch: WatchId) -> Option<Arc<Spec>> {
        self.inner.lock().watches.spec(watch)
    }

    /// How many numbers are in use.
    pub(crate) fn watched(&self) -> usize {
        self.inner.lock().watches.len()
    }

    /// A probe has ended.
    pub(crate) fn probed(&self, watch: WatchId, vantage: usize, outcome: Outcome, took: Duration) {
        let mut inner = self.inner.lock();
        let Some((profile, key)) = inner.watches.probed(watch, vantage, outcome, took) else {
            return;
        };
        // Names were checked when they came.
        if let Err(error) = self.turn(&mut inner, &profile, &key) {
            tracing::error!(%error, profile, "an answer cannot be made");
        }
        self.show_counts(&inner);
        self.picture.notify_one();
        self.health.notify_one();
    }

    /// Keeps the picture and the file up to date until it is stopped.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let picture = async {
            loop {
                self.picture.notified().await;
                if let Err(error) = self.show(&mut self.inner.lock()) {
                    tracing::error!(%error, "the answers cannot be renewed");
                }
            }
        };
        let health = async {
            loop {
                self.health.notified().await;
                tokio::time::sleep(SAVE_DELAY).await;
                self.write_health().await;
            }
        };
        tokio::select! {
            () = picture => {}
            () = health => {}
            () = stop.cancelled() => {}
        }
        self.write_health().await;
    }

    async fn write_health(&self) {
        let file = Arc::clone(&self.file).lock_owned().await;
        let saved = {
            let inner = self.inner.lock();
            Saved {
                profiles: inner.profiles.clone(),
                degraded: inner.watches.degraded(),
            }
        };
        match save(file, saved).await {
            Ok(_) => {
                self.metrics.writes.inc();
            }
            Err(error) => tracing::error!(
                %error,
                "the health of endpoints cannot be written down; a restart would check them afresh"
            ),
        }
    }
}

impl Inner {
    fn statuses(&self, id: &str) -> Vec<EndpointMonitorStatus> {
        let published = self
            .published
            .get(id)
            .map(Vec::as_slice)
            .unwrap_or_default();
        published.iter().map(|it| it.status).collect()
    }

    fn health(&self, key: &str) -> Health {
        self.watches
            .of(key)
            .map_or(Health::Unknown, Watched::health)
    }

    fn count(&mut self, from: Option<EndpointMonitorStatus>, to: Option<EndpointMonitorStatus>) {
        if let Some(count) = from.and_then(|it| self.counts.get_mut(&it)) {
            *count = count.saturating_sub(1);
        }
        if let Some(to) = to {
            *self.counts.entry(to).or_default() += 1;
        }
    }
}

impl Endpoints for Manager {
    fn profiles(&self) -> Vec<String> {
        self.inner.lock().profiles.keys().cloned().collect()
    }

    fn statuses(&self, profile: &str) -> Option<Vec<(String, EndpointMonitorStatus)>> {
        let (profile, statuses) = self.profile(profile)?;
        let endpoints = profile.endpoints.iter().map(|it| it.name.clone());
        Some(endpoints.zip(statuses).collect())
    }
}
