#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backstay_journal::StreamId;
use backstay_pair::{EnvVar, merge_environment};

use super::*;
use crate::stage::{Cluster, OPTIONS, Stage};

/// A pair in which `into` can recover: the other region holds a state, with history of both.
struct Able {
    stage: Stage,
    cluster: Cluster,
    into: Side,
    /// A segment in the source's bucket.
    segment: String,
}

impl Able {
    /// The primary serves.
    async fn usual() -> Self {
        let stage = Stage::new();
        let primary = stage.start(Side::Primary, false).await;
        primary.repository("logs").await;
        primary.snapshot().await;
        let segment = primary.segment("logs", "of the primary").await;
        let cluster = Cluster::of(&stage.pair, Side::Secondary).await;
        Self {
            stage,
            cluster,
            into: Side::Secondary,
            segment,
        }
    }

    /// The secondary has taken over, and the primary is to have all back.
    async fn reverse() -> Self {
        let stage = Stage::new();
        let primary = stage.start(Side::Primary, false).await;
        primary.repository("logs").await;
        primary.segment("logs", "of the primary").await;
        primary.snapshot().await;
        let secondary = stage.start(Side::Secondary, true).await;
        secondary.repository("newer").await;
        let segment = secondary.segment("newer", "of the secondary").await;
        secondary.snapshot().await;
        let cluster = Cluster::of(&stage.pair, Side::Primary).await;
        Self {
            stage,
            cluster,
            into: Side::Primary,
            segment,
        }
    }

    async fn report(&self) -> Report {
        self.seen(None).await.0
    }

    async fn seen(&self, before: Option<&Seen>) -> (Report, Option<Seen>) {
        let (pair, region) = (&self.stage.pair, &self.cluster.region);
        recoverable(pair, self.into, region, OPTIONS, before).await
    }

    fn source(&self) -> PathBuf {
        self.stage.path(self.into.other())
    }

    /// Exactly this check fails, and says so; what is behind it is not called good.
    async fn fails(&self, check: Check, says: &str, next: &str) {
        let report = self.report().await;
        assert!(!report.able);
        let all = report.findings.iter();
        let fails: Vec<_> = all.filter(|it| it.outcome == Outcome::Fails).collect();
        let [one] = fails.as_slice() else {
            panic!("{report:#?}")
        };
        assert_eq!(one.check, check, "{one:?}");
        assert!(one.sentence.contains(says), "{one:?}");
        assert!(one.next.contains(next), "{one:?}");
    }

    async fn is_able(&self) -> Report {
        let report = self.report().await;
        assert!(report.able, "{report:#?}");
        report
    }
}

/// Every file with its content.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(all.insert(path.clone(), std::fs::read(path).unwrap())),
            }
        }
    }
    all
}

/// What must hold in each direction, and how each fault is named.
async fn each_fault_is_named(able: Able) {
    let (stage, cluster, into) = (&able.stage, &able.cluster, able.into);
    let (pair, from) = (&stage.pair, able.into.other());
    let both = || Side::BOTH.map(|side| contents(&stage.path(side)));
    let before = both();

    let report = able.is_able().await;
    let mut checks: Vec<Check> = report.findings.iter().map(|it| it.check).collect();
    checks.sort();
    let wanted = [Check::Environment, Check::Secrets].into_iter();
    let wanted = wanted.chain(recovery::CHAIN).chain([Check::OwnBucket]);
    assert_eq!(checks, wanted.collect::<Vec<_>>());
    let opens = report
        .findings
        .iter()
        .find(|it| it.check == Check::EncryptionKey);
    assert_eq!(
        opens.unwrap().sentence,
        format!(
            "the {}'s key opens what the {from} has written",
            recovery::who(into)
        )
    );
    assert_eq!(both(), before, "something was written");

    cluster.set_key(pair, from, "another").await;
    able.fails(Check::EncryptionKey, "encrypted with another key", "")
        .await;
    cluster.set_key(pair, from, "").await;
    able.fails(
        Check::Secrets,
        "is empty",
        &format!("copy it from the {from}'s cluster"),
    )
    .await;
    cluster
        .set_key(pair, from, &format!("the key of the {from}"))
        .await;

    let derived = recovering(pair, into);
    let other = EnvVar::value("LOCAL_RECOVER_FROM_PATH", "/somewhere/else");
    let declared = merge_environment(&derived.cluster_environment(), &[other]);
    cluster.declare(pair, &declared).await;
    let report = able.report().await;
    let first = &report.findings[0];
    assert_eq!(
        (first.check, first.outcome),
        (Check::Environment, Outcome::Fails)
    );
    assert!(
        first.sentence.contains("LOCAL_RECOVER_FROM_PATH is not"),
        "{first:?}"
    );
    assert!(first.next.contains(recovery::who(into)), "{first:?}");
    // As it will be given, and before it is.
    cluster.declare(pair, &derived.cluster_environment()).await;
    able.is_able().await;
    cluster.declare(pair, &derived.environment).await;
    able.is_able().await;

    let segment = able.source().join(&able.segment);
    let bytes = std::fs::read(&segment).unwrap();
    std::fs::remove_file(&segment).unwrap();
    able.fails(Check::Segments, &able.segment, "backup").await;
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    std::fs::write(&segment, flipped).unwrap();
    able.fails(Check::SegmentContents, &able.segment, "backup")
        .await;
    std::fs::write(&segment, bytes).unwrap();

    let away = stage.path(from).with_extension("away");
    std::fs::rename(able.source(), &away).unwrap();
    able.fails(Check::Snapshot, &format!("{from}-bucket"), "")
        .await;
    std::fs::rename(&away, able.source()).unwrap();
    able.is_able().await;
    assert_eq!(both(), before, "something was written");
}

#[tokio::test]
async fn a_standby_recovers_from_the_primary() {
    let able = Able::usual().await;
    assert!(!able.stage.path(Side::Secondary).exists());
    each_fault_is_named(able).await;
}

#[tokio::test]
async fn a_primary_recovers_from_the_secondary() {
    let able = Able::reverse().await;
    let figures = able.is_able().await.figures;
    assert_eq!((figures.repositories, figures.segments), (Some(2), Some(2)));
    assert_eq!(figures.segments_read, Some(2));
    each_fault_is_named(able).await;
}

/// A node refuses to begin a cluster with such a key, so a recovery would fail there.
#[tokio::test]
async fn a_new_cluster_needs_a_key_that_cannot_be_guessed() {
    let able = Able::usual().await;
    let pair = &able.stage.pair;
    able.cluster.set_key(pair, able.into, "short").await;
    able.fails(Check::OwnBucket, "can be guessed", "").await;
    able.cluster
        .set_key(pair, able.into, "long enough to be one")
        .await;
    able.is_able().await;
}

/// History of before the failover is in the primary's own bucket.
#[tokio::test]
async fn what_the_primary_has_itself_counts() {
    let able = Able::reverse().await;
    let own = able.stage.path(Side::Primary).join("segments/logs");
    let segment = std::fs::read_dir(&own).unwrap().next().unwrap().unwrap();
    std::fs::remove_file(segment.path()).unwrap();
    let name = segment.file_name().into_string().unwrap();
    able.fails(Check::Segments, &name, "backup").await;
}

/// What the primary had acknowledged last, and the secondary has not imported, is still only in the
/// primary's own bucket. The secondary carries it on; it must be there, and it is said that it is.
#[tokio::test]
async fn what_the_secondary_has_not_imported_is_looked_for_where_it_lies() {
    let stage = Stage::new();
    let primary = stage.start(Side::Primary, false).await;
    primary.repository("logs").await;
    let (partition, _, at) = primary.acknowledge("in no segment").await;
    primary.snapshot().await;
    let secondary = stage.start(Side::Secondary, true).await;
    let segment = secondary.segment("logs", "of the secondary").await;
    secondary.snapshot().await;
    let cluster = Cluster::of(&stage.pair, Side::Primary).await;
    let able = Able {
        stage,
        cluster,
        into: Side::Primary,
        segment,
    };
    let report = able.is_able().await;
    let carried = report.figures.carried_entries.unwrap();
    assert!(carried > 0 && report.figures.unread_entries.unwrap() >= carried);
    let mut findings = report.findings.iter();
    let journal = findings.find(|it| it.check == Check::Journal);
    let said = &journal.unwrap().sentence;
    assert!(
        said.contains(&format!("{carried} entries are only in")),
        "{said}"
    );
    assert!(said.contains("container bucket"), "{said}");
    let object = StreamId::Partition(partition).key(at);
    std::fs::remove_file(able.stage.path(Side::Primary).join(&object)).unwrap();
    able.fails(Check::Journal, &object, "backup").await;
}

/// A secondary's journal begins with its recovery: without a snapshot it leads to no state.
#[tokio::test]
async fn a_secondary_without_a_snapshot_has_nothing_to_give() {
    let able = Able::reverse().await;
    std::fs::remove_dir_all(able.source().join("globalsnapshots")).unwrap();
    able.fails(
        Check::Snapshot,
        "secondary-bucket has no snapshot",
        "let a node of the secondary write one",
    )
    .await;
}

#[tokio::test]
async fn what_was_found_before_is_not_looked_for_again() {
    let able = Able::reverse().await;
    let (report, seen) = able.seen(None).await;
    assert!(report.able, "{report:#?}");
    let seen = seen.unwrap();
    // It goes after it was found: whoever counts all finds that, whoever counts what is new does not.
    std::fs::remove_file(able.source().join(&able.segment)).unwrap();
    able.fails(Check::Segments, &able.segment, "backup").await;
    let (report, _) = able.seen(Some(&seen)).await;
    let segments = report
        .findings
        .iter()
        .find(|it| it.check == Check::Segments);
    let segments = segments.unwrap();
    assert_eq!(segments.outcome, Outcome::Ok, "{segments:?}");
    assert!(segments.sentence.contains("found before"), "{segments:?}");
}

/// Twice there and back: the primary has been the secondary's source and its heir.
#[tokio::test]
async fn every_hop_is_counted() {
    let able = Able::reverse().await;
    let stage = &able.stage;
    std::fs::remove_dir_all(stage.path(Side::Primary).join("globalsnapshots")).unwrap();
    let primary = stage.start(Side::Primary, true).await;
    primary.segment("logs", "home again").await;
    primary.snapshot().await;
    let cluster = Cluster::of(&stage.pair, Side::Secondary).await;
    let region = &cluster.region;
    let (report, _) = recoverable(&stage.pair, Side::Secondary, region, OPTIONS, None).await;
    assert!(report.able, "{report:#?}");
    assert_eq!(report.figures.segments_read, Some(3));
    // Now the primary has it all, and would lose what is new if it started over once more.
    able.fails(
        Check::OwnBucket,
        "the primary holds its own journal",
        "nothing to recover",
    )
    .await;
}
