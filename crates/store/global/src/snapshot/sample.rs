//! A state of any size, for benchmarks and tests: like a real one in what matters to reading it.

use crate::entity::{BucketEntity, Partition, Repository, RepositoryId};
use crate::segment::{Segment, SegmentId, SegmentSet};
use crate::state::State;

/// Repositories of the sample.
const REPOSITORIES: u64 = 50;
/// Partitions of the sample.
const PARTITIONS: u32 = 24;

/// A state with so many segments, the same for the same number.
pub fn state(segments: usize) -> State {
    let mut state = State::before_creation("5f0c6a4be02d4a2f9a4f6f0a4a3f1d77");
    state.offset = 1_329_609;
    state.term = 3;
    state.buckets.push(BucketEntity {
        id: 1,
        provider: "azure".to_owned(),
        region: "eastus".to_owned(),
        container: "primarylogscalecontainer".to_owned(),
        endpoint: "https://primaryacct.blob.core.windows.net".to_owned(),
        key_prefix: "z072ef-drpri/".to_owned(),
        read_only: false,
        credentials: "env:AZURE_STORAGE_".to_owned(),
        encryption_key_ref: "env:AZURE_STORAGE_ENCRYPTION_KEY".to_owned(),
        account: "primaryacct".to_owned(),
        cluster_id: Some(state.cluster_id.clone()),
        extra: Default::default(),
    });
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    state.repositories = (0..REPOSITORIES)
        .map(|n| Repository {
            id: RepositoryId::from(format!("repo{n:04}{:016x}", random.next())),
            name: format!("repository-{n}"),
            description: None,
            retention_days: Some(30),
            retention_bytes: None,
            created_ms: 1_700_000_000_000,
            extra: Default::default(),
        })
        .collect();
    state.partitions = (0..PARTITIONS)
        .map(|id| Partition {
            id,
            term: 2,
            covered: segments as u64,
            floor: segments as u64 / 2,
            window: None,
            ran_ms: 0,
            below: None,
            owner: None,
            extra: Default::default(),
        })
        .collect();
    let ids: Vec<RepositoryId> = state.repositories.iter().map(|it| it.id.clone()).collect();
    let all = (0..segments as u64)
        .filter_map(|n| {
            let start_ms = 1_700_000_000_000 + (n as i64) * 1000 + random.below(1000) as i64;
            let raw_bytes = 1_000_000 + random.below(30_000_000);
            let id = u128::from(random.next()) << 64 | u128::from(random.next());
            Some(Segment {
                id: SegmentId::from(uuid::Uuid::from_u128(id)),
                repository: ids.get(random.below(REPOSITORIES) as usize)?.clone(),
                bucket: 1,
                size: raw_bytes / 9,
                raw_bytes,
                events: raw_bytes / 180,
                start_ms,
                end_ms: start_ms + 1 + random.below(60_000) as i64,
                partition: random.below(u64::from(PARTITIONS)) as u32,
                from_seq: n * 7,
                to_seq: n * 7 + 5,
                rest: None,
            })
        })
        .collect();
    // No two ids are the same in a sequence that does not repeat.
    state.segments = SegmentSet::from_vec(all).unwrap_or_default();
    state
}

/// SplitMix64: enough, and no dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
