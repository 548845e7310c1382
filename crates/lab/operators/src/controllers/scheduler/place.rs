//! Which node a pod gets.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::controllers::ControllerOptions;

/// AKS' label of a node's pool, and the old one that is as common
/// (<https://learn.microsoft.com/azure/aks/use-labels>).
const POOL: [&str; 2] = ["agentpool", "kubernetes.azure.com/agentpool"];
/// What AKS allows for a Linux pool: letters and digits, a letter first. It allows twelve; names
/// of the runbook are longer, so a node's name sets the limit here.
const MAX_POOL_NAME_BYTES: usize = 40;

/// A node, there or to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::controllers) struct Place {
    pub node: String,
    pub labels: BTreeMap<String, String>,
}

/// Why a pod gets no node. The texts end in its condition, where Kubernetes' own scheduler has them.
#[derive(Debug, thiserror::Error)]
pub(in crate::controllers) enum Unplaced {
    #[error("spec.nodeSelector: {0}; quote the values")]
    Selector(#[source] serde_json::Error),
    #[error(
        "spec.nodeSelector: {0:?} cannot be a node pool; use lower case letters and digits, a letter first, at most {MAX_POOL_NAME_BYTES}"
    )]
    Pool(String),
    #[error(
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector: no node of pool {pool} has {label}"
    )]
    NoNode { pool: String, label: String },
}

/// The node for a pod with this `nodeSelector`, or why there can be none.
pub(in crate::controllers) fn choose(
    selector: Option<&Value>,
    options: &ControllerOptions,
) -> Result<Place, Unplaced> {
    let wanted: BTreeMap<String, String> = match selector {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(selector) => serde_json::from_value(selector.clone()).map_err(Unplaced::Selector)?,
    };
    let pool = POOL
        .iter()
        .find_map(|label| wanted.get(*label))
        .unwrap_or(&options.default_pool);
    let fits = pool.len() <= MAX_POOL_NAME_BYTES
        && pool
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase())
        && pool
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !fits {
        return Err(Unplaced::Pool(pool.clone()));
    }
    let place = node(pool, &options.region);
    let missing = wanted
        .iter()
        .find(|(key, value)| place.labels.get(*key) != Some(value));
    match missing {
        None => Ok(place),
        Some((key, value)) => Err(Unplaced::NoNode {
            pool: pool.clone(),
            label: format!("{key}={value}"),
        }),
    }
}

fn node(pool: &str, region: &str) -> Place {
    let node = format!("aks-{pool}-0");
    let mut labels = BTreeMap::from([
        ("kubernetes.io/hostname".to_owned(), node.clone()),
        ("kubernetes.io/os".to_owned(), "linux".to_owned()),
        (
            "topology.kubernetes.io/region".to_owned(),
            region.to_owned(),
        ),
        (super::nodes::MADE.to_owned(), "true".to_owned()),
    ]);
    for label in POOL {
        labels.insert(label.to_owned(), pool.to_owned());
    }
    Place { node, labels }
}

#[cfg(test)]
mod tests;
