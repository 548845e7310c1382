//! Who should own which partition, and who is alive: decisions without I/O.
//!
//! Every host computes the same assignment from the same state, so that in the usual case nobody
//! races. Where two hosts judge differently (each has its own clock), both may try to take a
//! partition; the journal's terms decide, and nothing is lost either way.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// Who takes partitions of those that could: each with whether it stays. Where all are to go, somebody
/// must take them all the same.
pub(crate) fn takers<'a>(hosts: impl Iterator<Item = (&'a str, bool)>) -> BTreeSet<&'a str> {
    let (staying, going): (Vec<_>, Vec<_>) = hosts.partition(|(_, stays)| *stays);
    let takers = if staying.is_empty() { going } else { staying };
    takers.into_iter().map(|(host, _)| host).collect()
}

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
    /// How many heartbeats it has made since its start.
    pub(crate) counter: u64,
}

/// What an observer knows of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// What the host says of itself.
    pub(crate) sign: Sign,
    /// The last entry that it has written to `global`, whatever that says. A host whose heartbeats
    /// lose one race after the other, but whose segments are published, lives.
    pub(crate) last_entry: Option<u64>,
    /// How long its slowest heartbeat of late took, as it says.
    pub(crate) pace: Duration,
}

impl Seen {
    fn same(&self, other: &Self) -> bool {
        (&self.sign, self.last_entry) == (&other.sign, other.last_entry)
    }
}

/// So many of the last heartbeats tell how slow they are: one that was held up (the process was
/// frozen, the bucket away) is soon forgotten.
const HEARTBEATS_KEPT: usize = 3;

/// How long this node's own heartbeats take until they are durable.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: [Duration; HEARTBEATS_KEPT],
    next: usize,
}

impl Pace {
    /// Notes how long a heartbeat took to be written.
    pub(crate) fn note(&mut self, took: Duration) {
        if let Some(oldest) = self.last.get_mut(self.next) {
            *oldest = took;
        }
        self.next = (self.next + 1) % HEARTBEATS_KEPT;
    }

    /// The slowest one of late.
    pub(crate) fn slowest(&self) -> Duration {
        self.last.into_iter().max().unwrap_or_default()
    }
}

/// Who imports what a recovered cluster left in a partition: its owner, or where nobody who is alive
/// owns it, the first that could. That two do it for a while costs work and nothing else: the state
/// takes each piece once. `None` while nobody writes segments.
pub(crate) fn importer<'a>(
    owner: Option<&str>,
    mut ingesting: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    let owns = |host: &&str| Some(*host) == owner;
    ingesting.clone().find(owns).or_else(|| ingesting.next())
}

/// How long to wait after one more failure of the same: `first`, and twice as long each time, `most`
/// at the longest.
pub(crate) fn next_wait(before: Option<Duration>, first: Duration, most: Duration) -> Duration {
    before.map_or(first, |before| before * 2).min(most)
}

/// The wait between two heartbeats. All hosts write to one stream, one slot after the other: when
/// that is slow, they would only be in each other's way. So half of the time at most is spent on
/// heartbeats.
///
/// And whoever gets through gives way to one that has been `quiet` for long. It has to read what it
/// has lost to before it can try again, which takes longer than a heartbeat that is not contested: two
/// that come round in step would have one of them lose every time, until it was taken for dead.
pub(crate) fn rest(
    heartbeat: Duration,
    lease: Duration,
    pace: Duration,
    quiet: Duration,
) -> Duration {
    let usual = heartbeat.max(pace.min(lease));
    match allowed(lease, pace, Duration::ZERO) {
        // Nobody is in anybody's way.
        at_once if at_once <= lease => usual,
        // Not so long that we would be quiet ourselves.
        allowed => usual.max((quiet / 2).min(allowed / 4)),
    }
}

/// A host may be silent for so many of its (or the observer's) slowest heartbeats: it waits as long
/// as one takes ([`rest`]), the observer looks only as often, and both may lose races for a slot.
const MAX_SILENT_HEARTBEATS: u32 = 8;

/// How long a host may be silent, whose slowest heartbeat of late took `its`, before an observer,
/// whose own took `own`, holds it for dead. The lease is for a bucket that answers at once; through
/// a slow one, living hosts are silent for longer. A heartbeat that took longer than a lease counts
/// as one lease, so that whoever was held up for an hour does not wait for hours.
pub(crate) fn allowed(lease: Duration, own: Duration, its: Duration) -> Duration {
    lease.max(own.max(its).min(lease) * MAX_SILENT_HEARTBEATS)
}

/// Judges by the observer's own monotonic clock who is alive: a host whose sign has not changed
/// for as long as it is [`allowed`], as *this* observer saw it, is dead. Nobody's wall clock matters.
#[derive(Debug)]
pub(crate) struct Leases {
    lease: Duration,
    seen: HashMap<String, (Seen, Instant)>,
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

    /// For how long the quietest of the hosts that were seen has been silent.
    pub(crate) fn quietest(&self, now: Instant) -> Duration {
        let silent = self
            .seen
            .values()
            .map(|(_, since)| now.saturating_duration_since(*since));
        silent.max().unwrap_or_default()
    }

    /// Looks at the hosts as they are in a state just refreshed, by an observer whose slowest
    /// heartbeat of late took `own`; answers with the dead ones.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        own: Duration,
        hosts: impl IntoIterator<Item = (String, Seen)>,
    ) -> BTreeSet<String> {
        // An observer that was itself asleep or cut off has seen nobody: it must not conclude
        // that everybody else is dead.
        let often_enough = allowed(self.lease, own, Duration::ZERO) / 2;
        let asleep = self
            .last_look
            .is_some_and(|last| now.saturating_duration_since(last) > often_enough);
        self.last_look = Some(now);
        let before = std::mem::take(&mut self.seen);
        let mut dead = BTreeSet::new();
        for (host, seen) in hosts {
            let since = match before.get(&host) {
                Some((old, since)) if old.same(&seen) && !asleep => *since,
                _ => now,
            };
            if now.saturating_duration_since(since) >= allowed(self.lease, own, seen.pace) {
                dead.insert(host.clone());
            }
            self.seen.insert(host, (seen, since));
        }
        dead
    }
}

#[cfg(test)]
mod tests;
