#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn segment() -> impl Strategy<Value = Segment> {
    // Few of each, so that they meet.
    (0_u8..3, -3_i64..3, 0_i64..3, 0_u128..6, any::<u64>()).prop_map(
        |(repository, end, length, id, size)| Segment {
            id: SegmentId::from(Uuid::from_u128(id)),
            repository: RepositoryId::from(format!("r{repository}")),
            bucket: (size % 3) as u32,
            size,
            raw_bytes: 1,
            events: 1,
            start_ms: end - length,
            end_ms: end,
            partition: 0,
            from_seq: 0,
            to_seq: 1,
            rest: None,
        },
    )
}

#[derive(Clone, Debug)]
enum Change {
    Insert(Segment),
    Remove(Segment),
    /// Many at once, so that the changes are folded into the base.
    Many(u32),
    Drop(u64),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => segment().prop_map(Change::Insert),
        4 => segment().prop_map(Change::Remove),
        1 => (1000_u32..1100).prop_map(Change::Many),
        1 => (0_u64..3).prop_map(Change::Drop),
    ]
}

type Model = BTreeMap<SegmentRef, Segment>;

fn many(n: u32) -> Segment {
    Segment {
        id: SegmentId::from(Uuid::from_u128(1000 + u128::from(n))),
        repository: RepositoryId::from("many"),
        bucket: 1,
        size: u64::from(n),
        raw_bytes: 1,
        events: 1,
        start_ms: i64::from(n),
        end_ms: i64::from(n),
        partition: 0,
        from_seq: 0,
        to_seq: 1,
        rest: None,
    }
}

fn same(set: &SegmentSet, model: &Model) {
    assert_eq!(set.len(), model.len());
    assert_eq!(set.is_empty(), model.is_empty());
    assert!(set.iter().eq(model.values()));
    let buckets: BTreeSet<u32> = model.values().map(|it| it.bucket).collect();
    assert!(set.buckets().eq(buckets));
}

proptest! {
    #[test]
    fn does_what_a_sorted_map_does(changes in prop::collection::vec(change(), 0..40)) {
        let (mut set, mut model) = (SegmentSet::default(), Model::new());
        for change in changes {
            let (old, was) = (set.clone(), model.clone());
            match change {
                Change::Insert(segment) => {
                    model.insert(segment.reference(), segment.clone());
                    set.insert(segment);
                }
                Change::Remove(segment) => {
                    let name = segment.reference();
                    prop_assert_eq!(set.remove(&name), model.remove(&name).is_some());
                    prop_assert_eq!(set.get(&name), None);
                }
                Change::Many(count) => for n in 0..count {
                    model.insert(many(n).reference(), many(n));
                    set.insert(many(n));
                },
                Change::Drop(rest) => {
                    model.retain(|_, segment| segment.size % 3 != rest);
                    set.retain_mut(|segment| segment.size % 3 != rest);
                }
            }
            same(&set, &model);
            // A clone is not changed by what happens to the other.
            same(&old, &was);
        }
        for repository in ["r0", "r1", "r2", "many", "none"].map(RepositoryId::from) {
            for start in -4_i64..4 {
                for end in start..4 {
                    let found: Vec<&Segment> = set.overlapping(&repository, start, end).collect();
                    let expected: Vec<&Segment> = model
                        .values()
                        .filter(|it| it.repository == repository && it.end_ms >= start && it.start_ms <= end)
                        .collect();
                    prop_assert_eq!(found, expected);
                }
            }
            let of = model.values().filter(|it| it.repository == repository);
            prop_assert!(set.of(&repository).eq(of));
        }
    }

    #[test]
    fn takes_segments_in_any_order_but_none_twice(segments in prop::collection::vec(segment(), 0..20)) {
        let model: Model = segments.iter().map(|it| (it.reference(), it.clone())).collect();
        match SegmentSet::from_vec(segments.clone()) {
            Ok(set) => same(&set, &model),
            Err(twin) => {
                prop_assert!(segments.iter().filter(|it| it.id == twin).count() > 1);
                prop_assert!(model.len() < segments.len());
            }
        }
    }
}
