//! What a cluster says of itself: pure.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::plan::{Pool, Seen, Wanted, is_settled};
use super::spec::UpdateType;
use crate::api::{array, number, text};
use crate::pod::Life;

/// A pool, and what there is of it.
#[derive(Debug, Clone)]
pub(super) struct PoolState {
    pub name: String,
    pub wanted: Wanted,
    pub image: String,
    pub revision: i64,
    pub pods: Vec<PodState>,
}

/// A pod in the status.
#[derive(Debug, Clone)]
pub(super) struct PodState {
    pub seen: Seen,
    pub image: String,
    pub node: String,
    pub claim: String,
}

impl PoolState {
    /// As the plan sees it.
    pub(super) fn pool(&self) -> Pool {
        Pool {
            wanted: self.wanted.clone(),
            pods: self.pods.iter().map(|pod| pod.seen.clone()).collect(),
        }
    }

    fn is_settled(&self) -> bool {
        is_settled(&self.wanted, &self.pool().pods)
    }

    /// Pods of an older specification.
    fn old(&self) -> impl Iterator<Item = &PodState> {
        let hash = &self.wanted.hash;
        self.pods.iter().filter(move |pod| pod.seen.hash != *hash)
    }
}

/// How often the specification of a pool has changed, when its hash is this one now.
pub(super) fn revision(status: &Value, pool: &str, hash: &str) -> i64 {
    let entry = array(status, "/nodePoolStatus")
        .iter()
        .find(|entry| text(entry, "/name") == pool);
    let last = entry
        .and_then(|entry| number(entry, "/desiredPodRevision"))
        .unwrap_or(0);
    let same = entry.is_some_and(|entry| text(entry, "/desiredPodHash") == hash);
    if same { last } else { last.saturating_add(1) }
}

/// The status of a cluster with these pools; `before` is what it said last.
pub(super) fn of(before: &Value, generation: i64, pools: &[PoolState]) -> Value {
    let whole = state(text(before, "/state"), pools);
    let pods = || pools.iter().flat_map(|pool| &pool.pods);
    let alive = pods()
        .filter(|pod| matches!(pod.seen.life, Life::Ready | Life::Unready))
        .count();
    let mut listed: Vec<&PodState> = pods().collect();
    listed.sort_by(|one, other| one.seen.name.cmp(&other.seen.name));
    let listed: Vec<Value> = listed
        .into_iter()
        .map(|pod| {
            let mut entry = json!({ "podName": pod.seen.name, "nodeName": pod.node });
            if !pod.claim.is_empty() {
                entry["pvcName"] = json!(pod.claim);
            }
            entry
        })
        .collect();
    let by_pool: Vec<Value> = pools
        .iter()
        .map(|pool| {
            json!({
                "name": pool.name,
                "state": state(before_of(before, &pool.name), std::slice::from_ref(pool)),
                "desiredPodHash": pool.wanted.hash,
                "desiredPodRevision": pool.revision,
            })
        })
        .collect();
    let mut status = json!({
        "state": whole,
        "message": message(pools),
        "nodeCount": alive,
        "podStatus": listed,
        "nodePoolStatus": by_pool,
        // A text, as humio-operator writes it.
        "observedGeneration": generation.to_string(),
    });
    if let Some(version) = pools.first().and_then(|pool| version(&pool.image)) {
        status["version"] = json!(version);
    }
    status
}

/// The status of a cluster that cannot be followed: what it was, except for this.
pub(super) fn refused(before: &Value, generation: i64, why: &str) -> Value {
    let mut status = match before {
        Value::Object(_) => before.clone(),
        _ => json!({}),
    };
    status["state"] = json!("ConfigError");
    status["message"] = json!(why);
    status["observedGeneration"] = json!(generation.to_string());
    status
}

/// What a pool was said to be last.
fn before_of<'a>(status: &'a Value, pool: &str) -> &'a str {
    let entries = array(status, "/nodePoolStatus");
    let entry = entries.iter().find(|entry| text(entry, "/name") == pool);
    entry.map_or("", |entry| text(entry, "/state"))
}

fn state(before: &str, pools: &[PoolState]) -> &'static str {
    let mut replaced = pools
        .iter()
        .filter(|pool| pool.wanted.update != UpdateType::OnDelete)
        .flat_map(|pool| pool.old().map(move |pod| pod.image != pool.image))
        .peekable();
    if replaced.peek().is_some() {
        return if replaced.any(|image| image) {
            "Upgrading"
        } else {
            "Restarting"
        };
    }
    if pools.iter().all(PoolState::is_settled) {
        return "Running";
    }
    // The old ones are gone and the new ones come: it is still the same.
    match before {
        "Upgrading" => "Upgrading",
        "Restarting" => "Restarting",
        _ => "Pending",
    }
}

fn message(pools: &[PoolState]) -> String {
    let mut told = BTreeSet::new();
    for pool in pools {
        let ready = pool
            .pods
            .iter()
            .filter(|pod| pod.seen.life == Life::Ready)
            .count();
        if !pool.is_settled() {
            let wanted = pool.wanted.count;
            told.insert(format!(
                "pool {}: {ready} of {wanted} pods are ready",
                pool.name
            ));
        }
        let old = pool.old().count();
        if old > 0 {
            let what = match pool.wanted.update {
                UpdateType::OnDelete => "delete them to have them replaced",
                _ => "they are being replaced",
            };
            told.insert(format!(
                "pool {}: {old} are of an older specification; {what}",
                pool.name
            ));
        }
    }
    told.into_iter().collect::<Vec<_>>().join("; ")
}

/// The tag of an image.
fn version(image: &str) -> Option<&str> {
    let name = image.rsplit('/').next()?;
    name.split_once(':').map(|(_, tag)| tag)
}

#[cfg(test)]
mod tests;
