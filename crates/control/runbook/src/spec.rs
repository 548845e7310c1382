//! What a HumioCluster's specification becomes: pure functions from the one that is there.
//!
//! Whatever is not ours to say stays as it is. Applied twice, each changes nothing more.

use std::collections::BTreeSet;

use backstay_pair::{Derived, EnvVar, EnvironmentField, NodePool, merge_environment};
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
    #[error("{0} is not a valid list of variables; correct the HumioCluster")]
    Variables(String),
    /// A variable that two lists have, with two values.
    #[error(
        "{name} is in spec.commonEnvironmentVariables and, with another value, in {place}, which \
         wins; take it out of one of them"
    )]
    Twice {
        /// The variable.
        name: String,
        /// The list that wins.
        place: String,
    },
    /// A pool that whoever manages the cluster must declare.
    #[error(
        "the HumioCluster declares no pool {0:?}; declare it with nodeCount 0, as Terraform does \
         for a standby, or name another in the pair's file (pools)"
    )]
    NoPool(String),
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

const COMMON: &str = EnvironmentField::Common.as_str();
const OWN: &str = EnvironmentField::Own.as_str();

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
fn variables(
    fields: &Map<String, Value>,
    field: &str,
    place: &str,
) -> Result<Vec<EnvVar>, SpecError> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => serde_json::from_value(list.clone())
            .map_err(|_| SpecError::Variables(format!("{place}.{field}"))),
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

/// The variables of every node, merged with what is wanted: each is changed where it is, what is there
/// stays in its place, and no list is made beside one that is there. What is nowhere goes to the list
/// that the pair's file names (`field`), or to the one that there is.
///
/// # Errors
/// When a list is none; when two lists have a variable of which only one would be changed.
pub fn with_environment(
    spec: &Value,
    wanted: &[EnvVar],
    field: EnvironmentField,
) -> Result<Value, SpecError> {
    let mut spec = object(spec)?;
    let is_there = |name: &str| spec.get(name).is_some_and(|it| !it.is_null());
    let home = match (field, is_there(COMMON), is_there(OWN)) {
        (EnvironmentField::Common, false, true) => EnvironmentField::Own,
        (EnvironmentField::Own, true, false) => EnvironmentField::Common,
        (field, _, _) => field,
    };
    let common = variables(&spec, COMMON, "spec")?;
    let in_common: BTreeSet<&str> = common.iter().map(|it| it.name.as_str()).collect();
    let (shared, rest): (Vec<EnvVar>, Vec<EnvVar>) = wanted
        .iter()
        .cloned()
        .partition(|it| in_common.contains(it.name.as_str()));
    let mut elsewhere = BTreeSet::new();
    let mut change = |place: &str, fields: &mut Map<String, Value>| {
        let own = variables(fields, OWN, place)?;
        let has = |wanted: &&EnvVar| own.iter().any(|it| it.name == wanted.name);
        let hides = |wanted: &EnvVar| own.iter().any(|it| it.name == wanted.name && it != wanted);
        if let Some(twice) = shared.iter().find(|it| hides(it)) {
            return Err(SpecError::Twice {
                name: twice.name.clone(),
                place: format!("{place}.{OWN}"),
            });
        }
        let ours: Vec<EnvVar> = match home {
            EnvironmentField::Own => rest.clone(),
            EnvironmentField::Common => rest.iter().filter(has).cloned().collect(),
        };
        elsewhere.extend(ours.iter().map(|it| it.name.clone()));
        if !ours.is_empty() {
            let merged = merge_environment(&own, &ours);
            fields.insert(OWN.to_owned(), written(&merged)?);
        }
        Ok(())
    };
    change("spec", &mut spec)?;
    each_pool(&mut spec, |name, fields| {
        change(&format!("pool {name:?}"), fields)
    })?;
    let new = rest.into_iter().filter(|it| !elsewhere.contains(&it.name));
    let all: Vec<EnvVar> = shared.into_iter().chain(new).collect();
    if !all.is_empty() {
        let merged = merge_environment(&common, &all);
        spec.insert(COMMON.to_owned(), written(&merged)?);
    }
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
/// they are. With `nodes` of the cluster's own pool. A pool that has no nodes yet, and variables of its
/// own, has an active region's from the beginning, so its pods are made once.
///
/// # Errors
/// When it is no specification.
pub fn grown(spec: &Value, active: &Derived, nodes: u32) -> Result<Value, SpecError> {
    let mut spec = object(spec)?;
    size(&mut spec, active, nodes);
    let has_own_lists = active.environment_field == EnvironmentField::Own
        && spec.get(COMMON).is_none_or(Value::is_null);
    let mut all = pools(&spec)?;
    for wanted in &active.node_pools {
        let there = all.iter_mut().find(|it| pool_name(it) == wanted.name);
        match there {
            Some(pool) => {
                let fields = pool.get_mut("spec").and_then(Value::as_object_mut);
                let fields = fields.ok_or_else(|| SpecError::Pool(wanted.name.clone()))?;
                let nodes_there = fields.get("nodeCount").and_then(Value::as_u64);
                if has_own_lists && nodes_there.unwrap_or_default() == 0 {
                    let there = variables(fields, OWN, &format!("pool {:?}", wanted.name))?;
                    let merged = merge_environment(&there, &active.cluster_environment());
                    fields.insert(OWN.to_owned(), written(&merged)?);
                }
                fields.insert("nodeCount".to_owned(), json!(wanted.node_count));
            }
            // Its disks, its resources and its nodes are Terraform's to say.
            None if active.environment_field == EnvironmentField::Common => {
                return Err(SpecError::NoPool(wanted.name.clone()));
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
        json!({ pool.node_label.key.clone(): pool.node_label.value }),
    );
    let mut wanted = active.cluster_environment();
    wanted.extend(pool.environment());
    let environment = merge_environment(&variables(spec, OWN, "spec")?, &wanted);
    fields.insert(OWN.to_owned(), written(&environment)?);
    Ok(json!({ "name": pool.name, "spec": fields }))
}

/// As few nodes as a standby declares, with its environment. Pools stay, with no nodes.
///
/// # Errors
/// When it is no specification; see [`with_environment`].
pub fn asleep(spec: &Value, standby: &Derived) -> Result<Value, SpecError> {
    let mut spec = object(spec)?;
    each_pool(&mut spec, |_, fields| {
        fields.insert("nodeCount".to_owned(), json!(0));
        Ok(())
    })?;
    size(&mut spec, standby, standby.node_count);
    let wanted = standby.cluster_environment();
    with_environment(&Value::Object(spec), &wanted, standby.environment_field)
}

#[cfg(test)]
mod tests;
