//! A `HumioCluster`'s specification, read and checked.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::invalid::{Invalid, Problem};

/// More nodes than this in a pool are taken for a slip of the hand.
const MAX_NODES: usize = 1000;
/// A label's value may have 63 characters.
const MAX_POOL_NAME_BYTES: usize = 63;
/// What runs when the specification names no image.
const IMAGE: &str = "backstay/node";
/// How pods of an older specification are replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) enum UpdateType {
    /// All at once.
    #[default]
    ReplaceAllOnUpdate,
    /// Some at a time, the next when all others are ready.
    #[serde(alias = "RollingUpdateBestEffort")]
    RollingUpdate,
    /// When somebody deletes them.
    OnDelete,
}

/// What each pod of a pool is like; fields as humio-operator calls them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeSpec {
    node_count: Option<i64>,
    image: Option<String>,
    image_pull_policy: Option<String>,
    update_strategy: Option<UpdateStrategy>,
    node_selector: Option<BTreeMap<String, String>>,
    affinity: Option<Value>,
    tolerations: Option<Value>,
    resources: Option<Value>,
    data_volume_source: Option<Map<String, Value>>,
    data_volume_persistent_volume_claim_spec_template: Option<Map<String, Value>>,
    humio_service_account_name: Option<String>,
    termination_grace_period_seconds: Option<i64>,
    pod_labels: Option<BTreeMap<String, String>>,
    pod_annotations: Option<BTreeMap<String, String>>,
    container_readiness_probe: Option<Value>,
    node_pool_features: Option<Features>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateStrategy {
    #[serde(default, rename = "type")]
    kind: UpdateType,
    min_ready_seconds: Option<i64>,
    max_unavailable: Option<Value>,
}

/// For which requests of the operator a pool's nodes may be used.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Features {
    #[serde(rename = "allowedAPIRequestTypes")]
    allowed_api_request_types: Option<Vec<String>>,
}

/// A pool of nodes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pool {
    /// The value of its pods' label, and how their names begin.
    pub name: String,
    pub count: usize,
    pub update: UpdateType,
    /// So many pods may be replaced at a time, one at least.
    pub max_unavailable: usize,
    /// Seconds for which a pod must have been ready before it counts.
    pub min_ready: i64,
    pub image: String,
    pub image_pull_policy: Option<String>,
    /// Its own, then those common ones that it has not itself.
    pub environment: Vec<Value>,
    pub environment_from: Option<Vec<Value>>,
    pub node_selector: Option<BTreeMap<String, String>>,
    pub affinity: Option<Value>,
    pub tolerations: Option<Value>,
    pub resources: Option<Value>,
    /// The volume of its data, unless each pod has a claim.
    pub data: Option<Map<String, Value>>,
    /// What each pod's claim asks for.
    pub claim: Option<Map<String, Value>>,
    pub service_account: Option<String>,
    /// Seconds that a node is given to end; it writes what it has by then.
    pub grace: i64,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Instead of the operator's own.
    pub readiness_probe: Option<Value>,
    /// The operator's own requests may go to its nodes.
    pub is_internal: bool,
    /// Its nodes speak TLS: what the whole cluster does.
    pub tls: bool,
}

/// The value of `nodePoolFeatures.allowedAPIRequestTypes`, and of the label that it becomes.
pub(super) const INTERNAL: &str = "OperatorInternal";

/// The pools of a cluster, or why there are none, in words for whoever wrote the specification.
///
/// Each pool is as it says itself; of the cluster it takes over the common variables and nothing else
/// (`NewHumioNodeManagerFromHumioNodePool` in `humiocluster_defaults.go`).
pub(super) fn pools(cluster: &str, spec: &Value) -> Result<Vec<Pool>, Invalid> {
    let Some(whole) = spec.as_object() else {
        return Err(Problem::Missing("give it at least nodeCount").at("spec"));
    };
    let common = list(whole, "spec.commonEnvironmentVariables")?;
    check_environment("spec.commonEnvironmentVariables", &common)?;
    let own = list(whole, "spec.environmentVariables")?;
    check_environment("spec.environmentVariables", &own)?;
    // Only of this list; of the others the later value wins, as it does in a container.
    if let Some(name) = twice(&own) {
        return Err(Problem::VariableTwice(name).at("spec.environmentVariables"));
    }
    let extra = list(whole, "spec.nodePools")?;
    let mut pools = vec![pool(cluster.to_owned(), "spec", whole.clone(), &common)?];
    let mut names = BTreeSet::new();
    for (at, entry) in extra.iter().enumerate() {
        let place = format!("spec.nodePools[{at}]");
        let name = entry
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !is_label(name) {
            return Err(Problem::Name(name.to_owned()).at(format!("{place}.name")));
        }
        if !names.insert(name) {
            return Err(Problem::PoolTwice(name.to_owned()).at(format!("{place}.name")));
        }
        let fields = match entry.get("spec") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(fields)) => fields.clone(),
            Some(_) => return Err(Problem::NotAnObject.at(format!("{place}.spec"))),
        };
        let name = format!("{cluster}-{name}");
        pools.push(pool(name, &format!("{place}.spec"), fields, &common)?);
    }
    let tls = super::tls::is_enabled(spec);
    pools.iter_mut().for_each(|pool| pool.tls = tls);
    Ok(pools)
}

/// What is in the list is not told when it is none: it may be a key.
fn list(spec: &Map<String, Value>, place: &str) -> Result<Vec<Value>, Invalid> {
    let field = place.rsplit('.').next().unwrap_or_default();
    match spec.get(field) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => Ok(list.clone()),
        Some(_) => Err(Problem::NotAList.at(place)),
    }
}

fn pool(
    name: String,
    place: &str,
    fields: Map<String, Value>,
    common: &[Value],
) -> Result<Pool, Invalid> {
    if name.len() > MAX_POOL_NAME_BYTES || !is_label(&name) {
        let most = MAX_POOL_NAME_BYTES;
        return Err(Problem::PoolLabel { name, most }.at("metadata.name"));
    }
    let own = list(&fields, &format!("{place}.environmentVariables"))?;
    check_environment(&format!("{place}.environmentVariables"), &own)?;
    let sources = list(&fields, &format!("{place}.environmentVariablesSource"))?;
    let spec: NodeSpec = crate::api::read(place, Value::Object(fields))?;
    // As the CustomResourceDefinition has it.
    let count = spec.node_count.unwrap_or(0);
    let count = usize::try_from(count)
        .ok()
        .filter(|count| *count <= MAX_NODES)
        .ok_or_else(|| {
            let (least, most) = (0, MAX_NODES);
            Problem::Count { count, least, most }.at(format!("{place}.nodeCount"))
        })?;
    let claim = spec
        .data_volume_persistent_volume_claim_spec_template
        .filter(|template| !template.is_empty());
    let data = spec.data_volume_source.filter(|source| !source.is_empty());
    if claim.is_some() && data.is_some() {
        return Err(Problem::DataTwice.at(format!("{place}.dataVolumeSource")));
    }
    let update = spec.update_strategy.unwrap_or_default();
    let max_unavailable = max_unavailable(update.max_unavailable.as_ref(), count)
        .ok_or_else(|| Problem::Amount.at(format!("{place}.updateStrategy.maxUnavailable")))?;
    let features = spec.node_pool_features.unwrap_or_default();
    Ok(Pool {
        name,
        count,
        update: update.kind,
        max_unavailable,
        min_ready: update.min_ready_seconds.unwrap_or(0).max(0),
        image: spec
            .image
            .filter(|image| !image.is_empty())
            .unwrap_or_else(|| IMAGE.to_owned()),
        image_pull_policy: spec.image_pull_policy,
        environment: merged(common, own),
        environment_from: (!sources.is_empty()).then_some(sources),
        node_selector: spec.node_selector,
        affinity: spec.affinity,
        tolerations: spec.tolerations,
        resources: spec.resources,
        data,
        claim,
        service_account: spec.humio_service_account_name,
        // As humio-operator.
        grace: spec.termination_grace_period_seconds.unwrap_or(300).max(0),
        labels: spec.pod_labels.unwrap_or_default(),
        annotations: spec.pod_annotations.unwrap_or_default(),
        readiness_probe: spec
            .container_readiness_probe
            .filter(|probe| !probe.is_null()),
        is_internal: features
            .allowed_api_request_types
            .is_none_or(|allowed| allowed.iter().any(|kind| kind == INTERNAL)),
        tls: false,
    })
}

/// How many pods may be away at a time: rounded down, and one at least, so that even the only pod of a
/// pool is replaced (`getPodsStatus` in `humiocluster_pod_status.go`).
fn max_unavailable(amount: Option<&Value>, count: usize) -> Option<usize> {
    let scaled = match amount {
        None | Some(Value::Null) => 1,
        Some(Value::Number(number)) => usize::try_from(number.as_u64()?).ok()?,
        Some(Value::String(text)) => {
            let percent: u32 = text.strip_suffix('%')?.parse().ok()?;
            count.checked_mul(usize::try_from(percent).ok()?)? / 100
        }
        Some(_) => return None,
    };
    Some(scaled.max(1))
}

/// A pool's own variable hides the common one of its name (`mergeEnvVars` in
/// `humiocluster_controller.go`).
fn merged(common: &[Value], mut own: Vec<Value>) -> Vec<Value> {
    let hidden: BTreeSet<String> = own.iter().map(|v| variable_name(v).to_owned()).collect();
    let shown = common.iter().filter(|v| !hidden.contains(variable_name(v)));
    own.extend(shown.cloned());
    own
}

/// A name that is there more than once.
fn twice(list: &[Value]) -> Option<String> {
    let mut names = BTreeSet::new();
    let again = list
        .iter()
        .map(variable_name)
        .find(|name| !names.insert(*name));
    again.map(str::to_owned)
}

/// The name of an environment variable.
pub(super) fn variable_name(variable: &Value) -> &str {
    crate::api::text(variable, "/name")
}

/// What the API refuses already, as long as there is a definition of the kind.
fn check_environment(place: &str, list: &[Value]) -> Result<(), Invalid> {
    for (at, variable) in list.iter().enumerate() {
        let name = variable_name(variable);
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Problem::VariableName.at(format!("{place}[{at}]")));
        }
        let is_text = |value: Option<&Value>| value.is_none_or(|v| v.is_string() || v.is_null());
        if !is_text(variable.get("value")) {
            return Err(Problem::VariableValue(name.to_owned()).at(place));
        }
        let source = variable.get("valueFrom");
        if !source.is_none_or(|source| source.is_object() || source.is_null()) {
            return Err(Problem::VariableSource(name.to_owned()).at(place));
        }
    }
    Ok(())
}

/// Fit for a part of a pod's name and for a label.
fn is_label(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !name.is_empty()
        && name.bytes().all(|byte| inside(byte) || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests;
