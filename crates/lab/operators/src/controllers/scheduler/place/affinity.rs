//! What a pod demands of its node: `nodeSelector` and the required terms of its affinity. What it only
//! prefers is not looked at.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{Affinity, NodeSelectorRequirement, NodeSelectorTerm};
use kube::core::{Selector, SelectorExt as _};
use serde_json::Value;

use super::Unplaced;

type Labels = BTreeMap<String, String>;

/// All of a selector, and one of the terms, when there are any.
#[derive(Debug, Default)]
pub(super) struct Requirements {
    selector: Labels,
    terms: Option<Vec<NodeSelectorTerm>>,
}

impl Requirements {
    /// From a pod's specification.
    pub(super) fn read(spec: &Value) -> Result<Self, Unplaced> {
        let selector = match spec.get("nodeSelector") {
            None | Some(Value::Null) => Labels::new(),
            Some(selector) => {
                serde_json::from_value(selector.clone()).map_err(Unplaced::Selector)?
            }
        };
        let required = affinity(spec)?
            .node_affinity
            .and_then(|nodes| nodes.required_during_scheduling_ignored_during_execution);
        Ok(Self {
            selector,
            terms: required.map(|required| required.node_selector_terms),
        })
    }

    /// The values that one of `labels` may have, in the order of the specification.
    pub(super) fn named(&self, labels: &[&str]) -> Vec<&str> {
        let selected = labels.iter().filter_map(|label| self.selector.get(*label));
        let expressions = self
            .terms
            .iter()
            .flatten()
            .flat_map(|term| term.match_expressions.iter().flatten())
            .filter(|wanted| wanted.operator == "In" && labels.contains(&wanted.key.as_str()));
        let listed = expressions.flat_map(|wanted| wanted.values.iter().flatten());
        selected.chain(listed).map(String::as_str).collect()
    }

    /// Whether a node with these labels is as the pod demands.
    pub(super) fn hold(&self, labels: &Labels) -> bool {
        let selected = self
            .selector
            .iter()
            .all(|(label, value)| labels.get(label) == Some(value));
        let matched = self
            .terms
            .as_ref()
            .is_none_or(|terms| terms.iter().any(|term| matches(term, labels)));
        selected && matched
    }
}

impl fmt::Display for Requirements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut wanted: Vec<String> = self
            .selector
            .iter()
            .map(|(label, value)| format!("{label}={value}"))
            .collect();
        for term in self.terms.iter().flatten() {
            let all = term.match_expressions.iter().flatten().map(|wanted| {
                let values = wanted.values.as_deref().unwrap_or_default().join(",");
                format!("{} {} ({values})", wanted.key, wanted.operator)
            });
            wanted.push(all.collect::<Vec<_>>().join(" and "));
        }
        f.write_str(&wanted.join("; "))
    }
}

/// A term without any requirement matches nothing
/// (<https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#node-affinity>).
fn matches(term: &NodeSelectorTerm, labels: &Labels) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    // The only field there is: the node's name, which is its host's.
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let name = labels.get("kubernetes.io/hostname");
    expressions
        .iter()
        .all(|wanted| meets(wanted, labels.get(&wanted.key)))
        && fields
            .iter()
            .all(|wanted| wanted.key == "metadata.name" && meets(wanted, name))
}

fn meets(wanted: &NodeSelectorRequirement, value: Option<&String>) -> bool {
    let values = wanted.values.as_deref().unwrap_or_default();
    let listed = value.is_some_and(|value| values.contains(value));
    let number = |text: &String| text.parse::<i64>().ok();
    let compared = || Some((number(value?)?, number(values.first()?)?));
    match wanted.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared().is_some_and(|(value, bound)| value > bound),
        "Lt" => compared().is_some_and(|(value, bound)| value < bound),
        _ => false,
    }
}

/// Pods that a pod is not to share a node with.
#[derive(Debug, Default)]
pub(in crate::controllers::scheduler) struct Apart(Vec<Selector>);

impl Apart {
    /// From a pod's specification. Only what is required, and for each host, is looked at.
    pub(in crate::controllers::scheduler) fn read(spec: &Value) -> Result<Self, Unplaced> {
        let terms = affinity(spec)?
            .pod_anti_affinity
            .and_then(|apart| apart.required_during_scheduling_ignored_during_execution)
            .unwrap_or_default();
        terms
            .into_iter()
            .filter(|term| term.topology_key == "kubernetes.io/hostname")
            .filter_map(|term| term.label_selector)
            .map(|selector| Selector::try_from(selector).map_err(Unplaced::Apart))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(in crate::controllers::scheduler) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a pod with these labels is to be kept away from.
    pub(in crate::controllers::scheduler) fn from(&self, labels: &Labels) -> bool {
        self.0.iter().any(|selector| selector.matches(labels))
    }
}

fn affinity(spec: &Value) -> Result<Affinity, Unplaced> {
    match spec.get("affinity") {
        None | Some(Value::Null) => Ok(Affinity::default()),
        Some(affinity) => serde_json::from_value(affinity.clone()).map_err(Unplaced::Affinity),
    }
}
