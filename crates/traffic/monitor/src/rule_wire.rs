//! From a client's JSON to a metric alert, by Azure's rules, and back.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::period::Period;
use super::rule::{
    Action, Aggregation, Choice, Criterion, DIMENSION, Dimension, METRIC, MetricAlert, Operator,
    Style,
};
use crate::{ACTION_GROUP, METRIC_ALERT};
use backstay_resource::Invalid;
use backstay_resource::ResourceName;
use backstay_resource::body::read_resource;
use backstay_resource::text::shown;
use backstay_traffic_profile::MonitorLimits;
use backstay_traffic_profile::PROFILE;

/// Action groups a rule may have, as in Azure.
const MAX_ACTIONS: usize = 5;
/// Criteria a rule may have, as in Azure.
const MAX_CRITERIA: usize = 5;
/// Profiles a rule may watch.
const MAX_SCOPES: usize = 5;
/// Values of a dimension.
const MAX_VALUES: usize = 200;
/// Azure's choices, in minutes.
const FREQUENCIES: [u32; 5] = [1, 5, 15, 30, 60];
const WINDOWS: [u32; 8] = [1, 5, 15, 30, 60, 360, 720, 1440];
/// The longest, in seconds.
const MAX_PERIOD_SECONDS: u32 = 86_400;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireProperties {
    description: Option<String>,
    severity: Option<i64>,
    enabled: Option<bool>,
    scopes: Option<Vec<String>>,
    evaluation_frequency: Option<String>,
    window_size: Option<String>,
    target_resource_type: Option<String>,
    target_resource_region: Option<String>,
    criteria: Option<WireCriteria>,
    auto_mitigate: Option<bool>,
    actions: Option<Vec<WireAction>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCriteria {
    #[serde(rename = "odata.type")]
    kind: String,
    all_of: Option<Vec<WireCriterion>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCriterion {
    criterion_type: Option<String>,
    name: Option<String>,
    metric_name: String,
    metric_namespace: Option<String>,
    operator: Operator,
    threshold: Option<f64>,
    time_aggregation: Aggregation,
    dimensions: Option<Vec<WireDimension>>,
}

#[derive(Deserialize)]
struct WireDimension {
    name: String,
    operator: Choice,
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAction {
    action_group_id: String,
    web_hook_properties: Option<BTreeMap<String, String>>,
}

impl MetricAlert {
    /// Reads a rule.
    pub(super) fn parse(
        id: ResourceName,
        body: Value,
        limits: MonitorLimits,
    ) -> Result<Self, Invalid> {
        let (tags, properties): (_, WireProperties) = read_resource(METRIC_ALERT, body)?;
        let severity = properties
            .severity
            .ok_or_else(|| missing("properties.severity"))?;
        let severity = u8::try_from(severity)
            .ok()
            .filter(|it| *it <= 4)
            .ok_or_else(|| Invalid::bad(format!("severity is {severity}; it is 0 to 4.")))?;
        let name = "evaluationFrequency";
        let frequency = period(properties.evaluation_frequency, name, &FREQUENCIES, limits)?;
        let window = period(properties.window_size, "windowSize", &WINDOWS, limits)?;
        if frequency > window {
            return Err(Invalid::bad(format!(
                "evaluationFrequency {frequency} is longer than windowSize {window}: what happens \
                 in between would not be seen."
            )));
        }
        let criteria = properties
            .criteria
            .ok_or_else(|| missing("properties.criteria"))?;
        let style = style(&criteria.kind)?;
        let scopes = scopes(properties.scopes.unwrap_or_default(), style)?;
        Ok(Self {
            id,
            tags,
            description: properties.description.unwrap_or_default(),
            severity,
            enabled: properties.enabled.unwrap_or(true),
            scopes,
            frequency,
            window,
            style,
            criteria: all_of(criteria.all_of.unwrap_or_default())?,
            auto_mitigate: properties.auto_mitigate.unwrap_or(true),
            actions: actions(properties.actions.unwrap_or_default())?,
            target_type: properties.target_resource_type.filter(|it| !it.is_empty()),
            target_region: properties
                .target_resource_region
                .filter(|it| !it.is_empty()),
        })
    }

    /// The JSON of a rule.
    pub(super) fn json(&self) -> Value {
        let criteria: Vec<Value> = self.criteria.iter().map(criterion_json).collect();
        let actions: Vec<Value> = self
            .actions
            .iter()
            .map(|it| json!({ "actionGroupId": it.group, "webHookProperties": it.properties }))
            .collect();
        let mut properties = json!({
            "description": self.description,
            "severity": self.severity,
            "enabled": self.enabled,
            "scopes": self.scopes,
            "evaluationFrequency": self.frequency,
            "windowSize": self.window,
            "criteria": {
                "odata.type": format!("Microsoft.Azure.Monitor.{}", self.style.as_str()),
                "allOf": criteria,
            },
            "autoMitigate": self.auto_mitigate,
            "actions": actions,
        });
        if let Some(of) = &self.target_type {
            properties["targetResourceType"] = json!(of);
        }
        if let Some(region) = &self.target_region {
            properties["targetResourceRegion"] = json!(region);
        }
        json!({
            "id": self.id.path(METRIC_ALERT),
            "name": self.id.name,
            "type": METRIC_ALERT.to_string(),
            "location": "global",
            "tags": self.tags,
            "properties": properties,
        })
    }
}

fn criterion_json(criterion: &Criterion) -> Value {
    let dimensions: Vec<Value> = criterion
        .dimensions
        .iter()
        .map(|it| json!({ "name": DIMENSION, "operator": it.operator, "values": it.values }))
        .collect();
    json!({
        "criterionType": "StaticThresholdCriterion",
        "name": criterion.name,
        "metricName": METRIC,
        "metricNamespace": PROFILE.to_string(),
        "operator": criterion.operator,
        "threshold": criterion.threshold,
        "timeAggregation": criterion.aggregation,
        "dimensions": dimensions,
    })
}

fn missing(what: &str) -> Invalid {
    Invalid::bad(format!("'{what}' is missing."))
}

fn period(
    text: Option<String>,
    name: &str,
    minutes: &[u32],
    limits: MonitorLimits,
) -> Result<Period, Invalid> {
    let text = text.ok_or_else(|| missing(&format!("properties.{name}")))?;
    let period: Period = text
        .parse()
        .map_err(|error| Invalid::bad(format!("{name} '{}': {error}.", shown(&text))))?;
    let choices: Vec<Period> = minutes.iter().map(|it| Period::seconds(it * 60)).collect();
    let allowed = match limits {
        MonitorLimits::Azure => choices.contains(&period),
        MonitorLimits::Lab => {
            (Period::seconds(1)..=Period::seconds(MAX_PERIOD_SECONDS)).contains(&period)
        }
    };
    if allowed {
        return Ok(period);
    }
    let choices: Vec<String> = choices.iter().map(ToString::to_string).collect();
    Err(Invalid::bad(match limits {
        MonitorLimits::Azure => format!("{name} is {period}; it is one of {}.", choices.join(", ")),
        MonitorLimits::Lab => format!("{name} is {period}; it is PT1S to P1D here."),
    }))
}

fn style(kind: &str) -> Result<Style, Invalid> {
    let short = kind.rsplit('.').next().unwrap_or_default();
    let styles = [
        Style::SingleResourceMultipleMetricCriteria,
        Style::MultipleResourceMultipleMetricCriteria,
    ];
    let found = styles.into_iter().find(|it| it.as_str() == short);
    found.ok_or_else(|| {
        Invalid::bad(format!(
            "criteria of type '{}' are not offered by this server; give \
             Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria or \
             MultipleResourceMultipleMetricCriteria.",
            shown(kind)
        ))
    })
}

fn scopes(scopes: Vec<String>, style: Style) -> Result<Vec<String>, Invalid> {
    let most = match style {
        Style::SingleResourceMultipleMetricCriteria => 1,
        Style::MultipleResourceMultipleMetricCriteria => MAX_SCOPES,
    };
    if !(1..=most).contains(&scopes.len()) {
        return Err(Invalid::bad(format!(
            "'properties.scopes' has {} resources; with {} it is 1 to {most}.",
            scopes.len(),
            style.as_str()
        )));
    }
    let mut seen = BTreeSet::new();
    for scope in &scopes {
        if ResourceName::read(PROFILE, scope).is_none() {
            return Err(Invalid::bad(format!(
                "scope '{}' is not a valid resource id of a {}, the one type that this server has metrics of.",
                shown(scope),
                PROFILE
            )));
        }
        if !seen.insert(scope.to_ascii_lowercase()) {
            return Err(Invalid::bad(format!(
                "scope '{}' is there twice.",
                shown(scope)
            )));
        }
    }
    Ok(scopes)
}

fn all_of(wire: Vec<WireCriterion>) -> Result<Vec<Criterion>, Invalid> {
    if !(1..=MAX_CRITERIA).contains(&wire.len()) {
        return Err(Invalid::bad(format!(
            "criteria.allOf has {} criteria; it is 1 to {MAX_CRITERIA}.",
            wire.len()
        )));
    }
    let criteria = wire.into_iter().map(criterion);
    let criteria: Vec<Criterion> = criteria.collect::<Result<_, _>>()?;
    let mut names = BTreeSet::new();
    if let Some(same) = criteria.iter().find(|it| !names.insert(&it.name)) {
        return Err(Invalid::bad(format!(
            "two criteria are called '{}'.",
            shown(&same.name)
        )));
    }
    let mut dimensions = criteria.iter().flat_map(|it| &it.dimensions);
    if criteria.len() > 1 && dimensions.any(|it| it.one().is_none()) {
        return Err(Invalid::bad(
            "with more than one criterion, a dimension includes exactly one value.",
        ));
    }
    Ok(criteria)
}

fn criterion(wire: WireCriterion) -> Result<Criterion, Invalid> {
    let name = wire.name.unwrap_or_default();
    let of = |what: String| Invalid::bad(format!("criterion '{}': {what}", shown(&name)));
    let kind = wire.criterion_type.as_deref();
    if kind.is_some_and(|it| it != "StaticThresholdCriterion") {
        return Err(of(
            "only StaticThresholdCriterion is offered by this server.".to_owned(),
        ));
    }
    let namespace = wire.metric_namespace.filter(|it| !it.is_empty());
    let ours = PROFILE.to_string();
    if namespace.is_some_and(|it| !it.eq_ignore_ascii_case(&ours))
        || !wire.metric_name.eq_ignore_ascii_case(METRIC)
    {
        return Err(of(format!(
            "metric '{}' is not offered by this server, which has {METRIC} of {ours} alone.",
            shown(&wire.metric_name)
        )));
    }
    let threshold = wire.threshold.filter(|it| it.is_finite());
    let threshold = threshold.ok_or_else(|| of("'threshold' is missing.".to_owned()))?;
    let dimensions = wire.dimensions.unwrap_or_default();
    if dimensions.len() > 1 {
        return Err(of(format!("the metric has one dimension, {DIMENSION}.")));
    }
    let mut checked = Vec::with_capacity(dimensions.len());
    for dimension in dimensions {
        if !dimension.name.eq_ignore_ascii_case(DIMENSION) {
            return Err(of(format!(
                "dimension '{}' is none of the metric's, which has {DIMENSION} alone.",
                shown(&dimension.name)
            )));
        }
        if !(1..=MAX_VALUES).contains(&dimension.values.len()) {
            return Err(of(format!(
                "a dimension has 1 to {MAX_VALUES} values, not {}.",
                dimension.values.len()
            )));
        }
        checked.push(Dimension {
            operator: dimension.operator,
            values: dimension.values,
        });
    }
    Ok(Criterion {
        operator: wire.operator,
        threshold,
        aggregation: wire.time_aggregation,
        dimensions: checked,
        name,
    })
}

fn actions(wire: Vec<WireAction>) -> Result<Vec<Action>, Invalid> {
    if wire.len() > MAX_ACTIONS {
        return Err(Invalid::bad(format!(
            "a rule has at most {MAX_ACTIONS} actions."
        )));
    }
    let actions = wire.into_iter().map(|it| {
        if ResourceName::read(ACTION_GROUP, &it.action_group_id).is_none() {
            return Err(Invalid::bad(format!(
                "actionGroupId '{}' is not a valid resource id of a {}.",
                shown(&it.action_group_id),
                ACTION_GROUP
            )));
        }
        Ok(Action {
            group: it.action_group_id,
            properties: it.web_hook_properties.unwrap_or_default(),
        })
    });
    actions.collect()
}
