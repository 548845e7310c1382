//! What recovered clusters had acknowledged, and no segment has yet, by where it lies.

use std::collections::BTreeMap;

use crate::entity::RecoveredTail;
use crate::state::State;

/// What lies only in one bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// Id of the bucket's entity in the state.
    pub bucket: u32,
    /// Name of the bucket's container.
    pub container: String,
    /// The cluster whose journal it is.
    pub cluster: String,
    /// The ends of its partitions.
    pub tails: Vec<RecoveredTail>,
}

impl Pending {
    /// How many journal entries are left to import.
    pub fn entries(&self) -> u64 {
        self.tails.iter().map(RecoveredTail::left).sum()
    }
}

impl State {
    /// All that is pending but what `but`, a recovery, has found; the oldest bucket first.
    pub fn pending_by_bucket(&self, but: Option<&str>) -> Vec<Pending> {
        let mut all: BTreeMap<u32, Pending> = BTreeMap::new();
        let others = |record: &str| Some(record) != but;
        for (record, tail) in self.pending_tails().filter(|it| others(&it.0.id)) {
            let bucket = self.bucket(record.bucket);
            let of = all.entry(record.bucket).or_insert_with(|| Pending {
                bucket: record.bucket,
                container: bucket.map_or_else(String::new, |it| it.container.clone()),
                cluster: record.from_cluster.clone(),
                tails: Vec::new(),
            });
            of.tails.push(tail.clone());
        }
        all.into_values().collect()
    }
}
