#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

const GRACE: Duration = Duration::from_secs(30);
const LONGER_THAN_GRACE: Duration = Duration::from_secs(31);
const SHORTER_THAN_GRACE: Duration = Duration::from_secs(5);

/// A node of four partitions, of which it writes all, and nothing is wrong.
fn well() -> Loaded {
    Loaded {
        grace: GRACE,
        silent: Duration::ZERO,
        ingests: true,
        partitions: 4,
        owned: 4,
        stuck: 0,
        unowned: Vec::new(),
        failing: Vec::new(),
        under_way: Vec::new(),
        searches: Vec::new(),
        not_imported: Vec::new(),
        detail: "all".to_owned(),
    }
}

fn failing(step: &'static str, of: Option<u32>, lasts: Duration) -> Failing {
    Failing {
        step,
        of,
        lasts,
        text: "journal/3/17 is damaged; restore it".to_owned(),
    }
}

fn with(change: impl FnOnce(&mut Loaded)) -> Loaded {
    let mut loaded = well();
    change(&mut loaded);
    loaded
}

fn decided(phase: Phase, loaded: Option<Loaded>) -> (bool, Vec<&'static str>) {
    let status = decide(&Facts { phase, loaded });
    assert_eq!(status.ok, status.reason.is_none());
    let degraded = status.degraded.iter().map(|it| it.reason).collect();
    (status.ok, degraded)
}

#[test]
fn what_is_wrong_with_a_ready_node() {
    let unowned = |ids: std::ops::Range<u32>, lasts| {
        move |it: &mut Loaded| {
            it.owned -= ids.len();
            it.unowned = ids.map(|id| (id, lasts)).collect();
        }
    };
    let cases: [(&str, Loaded, bool, &[&str]); 22] = [
        ("nothing", well(), true, &[]),
        (
            "its bucket fails",
            with(|it| it.silent = LONGER_THAN_GRACE),
            false,
            &[],
        ),
        (
            "its bucket is slow",
            with(|it| it.silent = SHORTER_THAN_GRACE),
            true,
            &[],
        ),
        ("all are stuck", with(|it| it.stuck = 4), false, &[]),
        ("some are stuck", with(|it| it.stuck = 3), true, &[]),
        (
            "a partition has no owner",
            with(unowned(0..1, LONGER_THAN_GRACE)),
            true,
            &["partition"],
        ),
        (
            "one is on its way",
            with(unowned(0..1, SHORTER_THAN_GRACE)),
            true,
            &[],
        ),
        (
            "none has an owner",
            with(unowned(0..4, LONGER_THAN_GRACE)),
            false,
            &["partition"; 4],
        ),
        (
            "all are on their way",
            with(unowned(0..4, SHORTER_THAN_GRACE)),
            true,
            &[],
        ),
        (
            "none has an owner, and this node takes no events by its role",
            with(|loaded| {
                unowned(0..4, LONGER_THAN_GRACE)(loaded);
                loaded.ingests = false;
            }),
            true,
            &["partition"; 4],
        ),
        (
            "another region's bucket cannot be read",
            with(|it| it.failing = vec![failing(BUCKET, Some(1), Duration::ZERO)]),
            true,
            &["bucket"],
        ),
        (
            "segments are not published",
            with(|it| it.failing = vec![failing("publish", Some(3), LONGER_THAN_GRACE)]),
            true,
            &["background"],
        ),
        (
            "the keys of a partition cannot be read",
            with(|it| it.failing = vec![failing(KEYS, Some(3), LONGER_THAN_GRACE)]),
            true,
            &["partition"],
        ),
        (
            "those of none can",
            with(|loaded| {
                loaded.failing = (0..4)
                    .map(|id| failing(KEYS, Some(id), LONGER_THAN_GRACE))
                    .collect();
            }),
            true,
            &["partition"; 4],
        ),
        (
            "writing segments hangs",
            with(|it| it.under_way = vec![("publish", 3, LONGER_THAN_GRACE)]),
            true,
            &["background"],
        ),
        (
            "it is slow",
            with(|it| it.under_way = vec![("publish", 3, SHORTER_THAN_GRACE)]),
            true,
            &[],
        ),
        (
            "it has failed, and its next try hangs",
            with(|loaded| {
                loaded.failing = vec![failing("publish", Some(3), LONGER_THAN_GRACE)];
                loaded.under_way = vec![("publish", 3, LONGER_THAN_GRACE)];
            }),
            true,
            &["background"],
        ),
        (
            "reading keys hangs",
            with(|it| it.under_way = vec![(KEYS, 3, LONGER_THAN_GRACE)]),
            true,
            &["partition"],
        ),
        (
            "a step failed once",
            with(|it| it.failing = vec![failing("publish", Some(3), SHORTER_THAN_GRACE)]),
            true,
            &[],
        ),
        (
            "a takeover that fails is told of its partition",
            with(|loaded| {
                unowned(3..4, LONGER_THAN_GRACE)(loaded);
                loaded.failing = vec![failing("takeover", Some(3), LONGER_THAN_GRACE)];
            }),
            true,
            &["partition"],
        ),
        (
            "a search met a damaged segment",
            with(|it| it.searches = vec![("segments/r/s".to_owned(), SHORTER_THAN_GRACE)]),
            true,
            &["search"],
        ),
        (
            "its bucket fails, and so does all else",
            with(|loaded| {
                loaded.silent = LONGER_THAN_GRACE;
                loaded.failing = vec![failing("publish", Some(3), LONGER_THAN_GRACE)];
            }),
            false,
            &["background"],
        ),
    ];
    for (what, loaded, ok, degraded) in cases {
        assert_eq!(
            decided(Phase::Ready, Some(loaded)),
            (ok, degraded.to_vec()),
            "{what}"
        );
    }
}

#[test]
fn a_node_that_does_not_serve_is_unavailable_whatever_else_holds() {
    let fenced = Phase::Fenced {
        by: "west".to_owned(),
        term: 2,
    };
    for phase in [
        Phase::Starting("the source's bucket cannot be read".to_owned()),
        Phase::Failed("the bucket is older than the state".to_owned()),
        fenced,
        Phase::Leaving,
        Phase::Draining,
    ] {
        assert!(!decided(phase.clone(), None).0, "{phase}");
        let status = decide(&Facts {
            phase: phase.clone(),
            loaded: Some(well()),
        });
        assert_eq!(status.reason, Some(phase.to_string()));
    }
}

#[test]
fn who_reads_it_learns_what_to_restore() {
    let loaded = with(|loaded| {
        loaded.unowned = vec![(3, LONGER_THAN_GRACE)];
        loaded.failing = vec![failing("takeover", Some(3), LONGER_THAN_GRACE)];
    });
    let status = decide(&Facts {
        phase: Phase::Ready,
        loaded: Some(loaded),
    });
    let [only] = status.degraded.as_slice() else {
        panic!("{:?}", status.degraded);
    };
    assert_eq!(only.what, "partition 3");
    assert!(only.detail.contains("journal/3/17"), "{}", only.detail);
}

/// An import goes on for as long as it must; that it does is said, and no reason to send the
/// traffic elsewhere.
#[test]
fn what_is_not_imported_is_said_and_nothing_is_wrong_with_it() {
    let loaded = with(|loaded| {
        loaded.not_imported = vec![NotImported {
            from_cluster: "east".to_owned(),
            bucket: 1,
            container: "logs-east".to_owned(),
            partitions: 2,
            entries: 17,
        }];
    });
    let status = decide(&Facts {
        phase: Phase::Ready,
        loaded: Some(loaded),
    });
    assert!(status.ok && status.degraded.is_empty());
    assert_eq!(status.not_imported[0].entries, 17);
    let part = status.parts.iter().find(|it| it.name == "import").unwrap();
    for text in ["17", "logs-east", "east"] {
        assert!(part.detail.contains(text), "{}", part.detail);
    }
}
