//! What can be done to a region.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use backstay_pair::Side;

use crate::fault_proxy::{Mode, Rules};
use crate::place::Place;

/// A fault of a region, until it is restored.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Disaster {
    /// Its API server, its pods and its ingress are killed with SIGKILL, and stay dead.
    Kill,
    /// It lives, but the world and the other region's bucket neither see it nor are seen.
    Partition,
    /// All its processes are stopped in the middle of what they do (SIGSTOP), and do not know it.
    Freeze,
    /// Its bucket takes so many milliseconds longer for each piece, for whoever asks.
    SlowBucket(u64),
    /// Its bucket answers it, and nobody else, with 403.
    DenyBucket,
}

impl Disaster {
    /// Whether it can be done to a folder: there is no wire to a folder that could be cut.
    pub fn needs_azurite(self) -> bool {
        matches!(self, Self::SlowBucket(_) | Self::DenyBucket)
    }
}

impl fmt::Display for Disaster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill => f.write_str("killed"),
            Self::Partition => f.write_str("partitioned"),
            Self::Freeze => f.write_str("frozen"),
            Self::SlowBucket(millis) => write!(f, "bucket slow by {millis} ms"),
            Self::DenyBucket => f.write_str("bucket denied"),
        }
    }
}

/// Which faults are injected into which region.
pub type Disasters = BTreeMap<Side, BTreeSet<Disaster>>;

/// Adds one; a bucket is slow in one way only.
pub fn add(disasters: &mut Disasters, side: Side, disaster: Disaster) {
    let of_side = disasters.entry(side).or_default();
    if matches!(disaster, Disaster::SlowBucket(_)) {
        of_side.retain(|it| !matches!(it, Disaster::SlowBucket(_)));
    }
    of_side.insert(disaster);
}

fn is_injected(disasters: &Disasters, side: Side, disaster: Disaster) -> bool {
    disasters
        .get(&side)
        .is_some_and(|all| all.contains(&disaster))
}

/// What the fault proxies between a region and the world do.
pub fn world_rules(disasters: &Disasters, side: Side) -> Rules {
    Rules::all(if is_injected(disasters, side, Disaster::Partition) {
        Mode::Cut
    } else {
        Mode::Open
    })
}

/// What the fault proxy in front of the bucket of a region does.
pub fn bucket_rules(disasters: &Disasters, place: &Place, bucket: Side) -> Rules {
    let slow = disasters.get(&bucket).into_iter().flatten();
    let slow = slow.filter_map(|disaster| match disaster {
        Disaster::SlowBucket(millis) => Some(Mode::Slow(*millis)),
        _ => None,
    });
    // There is one at most.
    let mut rules = Rules::all(slow.fold(Mode::Open, |_, slow| slow));
    if is_injected(disasters, bucket, Disaster::DenyBucket) {
        rules.networks.insert(place.pods(bucket), Mode::Denied);
    }
    // A region that is cut off still reaches its own bucket: it is in the same region.
    let other = bucket.other();
    if is_injected(disasters, other, Disaster::Partition) {
        rules.networks.insert(place.pods(other), Mode::Cut);
    }
    rules
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::path::PathBuf;

    use backstay_pair::Side;

    use super::{Disaster, Disasters, add, bucket_rules, world_rules};
    use crate::fault_proxy::{Mode, Rules};
    use crate::place::Place;

    fn with(all: &[(Side, Disaster)]) -> Disasters {
        let mut disasters = Disasters::new();
        for (side, disaster) in all {
            add(&mut disasters, *side, *disaster);
        }
        disasters
    }

    #[test]
    fn the_proxies_follow_the_disasters() {
        use Disaster::{DenyBucket, Freeze, Kill, Partition, SlowBucket};
        use Side::{Primary, Secondary};
        use backstay_pair::Side;
        let place = Place {
            folder: PathBuf::new(),
            block: 71,
        };
        let (east, west) = ([127, 71, 11], [127, 71, 12]);
        let open = Rules::all(Mode::Open);
        let only = |network: [u8; 3], mode| Rules {
            networks: [(network, mode)].into(),
            others: Mode::Open,
        };
        // What was hit, then: the world's proxies to the primary, the proxies to the buckets of the
        // primary and of the secondary.
        type Row<'a> = (&'a [(Side, Disaster)], Rules, Rules, Rules);
        let table: [Row<'_>; 7] = [
            (&[], open.clone(), open.clone(), open.clone()),
            (
                &[(Primary, Kill), (Primary, Freeze)],
                open.clone(),
                open.clone(),
                open.clone(),
            ),
            (
                &[(Primary, Partition)],
                Rules::all(Mode::Cut),
                open.clone(),
                only(east, Mode::Cut),
            ),
            (
                &[(Secondary, Partition)],
                open.clone(),
                only(west, Mode::Cut),
                open.clone(),
            ),
            (
                &[(Primary, DenyBucket)],
                open.clone(),
                only(east, Mode::Denied),
                open.clone(),
            ),
            (
                &[(Primary, SlowBucket(50)), (Primary, SlowBucket(20))],
                open.clone(),
                Rules::all(Mode::Slow(20)),
                open.clone(),
            ),
            (
                &[(Secondary, DenyBucket), (Secondary, SlowBucket(9))],
                open.clone(),
                open.clone(),
                Rules {
                    networks: [(west, Mode::Denied)].into(),
                    others: Mode::Slow(9),
                },
            ),
        ];
        for (all, world, primary, secondary) in table {
            let disasters = with(all);
            assert_eq!(world_rules(&disasters, Primary), world, "{all:?}");
            assert_eq!(
                bucket_rules(&disasters, &place, Primary),
                primary,
                "{all:?}"
            );
            assert_eq!(
                bucket_rules(&disasters, &place, Secondary),
                secondary,
                "{all:?}"
            );
        }
    }
}
