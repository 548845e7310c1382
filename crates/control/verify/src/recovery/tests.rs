#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io;
use std::path::Path;

use backstay_journal::StreamId;

use super::*;

fn bucket(of: &str) -> BucketError {
    let text = || "x".to_owned();
    match of {
        "missing" => BucketError::Missing {
            object: text(),
            container: text(),
        },
        "container" => BucketError::NoContainer {
            container: text(),
            endpoint: text(),
            variable: text(),
        },
        "denied" => BucketError::Denied {
            account: text(),
            container: text(),
            remedy: text(),
            object: text(),
            detail: text(),
        },
        "key" => BucketError::WrongKey {
            object: text(),
            container: text(),
            variable: text(),
        },
        "corrupt" => BucketError::Corrupt {
            object: text(),
            container: text(),
            detail: text(),
        },
        "unreachable" => BucketError::Unreachable {
            endpoint: text(),
            object: text(),
            waited: Duration::ZERO,
            source: "refused".into(),
        },
        "space" => BucketError::NoSpace {
            endpoint: text(),
            object: text(),
            source: "full".into(),
        },
        other => panic!("{other}"),
    }
}

fn backend(of: &str) -> StoreError {
    let error = bucket(of);
    StoreError::Backend {
        retryable: error.is_retryable(),
        source: Box::new(error),
    }
}

#[test]
fn each_error_belongs_to_its_check() {
    use Check::{EncryptionKey, Journal, RecoverySource, Snapshot};
    use Outcome::{Fails, Unknown};
    let table: Vec<(LoadError, Check, Outcome)> = vec![
        (bucket("container").into(), RecoverySource, Fails),
        (bucket("denied").into(), RecoverySource, Fails),
        (bucket("unreachable").into(), RecoverySource, Unknown),
        (
            IdentityError::Bucket(bucket("key")).into(),
            EncryptionKey,
            Fails,
        ),
        (
            IdentityError::Bucket(bucket("corrupt")).into(),
            RecoverySource,
            Fails,
        ),
        (
            SnapshotError::Bucket(bucket("key")).into(),
            EncryptionKey,
            Fails,
        ),
        (
            SnapshotError::Bucket(bucket("corrupt")).into(),
            Snapshot,
            Fails,
        ),
        (
            SnapshotError::Bucket(bucket("missing")).into(),
            Snapshot,
            Fails,
        ),
        (
            SnapshotError::Bucket(bucket("denied")).into(),
            RecoverySource,
            Fails,
        ),
        (
            SnapshotError::Bucket(bucket("unreachable")).into(),
            RecoverySource,
            Unknown,
        ),
        (
            SnapshotError::Bucket(bucket("space")).into(),
            Snapshot,
            Unknown,
        ),
        (
            SnapshotError::Unpack {
                object: "x".to_owned(),
                source: io::Error::other("x"),
            }
            .into(),
            Snapshot,
            Fails,
        ),
        (
            SnapshotError::File {
                path: "x".into(),
                source: io::Error::other("x"),
            }
            .into(),
            Snapshot,
            Unknown,
        ),
        (backend("key").into(), EncryptionKey, Fails),
        (backend("corrupt").into(), Journal, Fails),
        (backend("unreachable").into(), RecoverySource, Unknown),
        (
            LoadError::Tail(TailError::Store(backend("corrupt"))),
            Journal,
            Fails,
        ),
        (
            LoadError::Tail(TailError::Store(StoreError::Missing {
                object: "x".to_owned(),
                by: "y".to_owned(),
            })),
            Journal,
            Fails,
        ),
        (
            LoadError::Tail(TailError::Store(StoreError::Unavailable {
                object: "x".to_owned(),
                detail: "y".to_owned(),
            })),
            Journal,
            Unknown,
        ),
        (
            LoadError::Tail(TailError::Trimmed {
                stream: StreamId::Global,
                position: 1,
            }),
            Journal,
            Fails,
        ),
        (
            LoadError::SourceTakenOver {
                source_cluster: "a".to_owned(),
                by: "b".to_owned(),
                term: 1,
            },
            Journal,
            Fails,
        ),
        (LoadError::Raced, Snapshot, Unknown),
    ];
    for (error, check, outcome) in table {
        let found = of_load(&error);
        assert_eq!((found.check, found.outcome), (check, outcome), "{error:?}");
        assert_eq!(found.sentence, error.to_string());
        // The chain is broken there, and nothing behind it is called good.
        let chain = broken(found);
        let checks: Vec<Check> = chain.iter().map(|it| it.check).collect();
        assert_eq!(checks, CHAIN);
        let at = CHAIN.iter().position(|it| *it == check).unwrap();
        for (place, finding) in chain.iter().enumerate() {
            let is_good = finding.outcome == Outcome::Ok;
            assert_eq!(is_good, place < at, "{finding:?}");
        }
    }
}

#[test]
fn without_variables_the_fault_is_theirs() {
    let environment = |outcome| Finding {
        check: Check::Environment,
        outcome,
        sentence: String::new(),
        next: String::new(),
    };
    let error = EnvironmentError::Bucket(BucketError::Config {
        variable: "V".to_owned(),
        problem: "it is empty".to_owned(),
    });
    for outcome in [Outcome::Fails, Outcome::Unknown] {
        let chain = no_source(Side::Secondary, Some(&error), &[environment(outcome)]);
        assert!(
            chain.iter().all(|it| it.outcome == Outcome::Unknown),
            "{chain:?}"
        );
        assert!(chain[0].sentence.contains("environment"));
    }
    for error in [Some(&error), None] {
        let chain = no_source(Side::Secondary, error, &[environment(Outcome::Ok)]);
        let first = (chain[0].check, chain[0].outcome);
        assert_eq!(first, (Check::RecoverySource, Outcome::Fails));
        assert!(
            chain[1..].iter().all(|it| it.outcome == Outcome::Unknown),
            "{chain:?}"
        );
    }
}

fn elsewhere(segments: u64) -> Elsewhere {
    let why = (segments > 0).then(|| "credentials/1 is not there".to_owned());
    Elsewhere { segments, why }
}

#[test]
fn segments_are_all_there_or_named() {
    let of = |missing: u64, resized: u64| {
        let mut counted = Counted {
            segments: 10,
            bytes: 5_000,
            ..Counted::default()
        };
        counted.missing.count = missing;
        counted.resized.count = resized;
        Ok(counted)
    };
    assert_eq!(
        segments(Side::Secondary, &of(0, 0), &elsewhere(0), "").outcome,
        Outcome::Ok
    );
    assert_eq!(
        segments(Side::Secondary, &of(0, 0), &elsewhere(0), "").sentence,
        "all 10 are there, with their sizes, 4.9 KiB"
    );
    for (counted, elsewhere, lost, says) in [
        (of(1, 0), 0, "", "missing: 1"),
        (of(0, 2), 0, "", "of another size: 2"),
        (
            of(0, 0),
            0,
            "repository a",
            "lost with the primary's hosts: repository a",
        ),
        (of(1, 0), 3, "", "missing: 1"),
    ] {
        let finding = segments(Side::Secondary, &counted, &self::elsewhere(elsewhere), lost);
        assert_eq!(finding.outcome, Outcome::Fails);
        assert!(finding.sentence.contains(says), "{finding:?}");
    }
    let unopened = segments(Side::Secondary, &of(0, 0), &elsewhere(1), "");
    assert_eq!(unopened.outcome, Outcome::Unknown);
    assert!(unopened.sentence.contains("credentials/1"), "{unopened:?}");
    assert_eq!(
        segments(
            Side::Secondary,
            &Err(bucket("unreachable")),
            &elsewhere(0),
            ""
        )
        .outcome,
        Outcome::Unknown
    );
}

#[test]
fn contents_are_good_or_named() {
    let read = |wrong: &[&str], unknown: &[&str]| {
        let all = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect();
        Read {
            good: 3,
            events: 30,
            wrong: all(wrong),
            unknown: all(unknown),
        }
    };
    let finding = contents(&read(&[], &[]), 9, Some(7));
    assert_eq!(finding.outcome, Outcome::Ok);
    assert_eq!(
        finding.sentence,
        "3 of 9 read, a sample (seed 7): 30 events, as the state says"
    );
    let finding = contents(&read(&["a is cut", "b"], &["c"]), 9, None);
    assert_eq!(
        (finding.outcome, finding.sentence.as_str()),
        (Outcome::Fails, "a is cut and 1 more")
    );
    let finding = contents(&read(&[], &["c"]), 9, None);
    assert_eq!(
        (finding.outcome, finding.sentence.as_str()),
        (Outcome::Unknown, "c")
    );
}

#[test]
fn the_own_bucket_is_reached() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/backstay.example.toml");
    let pair = Pair::read(&file, []).unwrap();
    let mut lab = pair.clone();
    lab.secondary.storage.place = BucketLocation::Folder {
        path: "/x".to_owned(),
        container: "x".to_owned(),
    };
    fn outcome(pair: &Pair, opened: Result<(), OwnBucket<'_>>) -> Outcome {
        own_bucket(pair, Side::Secondary, opened).outcome
    }
    assert_eq!(outcome(&pair, Ok(())), Outcome::Ok);
    assert_eq!(
        outcome(&pair, Err(OwnBucket::Bucket(&bucket("container")))),
        Outcome::Fails
    );
    assert_eq!(
        outcome(&lab, Err(OwnBucket::Bucket(&bucket("container")))),
        Outcome::Ok
    );
    assert_eq!(
        outcome(&lab, Err(OwnBucket::Bucket(&bucket("key")))),
        Outcome::Fails
    );
    assert_eq!(
        outcome(&pair, Err(OwnBucket::Bucket(&bucket("unreachable")))),
        Outcome::Unknown
    );
    assert_eq!(outcome(&pair, Err(OwnBucket::None)), Outcome::Fails);
    assert_eq!(
        outcome(&pair, Err(OwnBucket::Behind(Check::Secrets))),
        Outcome::Unknown
    );
}

#[test]
fn sizes_are_readable() {
    for (bytes, shown) in [
        (0, "0 bytes"),
        (1_023, "1023 bytes"),
        (1_536, "1.5 KiB"),
        (1 << 40, "1.0 TiB"),
        (u64::MAX, "16384.0 PiB"),
    ] {
        assert_eq!(size(bytes), shown);
    }
}
