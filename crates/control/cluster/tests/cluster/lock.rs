//! The run lock on a real Lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backstay_cluster::{ClusterError, Lock, Region, Standing, WriteOutcome};
use backstay_failover::lock::{LeaseWatch, Lock as Whose};
use backstay_failover::marks::Revision;
use backstay_retry::{Authority, Authorization, WriteGuard};
use serde_json::json;

use crate::lab::{Lab, deadline, soon};

const LEASE: &str = "backstay-failover";
const OPERATOR: &str = "humio-operator";
const SHORT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn it_is_taken_renewed_given_back_and_taken_by_the_next() {
    let lab = Lab::start().await;
    let region = lab.region("dr-function").await;
    let long = Duration::from_secs(600);
    let mut first = Lock::new(region.clone(), LEASE, "first", long);
    let mut second = Lock::new(region.clone(), LEASE, "second", long);
    assert!(!first.holds());
    assert!(matches!(
        first.acquire_or_renew(deadline()).await.unwrap(),
        Standing::Held { .. }
    ));
    assert!(first.holds() && first.left() > Duration::ZERO && !second.holds());
    match second.acquire_or_renew(deadline()).await.unwrap() {
        Standing::HeldBy { holder, left } => assert!(holder == first.me() && left <= long),
        Standing::Held { .. } => panic!("two hold it"),
    }
    assert!(matches!(
        first.acquire_or_renew(deadline()).await.unwrap(),
        Standing::Held { .. }
    ));
    // What is not ours is not given back.
    second.release(deadline()).await.unwrap();
    assert!(first.holds());
    first.release(deadline()).await.unwrap();
    assert!(!first.holds());
    assert!(matches!(
        second.acquire_or_renew(deadline()).await.unwrap(),
        Standing::Held { .. }
    ));
    let leases = lab.api("coordination.k8s.io/v1", "Lease").await;
    let lease = leases.get(LEASE).await.unwrap();
    assert_eq!(lease.data["spec"]["holderIdentity"], second.me());
    assert_eq!(lease.data["spec"]["leaseTransitions"], 2);
    assert_eq!(lease.data["spec"]["leaseDurationSeconds"], 600);
}

#[tokio::test]
async fn whoever_was_taken_over_changes_nothing_more() {
    let lab = Lab::start().await;
    lab.operator().await;
    let region = lab.region("dr-function").await;
    let long = Duration::from_secs(600);
    let mut first = Lock::new(region.clone(), LEASE, "first", long);
    first.acquire_or_renew(deadline()).await.unwrap();
    let under = region.under(region.while_holding(LEASE, first.me()));
    assert_eq!(under.scale(OPERATOR, 1, deadline()).await.unwrap(), 1);

    let mut second = Lock::new(region.clone(), LEASE, "second", long);
    second.acquire_or_renew(deadline()).await.unwrap();
    second.take_over(deadline()).await.unwrap();
    // The first one does not know it yet: by its own clock it holds the lock for minutes.
    assert!(first.holds());
    let successor = second.me().to_owned();
    for holder in [successor.as_str(), "not ours any more"] {
        let error = under.scale(OPERATOR, 0, deadline()).await.unwrap_err();
        assert!(
            matches!(error, ClusterError::WriteRefused { .. })
                && error.to_string().contains(holder),
            "{error}"
        );
        // Reading is nobody's to forbid.
        let there = under.operator(OPERATOR, deadline()).await.unwrap();
        assert_eq!(there.replicas, 1);
        let held = second.holds().then(|| second.me().to_owned());
        match first.renew(deadline()).await.unwrap() {
            Standing::HeldBy { holder, .. } => assert_eq!(holder, held.unwrap_or_default()),
            Standing::Held { .. } => panic!("it is not taken back, free or not"),
        }
        second.release(deadline()).await.unwrap();
    }
}

/// Somebody who changes the Deployment in the moment of the question, so often.
#[derive(Debug)]
struct Meddler(Region, AtomicUsize);

impl Authority for Meddler {
    fn authorize(&self) -> Authorization<'_> {
        Box::pin(async {
            let left = self
                .1
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |it| it.checked_sub(1));
            if left.is_ok() {
                self.0.scale(OPERATOR, 3, deadline()).await.unwrap();
                self.0.scale(OPERATOR, 2, deadline()).await.unwrap();
            }
            Ok(())
        })
    }
}

#[tokio::test]
async fn what_was_read_before_the_question_must_be_so_still() {
    let lab = Lab::start().await;
    lab.operator().await;
    let region = lab.region("dr-function").await;
    // As it was read, but of another version: the number alone would not show it.
    region.scale(OPERATOR, 2, deadline()).await.unwrap();
    let meddler = Meddler(region.clone(), AtomicUsize::new(usize::MAX));
    let under = region.under(WriteGuard::authorized_by(meddler));
    under.scale(OPERATOR, 1, soon()).await.unwrap_err();
    // The meddler may have been cut off, too, between its own two.
    let there = region.operator(OPERATOR, deadline()).await.unwrap();
    assert_ne!(there.replicas, 1);
    region.scale(OPERATOR, 2, deadline()).await.unwrap();
    // It is read again, and asked again.
    let under = region.under(WriteGuard::authorized_by(Meddler(
        region.clone(),
        AtomicUsize::new(1),
    )));
    assert_eq!(under.scale(OPERATOR, 1, deadline()).await.unwrap(), 1);
}

#[tokio::test]
async fn one_whose_holder_is_dead_is_taken_over_whatever_its_clock_said() {
    let lab = Lab::start().await;
    // Renewed in a thousand years, by its own clock.
    let lease = json!({
        "metadata": { "name": LEASE },
        "spec": {
            "holderIdentity": "dead", "leaseDurationSeconds": 1,
            "renewTime": "3026-01-01T00:00:00.000000Z", "leaseTransitions": 7,
        },
    });
    lab.make("coordination.k8s.io/v1", "Lease", lease).await;
    let mut lock = Lock::new(lab.region("dr-function").await, LEASE, "next", SHORT);
    let first = lock.acquire_or_renew(deadline()).await.unwrap();
    assert!(
        matches!(first, Standing::HeldBy { .. }),
        "not at first sight"
    );
    while !lock.holds() {
        if let Standing::HeldBy { left, .. } = lock.acquire_or_renew(deadline()).await.unwrap() {
            tokio::time::sleep(left).await;
        }
    }
    // Its time goes on from there: a write that changes nothing would be seen by nobody.
    let leases = lab.api("coordination.k8s.io/v1", "Lease").await;
    let before = leases.get(LEASE).await.unwrap().metadata.resource_version;
    lock.acquire_or_renew(deadline()).await.unwrap();
    assert_ne!(
        leases.get(LEASE).await.unwrap().metadata.resource_version,
        before
    );
}

#[tokio::test]
async fn one_that_was_written_over_is_no_longer_held() {
    let lab = Lab::start().await;
    let mut lock = Lock::new(
        lab.region("dr-function").await,
        LEASE,
        "me",
        Duration::from_secs(600),
    );
    lock.acquire_or_renew(deadline()).await.unwrap();
    let other = json!({ "spec": { "holderIdentity": "other" } });
    lab.patch("coordination.k8s.io/v1", "Lease", LEASE, other)
        .await;
    assert!(matches!(
        lock.acquire_or_renew(deadline()).await.unwrap(),
        Standing::HeldBy { .. }
    ));
    assert!(!lock.holds());
}

#[tokio::test]
async fn of_many_one_holds_it_also_while_the_api_comes_and_goes() {
    let lab = Lab::start().await;
    let region = lab.region("dr-function").await;
    let holders = Arc::new(AtomicUsize::new(0));
    let turns = Arc::new(AtomicUsize::new(0));
    let contenders: Vec<_> = (0..6)
        .map(|at| {
            let (region, holders, turns) = (region.clone(), holders.clone(), turns.clone());
            tokio::spawn(async move {
                let mut lock = Lock::new(region, LEASE, &format!("c{at}"), SHORT);
                while turns.load(Ordering::SeqCst) < 12 {
                    if let Ok(Standing::Held { .. }) = lock.acquire_or_renew(soon()).await
                        && lock.holds()
                    {
                        // What it does while it holds it takes no longer than that.
                        let until = lock.left();
                        let others = holders.fetch_add(1, Ordering::SeqCst);
                        if until > Duration::from_millis(300) {
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                        let still = lock.holds();
                        holders.fetch_sub(1, Ordering::SeqCst);
                        assert!(others == 0 || !still, "two hold it");
                        turns.fetch_add(1, Ordering::SeqCst);
                        // Every other time it dies with it.
                        if at % 2 == 0 {
                            let _ = lock.release(soon()).await;
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
            })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        lab.restart().await;
    }
    for contender in contenders {
        contender.await.unwrap();
    }
}

#[tokio::test]
async fn it_is_taken_over_and_who_held_it_is_told_and_does_not_take_it_back() {
    let lab = Lab::start().await;
    let region = lab.region("dr-function").await;
    let long = Duration::from_secs(600);
    let lock = |who| Lock::new(region.clone(), LEASE, who, long);
    let (mut first, mut second, mut third) = (lock("first"), lock("second"), lock("third"));
    first.acquire_or_renew(deadline()).await.unwrap();
    // Two see whose it is, and take it over from that one; it is renewed in between.
    for lock in [&mut second, &mut third] {
        let standing = lock.acquire_or_renew(deadline()).await.unwrap();
        assert!(matches!(standing, Standing::HeldBy { holder, .. } if holder == first.me()));
    }
    first.acquire_or_renew(deadline()).await.unwrap();
    let standing = second.take_over(deadline()).await.unwrap();
    assert!(matches!(standing, Standing::Held { .. }) && second.holds());
    match third.take_over(deadline()).await.unwrap() {
        Standing::HeldBy { holder, .. } => assert_eq!(holder, second.me()),
        Standing::Held { .. } => panic!("it was taken over from one who had just taken it over"),
    }
    assert!(!third.holds());
    for _ in 0..3 {
        match first.acquire_or_renew(deadline()).await.unwrap() {
            Standing::HeldBy { holder, left } => {
                assert!(holder == second.me() && left > Duration::from_secs(500));
            }
            Standing::Held { .. } => panic!("taken back"),
        }
        assert!(!first.holds());
        first.release(deadline()).await.unwrap();
    }
    let renewed = second.acquire_or_renew(deadline()).await.unwrap();
    assert!(matches!(renewed, Standing::Held { .. }));
    // Whoever has seen that may take it over from the new one.
    let standing = third.take_over(deadline()).await.unwrap();
    assert!(matches!(standing, Standing::Held { .. }));
    let leases = lab.api("coordination.k8s.io/v1", "Lease").await;
    let lease = leases.get(LEASE).await.unwrap();
    assert_eq!(lease.data["spec"]["holderIdentity"], third.me());
    assert_eq!(lease.data["spec"]["leaseTransitions"], 3);
}

#[tokio::test]
async fn what_is_free_or_ours_is_taken_over_like_anything_else() {
    let lab = Lab::start().await;
    let region = lab.region("dr-function").await;
    let mut lock = Lock::new(region.clone(), LEASE, "me", Duration::from_secs(600));
    for _ in 0..2 {
        let standing = lock.take_over(deadline()).await.unwrap();
        assert!(matches!(standing, Standing::Held { .. }) && lock.holds());
    }
    lock.release(deadline()).await.unwrap();
    let mut next = Lock::new(region, LEASE, "next", Duration::from_secs(600));
    next.take_over(deadline()).await.unwrap();
    assert!(next.holds());
}

#[tokio::test]
async fn of_many_that_take_it_over_at_once_one_has_it() {
    let lab = Lab::start().await;
    let region = lab.region("dr-function").await;
    let long = Duration::from_secs(600);
    let mut first = Lock::new(region.clone(), LEASE, "first", long);
    first.acquire_or_renew(deadline()).await.unwrap();
    let mut rivals = Vec::new();
    for at in 0..8 {
        let mut rival = Lock::new(region.clone(), LEASE, &format!("rival-{at}"), long);
        rival.acquire_or_renew(deadline()).await.unwrap();
        rivals.push(rival);
    }
    let renewing = async {
        // Far more often than anybody renews it; not without a pause, or nobody else ever comes to write.
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if let Standing::HeldBy { .. } = first.acquire_or_renew(deadline()).await.unwrap() {
                return;
            }
        }
        panic!("nobody took it over");
    };
    let taking = futures::future::join_all(rivals.iter_mut().map(|it| it.take_over(deadline())));
    let (taken, ()) = tokio::join!(taking, renewing);
    let taken: Vec<_> = taken.into_iter().map(Result::unwrap).collect();
    let held = taken
        .iter()
        .filter(|it| matches!(it, Standing::Held { .. }));
    assert_eq!(held.count(), 1, "{taken:?}");
    assert_eq!(rivals.iter().filter(|it| it.holds()).count(), 1);
    assert!(!first.holds());
}

/// The Lease as a failover sees it.
async fn seen_by_failover(region: &Region) -> Option<backstay_failover::lock::Lease> {
    let lease = region.lease(LEASE, deadline()).await.unwrap();
    lease.map(|it| backstay_failover::lock::Lease {
        holder: it.holder,
        revision: Revision(it.version),
        promised: it.lasts,
    })
}

#[tokio::test]
async fn a_failover_and_a_run_understand_each_others_lease() {
    let lab = Lab::start().await;
    let region = lab.region("dr-function").await;
    let lasts = Duration::from_secs(15);
    let mut run = Lock::new(
        region.clone(),
        LEASE,
        "operator@host",
        Duration::from_secs(60),
    );
    let mut watch = LeaseWatch::default();
    let mut judge = |lease: Option<&backstay_failover::lock::Lease>, seconds| {
        watch.judge(lease, "watch", Duration::from_secs(seconds), lasts)
    };
    assert_eq!(
        judge(seen_by_failover(&region).await.as_ref(), 0),
        Whose::Free(None)
    );

    // A run holds it: for as long as it has promised, and again with each renewal.
    run.acquire_or_renew(deadline()).await.unwrap();
    let held = seen_by_failover(&region).await;
    let by_run = Whose::Held(run.me().to_owned());
    assert_eq!(judge(held.as_ref(), 100), by_run);
    assert_eq!(judge(held.as_ref(), 159), by_run);
    run.acquire_or_renew(deadline()).await.unwrap();
    let renewed = seen_by_failover(&region).await;
    assert_eq!(judge(renewed.as_ref(), 161), by_run);
    assert_eq!(judge(renewed.as_ref(), 220), by_run);
    run.release(deadline()).await.unwrap();
    let free = seen_by_failover(&region).await;
    let version = free.as_ref().unwrap().revision.0.clone();
    assert_eq!(
        judge(free.as_ref(), 221),
        Whose::Free(Some(Revision(version.clone())))
    );

    // A failover takes it, renews it and gives it back.
    let write = async |version: &str, holder: Option<&str>| {
        let written = region.write_lease(LEASE, Some(version), holder, lasts, deadline());
        assert_eq!(written.await.unwrap(), WriteOutcome::Written);
        let lease = region.lease(LEASE, deadline()).await.unwrap();
        lease.unwrap().version
    };
    let mut version = write(&version, Some("watch")).await;
    for _ in 0..2 {
        match run.acquire_or_renew(deadline()).await.unwrap() {
            Standing::HeldBy { holder, left } => {
                assert_eq!(holder, "watch");
                assert!(left > Duration::from_secs(10) && left <= lasts, "{left:?}");
            }
            Standing::Held { .. } => panic!("two hold it"),
        }
        let before = version.clone();
        version = write(&version, Some("watch")).await;
        assert_ne!(version, before, "the version is the pulse");
    }
    // A person takes it over: the failover's next renewal says so, and what it reads then.
    run.acquire_or_renew(deadline()).await.unwrap();
    assert!(matches!(
        run.take_over(deadline()).await.unwrap(),
        Standing::Held { .. }
    ));
    let late = region.write_lease(LEASE, Some(&version), Some("watch"), lasts, deadline());
    assert_eq!(late.await.unwrap(), WriteOutcome::Changed);
    assert_eq!(judge(seen_by_failover(&region).await.as_ref(), 300), by_run);
    run.release(deadline()).await.unwrap();
    let version = seen_by_failover(&region).await.unwrap().revision.0;
    let version = write(&version, Some("watch")).await;
    write(&version, None).await;
    let standing = run.acquire_or_renew(deadline()).await.unwrap();
    assert!(matches!(standing, Standing::Held { .. }));
}
