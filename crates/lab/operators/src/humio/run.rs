//! One run over a cluster: read, do one thing, read again, until there is nothing to do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backstay_kinds::{HUMIO_OPERATOR, label};
use chrono::Utc;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use kube::runtime::controller::Action;
use serde_json::Value;

use super::plan::{self, Seen, Wanted};
use super::spec::{Pool, pools};
use super::status::{self, PodState, PoolState};
use super::support;
use super::template::{HASH, INSTANCE, Identity, POOL, Template};
use super::tls;
use crate::api::{CLAIM, Exact, HUMIO_CLUSTER, Objects, POD, RunError, text};
use crate::{fingerprint, pod};

/// A run that has not ended after so many steps leaves the rest to the next.
const MAX_STEPS: usize = 64;
const REQUEUE_DELAY: Duration = Duration::from_millis(50);
/// After a specification that could not be followed: what it names may have come.
const REFUSED_DELAY: Duration = Duration::from_secs(2);
/// As humio-operator: `<pool>-core-` and so many letters.
const SUFFIX_LETTERS: usize = 6;

/// A pool as it should be.
struct Desired {
    pool: Pool,
    template: Template,
    revision: i64,
}

impl Desired {
    fn min_ready(&self, hurry: u32) -> Duration {
        let seconds = u64::try_from(self.pool.min_ready).unwrap_or(0);
        Duration::from_secs(seconds) / hurry.max(1)
    }
}

/// What a run needs.
pub(super) struct Operator {
    pub objects: Objects,
    /// Waits that a specification asks for are divided by this.
    pub hurry: u32,
}

pub(super) async fn reconcile(
    known: Arc<DynamicObject>,
    operator: Arc<Operator>,
) -> Result<Action, RunError> {
    let (objects, hurry) = (&operator.objects, operator.hurry);
    let Some(cluster) = objects.fresh(HUMIO_CLUSTER, &known).await? else {
        return Ok(Action::await_change());
    };
    let name = cluster.name_any();
    let generation = cluster.metadata.generation.unwrap_or_default();
    let before = &cluster.data["status"];
    let desired = match pools(&name, &cluster.data["spec"]) {
        Ok(pools) => desired(&name, before, pools),
        Err(why) => return refuse(objects, &cluster, &why.to_string()).await,
    };
    let authority = match tls::is_enabled(&cluster.data["spec"]) {
        false => None,
        true => match tls::ensure(objects, &cluster).await? {
            Ok(authority) => Some(authority),
            Err(why) => return refuse(objects, &cluster, &why.to_string()).await,
        },
    };
    support::ensure(objects, &cluster, desired.iter().map(|it| &it.pool)).await?;

    let mut taken = Vec::new();
    for _ in 0..MAX_STEPS {
        let pods = pods_of(objects, &cluster).await?;
        if let Some(authority) = &authority {
            tls::ensure_nodes(objects, &cluster, authority, &pods).await?;
        }
        let states = states(&desired, &pods, hurry);
        if step(objects, &cluster, &desired, &pods, &states, &mut taken).await? {
            continue;
        }
        let status = status::of(before, generation, &states);
        objects
            .write_status(HUMIO_CLUSTER, &cluster, status)
            .await?;
        return Ok(match next_of_age(&desired, &pods, hurry) {
            Some(rest) => Action::requeue(rest),
            None => Action::await_change(),
        });
    }
    Ok(Action::requeue(REQUEUE_DELAY))
}

/// The specification cannot be followed: nothing but the status says so. Who mends it changes the
/// specification, or a secret of the cluster.
async fn refuse(objects: &Objects, cluster: &DynamicObject, why: &str) -> Result<Action, RunError> {
    let generation = cluster.metadata.generation.unwrap_or_default();
    let status = status::refused(&cluster.data["status"], generation, why);
    objects.write_status(HUMIO_CLUSTER, cluster, status).await?;
    Ok(Action::requeue(REFUSED_DELAY))
}

fn desired(cluster: &str, before: &Value, pools: Vec<Pool>) -> Vec<Desired> {
    let each = pools.into_iter();
    each.map(|pool| {
        let template = Template::new(cluster, &pool);
        let revision = status::revision(before, &pool.name, &template.hash);
        Desired {
            pool,
            template,
            revision,
        }
    })
    .collect()
}

/// All pods that bear the cluster's labels, whoever owns them: one that an older cluster of this
/// name has left still writes.
async fn pods_of(
    objects: &Objects,
    cluster: &DynamicObject,
) -> Result<Vec<DynamicObject>, RunError> {
    let selector = format!(
        "{INSTANCE}={},{}={HUMIO_OPERATOR}",
        cluster.name_any(),
        label::MANAGED_BY
    );
    let namespace = cluster.namespace().unwrap_or_default();
    let how = ListParams::default().labels(&selector);
    objects.list(POD, &namespace, &how).await
}

/// Until when a pod is young, if it is: it has not been ready for `min_ready` yet
/// (`remainingMinReadyWaitTime` in `humiocluster_pod_status.go`).
fn young_for(pod: &DynamicObject, min_ready: Duration) -> Option<Duration> {
    let since = pod::ready_since(pod)?;
    let age = (Utc::now() - since).to_std().unwrap_or_default();
    min_ready.checked_sub(age).filter(|rest| !rest.is_zero())
}

/// When the next pod is no longer young.
fn next_of_age(desired: &[Desired], pods: &[DynamicObject], hurry: u32) -> Option<Duration> {
    let rests = desired.iter().flat_map(|desired| {
        let min_ready = desired.min_ready(hurry);
        pods.iter()
            .filter(|pod| pod::label(pod, POOL) == desired.pool.name)
            .filter_map(move |pod| young_for(pod, min_ready))
    });
    // The condition's time is one of whole seconds.
    rests.min().map(|rest| rest + REQUEUE_DELAY)
}

fn seen(pod: &DynamicObject, min_ready: Duration) -> Seen {
    let life = pod::life(pod);
    let is_young = life == pod::Life::Ready && young_for(pod, min_ready).is_some();
    Seen {
        name: pod.name_any(),
        hash: pod::annotation(pod, HASH).to_owned(),
        life: if is_young { pod::Life::Unready } else { life },
        is_young,
        made: pod::age_rank(pod),
    }
}

fn pod_state(pod: &DynamicObject, min_ready: Duration) -> PodState {
    PodState {
        seen: seen(pod, min_ready),
        image: text(&pod.data, "/spec/containers/0/image").to_owned(),
        node: text(&pod.data, "/spec/nodeName").to_owned(),
        claim: pod::claims(pod).next().unwrap_or_default().to_owned(),
    }
}

fn states(desired: &[Desired], pods: &[DynamicObject], hurry: u32) -> Vec<PoolState> {
    let each = desired.iter();
    each.map(|desired| {
        let name = &desired.pool.name;
        let own = pods.iter().filter(|pod| pod::label(pod, POOL) == name);
        PoolState {
            name: name.clone(),
            wanted: Wanted {
                count: desired.pool.count,
                hash: desired.template.hash.clone(),
                update: desired.pool.update,
                at_a_time: desired.pool.max_unavailable,
            },
            image: desired.template.image().to_owned(),
            revision: desired.revision,
            pods: own
                .map(|pod| pod_state(pod, desired.min_ready(hurry)))
                .collect(),
        }
    })
    .collect()
}

/// What comes next, over all pools. `false` when there is nothing to do.
async fn step(
    objects: &Objects,
    cluster: &DynamicObject,
    desired: &[Desired],
    pods: &[DynamicObject],
    states: &[PoolState],
    taken: &mut Vec<String>,
) -> Result<bool, RunError> {
    let mut doomed: Vec<(&str, &str)> = of_no_pool(desired, pods);
    let pools: Vec<plan::Pool> = states.iter().map(PoolState::pool).collect();
    let step = plan::step(&pools, !doomed.is_empty());
    for (pool, place) in step.delete {
        if let Some(state) = states.get(pool)
            && let Some(pod) = state.pods.get(place)
        {
            let why = if pod.seen.hash == state.wanted.hash {
                "there are more than wanted"
            } else {
                "of an older specification"
            };
            doomed.push((&pod.seen.name, why));
        }
    }
    let missing = step.create.and_then(|pool| desired.get(pool));
    let worked = !doomed.is_empty() || missing.is_some();
    for (name, why) in doomed {
        if let Some(pod) = pods
            .iter()
            .find(|pod| pod.metadata.name.as_deref() == Some(name))
        {
            objects.delete(POD, &Exact::of(pod), why).await?;
        }
    }
    if let Some(desired) = missing {
        create(objects, cluster, desired, pods, taken).await?;
    }
    Ok(worked)
}

/// Pods of pools that are no more.
fn of_no_pool<'a>(desired: &[Desired], pods: &'a [DynamicObject]) -> Vec<(&'a str, &'static str)> {
    let known: BTreeSet<&str> = desired.iter().map(|d| d.pool.name.as_str()).collect();
    pods.iter()
        .filter(|pod| !known.contains(pod::label(pod, POOL)))
        .filter(|pod| pod::life(pod) != pod::Life::Terminating)
        .filter_map(|pod| pod.metadata.name.as_deref())
        .map(|name| (name, "its pool is no more"))
        .collect()
}

/// Makes one pod, and before it the claim of its data.
async fn create(
    objects: &Objects,
    cluster: &DynamicObject,
    desired: &Desired,
    pods: &[DynamicObject],
    taken: &mut Vec<String>,
) -> Result<(), RunError> {
    let namespace = cluster.namespace().unwrap_or_default();
    let mut identity = Identity {
        name: next_name(cluster, &desired.pool.name, pods, taken),
        revision: desired.revision,
        claim: None,
    };
    if let Some(template) = &desired.pool.claim {
        // A pod is called as its claim: so no two ever mount the same, whoever makes them.
        let pool = &desired.pool.name;
        match free_claim(objects, cluster, pool, pods, taken).await? {
            Some(claim) => identity.name = claim,
            None => {
                let name = identity.name.clone();
                let document = desired.template.claim(cluster, &name, template);
                if !objects.create(CLAIM, &namespace, document).await? {
                    // Another operator's just now, and free then; or somebody else's.
                    let claim = objects.get(CLAIM, &namespace, &name).await?;
                    if !claim.is_some_and(|claim| is_of_pool(&claim, pool)) {
                        taken.push(name);
                    }
                    return Ok(());
                }
            }
        }
        identity.claim = Some(identity.name.clone());
    }
    let document = desired.template.pod(cluster, &identity);
    if !objects.create(POD, &namespace, document).await? {
        taken.push(identity.name);
    }
    Ok(())
}

fn next_name(
    cluster: &DynamicObject,
    pool: &str,
    pods: &[DynamicObject],
    taken: &[String],
) -> String {
    let uid = cluster.uid().unwrap_or_default();
    // So that a pod does not come back under the name of one that is gone.
    let version = cluster.resource_version().unwrap_or_default();
    let own = pods.iter().filter(|pod| pod::label(pod, POOL) == pool);
    let uids: Vec<String> = own.filter_map(ResourceExt::uid).collect();
    let seed: Vec<&str> = [uid.as_str(), version.as_str()]
        .into_iter()
        .chain(uids.iter().map(String::as_str))
        .collect();
    fingerprint::name(&format!("{pool}-core-"), SUFFIX_LETTERS, &seed, taken)
}

/// A claim of the pool that no pod mounts: its pod is gone, and another goes on with its data.
async fn free_claim(
    objects: &Objects,
    cluster: &DynamicObject,
    pool: &str,
    pods: &[DynamicObject],
    taken: &[String],
) -> Result<Option<String>, RunError> {
    let namespace = cluster.namespace().unwrap_or_default();
    let how = ListParams::default().labels(&format!("{POOL}={pool}"));
    let claims = objects.list(CLAIM, &namespace, &how).await?;
    let used: BTreeSet<&str> = pods.iter().flat_map(pod::claims).collect();
    let free = claims
        .iter()
        .filter(|claim| is_of_pool(claim, pool))
        .map(ResourceExt::name_any)
        .filter(|name| !used.contains(name.as_str()) && !taken.contains(name));
    Ok(free.min())
}

fn is_of_pool(claim: &DynamicObject, pool: &str) -> bool {
    pod::label(claim, POOL) == pool && claim.metadata.deletion_timestamp.is_none()
}
