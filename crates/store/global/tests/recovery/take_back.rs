//! Taking the journal back without what the other cluster has taken in, cut and interleaved
//! anywhere.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use backstay_global::recovery::outside::{
    Counted, Gained, Holder, end_source, gained, holder, take_back,
};
use backstay_global::recovery::{LoadError, LoadOptions, Loaded, Origin, load};
use backstay_global::{
    CommitError, Event, GlobalLog, Host, RepositoryId, Segment, SegmentId, journal_over, snapshot,
};
use backstay_journal::{CommitOptions, StreamId, WriterId};
use backstay_retry::WriteGuard;
use bytes::Bytes;

use crate::region::{Region, create, entries, names};

static FREE: WriteGuard = WriteGuard::unguarded();

/// Both regions, the west one having taken over from the east one.
struct Failed {
    east: Region,
    west: Region,
    primary: Loaded,
    standby: Loaded,
}

async fn failed_over() -> Failed {
    let (east, west) = (Region::new("east"), Region::new("west"));
    let primary = east.start(None).await.unwrap();
    create(&primary.log, "before").await.unwrap();
    east.snapshot(&primary.log).await;
    create(&primary.log, "behind the snapshot").await.unwrap();
    let standby = west.start(Some(&east)).await.unwrap();
    create(&standby.log, "meanwhile").await.unwrap();
    Failed {
        east,
        west,
        primary,
        standby,
    }
}

async fn back(own: &Region, other: &Region) -> Result<(), LoadError> {
    take_back(
        &own.bucket().await,
        &other.bucket().await,
        &WriteGuard::unguarded(),
    )
    .await
}

async fn is_fenced(log: &GlobalLog) -> bool {
    matches!(
        create(log, "too late").await,
        Err(CommitError::Fenced { .. })
    )
}

#[tokio::test]
async fn a_cluster_starts_again_from_what_it_had_and_the_other_is_ended() {
    let Failed {
        east,
        west,
        primary,
        standby,
    } = failed_over().await;
    back(&east, &west).await.unwrap();
    assert!(is_fenced(&standby.log).await);
    let home = east.start(None).await.unwrap();
    assert_eq!(home.origin, Origin::Own);
    assert_eq!(
        names(&home.log.state()),
        ["before", "behind the snapshot"],
        "all of its own, nothing else"
    );
    create(&home.log, "home").await.unwrap();
    // Whoever was there before the failover stays fenced, and so does whoever starts in the west.
    assert!(is_fenced(&primary.log).await);
    let refused = west.start(None).await.err().unwrap();
    assert!(matches!(refused, LoadError::Fenced { .. }), "{refused}");
    let (own, other) = (east.bucket().await, west.bucket().await);
    assert_eq!(holder(&own).await.unwrap(), Holder::Itself);
    let held = holder(&other).await.unwrap();
    let by = home.log.state().cluster_id.clone();
    assert!(
        matches!(&held, Holder::Other { cluster_id, .. } if *cluster_id == by),
        "{held:?}"
    );
    // Done again, it adds nothing and disturbs nobody.
    let made = (entries(&east), entries(&west));
    back(&east, &west).await.unwrap();
    assert_eq!((entries(&east), entries(&west)), made);
    create(&home.log, "still home").await.unwrap();
    // From its journal alone, and from its data folder.
    east.forget_snapshots();
    let again = east.start(None).await.unwrap();
    assert_eq!(again.origin, Origin::Journal);
    snapshot::mirror(&east.data(), &primary.log.state())
        .await
        .unwrap();
    let again = east.start(None).await.unwrap();
    assert_eq!(again.origin, Origin::Local, "an old one of before");
    assert_eq!(again.log.state(), home.log.state());
}

#[tokio::test]
async fn a_later_failover_has_everything_again_although_its_own_old_seals_are_there() {
    let Failed {
        east,
        west,
        primary,
        ..
    } = failed_over().await;
    let mut before = primary;
    for round in 0..3 {
        back(&east, &west).await.unwrap();
        // Its newest snapshot is that of before the first failover.
        let home = east.start(None).await.unwrap();
        let name = format!("home {round}");
        create(&home.log, &name).await.unwrap();
        assert!(is_fenced(&before.log).await);
        west.forget_snapshots();
        let standby = west.start(Some(&east)).await.unwrap();
        assert!(matches!(standby.origin, Origin::Recovered { .. }));
        assert_eq!(names(&standby.log.state()), names(&home.log.state()));
        assert!(names(&standby.log.state()).contains(&&*name));
        assert!(is_fenced(&home.log).await);
        create(&standby.log, "meanwhile").await.unwrap();
        before = home;
    }
}

#[tokio::test]
async fn a_failover_that_never_came_to_a_start_is_taken_back() {
    let (east, west) = (Region::new("east"), Region::new("west"));
    let primary = east.start(None).await.unwrap();
    create(&primary.log, "before").await.unwrap();
    end_source(
        &east.bucket().await,
        &west.bucket().await,
        &WriteGuard::unguarded(),
    )
    .await
    .unwrap();
    back(&east, &west).await.unwrap();
    let home = east.start(None).await.unwrap();
    assert_eq!(names(&home.log.state()), ["before"]);
    create(&home.log, "home").await.unwrap();
    assert!(is_fenced(&primary.log).await);
    assert_eq!(
        holder(&west.bucket().await).await.unwrap(),
        Holder::Nobody,
        "nothing began there, and nothing was ended"
    );
}

#[tokio::test]
async fn a_recovery_that_did_not_come_to_its_snapshot_is_ended() {
    let Failed { east, west, .. } = failed_over().await;
    back(&east, &west).await.unwrap();
    west.forget_snapshots();
    let standby = west.start(Some(&east)).await.unwrap();
    west.forget_snapshots();
    let none = gained(&west.bucket().await, events).await.unwrap();
    assert!(none.is_nothing());
    back(&east, &west).await.unwrap();
    assert!(is_fenced(&standby.log).await);
    let home = east.start(None).await.unwrap();
    create(&home.log, "home").await.unwrap();
}

#[tokio::test]
async fn nothing_is_ended_for_a_cluster_that_could_not_start() {
    let Failed { east, west, .. } = failed_over().await;
    // East comes home by a recovery, so that its journal alone is not enough for a start.
    east.forget_snapshots();
    east.start(Some(&west)).await.unwrap();
    west.forget_snapshots();
    let standby = west.start(Some(&east)).await.unwrap();
    east.forget_snapshots();
    let error = back(&east, &west).await.unwrap_err();
    assert!(matches!(error, LoadError::SnapshotsGone { .. }), "{error}");
    create(&standby.log, "goes on").await.unwrap();
    let nothing = Region::new("nothing");
    assert!(back(&nothing, &west).await.is_err());
    create(&standby.log, "still goes on").await.unwrap();
}

/// Polls so many times at most; `None` if it is not done then. What it has asked of the bucket may
/// still take effect, as that of a process that is killed or frozen.
pub async fn polled<F: Future>(mut future: Pin<&mut F>, times: usize) -> Option<F::Output> {
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            // The last poll has asked for something: now it is cut.
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test]
async fn wherever_it_is_cut_it_can_be_repeated_and_there_is_one_writer_at_most() {
    for cut in 0.. {
        let Failed {
            east,
            west,
            standby,
            ..
        } = failed_over().await;
        let (own, other) = (east.bucket().await, west.bucket().await);
        let mut first = Box::pin(take_back(&own, &other, &FREE));
        let done = polled(first.as_mut(), cut).await;
        drop(first);
        // Of the two, one at most; a cluster that starts and is then fenced is none.
        if let Ok(early) = east.start(None).await {
            assert!(is_fenced(&standby.log).await, "cut {cut}");
            create(&early.log, "early").await.unwrap();
        }
        back(&east, &west).await.unwrap();
        assert!(is_fenced(&standby.log).await, "cut {cut}");
        let home = east.start(None).await.unwrap();
        create(&home.log, "home").await.unwrap();
        if let Some(done) = done {
            done.unwrap();
            assert!(cut > 10, "it was cut somewhere");
            break;
        }
    }
}

#[tokio::test]
async fn a_recovery_that_was_frozen_anywhere_meanwhile_is_no_second_writer() {
    let mut found_out = 0;
    for cut in 0.. {
        let (east, west) = (Region::new("east"), Region::new("west"));
        let primary = east.start(None).await.unwrap();
        create(&primary.log, "before").await.unwrap();
        east.snapshot(&primary.log).await;
        let options = west.options(Some(&east)).await;
        let mut recovery = Box::pin(load(&options));
        let early = polled(recovery.as_mut(), cut).await;
        let done = early.is_some();
        back(&east, &west).await.unwrap();
        let home = east.start(None).await;
        // A recovery that had not begun to end anything leaves the primary what it was.
        let home = home.unwrap();
        create(&home.log, "home").await.unwrap();
        let thawed = match early {
            Some(loaded) => loaded,
            None => recovery.await,
        };
        let other = match &thawed {
            Ok(loaded) => create(&loaded.log, "thawed").await.is_ok(),
            Err(error) => {
                found_out += u32::from(matches!(error, LoadError::TakenBack { .. }));
                false
            }
        };
        let own = create(&home.log, "home again").await.is_ok();
        assert!(!(own && other), "cut {cut}: two writers");
        if let (true, Ok(loaded)) = (other, &thawed) {
            let state = loaded.log.state();
            assert!(names(&state).contains(&"home"), "cut {cut}: lost");
        }
        if done {
            break;
        }
    }
    assert!(
        found_out > 0,
        "no cut was late enough to need the second look"
    );
}

/// Two nodes bring the cluster home at once, and one of them is slow from any place on: it sees the
/// journal as it was, and a snapshot as it is.
#[tokio::test]
async fn of_two_nodes_that_bring_it_home_one_may_be_slow_from_anywhere_on() {
    for cut in 0.. {
        let Failed { east, west, .. } = failed_over().await;
        east.forget_snapshots();
        east.forget_data();
        let slow = LoadOptions {
            data_dir: east.folder.path().join("slow"),
            ..east.options(Some(&west)).await
        };
        std::fs::create_dir_all(&slow.data_dir).unwrap();
        let mut loading = Box::pin(load(&slow));
        let early = polled(loading.as_mut(), cut).await;
        let done = early.is_some();
        let fast = east.start(Some(&west)).await.unwrap();
        create(&fast.log, "fast").await.unwrap();
        let slow = match early {
            Some(loaded) => loaded,
            None => loading.await,
        };
        let slow = slow.unwrap_or_else(|error| panic!("cut {cut}: {error}"));
        create(&slow.log, "slow").await.unwrap();
        fast.log.refresh().await.unwrap();
        assert_eq!(fast.log.state(), slow.log.state(), "cut {cut}");
        let state = fast.log.state();
        assert_eq!(
            names(&state),
            ["before", "behind the snapshot", "meanwhile", "fast", "slow"],
            "cut {cut}"
        );
        if done {
            assert!(cut > 10, "it was cut somewhere");
            break;
        }
    }
}

#[tokio::test]
async fn a_take_back_that_was_frozen_anywhere_while_the_other_recovers_is_no_second_writer() {
    for cut in 0.. {
        let Failed { east, west, .. } = failed_over().await;
        let (own, other) = (east.bucket().await, west.bucket().await);
        let mut taking = Box::pin(take_back(&own, &other, &FREE));
        let early = polled(taking.as_mut(), cut).await;
        let done = early.is_some();
        west.forget_snapshots();
        let standby = west.start(Some(&east)).await;
        let first = match &standby {
            Ok(standby) => create(&standby.log, "again").await.is_ok(),
            Err(_) => false,
        };
        let result = match early {
            Some(result) => result,
            None => taking.await,
        };
        let mine = match east.start(None).await {
            Ok(home) => create(&home.log, "home").await.is_ok(),
            Err(_) => false,
        };
        let theirs = match &standby {
            Ok(standby) => create(&standby.log, "and again").await.is_ok(),
            Err(_) => false,
        };
        assert!(!(mine && theirs), "cut {cut}: two writers");
        assert!(first || mine, "cut {cut}: nobody writes: {result:?}");
        if done {
            break;
        }
    }
}

/// One event for every byte of a record.
fn events(record: &Bytes) -> Result<Counted, std::convert::Infallible> {
    let events = record.len() as u64;
    Ok(Counted {
        events,
        bytes: 10 * events,
    })
}

/// A node of the region takes partition 0, and puts what it writes first into a segment.
async fn take_in(region: &Region, log: &GlobalLog, records: &[&'static str]) {
    let host = Host {
        id: "host".to_owned(),
        incarnation: "1".to_owned(),
        url: "http://127.0.0.1:1".to_owned(),
        roles: Vec::new(),
        heartbeat: 0,
        pace_ms: 0,
        settled: Vec::new(),
        started_ms: 0,
        vhost: 1,
        zone: None,
        is_being_evicted: false,
        extra: Default::default(),
    };
    let state = log.state();
    let partition = state.partition(0).unwrap();
    let (covered, term) = (partition.covered, partition.term + 1);
    let own = state.writable_bucket().unwrap().id;
    let taken = Event::PartitionTaken {
        partition: 0,
        host: host.id.clone(),
        term,
    };
    let up = Event::HostUp { host };
    log.commit(|_| Ok(vec![up.clone(), taken.clone()]))
        .await
        .unwrap();
    let journal = journal_over(&region.bucket().await, WriterId("host/1".to_owned()));
    let stream = StreamId::Partition(0);
    let sealed = journal.seal(stream, covered, term, "host/1").await.unwrap();
    let writer = journal.writer(stream, sealed, CommitOptions::default());
    let mut covered_to = 0;
    for (n, record) in records.iter().enumerate() {
        let at = writer
            .append(Bytes::from_static(record.as_bytes()))
            .await
            .unwrap();
        if n == 0 {
            covered_to = at.seq + 1;
        }
    }
    let segment = Segment {
        id: SegmentId::new(),
        repository: RepositoryId::from("id-before"),
        bucket: own,
        size: 1,
        raw_bytes: 1000,
        events: 100,
        start_ms: 0,
        end_ms: 1,
        partition: 0,
        from_seq: covered,
        to_seq: covered_to,
        rest: None,
    };
    let published = Event::SegmentsPublished {
        partition: 0,
        term,
        covered_from: covered,
        covered_to,
        segments: vec![segment],
        term_below: None,
    };
    log.commit(|_| Ok(vec![published.clone()])).await.unwrap();
}

#[tokio::test]
async fn what_was_taken_in_since_the_recovery_is_counted_and_nothing_else() {
    let Failed {
        east,
        west,
        standby,
        ..
    } = failed_over().await;
    let other = west.bucket().await;
    assert_eq!(gained(&other, events).await.unwrap(), Gained::default());
    take_in(&west, &standby.log, &["in a segment", "four", "five5"]).await;
    let made = entries(&west);
    let of_three = Gained {
        segments: 1,
        events: 109,
        bytes: 1090,
        unread_entries: 2,
    };
    assert_eq!(gained(&other, events).await.unwrap(), of_three);
    assert_eq!(entries(&west), made, "it only looks");
    // Home with all that; and over again: the west has gained nothing in its new life, although
    // its segment of the first is in its own bucket.
    east.forget_snapshots();
    let home = east.start(Some(&west)).await.unwrap();
    assert_eq!(home.log.state().segments.len(), 1);
    west.forget_snapshots();
    let standby = west.start(Some(&east)).await.unwrap();
    assert_eq!(standby.log.state().segments.len(), 1);
    assert_eq!(gained(&other, events).await.unwrap(), Gained::default());
    // What it takes in from the east's journal it was not sent itself.
    let state = standby.log.state();
    let recovery = state.recoveries.last().unwrap();
    let tail = recovery.tails.iter().find(|it| it.partition == 0).unwrap();
    let mut imported = state.segments.iter().next().unwrap().clone();
    imported.id = SegmentId::new();
    imported.from_seq = tail.from;
    imported.to_seq = tail.to;
    imported.rest.get_or_insert_default().imported_by = Some(recovery.id.as_str().into());
    let (of, from, to) = (recovery.id.clone(), tail.from, tail.to);
    if to > from {
        let event = Event::TailImported {
            recovery: of,
            partition: 0,
            from,
            to,
            segments: vec![imported],
            term_below: None,
        };
        standby
            .log
            .commit(|_| Ok(vec![event.clone()]))
            .await
            .unwrap();
        assert_eq!(standby.log.state().segments.len(), 2);
    }
    assert_eq!(gained(&other, events).await.unwrap(), Gained::default());
    take_in(&west, &standby.log, &["a", "b"]).await;
    let of_two = Gained {
        segments: 1,
        events: 101,
        bytes: 1010,
        unread_entries: 1,
    };
    assert_eq!(gained(&other, events).await.unwrap(), of_two);
    // Whoever ends it changes nothing of that.
    back(&east, &west).await.unwrap();
    assert_eq!(gained(&other, events).await.unwrap(), of_two);
}
