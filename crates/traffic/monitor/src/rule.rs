//! Metric alerts as they are configured, and what of a profile they look at.
//!
//! Sources: <https://learn.microsoft.com/rest/api/monitor/metric-alerts/create-or-update>
//! (api-version 2018-03-01) for the names;
//! <https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-network-trafficmanagerprofiles-metrics>
//! and <https://learn.microsoft.com/azure/traffic-manager/traffic-manager-metrics-alerts> for the
//! metric and its one dimension: 1 if an endpoint is up, 0 if it is down, and as an average over
//! all endpoints when it is not split by them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::period::Period;
use backstay_resource::ResourceName;

/// The metric that there is.
pub(super) const METRIC: &str = "ProbeAgentCurrentEndpointStateByProfileResourceId";
/// Its one dimension.
pub(super) const DIMENSION: &str = "EndpointName";

/// A metric alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetricAlert {
    pub(crate) id: ResourceName,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) description: String,
    pub(super) severity: u8,
    pub(super) enabled: bool,
    /// Resource ids of profiles, in the client's words.
    pub(super) scopes: Vec<String>,
    pub(super) frequency: Period,
    pub(super) window: Period,
    pub(super) style: Style,
    pub(super) criteria: Vec<Criterion>,
    /// Whether an alert resolves by itself. One that does not is fired again at each evaluation.
    pub(super) auto_mitigate: bool,
    pub(super) actions: Vec<Action>,
    pub(super) target_type: Option<String>,
    pub(super) target_region: Option<String>,
}

/// How many resources it is about (`odata.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Style {
    SingleResourceMultipleMetricCriteria,
    MultipleResourceMultipleMetricCriteria,
}

impl Style {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::SingleResourceMultipleMetricCriteria => "SingleResourceMultipleMetricCriteria",
            Self::MultipleResourceMultipleMetricCriteria => {
                "MultipleResourceMultipleMetricCriteria"
            }
        }
    }
}

/// One condition; all of a rule's must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Criterion {
    pub(super) name: String,
    pub(super) operator: Operator,
    pub(super) threshold: f64,
    pub(super) aggregation: Aggregation,
    pub(super) dimensions: Vec<Dimension>,
}

/// How a value is compared with the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Operator {
    Equals,
    NotEquals,
    GreaterThan,
    GreaterThanOrEqual,
    LessThan,
    LessThanOrEqual,
}

impl Operator {
    pub(super) fn holds(self, value: f64, threshold: f64) -> bool {
        // Values are zeroes and ones, their sums, and quotients of those.
        let same = (value - threshold).abs() < 1e-9;
        match self {
            Self::Equals => same,
            Self::NotEquals => !same,
            Self::GreaterThan => value > threshold && !same,
            Self::GreaterThanOrEqual => value > threshold || same,
            Self::LessThan => value < threshold && !same,
            Self::LessThanOrEqual => value < threshold || same,
        }
    }
}

/// What is made of all values in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Aggregation {
    Average,
    Count,
    Minimum,
    Maximum,
    Total,
}

/// Which endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dimension {
    pub(super) operator: Choice,
    /// Names of endpoints; `*` is each.
    pub(super) values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Choice {
    Include,
    Exclude,
}

/// Whom to tell, and what to tell besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Action {
    /// The action group's resource id, in the client's words.
    pub(super) group: String,
    pub(super) properties: BTreeMap<String, String>,
}

impl Dimension {
    fn selects(&self, endpoint: &str) -> bool {
        let mut values = self.values.iter();
        let named = values.any(|it| it == "*" || it.eq_ignore_ascii_case(endpoint));
        named == (self.operator == Choice::Include)
    }

    /// The one endpoint it names, if it does name just one.
    pub(super) fn one(&self) -> Option<&str> {
        match (self.operator, self.values.as_slice()) {
            (Choice::Include, [one]) if one != "*" => Some(one),
            _ => None,
        }
    }
}

impl Criterion {
    pub(super) fn selects(&self, endpoint: &str) -> bool {
        self.dimensions.iter().all(|it| it.selects(endpoint))
    }
}

impl MetricAlert {
    /// Whether each endpoint is watched for itself. With several criteria it is not: each of them
    /// then names one endpoint or means all together.
    pub(super) fn splits(&self) -> bool {
        match self.criteria.as_slice() {
            [one] => !one.dimensions.is_empty(),
            _ => false,
        }
    }
}
