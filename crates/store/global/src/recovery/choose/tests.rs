#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn found(cluster_id: &str, epoch: u64, offset: u64) -> Option<Found> {
    Some(Found {
        cluster_id: cluster_id.to_owned(),
        position: EpochOffset { epoch, offset },
    })
}

fn sealed() -> OwnJournal {
    OwnJournal::Sealed {
        by: "theirs".to_owned(),
        term: 4,
    }
}

fn refused(has_snapshots: bool) -> Choice {
    Choice::Refuse(Refusal::Fenced {
        by: "theirs".to_owned(),
        term: 4,
        has_snapshots,
    })
}

#[test]
fn every_case() {
    const CONTINUED: OwnJournal = OwnJournal::Ours { replayable: false };
    const WHOLE: OwnJournal = OwnJournal::Ours { replayable: true };
    let ours = |epoch, offset| found("ours", epoch, offset);
    let other = || found("other", 9, 9);
    let cases = [
        // A first start, without and with a recovery source.
        (None, None, OwnJournal::Empty, false, Choice::Create),
        (None, None, OwnJournal::Empty, true, Choice::Recover),
        // A state of our own wins over any recovery source.
        (ours(0, 5), None, CONTINUED, true, Choice::Local),
        (None, ours(0, 5), CONTINUED, true, Choice::Own),
        // The later one; of equal ones the local, which is nearer.
        (ours(0, 5), ours(0, 4), CONTINUED, true, Choice::Local),
        (ours(0, 5), ours(0, 5), CONTINUED, false, Choice::Local),
        (ours(0, 5), ours(0, 6), CONTINUED, false, Choice::Own),
        (ours(0, 5), ours(1, 1), CONTINUED, false, Choice::Own),
        (ours(1, 1), ours(0, 9), CONTINUED, false, Choice::Local),
        // What belongs to another cluster is as if it were not there.
        (other(), None, OwnJournal::Empty, true, Choice::Recover),
        (other(), None, OwnJournal::Empty, false, Choice::Create),
        (other(), ours(0, 1), CONTINUED, false, Choice::Own),
        (None, other(), OwnJournal::Empty, true, Choice::Recover),
        // The journal alone is enough while it holds everything.
        (None, None, WHOLE, false, Choice::Replay),
        (None, None, WHOLE, true, Choice::Replay),
        (ours(0, 1), None, WHOLE, true, Choice::Local),
        // A recovery that was begun and not ended: neither the journal nor a disk that survived is all.
        (None, None, OwnJournal::Recovering, true, Choice::Recover),
        (
            ours(0, 5),
            None,
            OwnJournal::Recovering,
            true,
            Choice::Recover,
        ),
        (
            ours(0, 5),
            None,
            OwnJournal::Recovering,
            false,
            Choice::Refuse(Refusal::SnapshotsGone),
        ),
        (None, ours(1, 5), OwnJournal::Recovering, true, Choice::Own),
        (
            ours(1, 6),
            ours(1, 5),
            OwnJournal::Recovering,
            true,
            Choice::Local,
        ),
        // A journal that goes on from snapshots that are gone: a failback deletes them.
        (None, None, CONTINUED, true, Choice::Recover),
        (
            None,
            None,
            CONTINUED,
            false,
            Choice::Refuse(Refusal::SnapshotsGone),
        ),
        // Sealed by another cluster: nothing of ours may be continued.
        (None, ours(0, 9), sealed(), true, refused(true)),
        (ours(0, 9), ours(0, 9), sealed(), true, refused(true)),
        (ours(0, 9), ours(0, 9), sealed(), false, refused(true)),
        (None, None, sealed(), false, refused(false)),
        (ours(0, 9), None, sealed(), false, refused(false)),
        // It comes home: its snapshots were deleted, and a source is named. That its disk still
        // has a copy says nothing.
        (None, None, sealed(), true, Choice::Recover),
        (ours(0, 9), None, sealed(), true, Choice::Recover),
        (None, other(), sealed(), true, Choice::Recover),
    ];
    for (local, own, journal, recovery, expected) in cases {
        let findings = Findings {
            cluster_id: "ours",
            local,
            own,
            journal,
            recovery,
        };
        assert_eq!(choose(&findings), expected, "{findings:?}");
    }
}
