//! Rules, action groups, alerts and what is still to be told of them: in one file, so that what
//! belongs together changes together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;
use uuid::Uuid;

use super::alert::{Alert, MonitorCondition};
use super::group::ActionGroup;
use super::rule::MetricAlert;
use super::trial::Trial;
use super::turn::Notification;
use crate::metrics::Metrics;
use crate::{ACTION_GROUP, METRIC_ALERT};
use backstay_resource::Invalid;
use backstay_resource::{ResourceName, ResourceType};
use backstay_traffic_profile::MonitorLimits;
use backstay_traffic_state::{ChangeError, Content, StateError, StateFile, save};

/// Rules a server keeps; action groups likewise.
const MAX_CONFIGURED: usize = 200;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AlertsState {
    /// By resource id in lower case.
    pub(crate) rules: BTreeMap<String, Arc<MetricAlert>>,
    /// Likewise.
    pub(crate) groups: BTreeMap<String, Arc<ActionGroup>>,
    pub(crate) alerts: BTreeMap<Uuid, Arc<Alert>>,
    /// In the order in which they came.
    pub(super) pending: Vec<Arc<Notification>>,
    pub(crate) trials: BTreeMap<Uuid, Arc<Trial>>,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    rules: Vec<&'a MetricAlert>,
    groups: Vec<&'a ActionGroup>,
    alerts: Vec<&'a Alert>,
    pending: &'a [Arc<Notification>],
    trials: Vec<&'a Trial>,
}

#[derive(Deserialize)]
struct Read {
    rules: Vec<MetricAlert>,
    groups: Vec<ActionGroup>,
    alerts: Vec<Alert>,
    pending: Vec<Arc<Notification>>,
    /// Files of before have none.
    #[serde(default)]
    trials: Vec<Trial>,
}

impl Content for AlertsState {
    fn written(&self, version: u32) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Written {
            version,
            rules: self.rules.values().map(Arc::as_ref).collect(),
            groups: self.groups.values().map(Arc::as_ref).collect(),
            alerts: self.alerts.values().map(Arc::as_ref).collect(),
            pending: &self.pending,
            trials: self.trials.values().map(Arc::as_ref).collect(),
        })
    }

    fn read(bytes: &[u8]) -> serde_json::Result<Self> {
        let read: Read = serde_json::from_slice(bytes)?;
        let rules = read.rules.into_iter();
        let groups = read.groups.into_iter();
        let alerts = read.alerts.into_iter();
        Ok(Self {
            rules: rules.map(|it| (it.key(), Arc::new(it))).collect(),
            groups: groups.map(|it| (it.key(), Arc::new(it))).collect(),
            alerts: alerts.map(|it| (it.id, Arc::new(it))).collect(),
            pending: read.pending,
            trials: read
                .trials
                .into_iter()
                .map(|it| (it.id, Arc::new(it)))
                .collect(),
        })
    }
}

/// The file of alerts that belongs to the one of profiles.
pub fn path_beside(profiles: &Path) -> PathBuf {
    profiles.with_extension("alerts.json")
}

/// What a resource is checked against besides the other alerts' resources.
pub(crate) struct Surroundings {
    pub(crate) limits: MonitorLimits,
    /// The resource ids of all profiles, in lower case.
    pub(crate) profiles: Vec<String>,
}

/// A kind of resource that is configured here: its JSON, and the map it is kept in.
pub(crate) trait Configured: Clone + PartialEq + Serialize + Send + Sync + 'static {
    const KIND: ResourceType;

    fn id(&self) -> &ResourceName;
    fn of(state: &AlertsState) -> &BTreeMap<String, Arc<Self>>;
    fn of_mut(state: &mut AlertsState) -> &mut BTreeMap<String, Arc<Self>>;
    fn read(id: ResourceName, body: Value, around: &Surroundings) -> Result<Self, Invalid>;
    fn shown(&self) -> Value;

    /// Checks it against the rest, given what it was before.
    fn check(
        &self,
        old: Option<&Self>,
        state: &AlertsState,
        around: &Surroundings,
    ) -> Result<(), Invalid>;

    /// What of it was accepted and does nothing.
    fn warnings(&self) -> Vec<String>;

    /// It is not there any more.
    fn forgotten(key: &str, state: &mut AlertsState);

    fn key(&self) -> String {
        self.id().key(Self::KIND)
    }

    /// Puts one in its place; one that is the same leaves everything as it is.
    fn keep(self, state: &mut AlertsState) -> Result<(), Invalid> {
        let (key, all) = (self.key(), Self::of_mut(state));
        if all.get(&key).is_some_and(|old| **old == self) {
            return Ok(());
        }
        if all.len() >= MAX_CONFIGURED && !all.contains_key(&key) {
            return Err(Invalid::bad(format!(
                "this server keeps at most {MAX_CONFIGURED} resources of type {}.",
                Self::KIND
            )));
        }
        all.insert(key, Arc::new(self));
        Ok(())
    }
}

impl Configured for MetricAlert {
    const KIND: ResourceType = METRIC_ALERT;

    fn id(&self) -> &ResourceName {
        &self.id
    }

    fn of(state: &AlertsState) -> &BTreeMap<String, Arc<Self>> {
        &state.rules
    }

    fn of_mut(state: &mut AlertsState) -> &mut BTreeMap<String, Arc<Self>> {
        &mut state.rules
    }

    fn read(id: ResourceName, body: Value, around: &Surroundings) -> Result<Self, Invalid> {
        Self::parse(id, body, around.limits)
    }

    fn shown(&self) -> Value {
        self.json()
    }

    /// What a rule newly refers to must be there: a rule that watches nothing, or tells nobody,
    /// would be found out when it is needed. What it referred to before may be gone, so that such
    /// a rule can still be switched off.
    fn check(
        &self,
        old: Option<&Self>,
        state: &AlertsState,
        around: &Surroundings,
    ) -> Result<(), Invalid> {
        let had = |scope: &String| old.is_some_and(|it| it.scopes.contains(scope));
        let there = |scope: &str| around.profiles.contains(&scope.to_ascii_lowercase());
        let mut scopes = self.scopes.iter();
        if let Some(scope) = scopes.find(|it| !had(it) && !there(it)) {
            return Err(Invalid::bad(format!(
                "scope '{scope}' does not exist; make the profile first."
            )));
        }
        let had = |group: &str| old.is_some_and(|it| it.actions.iter().any(|it| it.group == group));
        let there = |group: &str| {
            let id = ResourceName::read(ACTION_GROUP, group);
            id.is_some_and(|it| state.groups.contains_key(&it.key(ACTION_GROUP)))
        };
        let mut groups = self.actions.iter().map(|it| it.group.as_str());
        if let Some(group) = groups.find(|it| !had(it) && !there(it)) {
            return Err(Invalid::bad(format!(
                "action group '{group}' does not exist; make it first."
            )));
        }
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        if self.enabled && self.actions.is_empty() {
            return vec!["the rule has no action group: nobody is told when it fires".to_owned()];
        }
        Vec::new()
    }

    /// What has fired stays as it is, and a rule of that name that comes later is another one.
    fn forgotten(key: &str, state: &mut AlertsState) {
        for alert in state.alerts.values_mut() {
            if alert.held && alert.rule.key(METRIC_ALERT) == key {
                Arc::make_mut(alert).held = false;
            }
        }
    }
}

impl Configured for ActionGroup {
    const KIND: ResourceType = ACTION_GROUP;

    fn id(&self) -> &ResourceName {
        &self.id
    }

    fn of(state: &AlertsState) -> &BTreeMap<String, Arc<Self>> {
        &state.groups
    }

    fn of_mut(state: &mut AlertsState) -> &mut BTreeMap<String, Arc<Self>> {
        &mut state.groups
    }

    fn read(id: ResourceName, body: Value, _: &Surroundings) -> Result<Self, Invalid> {
        Self::parse(id, body)
    }

    fn shown(&self) -> Value {
        self.json()
    }

    fn check(&self, _: Option<&Self>, _: &AlertsState, _: &Surroundings) -> Result<(), Invalid> {
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        Self::warnings(self)
    }

    fn forgotten(_: &str, _: &mut AlertsState) {}
}

/// All of it, kept together: every change goes through here and is durable before it counts.
pub struct Alerts {
    state: Mutex<Arc<AlertsState>>,
    /// Changes are made one at a time.
    file: Arc<tokio::sync::Mutex<StateFile<AlertsState>>>,
    metrics: Metrics,
    /// There may be another rule to evaluate.
    pub(super) rules: Notify,
    /// There may be something to tell.
    pub(super) new_notifications: Notify,
}

impl Alerts {
    /// Takes the file, and reads it if it is there.
    ///
    /// # Errors
    /// When another process has it, or it cannot be read.
    pub fn open(path: &Path, metrics: Metrics) -> Result<Arc<Self>, StateError> {
        let (file, state) = StateFile::open(path)?;
        let alerts = Self {
            state: Mutex::new(Arc::new(state)),
            file: Arc::new(tokio::sync::Mutex::new(file)),
            metrics,
            rules: Notify::new(),
            new_notifications: Notify::new(),
        };
        alerts.count(&alerts.state());
        Ok(Arc::new(alerts))
    }

    /// As it is now.
    pub(crate) fn state(&self) -> Arc<AlertsState> {
        Arc::clone(&self.state.lock())
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Changes it. When this returns without an error, the change is on disk; when it returns
    /// with one, nothing has changed. It is carried out even if the caller goes away.
    pub(crate) async fn change<T, E>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut AlertsState) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ChangeError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let alerts = Arc::clone(self);
        let changed = tokio::spawn(async move {
            let file = Arc::clone(&alerts.file).lock_owned().await;
            let old = alerts.state();
            let mut state = AlertsState::clone(&old);
            let result = change(&mut state).map_err(ChangeError::Refused)?;
            if state == *old {
                return Ok(result);
            }
            // The file stays ours until the change is to be seen, too.
            let _file = save(file, state.clone())
                .await
                .map_err(ChangeError::Write)?;
            alerts.metrics.writes.inc();
            alerts.count(&state);
            let rules = state.rules != old.rules;
            *alerts.state.lock() = Arc::new(state);
            if rules {
                alerts.rules.notify_one();
            }
            alerts.new_notifications.notify_one();
            Ok(result)
        });
        changed.await.unwrap_or(Err(ChangeError::BrokenOff))
    }

    fn count(&self, state: &AlertsState) {
        let fired = state.alerts.values();
        let fired = fired.filter(|it| it.held && it.condition == MonitorCondition::Fired);
        self.metrics.alerted(fired.count(), state.pending.len());
    }
}
