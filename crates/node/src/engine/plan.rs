//! Who should own which partition, and who is alive: decisions without I/O.
//!
//! Every host computes the same assignment from the same state, so that in the usual case nobody
//! races. Where two hosts judge differently (each has its own clock), both may try to take a
//! partition; the journal's terms decide, and nothing is lost either way.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// The owner that each partition should have: orphans go to the hosts with the fewest, then
/// partitions move from the fullest to the emptiest host until they differ by one at most.
///
/// `partitions` are (id, present owner); an owner that is not in `hosts` counts as dead. Without
/// hosts nothing is assigned.
pub(crate) fn assign<'a>(
    partitions: &[(u32, Option<&'a str>)],
    hosts: &BTreeSet<&'a str>,
) -> BTreeMap<u32, &'a str> {
    let mut held: BTreeMap<&str, BTreeSet<u32>> =
        hosts.iter().map(|host| (*host, BTreeSet::new())).collect();
    let mut orphans = BTreeSet::new();
    for (id, owner) in partitions {
        match owner.and_then(|owner| held.get_mut(owner)) {
            Some(of_owner) => of_owner.insert(*id),
            None => orphans.insert(*id),
        };
    }
    for id in orphans {
        // The first of the smallest: ties go by name, the same for everybody.
        if let Some((_, smallest)) = held.iter_mut().min_by_key(|(_, of)| of.len()) {
            smallest.insert(id);
        }
    }
    loop {
        let smallest = held.iter().min_by_key(|(_, of)| of.len());
        let largest = held.iter().rev().max_by_key(|(_, of)| of.len());
        let (Some((to, few)), Some((from, many))) = (smallest, largest) else {
            break;
        };
        if many.len() <= few.len() + 1 {
            break;
        }
        let (to, from) = (*to, *from);
        let Some(moved) = held.get_mut(from).and_then(BTreeSet::pop_last) else {
            break;
        };
        held.entry(to).or_default().insert(moved);
    }
    held.into_iter()
        .flat_map(|(host, ids)| ids.into_iter().map(move |id| (id, host)))
        .collect()
}

/// What a host says of itself in `global`, by which others see that it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sign {
    /// Which start of the host.
    pub(crate) incarnation: String,
    /// Counts its heartbeats.
    pub(crate) counter: u64,
}

/// Judges by the observer's own monotonic clock who is alive: a host whose sign has not changed
/// for a lease, as *this* observer saw it, is dead. Nobody's wall clock matters.
#[derive(Debug)]
pub(crate) struct Leases {
    lease: Duration,
    seen: HashMap<String, (Sign, Instant)>,
    last_look: Option<Instant>,
}

impl Leases {
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            lease,
            seen: HashMap::new(),
            last_look: None,
        }
    }

    /// Looks at the hosts as they are in a state just refreshed; answers with the dead ones.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        hosts: impl IntoIterator<Item = (String, Sign)>,
    ) -> BTreeSet<String> {
        // An observer that was itself asleep or cut off has seen nobody: it must not conclude
        // that everybody else is dead.
        let asleep = self
            .last_look
            .is_some_and(|last| now.saturating_duration_since(last) > self.lease / 2);
        self.last_look = Some(now);
        let before = std::mem::take(&mut self.seen);
        let mut dead = BTreeSet::new();
        for (host, sign) in hosts {
            let since = match before.get(&host) {
                Some((old, since)) if *old == sign && !asleep => *since,
                _ => now,
            };
            if now.saturating_duration_since(since) >= self.lease {
                dead.insert(host.clone());
            }
            self.seen.insert(host, (sign, since));
        }
        dead
    }
}

#[cfg(test)]
mod tests;
