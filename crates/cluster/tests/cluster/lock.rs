//! The run lock on a real Lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backstay_cluster::{Lock, Standing};
use serde_json::json;

use crate::lab::{Lab, deadline, soon};

const LEASE: &str = "backstay-failover";
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
