//! Test notifications: whether the receivers of an action group answer.
//!
//! Source: <https://learn.microsoft.com/rest/api/monitor/action-groups> (2021-09-01,
//! "create notifications at action group resource level" and "get test notifications at action
//! group resource level"). Whom to tell is said by the caller, so the group is read first. What is
//! documented and what is answered differ in the case of field names; both are read.

use std::fmt;

use backstay_retry::Deadline;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::client::{Call, Got};
use crate::{AzureError, Client, ResourceId};

const API_VERSION: &str = "2021-09-01";
/// The alert of a pair is of this kind.
const ALERT_TYPE: &str = "metricstaticthreshold";

/// Whom an alert tells. Its receivers' addresses may hold credentials, so they are not shown.
#[derive(Clone, PartialEq)]
pub struct ActionGroup {
    /// The resource id, with subscription and group.
    pub id: ResourceId,
    /// Whether anybody is told at all.
    pub enabled: bool,
    receivers: Map<String, Value>,
}

impl fmt::Debug for ActionGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActionGroup")
            .field("id", &self.id)
            .field("enabled", &self.enabled)
            .field("receivers", &self.receivers())
            .finish_non_exhaustive()
    }
}

impl ActionGroup {
    /// The names of those who are called: webhooks and functions.
    pub fn receivers(&self) -> Vec<&str> {
        let lists = self.receivers.values().filter_map(Value::as_array);
        let names = lists.flatten().filter_map(|it| it.get("name")?.as_str());
        names.collect()
    }
}

/// A test notification that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestNotification {
    group: ResourceId,
    below: String,
}

/// What has become of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestStatus {
    /// What became of the notification at each receiver.
    pub receivers: Vec<ReceiverStatus>,
    /// Whether nothing more comes.
    pub over: bool,
}

/// A receiver, and whether it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverStatus {
    /// The receiver's name in the action group.
    pub receiver: String,
    /// `None` while that is not known; why, where it was not.
    pub taken: Option<Result<(), String>>,
}

#[derive(Deserialize)]
struct WireGroup {
    properties: WireProperties,
}

#[derive(Deserialize)]
struct WireProperties {
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

fn yes() -> bool {
    true
}

impl Client {
    /// Reads an action group.
    ///
    /// # Errors
    /// See [`AzureError`].
    pub async fn action_group(
        &self,
        id: &ResourceId,
        deadline: Deadline,
    ) -> Result<ActionGroup, AzureError> {
        let needs = "Microsoft.Insights/ActionGroups/read";
        let call = Call::new(Method::GET, id, API_VERSION, needs);
        let got: Got<WireGroup> = self.call(call, deadline).await?;
        let WireProperties { enabled, rest } = got.body.properties;
        let called = ["webhookReceivers", "azureFunctionReceivers"];
        let is_called = |kind: &str| called.iter().any(|it| it.eq_ignore_ascii_case(kind));
        Ok(ActionGroup {
            id: id.clone(),
            enabled,
            receivers: rest.into_iter().filter(|(it, _)| is_called(it)).collect(),
        })
    }

    /// Sends the group's webhooks and functions a test notification. Where the answer is lost, a
    /// second one is sent.
    ///
    /// # Errors
    /// See [`AzureError`].
    pub async fn test_notification(
        &self,
        group: &ActionGroup,
        deadline: Deadline,
    ) -> Result<TestNotification, AzureError> {
        let mut body = group.receivers.clone();
        body.insert("alertType".to_owned(), json!(ALERT_TYPE));
        let call = Call {
            below: "createNotifications",
            body: Some(Value::Object(body)),
            ..Call::new(
                Method::POST,
                &group.id,
                API_VERSION,
                "Microsoft.Insights/createNotifications/write",
            )
        };
        let got: Got<Value> = self.call(call, deadline).await?;
        // The id stands in the answer, in the address to ask at, or in both.
        let said = field(&got.body, "notificationId").and_then(Value::as_str);
        let place = got.location.as_deref().and_then(last_segment);
        let id = said.map(str::to_owned).or(place);
        let id = id.filter(|it| !it.is_empty() && !it.contains('/'));
        let id = id.ok_or_else(|| AzureError::Answer {
            resource: group.id.clone(),
            endpoint: self.endpoint(),
            problem: "without the id of the test notification".to_owned(),
        })?;
        Ok(TestNotification {
            group: group.id.clone(),
            below: format!("notificationStatus/{id}"),
        })
    }

    /// What has become of a test notification.
    ///
    /// # Errors
    /// See [`AzureError`].
    pub async fn test_status(
        &self,
        of: &TestNotification,
        deadline: Deadline,
    ) -> Result<TestStatus, AzureError> {
        let call = Call {
            below: &of.below,
            ..Call::new(
                Method::GET,
                &of.group,
                API_VERSION,
                "Microsoft.Insights/notificationStatus/read",
            )
        };
        let got: Got<Value> = self.call(call, deadline).await?;
        Ok(TestStatus::read(&got.body))
    }
}

impl TestStatus {
    fn read(body: &Value) -> Self {
        let details = field(body, "actionDetails").and_then(Value::as_array);
        let receivers = details.into_iter().flatten().map(receiver_status).collect();
        let state = field(body, "state").and_then(Value::as_str);
        let state = state.unwrap_or_default().to_ascii_lowercase();
        Self {
            receivers,
            over: ["complete", "completed", "succeeded", "failed"].contains(&state.as_str()),
        }
    }
}

fn receiver_status(detail: &Value) -> ReceiverStatus {
    let text = |name: &str| field(detail, name).and_then(Value::as_str);
    let status = text("status").unwrap_or_default();
    let taken = match status.to_ascii_lowercase().as_str() {
        "succeeded" | "completed" => Some(Ok(())),
        "failed" | "error" | "throttled" | "cancelled" => {
            let why = text("detail").filter(|it| !it.is_empty());
            let why = why.or_else(|| text("subState").filter(|it| *it != "Default"));
            Some(Err(backstay_resource::text::excerpt(why.unwrap_or(status))))
        }
        _ => None,
    };
    ReceiverStatus {
        receiver: backstay_resource::text::excerpt(text("name").unwrap_or_default()),
        taken,
    }
}

/// A field, whatever the case of its name.
fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let mut fields = object.as_object()?.iter();
    fields.find_map(|(it, value)| it.eq_ignore_ascii_case(name).then_some(value))
}

fn last_segment(place: &str) -> Option<String> {
    let path = place.split(['?', '#']).next()?;
    path.rsplit('/').next().map(str::to_owned)
}
