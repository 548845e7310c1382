//! Which pods of a pool are made and which deleted next.

use super::spec::UpdateType;
use crate::pod::Life;

/// What a pool should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub count: usize,
    pub hash: String,
    pub update: UpdateType,
    /// So many pods are replaced at a time.
    pub at_a_time: usize,
}

/// A pod of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub name: String,
    /// The specification that it was made by.
    pub hash: String,
    /// [`Life::Unready`] as long as it has not been ready for long enough.
    pub life: Life,
    /// It is ready, but not yet for long enough: it is waited for, even if it is to be replaced.
    pub is_young: bool,
    /// When it was made, in seconds.
    pub made: i64,
}

/// What to do next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// So many pods of the wanted hash.
    pub create: usize,
    /// These, by their places.
    pub delete: Vec<usize>,
}

/// Whether a pool is as it should be, except for pods of an older specification. While one is not,
/// no pod is replaced that serves.
pub(super) fn is_settled(wanted: &Wanted, pods: &[Seen]) -> bool {
    pods.len() == wanted.count
        && pods.iter().all(|pod| match pod.life {
            Life::Ready => true,
            Life::Unready => pod.hash != wanted.hash && !pod.is_young,
            Life::Finished | Life::Terminating => false,
        })
}

/// The next step from `pods` to what is wanted. `may_roll`: all other pools are settled.
///
/// A pod that is going takes its place until it is gone. With `ReplaceAllOnUpdate`, no new one
/// comes before all of the older specification are gone.
pub(super) fn plan(wanted: &Wanted, pods: &[Seen], may_roll: bool) -> Plan {
    let is_old = |pod: &Seen| pod.hash != wanted.hash;
    let mut delete = Vec::new();
    let mut kept = Vec::new();
    for (at, pod) in pods.iter().enumerate() {
        match pod.life {
            Life::Terminating => {}
            Life::Finished => delete.push(at),
            _ if is_old(pod) && wanted.update == UpdateType::ReplaceAllOnUpdate => delete.push(at),
            Life::Ready | Life::Unready => kept.push((at, pod)),
        }
    }

    // Too many: those of an older specification go first, then those not ready, then the newest.
    kept.sort_by_key(|(_, pod)| {
        let ready = pod.life == Life::Ready;
        (!is_old(pod), ready, -pod.made, &pod.name)
    });
    let surplus = kept.len().saturating_sub(wanted.count);
    delete.extend(kept.drain(..surplus).map(|(at, _)| at));

    let rolls = wanted.update == UpdateType::RollingUpdate && may_roll;
    if rolls && delete.is_empty() && is_settled(wanted, pods) {
        // The first are those that do not serve, if there are any; then the oldest.
        let mut next = kept;
        next.retain(|(_, pod)| is_old(pod));
        next.sort_by_key(|(_, pod)| (pod.life == Life::Ready, pod.made, &pod.name));
        delete.extend(next.iter().take(wanted.at_a_time).map(|(at, _)| *at));
    }

    let waits = wanted.update == UpdateType::ReplaceAllOnUpdate && pods.iter().any(is_old);
    let create = if waits {
        0
    } else {
        wanted.count.saturating_sub(pods.len())
    };
    Plan { create, delete }
}

/// A pool, and its pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pool {
    pub wanted: Wanted,
    pub pods: Vec<Seen>,
}

/// What to do next over all pools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// These, by the places of pool and pod.
    pub delete: Vec<(usize, usize)>,
    /// The pool that gets a pod.
    pub create: Option<usize>,
}

/// The next step over all pools. `leaving`: there are pods of pools that are no more.
///
/// One pod is made at a time, so that the next is named by what there is then. Pools do not roll
/// at the same time: each waits until all others are settled.
pub(super) fn step(pools: &[Pool], leaving: bool) -> Step {
    let mut step = Step::default();
    let mut rolling = leaving;
    for (at, pool) in pools.iter().enumerate() {
        let mut others = pools.iter().enumerate().filter(|(other, _)| *other != at);
        let may_roll = !rolling && others.all(|(_, other)| is_settled(&other.wanted, &other.pods));
        let plan = plan(&pool.wanted, &pool.pods, may_roll);
        rolling |= !plan.delete.is_empty();
        step.delete
            .extend(plan.delete.into_iter().map(|pod| (at, pod)));
        if plan.create > 0 {
            step.create.get_or_insert(at);
        }
    }
    step
}

#[cfg(test)]
mod tests;
