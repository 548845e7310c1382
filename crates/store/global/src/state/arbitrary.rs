//! States of every kind, for properties: with fields that no version knows, in odd spellings.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::value::RawValue;

use crate::entity::{
    Alert, BucketEntity, Dashboard, Host, IngestToken, Organization, Parser, Partition,
    RecoveredTail, RecoveryRecord, Repository, RepositoryId, TermBelow, User, View, ViewConnection,
    WindowIndex,
};
use crate::raw::Extra;
use crate::recovery::LossReport;
use crate::segment::{Segment, SegmentId, SegmentRest, SegmentSet};
use crate::state::State;

/// Clusters that meet each other in tests.
pub(crate) const CLUSTERS: [&str; 3] = ["ours", "theirs", "third"];
/// Regions and containers that meet each other.
pub(crate) const NAMES: [&str; 4] = ["eastus", "westus", "primary", "secondary"];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(&NAMES[..]).prop_map(str::to_owned),
        1 => "\\PC{0,8}",
    ]
}

fn raw() -> impl Strategy<Value = Box<RawValue>> {
    // Texts that another writer would write otherwise.
    let texts = [
        "null",
        "1.50",
        "1e2",
        "-0.0",
        "123456789012345678901234567890",
        "\"a\\u0041\\/\"",
        "[ 1 ,2]",
        "{\"b\" : {}, \"a\":[ ] }",
        "{\"same\":1,\"same\":2}",
        "\"\u{17f}\"",
    ];
    prop::sample::select(texts.to_vec())
        .prop_map(|text| RawValue::from_string(text.to_owned()).unwrap())
}

/// Fields that no version knows.
pub(crate) fn extra() -> impl Strategy<Value = Extra> {
    btree_map("x-[a-z\"\\\\ü]{0,4}", raw(), 0..3).prop_map(|fields| {
        let mut extra = Extra::default();
        for (name, value) in fields {
            extra.push(name, value);
        }
        extra
    })
}

fn cluster() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop::sample::select(&CLUSTERS[..]).prop_map(str::to_owned))
}

pub(crate) fn bucket() -> impl Strategy<Value = BucketEntity> {
    let place = (name(), name(), name(), name());
    let flags = (any::<bool>(), cluster());
    (place, flags, name(), extra()).prop_map(
        |(place, (read_only, cluster_id), reference, extra)| BucketEntity {
            id: 0,
            provider: "azure".to_owned(),
            region: place.0,
            container: place.1,
            endpoint: place.2,
            key_prefix: place.3,
            read_only,
            credentials: format!("env:{reference}"),
            encryption_key_ref: reference,
            account: String::new(),
            cluster_id,
            extra,
        },
    )
}

fn segment() -> impl Strategy<Value = Segment> {
    let numbers = (any::<u64>(), any::<u64>(), 0_u64..1000, any::<u64>());
    let times = (-50_i64..50, 0_i64..50);
    let rest = prop::option::of((vec(name(), 0..2), extra()));
    (any::<u128>(), 0_u32..4, 0_u32..4, numbers, times, rest).prop_map(
        |(id, repository, bucket, (size, raw_bytes, events, seq), (start, length), rest)| Segment {
            id: SegmentId::from(uuid::Uuid::from_u128(id)),
            repository: RepositoryId::from(format!("r{repository}")),
            bucket,
            size,
            raw_bytes,
            events,
            start_ms: start,
            end_ms: start + length,
            partition: bucket,
            from_seq: seq,
            to_seq: seq.saturating_add(1),
            rest: rest
                .map(|(hosts, extra)| {
                    Box::new(SegmentRest {
                        hosts,
                        imported_by: None,
                        extra,
                    })
                })
                // Nothing to say is not said.
                .filter(|rest| !rest.hosts.is_empty() || !rest.extra.is_empty()),
        },
    )
}

fn partition() -> impl Strategy<Value = Partition> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>());
    (numbers, prop::option::of(name()), extra()).prop_map(
        |((term, covered, floor), owner, extra)| Partition {
            id: 0,
            term,
            covered,
            floor,
            owner,
            window: (covered % 2 == 1).then(|| WindowIndex {
                term,
                number: covered,
                upto: covered,
                below: (covered % 3 == 1).then_some(term),
                extra: Extra::default(),
            }),
            ran_ms: covered / 2,
            below: (term % 2 == 1).then(|| TermBelow {
                seq: covered,
                term,
                extra: Extra::default(),
            }),
            extra,
        },
    )
}

fn recovery() -> impl Strategy<Value = RecoveryRecord> {
    let tail =
        (any::<u32>(), any::<u64>(), extra()).prop_map(|(partition, to, extra)| RecoveredTail {
            partition,
            floor: to / 4,
            from: to / 2,
            to,
            imported: to / 2,
            begins: to / 3,
            window: (to % 2 == 1).then(|| WindowIndex {
                term: 1,
                number: to / 5,
                upto: to / 4,
                below: None,
                extra: Extra::default(),
            }),
            keys_pending: to % 3 == 1,
            from_below: (to % 5 == 1).then_some(to / 7),
            imported_below: (to % 7 == 1).then(|| TermBelow {
                seq: to / 2,
                term: to / 8,
                extra: Extra::default(),
            }),
            extra,
        });
    (name(), vec(tail, 0..3), extra()).prop_map(|(id, tails, extra)| RecoveryRecord {
        id,
        from_cluster: "first".to_owned(),
        from_epoch: 0,
        from_offset: 7,
        bucket: 1,
        epoch: 1,
        at_ms: 5,
        tails,
        loss: LossReport::default(),
        extra,
    })
}

/// What people have set up: one of each kind, with fields of other versions.
fn things() -> impl Strategy<Value = State> {
    (name(), vec(extra(), 8), any::<bool>()).prop_map(|(text, extras, flag)| {
        let mut extras = extras.into_iter();
        let mut extra = || extras.next().unwrap_or_default();
        let some = flag.then(|| text.clone());
        let repository = RepositoryId::from("r0");
        State {
            organizations: vec![Organization {
                id: "o".to_owned(),
                name: text.clone(),
                extra: extra(),
            }],
            users: vec![User {
                id: "u".to_owned(),
                username: text.clone(),
                full_name: some.clone(),
                is_root: flag,
                api_token_hash: flag.then(|| "00".to_owned()),
                extra: extra(),
            }],
            repositories: vec![Repository {
                id: repository.clone(),
                name: text.clone(),
                description: some.clone(),
                retention_days: flag.then_some(3),
                retention_bytes: None,
                created_ms: 1,
                extra: extra(),
            }],
            views: vec![View {
                id: "v".to_owned(),
                name: text.clone(),
                connections: vec![ViewConnection {
                    repository: repository.clone(),
                    filter: text.clone(),
                    extra: Extra::default(),
                }],
                extra: extra(),
            }],
            dashboards: vec![Dashboard {
                id: "d".to_owned(),
                name: text.clone(),
                extra: extra(),
            }],
            parsers: vec![Parser {
                id: "p".to_owned(),
                name: text.clone(),
                repository: flag.then(|| repository.clone()),
                script: text.clone(),
                extra: extra(),
            }],
            alerts: vec![Alert {
                id: "a".to_owned(),
                name: text.clone(),
                enabled: flag,
                extra: extra(),
            }],
            ingest_tokens: vec![IngestToken {
                id: "t".to_owned(),
                name: text.clone(),
                token_hash: "00".to_owned(),
                repository,
                parser: some,
                created_ms: 2,
                extra: extra(),
            }],
            dynamic_config: [(text.clone(), text)].into(),
            ..State::default()
        }
    })
}

/// Any state of one of [`CLUSTERS`].
pub(crate) fn state() -> impl Strategy<Value = State> {
    let of = prop::sample::select(&CLUSTERS[..]);
    let numbers = (any::<u32>(), any::<u32>(), any::<u32>());
    let lists = (
        vec(bucket(), 0..4),
        vec(partition(), 0..4),
        vec(recovery(), 0..2),
        vec(segment(), 0..12),
        vec((name(), extra()), 0..3),
    );
    (of, numbers, things(), lists, extra()).prop_map(|(of, numbers, things, lists, extra)| {
        let (mut buckets, mut partitions, recoveries, segments, hosts) = lists;
        (1..)
            .zip(&mut buckets)
            .for_each(|(id, bucket)| bucket.id = id);
        (0..).zip(&mut partitions).for_each(|(id, it)| it.id = id);
        State {
            cluster_id: of.to_owned(),
            epoch: numbers.0.into(),
            offset: numbers.1.into(),
            term: numbers.2.into(),
            buckets,
            partitions,
            recoveries,
            segments: SegmentSet::from_vec(segments).unwrap_or_default(),
            hosts: hosts
                .into_iter()
                .map(|(id, extra)| Host {
                    id,
                    incarnation: "i".to_owned(),
                    url: "http://h".to_owned(),
                    roles: vec!["all".to_owned()],
                    heartbeat: 1,
                    pace_ms: 0,
                    settled: Vec::new(),
                    started_ms: 1,
                    vhost: 1,
                    zone: Some("z1".to_owned()),
                    is_being_evicted: true,
                    extra,
                })
                .collect(),
            extra,
            ..things
        }
    })
}
