//! Which pods of a pod set are made and which deleted next.

use crate::pod::Life;

/// A pod that the set names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub name: String,
    pub revision: String,
}

/// A pod that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub name: String,
    pub revision: String,
    pub life: Life,
}

/// What to do next, by names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub create: Vec<String>,
    pub delete: Vec<String>,
}

impl Plan {
    pub(super) fn is_rest(&self) -> bool {
        self.create.is_empty() && self.delete.is_empty()
    }
}

/// How many of the named pods there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub pods: usize,
    pub ready: usize,
    /// Of the revision that is wanted.
    pub current: usize,
}

pub(super) fn count(named: &[Named], pods: &[Seen]) -> Counts {
    let mut counts = Counts::default();
    for (named, pod) in named
        .iter()
        .filter_map(|named| Some((named, find(pods, named)?)))
    {
        if matches!(pod.life, Life::Ready | Life::Unready) {
            counts.pods += 1;
            counts.ready += usize::from(pod.life == Life::Ready);
            counts.current += usize::from(pod.revision == named.revision);
        }
    }
    counts
}

fn find<'a>(pods: &'a [Seen], named: &Named) -> Option<&'a Seen> {
    pods.iter().find(|pod| pod.name == named.name)
}

/// The next step. A pod of an older revision is replaced when all others are ready, one at a time.
pub(super) fn plan(named: &[Named], pods: &[Seen]) -> Plan {
    let mut plan = Plan::default();
    for pod in pods {
        let is_named = named.iter().any(|named| named.name == pod.name);
        let ended = pod.life == Life::Finished;
        if (ended || !is_named) && pod.life != Life::Terminating {
            plan.delete.push(pod.name.clone());
        }
    }
    let missing = named.iter().filter(|named| find(pods, named).is_none());
    plan.create = missing.map(|named| named.name.clone()).collect();
    if !plan.is_rest() {
        return plan;
    }
    let is_old = |named: &Named, pod: &Seen| pod.revision != named.revision;
    let there: Vec<(&Named, &Seen)> = named
        .iter()
        .filter_map(|named| Some((named, find(pods, named)?)))
        .collect();
    let calm = pods.iter().all(|pod| pod.life != Life::Terminating)
        && there
            .iter()
            .all(|(named, pod)| pod.life == Life::Ready || is_old(named, pod));
    if calm {
        let next = there
            .iter()
            .filter(|(named, pod)| is_old(named, pod))
            .min_by_key(|(_, pod)| pod.life == Life::Ready);
        plan.delete.extend(next.map(|(_, pod)| pod.name.clone()));
    }
    plan
}

#[cfg(test)]
mod tests;
