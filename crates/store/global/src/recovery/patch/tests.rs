#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::entity::Partition;
use crate::segment::{Segment, SegmentSet};
use crate::snapshot::document;
use crate::state::arbitrary::{CLUSTERS, NAMES, bucket, state};

fn place(container: &str, variables: &str) -> Place {
    Place {
        provider: "azure".to_owned(),
        region: String::new(),
        container: container.to_owned(),
        endpoint: format!("https://{container}.test"),
        account: format!("{container}acct"),
        key_prefix: String::new(),
        credentials: format!("env:AZURE_{variables}_"),
        encryption_key_ref: format!("env:AZURE_{variables}_ENCRYPTION_KEY"),
    }
}

fn replace() -> impl Strategy<Value = Option<Replace>> {
    let name = || prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
    prop::option::of((name(), name()).prop_map(|(from, to)| Replace { from, to }))
}

fn input() -> impl Strategy<Value = PatchInput> {
    let starts = prop::collection::btree_map(0_u32..4, (any::<u64>(), any::<u64>()), 0..4);
    let numbers = (any::<u32>(), any::<u32>(), any::<u32>());
    let from = prop::sample::select(&CLUSTERS[1..]);
    (replace(), replace(), starts, numbers, from).prop_map(
        |(replace_region, replace_bucket, starts, numbers, from)| PatchInput {
            cluster_id: "ours".to_owned(),
            position: EpochOffset {
                epoch: numbers.0.into(),
                offset: numbers.1.into(),
            },
            term: numbers.2.into(),
            own: place("secondary", "STORAGE"),
            source: place("primary", "RECOVER_FROM"),
            replace_region,
            replace_bucket,
            partitions: starts
                .into_iter()
                .map(|(id, (term, start))| (id, PartitionStart { term, start }))
                .collect(),
            recovery: "the recovery".to_owned(),
            from_cluster: from.to_owned(),
            from: EpochOffset::default(),
            at_ms: 3,
            tails: Vec::new(),
        },
    )
}

fn text(state: &State) -> String {
    let mut text = Vec::new();
    document::write(state, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn writable(state: &State) -> Vec<&BucketEntity> {
    state.buckets.iter().filter(|it| !it.read_only).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn twice_is_the_same_as_once(before in state(), input in input()) {
        let once = patch(before, &input).state;
        let twice = patch(once.clone(), &input);
        prop_assert_eq!(text(&twice.state), text(&once));
        prop_assert!(twice.loss.is_empty());
    }

    #[test]
    fn one_bucket_is_writable_and_it_is_ours(before in state(), input in input()) {
        let after = patch(before, &input).state;
        let writable = writable(&after);
        prop_assert_eq!(writable.len(), 1);
        prop_assert_eq!(writable[0].cluster_id.as_deref(), Some("ours"));
        prop_assert!(input.own.is_of(writable[0]));
        prop_assert_eq!(&writable[0].credentials, &input.own.credentials);
        prop_assert_eq!(&writable[0].encryption_key_ref, &input.own.encryption_key_ref);
        let mut ids: Vec<u32> = after.buckets.iter().map(|it| it.id).collect();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), after.buckets.len(), "each id once");
    }

    #[test]
    fn the_source_is_read_as_the_environment_says(before in state(), input in input()) {
        let after = patch(before, &input).state;
        let record = after.recoveries.iter().find(|it| it.id == input.recovery).unwrap();
        let source = after.bucket(record.bucket).unwrap();
        prop_assert!(source.read_only);
        prop_assert_eq!(source.cluster_id.as_ref(), Some(&input.from_cluster));
        prop_assert_eq!(&source.endpoint, &input.source.endpoint);
        prop_assert_eq!(&source.account, &input.source.account);
    }

    #[test]
    fn every_bucket_but_ours_names_the_object_with_its_credentials(before in state(), input in input()) {
        let after = patch(before, &input).state;
        for bucket in after.buckets.iter().filter(|it| it.read_only) {
            let object = format!("object:credentials/{}", bucket.id);
            prop_assert_eq!(&bucket.credentials, &object);
            prop_assert_eq!(&bucket.encryption_key_ref, &object);
        }
    }

    /// With every field that patching names put back, the text is the same to the byte.
    #[test]
    fn everything_else_is_carried_over_to_the_byte(before in state(), input in input()) {
        let mut after = patch(before.clone(), &input).state;
        after.cluster_id.clone_from(&before.cluster_id);
        (after.epoch, after.offset, after.term) = (before.epoch, before.offset, before.term);
        prop_assert!(after.hosts.is_empty());
        after.hosts.clone_from(&before.hosts);
        let added = after.recoveries.split_off(before.recoveries.len());
        prop_assert_eq!(added.len(), 1);

        prop_assert!(after.buckets.len() >= before.buckets.len());
        after.buckets.truncate(before.buckets.len());
        for (bucket, was) in after.buckets.iter_mut().zip(&before.buckets) {
            prop_assert_eq!(bucket.id, was.id);
            let ours = bucket.cluster_id.as_deref() == Some("ours");
            let source = bucket.cluster_id.as_ref() == Some(&input.from_cluster);
            bucket.region.clone_from(&was.region);
            bucket.container.clone_from(&was.container);
            bucket.read_only = was.read_only;
            bucket.credentials.clone_from(&was.credentials);
            bucket.encryption_key_ref.clone_from(&was.encryption_key_ref);
            if ours || source {
                bucket.account.clone_from(&was.account);
                bucket.provider.clone_from(&was.provider);
                bucket.endpoint.clone_from(&was.endpoint);
                bucket.key_prefix.clone_from(&was.key_prefix);
                bucket.cluster_id.clone_from(&was.cluster_id);
            }
        }
        prop_assert_eq!(after.partitions.len(), before.partitions.len());
        for (partition, was) in after.partitions.iter_mut().zip(&before.partitions) {
            prop_assert_eq!(&partition.owner, &None);
            *partition = Partition { extra: std::mem::take(&mut partition.extra), ..was.clone() };
        }
        let segments: Vec<Segment> = before
            .segments
            .iter()
            .map(|was| match after.segments.get(&was.reference()) {
                None => {
                    assert_eq!(was.bucket, NO_BUCKET, "only what is in no bucket goes");
                    was.clone()
                }
                Some(now) => {
                    let mut now = now.clone();
                    if let Some(rest) = &was.rest {
                        let extra = now.rest.take().map(|rest| rest.extra).unwrap_or_default();
                        let hosts = rest.hosts.clone();
                        now.rest = Some(Box::new(crate::segment::SegmentRest { hosts, imported_by: None, extra }));
                    }
                    now
                }
            })
            .collect();
        after.segments = SegmentSet::from_vec(segments).unwrap();
        prop_assert_eq!(text(&after), text(&before));
    }

    #[test]
    fn partitions_begin_where_our_streams_do(before in state(), input in input()) {
        let after = patch(before.clone(), &input).state;
        for (partition, was) in after.partitions.iter().zip(&before.partitions) {
            match input.partitions.get(&partition.id) {
                Some(start) => prop_assert_eq!((partition.term, partition.covered), (start.term, start.start)),
                None => prop_assert_eq!((partition.term, partition.covered), (was.term, 0)),
            }
            prop_assert_eq!(partition.floor, partition.covered);
            prop_assert_eq!(&partition.window, &None, "that object is in the source's bucket");
            prop_assert_eq!(partition.ran_ms, was.ran_ms);
        }
    }

    #[test]
    fn what_is_lost_is_listed_to_the_last_event(before in state(), input in input()) {
        let Patched { state: after, loss, .. } = patch(before.clone(), &input);
        let lost: Vec<&Segment> = before.segments.iter().filter(|it| it.bucket == NO_BUCKET).collect();
        prop_assert_eq!(after.segments.len() + lost.len(), before.segments.len());
        let listed: u64 = loss.repositories.iter().map(|it| it.segments).sum();
        prop_assert_eq!(listed, lost.len() as u64);
        for segment in lost {
            let of = loss.repositories.iter().find(|it| it.repository == segment.repository).unwrap();
            prop_assert!(of.start_ms <= segment.start_ms && segment.end_ms <= of.end_ms);
        }
        let events: u64 = loss.repositories.iter().map(|it| it.events).sum();
        let had = before.segments.iter().filter(|it| it.bucket == NO_BUCKET).map(|it| it.events).sum::<u64>();
        prop_assert_eq!(events, had);
        let record = after.recoveries.iter().find(|it| it.id == input.recovery).unwrap();
        prop_assert_eq!(&record.loss, &loss);
    }

    #[test]
    fn regions_and_containers_are_replaced_where_they_are_the_whole_value(
        buckets in prop::collection::vec(bucket(), 1..4),
        input in input(),
    ) {
        let mut before = State::before_creation("theirs");
        before.buckets = buckets;
        (1..).zip(&mut before.buckets).for_each(|(id, bucket)| bucket.id = id);
        let after = patch(before.clone(), &input).state;
        let swapped = |value: &String, replace: &Option<Replace>| match replace {
            Some(replace) if replace.from == *value => replace.to.clone(),
            _ => value.clone(),
        };
        for (now, was) in after.buckets.iter().zip(&before.buckets) {
            if !now.read_only {
                continue;
            }
            let mut region = swapped(&was.region, &input.replace_region);
            let source = after.recoveries.last().map(|it| it.bucket);
            if let Some(replace) = &input.replace_region
                && region.is_empty()
                && source == Some(now.id)
            {
                // The source's own, which has never said where it is.
                region = replace.to.clone();
            }
            prop_assert_eq!(&now.region, &region);
            prop_assert_eq!(&now.container, &swapped(&was.container, &input.replace_bucket));
        }
    }
}

/// The recovery of the manual's example.
fn example() -> PatchInput {
    PatchInput {
        cluster_id: "ours".to_owned(),
        position: EpochOffset {
            epoch: 1,
            offset: 2,
        },
        term: 2,
        own: place("secondarylogscalecontainer", "STORAGE"),
        source: place("primarylogscalecontainer", "RECOVER_FROM"),
        replace_region: Some("eastus/westus".parse().unwrap()),
        replace_bucket: Some(
            "primarylogscalecontainer/secondarylogscalecontainer"
                .parse()
                .unwrap(),
        ),
        partitions: BTreeMap::new(),
        recovery: "r".to_owned(),
        from_cluster: "theirs".to_owned(),
        from: EpochOffset::default(),
        at_ms: 0,
        tails: Vec::new(),
    }
}

/// The example of the manual, with the bucket's container replaced as other clouds do it.
#[test]
fn the_log_says_what_was_done_in_the_words_that_operators_look_for() {
    let mut before = State::before_creation("theirs");
    before.buckets.push(BucketEntity {
        region: "eastus".to_owned(),
        ..place("primarylogscalecontainer", "STORAGE").entity(1, "theirs", false)
    });
    let input = example();
    let once = patch(before, &input);
    assert_eq!(
        once.log,
        [
            "updateSnapshotForDisasterRecovery: Patching region using from=eastus to=westus on bucketId=1",
            "updateSnapshotForDisasterRecovery: Patching bucket using from=primarylogscalecontainer to=secondarylogscalecontainer on bucketId=1",
            "updateSnapshotForDisasterRecovery: Patching access configs from RECOVER_FROM on bucketId=1",
            "updateSnapshotForDisasterRecovery: setting readOnly=true on bucketId=1 keyPrefix= new value for bucket=secondarylogscalecontainer",
            "updateSnapshotForDisasterRecovery: the bucket that is written to changes from bucketId=1 bucket=primarylogscalecontainer to bucketId=2 bucket=secondarylogscalecontainer",
        ]
    );
}

/// Azure's variables name no region, so a source of an earlier version has none.
#[test]
fn a_source_that_never_said_its_region_is_where_the_replacement_says() {
    let mut before = State::before_creation("theirs");
    let silent = place("primary", "STORAGE").entity(1, "theirs", false);
    assert_eq!(silent.region, "");
    before.buckets.push(silent);
    let mut input = example();
    input.replace_bucket = None;
    let once = patch(before.clone(), &input);
    let regions: Vec<&str> = once
        .state
        .buckets
        .iter()
        .map(|it| it.region.as_str())
        .collect();
    assert_eq!(regions, ["westus", "westus"]);
    assert!(once.log[0].ends_with("Patching region using from=eastus to=westus on bucketId=1"));
    assert_eq!(patch(once.state.clone(), &input).state, once.state);
    input.replace_region = None;
    assert_eq!(patch(before, &input).state.buckets[0].region, "");
}

#[test]
fn a_replacement_is_two_names() {
    for wrong in ["", "a", "/", "a/", "/b", "a/b/c"] {
        assert!(wrong.parse::<Replace>().is_err(), "{wrong}");
    }
    let right: Replace = "a/b".parse().unwrap();
    assert_eq!(right.to_string(), "a/b");
}
