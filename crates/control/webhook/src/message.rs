//! A notification in the common alert schema.
//!
//! Source: <https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema> ("Sample
//! alert payload" and the table "Essentials fields"); `alertRuleId` is not in the table, and Azure
//! sends it. An alert in this schema has 256 KB at most (the note under "Alert context fields for
//! Log alerts").
//!
//! What is not known is passed over. Errors quote nothing of what was sent: a message can carry
//! whatever its sender was told, credentials among it.

use chrono::{DateTime, Utc};
use serde_json::Value;

/// A longer message is none.
pub const MAX_MESSAGE_BYTES: usize = 256 << 10;
/// Names and ids are not longer.
const MAX_TEXT_BYTES: usize = 1 << 10;
/// An alert of ours has one target.
const MAX_TARGETS: usize = 64;

/// The alerts of the subscription in Azure's samples
/// (<https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-payload-samples>).
const SAMPLE_SUBSCRIPTION: &str = "/subscriptions/11111111-1111-1111-1111-111111111111/";
const SCHEMA: &str = "azureMonitorCommonAlertSchema";

/// What is wrong with a message, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Malformed {
    place: &'static str,
    problem: String,
}

impl Malformed {
    pub(crate) fn new(place: &'static str, problem: impl Into<String>) -> Self {
        Self {
            place,
            problem: problem.into(),
        }
    }
}

/// Whether the cause of an alert is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// It has come.
    Fired,
    /// It is gone.
    Resolved,
}

/// A notification of Azure Monitor in the common alert schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The alert's resource id; that of a resolution is that of what fired.
    pub id: String,
    /// The rule: its name, as webhooks get it.
    pub rule: String,
    /// The rule's resource id, where it is sent.
    pub rule_id: Option<String>,
    /// Whether the cause is there.
    pub condition: Condition,
    /// When the alert fired.
    pub fired: DateTime<Utc>,
    /// When it resolved. Azure sends it for metric alerts.
    pub resolved: Option<DateTime<Utc>>,
    /// `Sev0` to `Sev4`.
    pub severity: Option<String>,
    /// `Metric`, `Log` or `Activity Log`.
    pub signal: Option<String>,
    /// The resource ids of what the alert is about.
    pub targets: Vec<String>,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is too long, no JSON, of another schema, or without what an alert is known by.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        if body.len() > MAX_MESSAGE_BYTES {
            let problem = format!("it has more than {MAX_MESSAGE_BYTES} bytes");
            return Err(Malformed::new("the message", problem));
        }
        Self::read(&json("the message", body)?)
    }

    pub(crate) fn read(message: &Value) -> Result<Self, Malformed> {
        if message.get("schemaId").and_then(Value::as_str) != Some(SCHEMA) {
            return Err(Malformed::new(
                "schemaId",
                format!(
                    "not {SCHEMA}; set useCommonAlertSchema on the receiver in the action group"
                ),
            ));
        }
        let essentials = message.get("data").and_then(|it| it.get("essentials"));
        let essentials = Essentials(
            essentials
                .filter(|it| it.is_object())
                .ok_or_else(|| Malformed::new("data.essentials", "missing, or no object"))?,
        );
        let condition = match essentials
            .needed("data.essentials.monitorCondition")?
            .as_str()
        {
            "Fired" => Condition::Fired,
            "Resolved" => Condition::Resolved,
            _ => {
                return Err(Malformed::new(
                    "data.essentials.monitorCondition",
                    "neither Fired nor Resolved",
                ));
            }
        };
        let fired = "data.essentials.firedDateTime";
        Ok(Self {
            id: essentials.needed("data.essentials.alertId")?,
            rule: essentials.needed("data.essentials.alertRule")?,
            rule_id: essentials.text("data.essentials.alertRuleId")?,
            condition,
            fired: essentials
                .time(fired)?
                .ok_or_else(|| Malformed::new(fired, MISSING))?,
            resolved: essentials.time("data.essentials.resolvedDateTime")?,
            severity: essentials.text("data.essentials.severity")?,
            signal: essentials.text("data.essentials.signalType")?,
            targets: essentials.texts("data.essentials.alertTargetIDs")?,
        })
    }

    /// Whether it is the sample that Azure sends to try a receiver out: of a subscription and a rule
    /// that do not exist, and of years ago.
    pub fn is_test(&self) -> bool {
        self.id
            .to_ascii_lowercase()
            .starts_with(SAMPLE_SUBSCRIPTION)
            && self.rule.starts_with("test-")
    }

    /// When what it tells has happened. A resolution without a time of its own counts from when
    /// the alert fired.
    pub fn at(&self) -> DateTime<Utc> {
        match self.condition {
            Condition::Fired => self.fired,
            Condition::Resolved => self.resolved.unwrap_or(self.fired),
        }
    }
}

const MISSING: &str = "missing";

/// Reads JSON. The parser says where it stopped and what it waited for, and quotes nothing.
pub(crate) fn json(what: &'static str, bytes: &[u8]) -> Result<Value, Malformed> {
    serde_json::from_slice(bytes)
        .map_err(|error| Malformed::new(what, format!("no JSON that can be read: {error}")))
}

/// The `essentials`; a place is a field's whole path, of which the last part is its name.
struct Essentials<'a>(&'a Value);

impl Essentials<'_> {
    fn field(&self, place: &'static str) -> Option<&Value> {
        let name = place.rsplit('.').next().unwrap_or(place);
        self.0.get(name).filter(|it| !it.is_null())
    }

    fn text(&self, place: &'static str) -> Result<Option<String>, Malformed> {
        self.field(place).map(|it| text(place, it)).transpose()
    }

    fn needed(&self, place: &'static str) -> Result<String, Malformed> {
        self.text(place)?
            .filter(|it| !it.is_empty())
            .ok_or_else(|| Malformed::new(place, MISSING))
    }

    fn time(&self, place: &'static str) -> Result<Option<DateTime<Utc>>, Malformed> {
        let Some(text) = self.text(place)? else {
            return Ok(None);
        };
        let time = DateTime::parse_from_rfc3339(&text)
            .map_err(|_| Malformed::new(place, "no time such as 2026-03-22T13:58:24.3713213Z"))?;
        Ok(Some(time.to_utc()))
    }

    fn texts(&self, place: &'static str) -> Result<Vec<String>, Malformed> {
        let Some(value) = self.field(place) else {
            return Ok(Vec::new());
        };
        let all = value
            .as_array()
            .ok_or_else(|| Malformed::new(place, "no list"))?;
        all.iter()
            .take(MAX_TARGETS)
            .map(|it| text(place, it))
            .collect()
    }
}

fn text(place: &'static str, value: &Value) -> Result<String, Malformed> {
    let text = value
        .as_str()
        .ok_or_else(|| Malformed::new(place, "no text"))?;
    if text.len() > MAX_TEXT_BYTES {
        let problem = format!("longer than {MAX_TEXT_BYTES} bytes");
        return Err(Malformed::new(place, problem));
    }
    if text.chars().any(char::is_control) {
        return Err(Malformed::new(place, "control characters in it"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
pub(crate) mod tests;
