//! Loading and recovering over folder buckets: what is chosen, what is said, what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "recovery/region.rs"]
mod region;
#[path = "recovery/take_back.rs"]
mod take_back;

use backstay_bucket::{Bucket, BucketConfig, Provider, Role};
use backstay_global::recovery::outside::{Holder, HolderWatch, end_source, holder};
use backstay_global::recovery::{LoadError, LoadOptions, Origin, RecoverFrom, load};
use backstay_global::{
    CommitError, NO_BUCKET, RepositoryId, Segment, SegmentId, State, credentials, snapshot,
};
use backstay_retry::WriteGuard;

use region::{Region, create, entries, names};

#[tokio::test]
async fn the_log_is_line_by_line_the_one_that_operators_know() {
    let (east, west) = (
        Region::new("primarylogscalecontainer"),
        Region::new("secondarylogscalecontainer"),
    );
    let primary = east.start(None).await.unwrap();
    create(&primary.log, "a").await.unwrap();
    east.snapshot(&primary.log).await;
    let at = primary.log.state().position();
    let standby = west.start(Some(&east)).await.unwrap();
    let expected = [
        "Checking bucket storage localAndHttpWereEmpty=true".to_owned(),
        "Trying to fetch a global snapshot from bucket storage local if one exists in bucket=secondarylogscalecontainer".to_owned(),
        "Fetching global snapshot from bucket storage local found no snapshot to fetch.".to_owned(),
        "Trying to fetch a global snapshot as recovery source from bucket storage in local".to_owned(),
        "Trying to fetch a global snapshot from bucket storage local if one exists in bucket=primarylogscalecontainer".to_owned(),
        format!("Fetched global snapshot from bucket storage local found snapshot with epochOffset={at}"),
        format!("Fetched a global snapshot as recovery source from bucket storage in local and got snapshot with epochOffset={at} now patching..."),
        format!("Snapshots to choose from, last is better...; List({at},local)) using kafkaMinOffsetOpt of None"),
        format!("Selecting snapshot from source=local with epochOffset={at}"),
        // No region and no bucket is to be replaced here; those lines are patching's own test.
        "updateSnapshotForDisasterRecovery: Patching access configs from RECOVER_FROM on bucketId=1".to_owned(),
        "updateSnapshotForDisasterRecovery: setting readOnly=true on bucketId=1 keyPrefix= new value for bucket=primarylogscalecontainer".to_owned(),
        // This line is ours: the manual's say nothing of the bucket that is written to.
        "updateSnapshotForDisasterRecovery: the bucket that is written to changes from bucketId=1 bucket=primarylogscalecontainer to bucketId=2 bucket=secondarylogscalecontainer".to_owned(),
    ];
    assert_eq!(standby.lines, expected);
    assert_eq!(at.to_string(), format!("{{epoch=0 offset={}}}", at.offset));
}

#[tokio::test]
async fn a_standby_has_everything_up_to_the_last_entry() {
    let (east, west) = (Region::new("east"), Region::new("west"));
    let primary = east.start(None).await.unwrap();
    assert_eq!(primary.origin, Origin::Created);
    create(&primary.log, "in the snapshot").await.unwrap();
    east.snapshot(&primary.log).await;
    create(&primary.log, "only in the journal").await.unwrap();
    let standby = west.start(Some(&east)).await.unwrap();
    assert!(matches!(standby.origin, Origin::Recovered { .. }));
    let state = standby.log.state();
    assert_eq!(names(&state), ["in the snapshot", "only in the journal"]);
    assert_eq!((state.epoch, state.buckets.len()), (1, 2));
    assert_ne!(state.cluster_id, primary.log.state().cluster_id);
    // It is written down at once, in its own bucket and its data folder.
    let written = snapshot::newest(&west.bucket().await, Some(&state.cluster_id))
        .await
        .unwrap();
    assert_eq!(written.unwrap().position(), state.position());
    let mirror = snapshot::read_mirror(&west.data()).await.unwrap();
    assert_eq!(mirror.as_ref(), Some(&*state));
    // The primary knows that it is over.
    let late = create(&primary.log, "late").await.unwrap_err();
    assert!(
        matches!(&late, CommitError::Fenced { by, .. } if *by == state.cluster_id),
        "{late}"
    );
    create(&standby.log, "new").await.unwrap();
}

#[tokio::test]
async fn a_primary_that_died_before_its_first_snapshot_is_recovered_from_its_journal() {
    let (east, west) = (Region::new("east"), Region::new("west"));
    let primary = east.start(None).await.unwrap();
    create(&primary.log, "a").await.unwrap();
    let standby = west.start(Some(&east)).await.unwrap();
    assert_eq!(names(&standby.log.state()), ["a"]);
}

#[tokio::test]
async fn a_state_of_ones_own_comes_before_any_source() {
    let (east, west) = (Region::new("east"), Region::new("west"));
    let primary = east.start(None).await.unwrap();
    create(&primary.log, "a").await.unwrap();
    let standby = west.start(Some(&east)).await.unwrap();
    create(&standby.log, "b").await.unwrap();
    west.snapshot(&standby.log).await;
    // From the disk, from the bucket; the source may be gone altogether.
    std::fs::remove_dir_all(east.folder.path().join("east")).unwrap();
    let again = west.start(Some(&east)).await.unwrap();
    assert_eq!(again.origin, Origin::Own, "the newer one");
    assert_eq!(again.log.state(), standby.log.state());
    assert!(again.source.is_none(), "the source was not even opened");
    snapshot::mirror(&west.data(), &again.log.state())
        .await
        .unwrap();
    assert_eq!(west.start(Some(&east)).await.unwrap().origin, Origin::Local);
    west.forget_data();
    assert_eq!(west.start(Some(&east)).await.unwrap().origin, Origin::Own);
    // A disk from elsewhere is passed over, and so is a broken file.
    let mirror = west.data().join(snapshot::MIRROR_FILE);
    std::fs::write(&mirror, "{").unwrap();
    assert_eq!(west.start(Some(&east)).await.unwrap().origin, Origin::Own);
}

#[tokio::test]
async fn what_was_taken_over_comes_home_only_when_told_to() {
    let (east, west) = (Region::new("east"), Region::new("west"));
    let primary = east.start(None).await.unwrap();
    create(&primary.log, "before").await.unwrap();
    east.snapshot(&primary.log).await;
    snapshot::mirror(&east.data(), &primary.log.state())
        .await
        .unwrap();
    let standby = west.start(Some(&east)).await.unwrap();
    create(&standby.log, "meanwhile").await.unwrap();
    for from in [None, Some(&west)] {
        let refused = east.start(from).await.err().unwrap();
        assert!(matches!(refused, LoadError::Fenced { .. }), "{refused}");
        assert!(!refused.is_retryable());
        let text = refused.to_string();
        assert!(
            text.contains("globalsnapshots/") && text.contains("RECOVER_FROM"),
            "{text}"
        );
    }
    east.forget_snapshots();
    let refused = east.start(None).await.err().unwrap();
    assert!(matches!(refused, LoadError::Fenced { .. }), "{refused}");
    let home = east.start(Some(&west)).await.unwrap();
    let state = home.log.state();
    assert_eq!(names(&state), ["before", "meanwhile"]);
    assert_eq!(
        (state.epoch, state.buckets.len()),
        (2, 2),
        "no bucket is there twice"
    );
    assert_eq!(state.cluster_id, primary.log.state().cluster_id);
    let late = create(&standby.log, "late").await.unwrap_err();
    assert!(matches!(late, CommitError::Fenced { .. }), "{late}");
    create(&home.log, "home").await.unwrap();
    // And the one that was fenced long ago stays so.
    assert!(create(&primary.log, "ghost").await.is_err());
}

#[tokio::test]
async fn two_nodes_that_recover_at_once_have_one_state() {
    let (east, west) = (Region::new("east"), Region::new("west"));
    let primary = east.start(None).await.unwrap();
    create(&primary.log, "a").await.unwrap();
    let mut one = west.options(Some(&east)).await;
    one.data_dir = west.folder.path().join("one");
    std::fs::create_dir_all(&one.data_dir).unwrap();
    let mut two = west.options(Some(&east)).await;
    two.data_dir = west.folder.path().join("two");
    std::fs::create_dir_all(&two.data_dir).unwrap();
    let until = async |options: &LoadOptions| loop {
        match load(options).await {
            Err(error) if error.is_retryable() => tokio::task::yield_now().await,
            done => return done.unwrap(),
        }
    };
    let (one, two) = tokio::join!(until(&one), until(&two));
    create(&one.log, "one").await.unwrap();
    create(&two.log, "two").await.unwrap();
    one.log.refresh().await.unwrap();
    assert_eq!(one.log.state(), two.log.state());
    assert_eq!(names(&one.log.state()), ["a", "one", "two"]);
    assert_eq!(one.log.state().recoveries.len(), 1);
}

#[tokio::test]
async fn nothing_to_recover_is_an_error_that_names_the_variable() {
    let (east, west) = (Region::new("east"), Region::new("west"));
    let nothing = west.start(Some(&east)).await.err().unwrap();
    assert!(
        matches!(nothing, LoadError::NothingToRecover { .. }),
        "{nothing}"
    );
    assert!(
        nothing.to_string().contains("LOCAL_RECOVER_FROM"),
        "{nothing}"
    );
    // The cluster's own bucket as the source, by a slip.
    west.start(None).await.unwrap();
    let mirrored = Region::new("mirrored");
    let mut options = mirrored.options(None).await;
    options.recover_from = Some(RecoverFrom {
        bucket: mirrored.config(Role::RecoverFrom),
        replace_region: None,
        replace_bucket: None,
        without_seal: false,
    });
    let own = load(&options).await.err().unwrap();
    assert!(matches!(own, LoadError::OwnSource { .. }), "{own}");
}

#[tokio::test]
async fn a_wrong_key_for_the_source_takes_nothing_over() {
    let (east, west) = (Region::new("east"), Region::new("west"));
    let primary = east.start(None).await.unwrap();
    east.snapshot(&primary.log).await;
    let mut options = west.options(Some(&east)).await;
    if let Some(from) = &mut options.recover_from {
        from.bucket.encryption_key = "not its key".to_owned().into();
    }
    let error = load(&options).await.err().unwrap();
    assert!(
        error
            .to_string()
            .contains("LOCAL_RECOVER_FROM_ENCRYPTION_KEY"),
        "{error}"
    );
    // The primary goes on, and with the right key all is as if nothing had been.
    create(&primary.log, "still alive").await.unwrap();
    let standby = west.start(Some(&east)).await.unwrap();
    assert_eq!(names(&standby.log.state()), ["still alive"]);
}

#[tokio::test]
async fn a_source_that_was_taken_over_by_a_third_cluster_is_refused() {
    let (a, b, c) = (Region::new("a"), Region::new("b"), Region::new("c"));
    let first = a.start(None).await.unwrap();
    a.snapshot(&first.log).await;
    b.start(Some(&a)).await.unwrap();
    let refused = c.start(Some(&a)).await.err().unwrap();
    assert!(
        matches!(refused, LoadError::SourceTakenOver { .. }),
        "{refused}"
    );
    assert!(!refused.is_retryable());
}

#[tokio::test]
async fn two_azure_accounts_need_their_own_endpoints() {
    let west = Region::new("west");
    let azure = |account: &str, role| BucketConfig {
        provider: Provider::Azure {
            account: account.to_owned(),
            key: "a2V5".to_owned().into(),
            endpoint_base: Some(format!("http://127.0.0.1:9/{account}")),
        },
        ..west.config(role)
    };
    // The cluster's own bucket must answer, so only the source is in Azure; then there is nothing to refuse.
    let mut options = west.options(None).await;
    options.multiple_endpoints = false;
    let mut source = azure("primaryacct", Role::RecoverFrom);
    source.deadline = std::time::Duration::from_millis(1);
    options.recover_from = Some(RecoverFrom {
        bucket: source,
        replace_region: None,
        replace_bucket: None,
        without_seal: false,
    });
    let error = load(&options).await.err().unwrap();
    assert!(!matches!(error, LoadError::OneEndpoint { .. }), "{error}");
    assert!(error.is_retryable(), "unreachable for now: {error}");
}

#[tokio::test]
async fn what_only_the_lost_hosts_had_is_reported() {
    let (east, west) = (Region::new("east"), Region::new("west"));
    let primary = east.start(None).await.unwrap();
    create(&primary.log, "orders").await.unwrap();
    let mut state = State::clone(&primary.log.state());
    let segment = |bucket, events| Segment {
        id: SegmentId::new(),
        repository: RepositoryId::from("id-orders"),
        bucket,
        size: 10,
        raw_bytes: 100,
        events,
        start_ms: 0,
        end_ms: 1000,
        partition: 0,
        from_seq: 0,
        to_seq: 1,
        rest: None,
    };
    state.segments.insert(segment(1, 5));
    state.segments.insert(segment(NO_BUCKET, 7));
    snapshot::write(&east.bucket().await, &state).await.unwrap();
    let standby = west.start(Some(&east)).await.unwrap();
    let Origin::Recovered { loss, .. } = &standby.origin else {
        panic!("{:?}", standby.origin);
    };
    assert_eq!(
        loss.to_string(),
        "repository orders (id-orders): 7 events in 1 segments, 100 raw bytes, from 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:01.000Z"
    );
    let after = standby.log.state();
    assert_eq!(after.segments.len(), 1);
    assert_eq!(after.recoveries[0].loss, *loss, "it stays on record");
}

#[tokio::test]
async fn a_source_is_ended_from_outside_and_the_standby_goes_on_from_there() {
    let (east, west) = (Region::new("east"), Region::new("west"));
    assert_eq!(holder(&east.bucket().await).await.unwrap(), Holder::Nobody);
    let primary = east.start(None).await.unwrap();
    create(&primary.log, "a").await.unwrap();
    east.snapshot(&primary.log).await;
    create(&primary.log, "behind the snapshot").await.unwrap();
    assert_eq!(holder(&east.bucket().await).await.unwrap(), Holder::Itself);

    let source = Bucket::open(east.config(Role::RecoverFrom)).await.unwrap();
    let own = west.bucket().await;
    let ended = end_source(&source, &own, &WriteGuard::unguarded())
        .await
        .unwrap();
    let refused = create(&primary.log, "too late").await.unwrap_err();
    assert!(matches!(refused, CommitError::Fenced { .. }), "{refused}");
    let held = holder(&source).await.unwrap();
    assert!(
        matches!(&held, Holder::Other { cluster_id, .. } if *cluster_id == ended),
        "{held:?}"
    );
    // It is begun again, which is refused; and ended again, which adds nothing.
    drop(primary);
    east.forget_data();
    assert!(east.start(None).await.is_err());
    let made = entries(&east);
    assert_eq!(
        end_source(&source, &own, &WriteGuard::unguarded())
            .await
            .unwrap(),
        ended
    );
    assert_eq!(entries(&east), made);

    let standby = west.start(Some(&east)).await.unwrap();
    assert!(matches!(standby.origin, Origin::Recovered { .. }));
    assert_eq!(names(&standby.log.state()), ["a", "behind the snapshot"]);
    assert_eq!(standby.log.state().cluster_id, ended);
    assert_eq!(
        entries(&east),
        made,
        "the node found the seals in their places"
    );
    // Somebody who does not know how far the failover is ends it once more.
    end_source(&source, &own, &WriteGuard::unguarded())
        .await
        .unwrap();
    create(&standby.log, "b").await.unwrap();
    assert_eq!(holder(&own).await.unwrap(), Holder::Itself);
}

/// Replaces the newest entry of the region's log by what is no entry.
fn damage_newest(region: &Region) {
    let folder = region.folder.path().join(region.name);
    let entries = std::fs::read_dir(folder.join("journal/global")).unwrap();
    let newest = entries.map(|entry| entry.unwrap().path()).max().unwrap();
    std::fs::write(newest, "damaged").unwrap();
}

#[tokio::test]
async fn who_looks_again_reads_only_what_is_new() {
    let (east, west) = (Region::new("east"), Region::new("west"));
    let watch = HolderWatch::new(east.bucket().await);
    assert_eq!(watch.look().await.unwrap(), Holder::Nobody);
    let primary = east.start(None).await.unwrap();
    for number in 0..40 {
        create(&primary.log, &format!("{number}")).await.unwrap();
    }
    assert_eq!(watch.look().await.unwrap(), Holder::Itself);
    let source = Bucket::open(east.config(Role::RecoverFrom)).await.unwrap();
    let own = west.bucket().await;
    let ended = end_source(&source, &own, &WriteGuard::unguarded())
        .await
        .unwrap();
    let held = watch.look().await.unwrap();
    let term = match &held {
        Holder::Other { cluster_id, term } if *cluster_id == ended => *term,
        held => panic!("{held:?}"),
    };
    assert!(term > 1, "{term}");
    // What it has read says nothing new, so that it is damaged by now is for others to see.
    damage_newest(&east);
    assert!(holder(&source).await.is_err());
    assert_eq!(watch.look().await.unwrap(), held);
}

/// What the third region keeps of the first one, without its secrets.
async fn first_of(third: &Region) -> Option<(String, String)> {
    let own = third.bucket().await;
    let cluster = backstay_global::identity::read(&own)
        .await
        .unwrap()
        .unwrap();
    let newest = snapshot::newest(&own, Some(&cluster)).await.unwrap()?;
    let state = snapshot::read(&own, &newest.key).await.unwrap();
    let entity = state.buckets.first().unwrap();
    let open = credentials::open_kept(&own, entity).await.unwrap();
    let found = backstay_global::identity::read(&open).await.unwrap();
    assert_eq!(found, entity.cluster_id, "its bucket, with its key");
    Some((entity.endpoint.clone(), entity.credentials.clone()))
}

/// A chain of three, the last recovery killed at any place and begun again.
#[tokio::test]
async fn wherever_a_recovery_is_cut_a_state_never_names_a_credential_that_is_not_there() {
    let (r0, r1) = (Region::new("r0"), Region::new("r1"));
    let first = r0.start(None).await.unwrap();
    create(&first.log, "a").await.unwrap();
    let second = r1.start(Some(&r0)).await.unwrap();
    create(&second.log, "b").await.unwrap();
    r1.snapshot(&second.log).await;
    let expected = r0.config(Role::Own).endpoint();
    let mut written = 0;
    for cut in (0..).step_by(3) {
        let r2 = Region::new("r2");
        // Each time in the name of the same cluster: the source is sealed by it.
        r2.bucket()
            .await
            .put("cluster.json", br#"{"clusterId":"the third"}"#[..].into())
            .await
            .unwrap();
        let options = r2.options(Some(&r1)).await;
        let mut recovery = Box::pin(load(&options));
        let done = take_back::polled(recovery.as_mut(), cut).await;
        drop(recovery);
        if let Some((endpoint, reference)) = first_of(&r2).await {
            assert_eq!(
                (&*endpoint, &*reference),
                (&*expected, "object:credentials/1")
            );
            written += 1;
        }
        // Nor when it is begun again.
        let again = r2.start(Some(&r1)).await.unwrap();
        assert_eq!(names(&again.log.state()), ["a", "b"], "cut {cut}");
        assert!(first_of(&r2).await.is_some(), "cut {cut}");
        if done.is_some() {
            break;
        }
    }
    assert!(written > 0, "it was cut behind the snapshot, too");
}
