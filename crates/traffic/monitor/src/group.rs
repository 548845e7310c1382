//! Action groups: whom to tell.
//!
//! Source: <https://learn.microsoft.com/rest/api/monitor/action-groups/create-or-update>. Webhooks
//! are called, and so are Azure Functions, which are webhooks with another name. Every other kind
//! of receiver is kept as it came, so that what was sent can be read back, and does nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use crate::ACTION_GROUP;
use backstay_resource::Invalid;
use backstay_resource::ResourceName;
use backstay_resource::body::read_resource;
use backstay_resource::text::shown;

/// Receivers of each kind, as in Azure for webhooks and functions.
const MAX_RECEIVERS: usize = 10;

/// An action group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActionGroup {
    pub(crate) id: ResourceName,
    tags: BTreeMap<String, String>,
    short_name: String,
    enabled: bool,
    webhooks: Vec<Receiver>,
    functions: Vec<Receiver>,
    /// Receivers of other kinds, by the property they came in.
    others: Map<String, Value>,
}

/// One that is told by a call.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Receiver {
    pub(super) name: String,
    /// Where; it may hold a credential.
    pub(super) uri: String,
    /// Whether in the common alert schema.
    pub(super) common_schema: bool,
    /// Whether it wants a token of Entra, which this server does not have.
    pub(super) entra: bool,
    /// What else came with it.
    rest: Map<String, Value>,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ***", self.name)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireProperties {
    group_short_name: Option<String>,
    enabled: Option<bool>,
    webhook_receivers: Option<Vec<Map<String, Value>>>,
    azure_function_receivers: Option<Vec<Map<String, Value>>>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl ActionGroup {
    /// Reads an action group.
    pub(super) fn parse(id: ResourceName, body: Value) -> Result<Self, Invalid> {
        let (tags, properties): (_, WireProperties) = read_resource(ACTION_GROUP, body)?;
        let short_name = properties.group_short_name.unwrap_or_default();
        if !(1..=12).contains(&short_name.chars().count()) {
            return Err(Invalid::bad(format!(
                "groupShortName '{}' is not of 1 to 12 characters.",
                shown(&short_name)
            )));
        }
        let group = Self {
            id,
            tags,
            short_name,
            enabled: properties.enabled.unwrap_or(true),
            webhooks: receivers(properties.webhook_receivers, "serviceUri")?,
            functions: receivers(properties.azure_function_receivers, "httpTriggerUrl")?,
            others: properties
                .others
                .into_iter()
                .filter(|(name, value)| name.ends_with("Receivers") && !empty(value))
                .collect(),
        };
        let mut names = BTreeSet::new();
        let mut all = group.webhooks.iter().chain(&group.functions);
        if let Some(same) = all.find(|it| !names.insert(it.name.to_ascii_lowercase())) {
            return Err(Invalid::bad(format!(
                "two receivers are called '{}'.",
                shown(&same.name)
            )));
        }
        Ok(group)
    }

    /// The JSON of an action group.
    pub(super) fn json(&self) -> Value {
        let mut properties = self.others.clone();
        let list = |all: &[Receiver], uri| all.iter().map(|it| it.json(uri)).collect::<Value>();
        properties.extend([
            ("groupShortName".to_owned(), json!(self.short_name)),
            ("enabled".to_owned(), json!(self.enabled)),
            (
                "webhookReceivers".to_owned(),
                list(&self.webhooks, "serviceUri"),
            ),
            (
                "azureFunctionReceivers".to_owned(),
                list(&self.functions, "httpTriggerUrl"),
            ),
        ]);
        json!({
            "id": self.id.path(ACTION_GROUP),
            "name": self.id.name,
            "type": ACTION_GROUP.to_string(),
            "location": "Global",
            "tags": self.tags,
            "properties": properties,
        })
    }

    /// Those who are called, if the group is switched on.
    pub(super) fn called(&self) -> impl Iterator<Item = &Receiver> {
        let all = self.webhooks.iter().chain(&self.functions);
        all.filter(|it| self.enabled && !it.entra)
    }

    /// What of it was accepted and does nothing.
    pub(super) fn warnings(&self) -> Vec<String> {
        let others = self.others.keys().map(|kind| {
            format!("{kind}: kept, but nobody is told; this server calls webhooks and functions")
        });
        let entra = self.webhooks.iter().chain(&self.functions);
        let entra = entra.filter(|it| it.entra).map(|it| {
            format!(
                "{}: kept, but not called; this server has no Entra token for it",
                shown(&it.name)
            )
        });
        others.chain(entra).collect()
    }
}

fn empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

impl Receiver {
    fn json(&self, uri: &str) -> Value {
        let mut shown = self.rest.clone();
        shown.insert("name".to_owned(), json!(self.name));
        shown.insert(uri.to_owned(), json!(self.uri));
        let schema = json!(self.common_schema);
        shown.insert("useCommonAlertSchema".to_owned(), schema);
        if self.entra {
            shown.insert("useAadAuth".to_owned(), json!(true));
        }
        Value::Object(shown)
    }
}

pub(super) fn receivers(
    wire: Option<Vec<Map<String, Value>>>,
    uri: &'static str,
) -> Result<Vec<Receiver>, Invalid> {
    let wire = wire.unwrap_or_default();
    if wire.len() > MAX_RECEIVERS {
        return Err(Invalid::bad(format!(
            "an action group has at most {MAX_RECEIVERS} receivers of a kind."
        )));
    }
    wire.into_iter().map(|it| receiver(it, uri)).collect()
}

fn receiver(mut wire: Map<String, Value>, uri: &'static str) -> Result<Receiver, Invalid> {
    let text = |value: Option<Value>| value.and_then(|it| it.as_str().map(str::to_owned));
    let mut flag = |name: &str| match wire.remove(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(it)) => Ok(it),
        Some(_) => Err(Invalid::bad(format!(
            "a receiver's {name} is true or false."
        ))),
    };
    let (common_schema, entra) = (flag("useCommonAlertSchema")?, flag("useAadAuth")?);
    let name = text(wire.remove("name")).filter(|it| !it.is_empty());
    let name = name.ok_or_else(|| Invalid::bad("a receiver has no 'name'."))?;
    let given = text(wire.remove(uri)).unwrap_or_default();
    // What was sent may hold a credential, so it is not repeated.
    let url = Url::parse(&given).ok();
    if !url.is_some_and(|it| matches!(it.scheme(), "http" | "https") && it.has_host()) {
        return Err(Invalid::bad(format!(
            "receiver '{}': '{uri}' is not an http or https URL.",
            shown(&name)
        )));
    }
    Ok(Receiver {
        name,
        uri: given,
        common_schema,
        entra,
        rest: wire,
    })
}
