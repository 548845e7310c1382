//! What a HumioCluster's specification becomes: pure functions from the one that is there.
//!
//! Whatever is not ours to say stays as it is. Applied twice, each changes nothing more.

use backstay_pair::{Derived, EnvVar, NodePool, merge_environment};
use serde_json::{Map, Value, json};

/// What of a HumioCluster's specification does not have the form that it has to have. It names places only:
/// values can be credentials.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The whole.
    #[error("spec is not a valid specification: it is not an object; correct the HumioCluster")]
    NotAnObject,
    /// Its pools.
    #[error(
        "spec.nodePools is not a valid list of pools: it is not a list; correct the HumioCluster"
    )]
    Pools,
    /// Variables, of the cluster or of a pool.
    #[error("{0}.environmentVariables is not a valid list of variables; correct the HumioCluster")]
    Variables(String),
    /// A pool.
    #[error("pool {0:?} has no spec; correct the HumioCluster")]
    Pool(String),
    /// Variables that cannot be written.
    #[error("variables cannot be written: {0}")]
    Unwritten(#[from] serde_json::Error),
}

/// What a new pool takes over from the cluster's own: what a node is like. humio-operator lets no
/// pool inherit it (`HumioNodeSpec`, <https://github.com/humio/humio-operator/blob/master/docs/api.md>).
const NODE: &[&str] = &[
    "affinity",
    "containerLivenessProbe",
    "containerReadinessProbe",
    "containerSecurityContext",
    "containerStartupProbe",
    "dataVolumePersistentVolumeClaimPolicy",
    "dataVolumePersistentVolumeClaimSpecTemplate",
    "dataVolumeSource",
    "disableInitContainer",
    "environmentVariablesSource",
    "extraHumioVolumeMounts",
    "extraVolumes",
    "helperImage",
    "humioServiceAccountName",
    "image",
    "imagePullPolicy",
    "imagePullSecrets",
    "imageSource",
    "initServiceAccountName",
    "podAnnotations",
    "podLabels",
    "podSecurityContext",
    "priorityClassName",
    "resources",
    "shareProcessNamespace",
    "sidecarContainer",
    "terminationGracePeriodSeconds",
    "tolerations",
    "updateStrategy",
];

/// The variable that says what a pool's nodes do.
const ROLES: &str = "NODE_ROLES";

fn object(spec: &Value) -> Result<Map<String, Value>, SpecError> {
    match spec {
        Value::Object(fields) => Ok(fields.clone()),
        _ => Err(SpecError::NotAnObject),
    }
}

fn pools(spec: &Map<String, Value>) -> Result<Vec<Value>, SpecError> {
    match spec.get("nodePools") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(pools)) => Ok(pools.clone()),
        Some(_) => Err(SpecError::Pools),
    }
}

fn pool_name(pool: &Value) -> &str {
    pool.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// A list of variables. What serde says of a wrong one could quote it.
fn variables(fields: &Map<String, Value>, place: &str) -> Result<Vec<EnvVar>, SpecError> {
    match fields.get("environmentVariables") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => {
            serde_json::from_value(list.clone()).map_err(|_| SpecError::Variables(place.to_owned()))
        }
    }
}

fn written(list: &[EnvVar]) -> Result<Value, SpecError> {
    Ok(serde_json::to_value(list)?)
}

fn set_strategy(fields: &mut Map<String, Value>) {
    let mut strategy = match fields.get("updateStrategy") {
        Some(Value::Object(strategy)) => strategy.clone(),
        _ => Map::new(),
    };
    strategy.insert("type".to_owned(), json!("RollingUpdate"));
    fields.insert("updateStrategy".to_owned(), Value::Object(strategy));
}

/// Pods are replaced one by one.
///
/// # Errors
/// When it is no specification.
pub fn rolling(spec: &Value) -> Result<Value, SpecError> {
    let mut spec = object(spec)?;
    set_strategy(&mut spec);
    each_pool(&mut spec, |_, fields| {
        set_strategy(fields);
        Ok(())
    })?;
    Ok(Value::Object(spec))
}

fn each_pool(
    spec: &mut Map<String, Value>,
    mut change: impl FnMut(&str, &mut Map<String, Value>) -> Result<(), SpecError>,
) -> Result<(), SpecError> {
    let mut all = pools(spec)?;
    if all.is_empty() {
        return Ok(());
    }
    for pool in &mut all {
        let name = pool_name(pool).to_owned();
        let fields = pool.get_mut("spec").and_then(Value::as_object_mut);
        let fields = fields.ok_or_else(|| SpecError::Pool(name.to_owned()))?;
        change(&name, fields)?;
    }
    spec.insert("nodePools".to_owned(), Value::Array(all));
    Ok(())
}

/// The variables of every pool, merged with what is wanted: no name twice, what is there stays in
/// its place.
///
/// # Errors
/// When a list is none.
pub fn with_environment(spec: &Value, wanted: &[EnvVar]) -> Result<Value, SpecError> {
    let mut spec = object(spec)?;
    let own = merge_environment(&variables(&spec, "spec")?, wanted);
    spec.insert("environmentVariables".to_owned(), written(&own)?);
    each_pool(&mut spec, |name, fields| {
        let there = variables(fields, &format!("pool {name:?}"))?;
        let merged = merge_environment(&there, wanted);
        fields.insert("environmentVariables".to_owned(), written(&merged)?);
        Ok(())
    })?;
    Ok(Value::Object(spec))
}

fn size(spec: &mut Map<String, Value>, derived: &Derived, nodes: u32) {
    let factor = derived.target_replication_factor;
    let rebalance = derived.auto_rebalance_partitions;
    spec.insert("nodeCount".to_owned(), json!(nodes));
    spec.insert("targetReplicationFactor".to_owned(), json!(factor));
    spec.insert("autoRebalancePartitions".to_owned(), json!(rebalance));
}

/// As many nodes and pools as an active region has; the variables of nodes that are there stay as
/// they are. With `nodes` of the cluster's own pool.
///
/// # Errors
/// When it is no specification.
pub fn grown(spec: &Value, active: &Derived, nodes: u32) -> Result<Value, SpecError> {
    let mut spec = object(spec)?;
    size(&mut spec, active, nodes);
    let mut all = pools(&spec)?;
    for wanted in &active.node_pools {
        let there = all.iter_mut().find(|it| pool_name(it) == wanted.name);
        match there {
            Some(pool) => {
                let fields = pool.get_mut("spec").and_then(Value::as_object_mut);
                let name = wanted.name;
                let fields = fields.ok_or_else(|| SpecError::Pool(name.to_owned()))?;
                fields.insert("nodeCount".to_owned(), json!(wanted.node_count));
            }
            None => all.push(new_pool(&spec, wanted, active)?),
        }
    }
    if !all.is_empty() {
        spec.insert("nodePools".to_owned(), Value::Array(all));
    }
    Ok(Value::Object(spec))
}

fn new_pool(
    spec: &Map<String, Value>,
    pool: &NodePool,
    active: &Derived,
) -> Result<Value, SpecError> {
    let of_a_node = spec
        .iter()
        .filter(|(name, _)| NODE.contains(&name.as_str()));
    let mut fields: Map<String, Value> = of_a_node
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    fields.insert("nodeCount".to_owned(), json!(pool.node_count));
    fields.insert(
        "nodeSelector".to_owned(),
        json!({ "agentpool": pool.agent_pool }),
    );
    // It has what an active region's nodes have from the beginning, so it is made once.
    let mut wanted = active.cluster_environment();
    wanted.push(EnvVar::value(ROLES, pool.node_roles));
    let environment = merge_environment(&variables(spec, "spec")?, &wanted);
    fields.insert("environmentVariables".to_owned(), written(&environment)?);
    Ok(json!({ "name": pool.name, "spec": fields }))
}

/// As few nodes and pools as a standby declares, with its environment.
///
/// # Errors
/// When it is no specification.
pub fn asleep(spec: &Value, standby: &Derived) -> Result<Value, SpecError> {
    let mut spec = object(spec)?;
    if spec.contains_key("nodePools") {
        spec.insert("nodePools".to_owned(), json!([]));
    }
    size(&mut spec, standby, standby.node_count);
    with_environment(&Value::Object(spec), &standby.cluster_environment())
}

#[cfg(test)]
mod tests;
