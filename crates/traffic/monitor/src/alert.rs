//! An alert that has fired, as `Microsoft.AlertsManagement` shows it.
//!
//! Source: <https://learn.microsoft.com/rest/api/monitor/alertsmanagement/alerts/get-all>
//! (api-version 2019-05-05-preview). The monitor condition is the system's and says whether the
//! cause is still there; the state is people's and says what they have done about it.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::evaluate::Subject;
use crate::METRIC_ALERT;
use backstay_resource::ResourceName;
use backstay_traffic_profile::PROFILE;

/// What is remembered of an alert's course.
const MAX_HISTORY: usize = 50;

/// Whether what made it fire is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MonitorCondition {
    Fired,
    Resolved,
}

impl MonitorCondition {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Fired => "Fired",
            Self::Resolved => "Resolved",
        }
    }
}

/// What people have done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AlertState {
    New,
    Acknowledged,
    Closed,
}

impl AlertState {
    pub(crate) const ALL: [Self; 3] = [Self::New, Self::Acknowledged, Self::Closed];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Acknowledged => "Acknowledged",
            Self::Closed => "Closed",
        }
    }
}

/// One step of an alert's course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Modification {
    modification_event: String,
    old_value: String,
    new_value: String,
    modified_at: DateTime<Utc>,
    modified_by: String,
    comments: String,
    description: String,
}

/// An alert that has fired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Alert {
    pub(crate) id: Uuid,
    pub(crate) rule: ResourceName,
    pub(crate) subject: Subject,
    pub(crate) severity: u8,
    pub(crate) description: String,
    pub(crate) condition: MonitorCondition,
    pub(crate) state: AlertState,
    /// Whether its rule will resolve it, and fires nothing for the same subject until then.
    pub(crate) held: bool,
    pub(crate) fired: DateTime<Utc>,
    pub(crate) resolved: Option<DateTime<Utc>>,
    pub(crate) modified: DateTime<Utc>,
    pub(crate) modified_by: String,
    /// The `alertContext` of the last notification.
    pub(crate) context: Value,
    history: Vec<Modification>,
}

impl Alert {
    /// One that fires now.
    pub(super) fn new(
        id: Uuid,
        rule: ResourceName,
        subject: Subject,
        held: bool,
        now: DateTime<Utc>,
    ) -> Self {
        let mut alert = Self {
            id,
            rule,
            subject,
            severity: 0,
            description: String::new(),
            condition: MonitorCondition::Fired,
            state: AlertState::New,
            held,
            fired: now,
            resolved: None,
            modified: now,
            modified_by: "System".to_owned(),
            context: Value::Null,
            history: Vec::new(),
        };
        alert.note("AlertCreated", ["", ""], "a new alert was created", now);
        alert
    }

    /// Its resource id.
    pub(crate) fn path(&self) -> String {
        format!(
            "/subscriptions/{}/providers/Microsoft.AlertsManagement/alerts/{}",
            self.rule.subscription, self.id
        )
    }

    pub(super) fn resolve(&mut self, now: DateTime<Utc>) {
        self.condition = MonitorCondition::Resolved;
        self.resolved = Some(now);
        self.modified = now;
        self.modified_by = "System".to_owned();
        let values = ["Fired", "Resolved"];
        self.note("MonitorConditionChange", values, "the cause is gone", now);
    }

    /// Somebody has done something about it.
    pub(crate) fn change_state(&mut self, state: AlertState, comments: &str, now: DateTime<Utc>) {
        if self.state == state {
            return;
        }
        let values = [self.state.as_str(), state.as_str()];
        self.state = state;
        self.modified = now;
        self.modified_by = "administrator".to_owned();
        self.note("StateChange", values, "changed by hand", now);
        if let Some(last) = self.history.last_mut() {
            last.modified_by = self.modified_by.clone();
            last.comments = comments.chars().take(1_000).collect();
        }
    }

    /// Writes down a step of its course.
    pub(super) fn note(
        &mut self,
        event: &str,
        [old, new]: [&str; 2],
        description: &str,
        now: DateTime<Utc>,
    ) {
        if self.history.len() >= MAX_HISTORY {
            // How it began stays.
            self.history.remove(1);
        }
        self.history.push(Modification {
            modification_event: event.to_owned(),
            old_value: old.to_owned(),
            new_value: new.to_owned(),
            modified_at: now,
            modified_by: "System".to_owned(),
            comments: String::new(),
            description: description.to_owned(),
        });
    }

    /// The alert in Azure's JSON.
    pub(crate) fn json(&self, with_context: bool) -> Value {
        let (group, name) = self.subject.place();
        let mut essentials = json!({
            "severity": format!("Sev{}", self.severity),
            "signalType": "Metric",
            "alertState": self.state,
            "monitorCondition": self.condition,
            "monitorService": "Platform",
            "targetResource": self.subject.target,
            "targetResourceName": name,
            "targetResourceGroup": group,
            "targetResourceType": PROFILE.name.to_ascii_lowercase(),
            "sourceCreatedId": self.origin(),
            "alertRule": self.rule.path(METRIC_ALERT),
            "startDateTime": written(self.fired),
            "lastModifiedDateTime": written(self.modified),
            "lastModifiedUserName": self.modified_by,
            "actionStatus": { "isSuppressed": false },
            "description": self.description,
        });
        if let Some(resolved) = self.resolved {
            essentials["monitorConditionResolvedDateTime"] = json!(written(resolved));
        }
        let mut properties = json!({ "essentials": essentials });
        if with_context {
            properties["context"] = self.context.clone();
        }
        json!({
            "id": self.path(),
            "name": self.rule.name,
            "type": "Microsoft.AlertsManagement/alerts",
            "properties": properties,
        })
    }

    /// Its course in Azure's JSON, the last step first.
    pub(crate) fn history_json(&self) -> Value {
        let modifications: Vec<&Modification> = self.history.iter().rev().collect();
        json!({
            "id": format!("{}/history/default", self.path()),
            "name": self.rule.name,
            "type": "Microsoft.AlertsManagement/alerts",
            "properties": { "alertId": self.id, "modifications": modifications },
        })
    }

    /// Azure's `originAlertId`: which time series of which rule.
    pub(super) fn origin(&self) -> String {
        let endpoint = self.subject.endpoint.as_deref().unwrap_or_default();
        let series = format!("{}/{endpoint}", self.subject.target);
        let hash = ring::digest::digest(&ring::digest::SHA256, series.as_bytes());
        let short: u32 = hash
            .as_ref()
            .iter()
            .take(4)
            .fold(0, |sum, it| sum << 8 | u32::from(*it));
        format!(
            "{}_{}_microsoft.insights_metricAlerts_{}_{}",
            self.rule.subscription,
            self.rule.resource_group,
            self.rule.name,
            short.cast_signed()
        )
    }
}

/// A time as Azure writes it.
pub(super) fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}
