//! Which node a pod gets.

mod affinity;

use std::collections::BTreeMap;

use kube::api::DynamicObject;
use serde_json::Value;

use crate::controllers::ControllerOptions;
pub(super) use affinity::Apart;
use affinity::Requirements;

/// AKS' label of a node's pool, and the old one that is as common
/// (<https://learn.microsoft.com/azure/aks/use-labels>).
const POOL: [&str; 2] = ["agentpool", "kubernetes.azure.com/agentpool"];
/// The label by which the vendor's Terraform tells its node pools apart, and its values.
const ROLE: &str = "k8s-app";
/// The vendor's node pools, and what each is for.
const POOLS: [(&str, &str); 6] = [
    ("lssysnode", "support"),
    ("lsdigestnode", "logscale-digest"),
    ("lsnginxnode", "logscale-ingress"),
    ("lsuinode", "logscale-ui"),
    ("lsingestnode", "logscale-ingest"),
    ("strimzinode", "strimzi"),
];
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
    #[error("spec.affinity: {0}")]
    Affinity(#[source] serde_json::Error),
    #[error("spec.affinity.podAntiAffinity: {0}")]
    Apart(#[source] kube::core::ParseExpressionError),
    #[error(
        "spec.nodeSelector: {0:?} cannot be a node pool; use lower case letters and digits, a letter first, at most {MAX_POOL_NAME_BYTES}"
    )]
    Pool(String),
    #[error(
        "0/{pools} nodes are available: {pools} node(s) didn't match Pod's node affinity/selector: no node of a pool has {wanted}"
    )]
    NoNode { pools: usize, wanted: String },
}

/// The node pool for a pod of this specification, or why there can be none: the one that it names,
/// else the first that has all labels that it asks for.
pub(in crate::controllers) fn choose(
    spec: &Value,
    options: &ControllerOptions,
) -> Result<String, Unplaced> {
    let asked = Requirements::read(spec)?;
    let named = asked.named(&POOL);
    if let Some(odd) = named.iter().find(|pool| !can_be_pool(pool)) {
        return Err(Unplaced::Pool((*odd).to_owned()));
    }
    let known = POOLS.iter().map(|(pool, _)| *pool);
    let candidates: Vec<&str> = named
        .into_iter()
        .chain([options.default_pool.as_str()])
        .chain(known)
        .collect();
    let fits = |pool: &&&str| asked.hold(&labels(pool, 0, &options.region));
    match candidates.iter().find(fits) {
        Some(pool) => Ok((*pool).to_owned()),
        None => Err(Unplaced::NoNode {
            pools: candidates.len(),
            wanted: asked.to_string(),
        }),
    }
}

/// The first node of a pool where no pod keeps this one away. `taken` are the nodes of those who do.
pub(in crate::controllers) fn node(pool: &str, taken: &[&str], region: &str) -> Place {
    let mut number = 0;
    while taken.contains(&name(pool, number).as_str()) {
        number += 1;
    }
    Place {
        node: name(pool, number),
        labels: labels(pool, number, region),
    }
}

/// Whether a node is one of this pool.
pub(in crate::controllers) fn is_of_pool(node: &DynamicObject, pool: &str) -> bool {
    crate::pod::label(node, POOL[0]) == pool
}

fn name(pool: &str, number: usize) -> String {
    format!("aks-{pool}-{number}")
}

fn labels(pool: &str, number: usize, region: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from(
        [
            ("kubernetes.io/hostname", name(pool, number)),
            ("kubernetes.io/os", "linux".to_owned()),
            // What the vendor's node pools are, whatever machine the lab runs on.
            ("kubernetes.io/arch", "amd64".to_owned()),
            ("topology.kubernetes.io/region", region.to_owned()),
            ("topology.kubernetes.io/zone", format!("{region}-1")),
            (super::nodes::MADE, "true".to_owned()),
        ]
        .map(|(label, value)| (label.to_owned(), value)),
    );
    for label in POOL {
        labels.insert(label.to_owned(), pool.to_owned());
    }
    if let Some((_, role)) = POOLS.iter().find(|(known, _)| *known == pool) {
        labels.insert(ROLE.to_owned(), (*role).to_owned());
    }
    labels
}

fn can_be_pool(name: &str) -> bool {
    let mut bytes = name.bytes();
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= MAX_POOL_NAME_BYTES
        && bytes.next().is_some_and(|byte| byte.is_ascii_lowercase())
        && bytes.all(inside)
}

#[cfg(test)]
mod tests;
