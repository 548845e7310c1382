#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use backstay_bucket::{BucketConfig, Role, Secret};
use backstay_global::SegmentSet;
use backstay_global::snapshot::sample;
use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn id(of: u64) -> SegmentId {
    Uuid::from_u128(u128::from(of)).into()
}

fn object(key: String, size: u64) -> ObjectInfo {
    ObjectInfo {
        key,
        size,
        stored_size: size,
        modified: DateTime::UNIX_EPOCH,
    }
}

/// The same by looking each up.
fn naive(expected: &BTreeMap<u64, u64>, listed: &BTreeMap<u64, u64>) -> (u64, u64, Vec<SegmentId>) {
    let (mut missing, mut resized, mut bad) = (0, 0, Vec::new());
    for (of, size) in expected {
        match listed.get(of) {
            None => missing += 1,
            Some(found) if found != size => resized += 1,
            Some(_) => continue,
        }
        bad.push(id(*of));
    }
    (missing, resized, bad)
}

proptest! {
    #[test]
    fn a_merge_finds_what_looking_each_up_finds(
        expected in prop::collection::btree_map(0_u64..60, 0_u64..3, 0..40),
        listed in prop::collection::btree_map(0_u64..60, 0_u64..3, 0..40),
        strangers in prop::collection::vec("[a-z0-9/]{0,40}", 0..4),
    ) {
        let wanted = expected.iter().map(|(of, size)| (id(*of), *size));
        // In any order: those of a state are by their end.
        let mut merge = Merge::new("repo", wanted.rev().collect());
        let prefix = merge.prefix.clone();
        let mut objects: Vec<_> = listed.iter().map(|(of, size)| object(format!("{prefix}{}", id(*of)), *size)).collect();
        objects.extend(strangers.iter().map(|it| object(format!("{prefix}{it}"), 1)));
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        for object in &objects {
            merge.see(object);
        }
        let counted = merge.finish();
        let (missing, resized, bad) = naive(&expected, &listed);
        prop_assert_eq!(counted.missing.count, missing);
        prop_assert_eq!(counted.resized.count, resized);
        prop_assert_eq!(counted.segments, expected.len() as u64);
        prop_assert_eq!(counted.bytes, expected.values().sum::<u64>());
        prop_assert_eq!(counted.bad.into_iter().collect::<Vec<_>>(), bad);
    }
}

#[test]
fn the_first_ones_are_named() {
    let mut some = Mismatches::default();
    for of in 0..5 {
        some.note(|| of.to_string());
    }
    assert_eq!(some.described(), "5 (0, 1, 2, …)");
    let mut one = Mismatches::default();
    one.note(|| "x".to_owned());
    assert_eq!(one.described(), "1 (x)");
    one.add(some);
    assert_eq!(one.described(), "6 (0, 1, 2, …)");
}

/// Over a real bucket, with repositories of which one's name begins like another's.
#[tokio::test]
async fn a_bucket_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let config = BucketConfig::local(folder.path(), Secret::new("k"), Role::Own);
    let bucket = Bucket::open(config).await.unwrap();
    let mut state = sample::state(30);
    let mut all: Vec<Segment> = state.segments.iter().cloned().collect();
    for (at, segment) in all.iter_mut().enumerate() {
        let name = ["repo", "repo-b", "repo/c"][at % 3];
        segment.repository = name.into();
        segment.size = 100 + at as u64;
        let size = usize::try_from(segment.size).unwrap();
        if at != 4 {
            bucket
                .put(&segment.key(), Bytes::from(vec![1; size]))
                .await
                .unwrap();
        }
    }
    let (missing, resized) = (all[4].clone(), all[8].clone());
    bucket
        .put(&resized.key(), Bytes::from_static(b"short"))
        .await
        .unwrap();
    bucket
        .put("segments/repo/not-an-id", Bytes::new())
        .await
        .unwrap();
    state.segments = SegmentSet::from_vec(all).unwrap();
    let counted = count(&bucket, &state, None, |it| it.bucket == 1)
        .await
        .unwrap();
    assert_eq!(counted.segments, 30);
    assert_eq!(counted.missing.named, [missing.key()]);
    let said = format!("{}: 5 bytes instead of {}", resized.key(), resized.size);
    assert_eq!(counted.resized.named, [said]);
    assert_eq!(counted.bad, BTreeSet::from([missing.id, resized.id]));
    assert!(counted.newest.is_some());
    let none = count(&bucket, &state, None, |it| it.bucket == 2)
        .await
        .unwrap();
    assert_eq!((none.segments, none.newest), (0, None));
}

/// What was found before is not looked for, not even to be missed; what has come since is, whether it
/// is little or much.
#[tokio::test]
async fn only_what_has_come_since_is_looked_for() {
    for new in [0, 1, MAX_SINGLE_LOOKUPS, MAX_SINGLE_LOOKUPS + 1] {
        let folder = tempfile::tempdir().unwrap();
        let config = BucketConfig::local(folder.path(), Secret::new("k"), Role::Own);
        let bucket = Bucket::open(config).await.unwrap();
        let mut state = sample::state(10 + new);
        let mut all: Vec<Segment> = state.segments.iter().cloned().collect();
        for segment in &mut all {
            segment.repository = "repo".into();
            segment.size = 100;
        }
        let mut before = state.clone();
        before.segments = SegmentSet::from_vec(all[..10].to_vec()).unwrap();
        state.segments = SegmentSet::from_vec(all.clone()).unwrap();
        // The first one of the new ones is not there, and none of the old ones are.
        for segment in all.iter().skip(11) {
            let size = usize::try_from(segment.size).unwrap();
            let content = Bytes::from(vec![1; size]);
            bucket.put(&segment.key(), content).await.unwrap();
        }
        let counted = count(&bucket, &state, Some(&before), |it| it.bucket == 1)
            .await
            .unwrap();
        let missing: Vec<String> = all.iter().skip(10).take(1).map(Segment::key).collect();
        assert_eq!(counted.missing.named, missing, "{new}");
        assert_eq!((counted.segments, counted.before), (10 + new as u64, 10));
        assert_eq!(counted.resized, Mismatches::default());
        let bytes: u64 = all.iter().map(|it| it.size).sum();
        assert_eq!(counted.bytes, bytes);
        // One that is in another bucket by now, or of another size, is another one.
        before.segments = SegmentSet::from_vec(
            all.iter()
                .cloned()
                .map(|mut it| {
                    it.size += 1;
                    it
                })
                .collect(),
        )
        .unwrap();
        let counted = count(&bucket, &state, Some(&before), |it| it.bucket == 1)
            .await
            .unwrap();
        assert_eq!(
            (counted.before, counted.missing.count),
            (0, 10 + missing.len() as u64)
        );
    }
}
