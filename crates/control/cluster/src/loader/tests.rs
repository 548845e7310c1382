#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const AT: EpochOffset = EpochOffset {
    epoch: 0,
    offset: 1_329_609,
};

/// The runbook's sequence, line by line, and what each says and leads to.
fn sequence() -> Vec<(&'static str, Line, Stage)> {
    let looking = |bucket: &str| Line::Looking {
        bucket: bucket.to_owned(),
    };
    vec![
        (
            "Checking bucket storage localAndHttpWereEmpty=true",
            Line::Checking { empty: true },
            Stage::Begun,
        ),
        (
            "Trying to fetch a global snapshot from bucket storage azure if one exists in bucket=secondarylogscalecontainer",
            looking("secondarylogscalecontainer"),
            Stage::Begun,
        ),
        (
            "Fetching global snapshot from bucket storage azure found no snapshot to fetch.",
            Line::FoundNone,
            Stage::Begun,
        ),
        (
            "Trying to fetch a global snapshot as recovery source from bucket storage in azure",
            Line::FromSource,
            Stage::LookingAtSource,
        ),
        (
            "Trying to fetch a global snapshot from bucket storage azure if one exists in bucket=primarylogscalecontainer",
            looking("primarylogscalecontainer"),
            Stage::LookingAtSource,
        ),
        (
            "Fetched global snapshot from bucket storage azure found snapshot with epochOffset={epoch=0 offset=1329609}",
            Line::Found(AT),
            Stage::LookingAtSource,
        ),
        (
            "Fetched a global snapshot as recovery source from bucket storage in azure and got snapshot with epochOffset={epoch=0 offset=1329609} now patching...",
            Line::Patching(AT),
            Stage::Patching,
        ),
        (
            "Snapshots to choose from, last is better...; List({epoch=0 offset=1329609},azure)) using kafkaMinOffsetOpt of Some(KafkaMinOffset(...))",
            Line::Choosing,
            Stage::Patching,
        ),
        (
            "Selecting snapshot from source=azure with epochOffset={epoch=0 offset=1329609}",
            Line::Selected {
                source: "azure".to_owned(),
                position: AT,
            },
            Stage::Patching,
        ),
        (
            "updateSnapshotForDisasterRecovery: Patching region using from=eastus to=westus on bucketId=1",
            Line::PatchedRegion {
                to: "westus".to_owned(),
            },
            Stage::Patching,
        ),
        (
            "updateSnapshotForDisasterRecovery: Patching bucket using from=primarylogscalecontainer to=secondarylogscalecontainer on bucketId=1",
            Line::PatchedBucket {
                to: "secondarylogscalecontainer".to_owned(),
            },
            Stage::Patching,
        ),
        (
            "updateSnapshotForDisasterRecovery: Patching access configs from RECOVER_FROM on bucketId=1",
            Line::PatchedAccess,
            Stage::Patching,
        ),
        (
            "updateSnapshotForDisasterRecovery: setting readOnly=true on bucketId=1 keyPrefix= new value for bucket=secondarylogscalecontainer",
            Line::ReadOnly {
                bucket: "secondarylogscalecontainer".to_owned(),
            },
            Stage::Patched,
        ),
    ]
}

#[test]
fn the_runbook_s_lines() {
    let frames: [fn(&str) -> String; 4] = [
        str::to_owned,
        |line| format!("2026-11-25T02:47:10.123456Z  INFO DataSnapshotLoader: {line}"),
        |line| {
            format!(
                "\u{1b}[2m2026-11-25T02:47:10Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m DataSnapshotLoader: {line}"
            )
        },
        |line| serde_json::json!({ "target": "DataSnapshotLoader", "message": line }).to_string(),
    ];
    for frame in frames {
        let mut recovery = Recovery::default();
        assert_eq!(recovery.stage(), Stage::Unseen);
        for (line, says, stage) in sequence() {
            let line = frame(line);
            assert_eq!(recovery.take(&line), Some(says), "{line}");
            assert_eq!(recovery.stage(), stage, "{line}");
            assert_eq!(recovery.take("2026-11-25 INFO something else"), None);
        }
        assert_eq!(recovery.snapshot(), Some(AT));
        assert_eq!(recovery.own_snapshot(), None);
        assert!(!recovery.source_is_empty());
    }
}

#[test]
fn other_courses() {
    let taken = |lines: &[usize]| {
        let all = sequence();
        let mut recovery = Recovery::default();
        for at in lines {
            recovery.take(all[*at].0);
        }
        recovery
    };
    // Nothing in the source.
    let empty = taken(&[0, 1, 2, 3, 4, 2]);
    assert!(empty.source_is_empty());
    assert_eq!(
        (empty.stage(), empty.snapshot()),
        (Stage::LookingAtSource, None)
    );
    // A snapshot of its own: no recovery.
    let own = taken(&[0, 1, 5, 7, 8]);
    assert_eq!(
        (own.stage(), own.own_snapshot(), own.snapshot()),
        (Stage::Begun, Some(AT), None)
    );
    // Started again in the middle of it.
    let again = taken(&[0, 1, 2, 3, 4, 5, 6, 0]);
    assert_eq!((again.stage(), again.snapshot()), (Stage::Begun, None));
    // On Azure no bucket is renamed.
    assert_eq!(
        taken(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12]).stage(),
        Stage::Patched
    );
    // Read only alone, without a recovery, is none.
    assert_eq!(taken(&[0, 12]).stage(), Stage::Begun);
}

#[test]
fn what_is_cut_off_is_no_line() {
    for line in [
        "Checking bucket storage localAndHttpWereEmpty=",
        "Checking bucket storage localAndHttpWereEmpty=perhaps",
        "Trying to fetch a global snapshot from bucket storage azure if one exists in bucket=",
        "Fetched global snapshot from bucket storage azure found snapshot with epochOffset={epoch=0 off",
        "Fetched global snapshot from bucket storage azure found snapshot with epochOffset={epoch=-1 offset=5}",
        "Selecting snapshot from source=azure with epochOffset={epoch=0 offset=99999999999999999999999}",
        "updateSnapshotForDisasterRecovery: setting readOnly=true on bucketId=1",
        "updateSnapshotForDisasterRecovery:",
        "",
    ] {
        assert_eq!(read(line), None, "{line}");
    }
}

proptest! {
    #[test]
    fn no_line_makes_it_panic(line in ".*", at in 0..13_usize, cut in 0..200_usize, after in ".*") {
        read(&line);
        let whole = sequence()[at].0;
        let part: String = whole.chars().take(cut).collect();
        let mut recovery = Recovery::default();
        recovery.take(&format!("{line}{part}{after}"));
        recovery.take(&part);
    }
}
