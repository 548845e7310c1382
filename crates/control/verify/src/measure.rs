//! How long readiness and a verification take on a state of a million segments. Not a check:
//! `docs/benchmarks.md` has the command, and what it said.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::time::Instant;

use backstay_global::snapshot::sample;
use backstay_global::{SegmentSet, identity, snapshot};
use backstay_pair::Side;
use backstay_retry::Deadline;
use bytes::Bytes;

use crate::stage::{Cluster, OPTIONS, Stage};
use crate::verification::Options;
use crate::{Check, NoAccess, Outcome, World, keeps_from_failover, readiness, verify};

/// Bytes of each segment. Only the listing meets them, and it does not care how many they are.
const SEGMENT_BYTES: usize = 100;
const ROUNDS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures, and writes a million files"]
async fn a_million_segments() {
    let many = std::env::var("BACKSTAY_SEGMENTS").map_or(1_000_000, |it| it.parse().unwrap());
    let stage = Stage::new();
    let bucket = stage.bucket(Side::Primary).await;
    let mut state = sample::state(many);
    let all: Vec<_> = state.segments.iter().cloned().collect();
    let all = all.into_iter().map(|mut it| {
        it.size = SEGMENT_BYTES as u64;
        it
    });
    let all: Vec<_> = all.collect();
    // As large as one that was written is: nobody reads them.
    let first = all.first().unwrap().key();
    bucket
        .put(&first, Bytes::from(vec![0; SEGMENT_BYTES]))
        .await
        .unwrap();
    let root = stage.path(Side::Primary);
    let stored = std::fs::read(root.join(&first)).unwrap();
    for segment in &all {
        let path = root.join(segment.key());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &stored).unwrap();
    }
    state.segments = SegmentSet::from_vec(all).unwrap();
    identity::establish(&bucket, &state.cluster_id)
        .await
        .unwrap();
    snapshot::write(&bucket, &state).await.unwrap();
    let cluster = Cluster::of(&stage.pair, Side::Secondary).await;
    cluster.kafka_is_ready(&stage.pair).await;

    let mut ready = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let found = readiness(
            &stage.pair,
            &cluster.region,
            Deadline::after(OPTIONS.patience),
        )
        .await;
        ready.push(began.elapsed());
        assert!(!found.iter().any(keeps_from_failover), "{found:#?}");
    }
    let world = World {
        standby: Ok(cluster.region.clone()),
        primary: Err(NoAccess::NoContext("not here".to_owned())),
        azure: Err(NoAccess::NoContext("not here".to_owned())),
    };
    let options = Options {
        sample: 0,
        ..OPTIONS
    };
    let (mut verified, mut loaded) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let report = verify(&stage.pair, &world, options).await;
        verified.push(began.elapsed());
        loaded.push(report.figures.load_seconds.unwrap());
        let segments = report
            .findings
            .iter()
            .find(|it| it.check == Check::Segments);
        assert_eq!(segments.unwrap().outcome, Outcome::Ok, "{report:#?}");
        assert_eq!(report.figures.segments, Some(many as u64));
    }
    ready.sort_unstable();
    verified.sort_unstable();
    loaded.sort_unstable_by(f64::total_cmp);
    let (half, last) = (ROUNDS / 2, ROUNDS - 1);
    eprintln!("{many} segments, {ROUNDS} rounds, median and worst");
    eprintln!("readiness  {:.3?}  {:.3?}", ready[half], ready[last]);
    eprintln!("verify     {:.3?}  {:.3?}", verified[half], verified[last]);
    eprintln!(
        "of it the rehearsal  {:.3} s  {:.3} s",
        loaded[half], loaded[last]
    );
}
