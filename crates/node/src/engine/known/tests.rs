#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use super::*;

const LONGER_THAN_A_TEST: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn who_asks_waits_for_what_may_pass_and_not_for_what_is_damaged() {
    let known = Known::default();
    let soon = || Instant::now() + Duration::from_millis(10);
    assert_eq!(
        known.wait(soon()).await.unwrap_err().to_string(),
        "they are being read"
    );
    known.failed("slow".to_owned(), false);
    assert_eq!(known.wait(soon()).await.unwrap_err().to_string(), "slow");
    known.failed("damaged".to_owned(), true);
    let begun = Instant::now();
    assert_eq!(
        known
            .wait(begun + LONGER_THAN_A_TEST)
            .await
            .unwrap_err()
            .to_string(),
        "damaged"
    );
    assert_eq!(Instant::now(), begun, "at once");
    assert!(known.get().is_none() && !known.is_done());

    known.learn(Window::default());
    known.failed("of an earlier try".to_owned(), true);
    known.wait(soon()).await.unwrap();
    assert!(known.get().is_some() && known.is_done());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_what_fails_again_and_again() {
    let known = Known::default();
    for failures in 1..=MAX_AWAITED_FAILURES {
        let begun = Instant::now();
        known.failed("away".to_owned(), false);
        assert_eq!(
            known
                .wait(begun + LONGER_THAN_A_TEST)
                .await
                .unwrap_err()
                .to_string(),
            "away"
        );
        let waited = Instant::now() > begun;
        assert_eq!(waited, failures < MAX_AWAITED_FAILURES, "{failures}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told() {
    let known = std::sync::Arc::new(Known::default());
    let waiting = |known: &std::sync::Arc<Known>| {
        let known = std::sync::Arc::clone(known);
        tokio::spawn(async move { known.wait(Instant::now() + LONGER_THAN_A_TEST).await })
    };
    let first = waiting(&known);
    tokio::task::yield_now().await;
    known.failed("damaged".to_owned(), true);
    assert_eq!(first.await.unwrap().unwrap_err().to_string(), "damaged");
    // Restored, but the bucket is slow.
    known.failed("slow".to_owned(), false);
    let second = waiting(&known);
    tokio::task::yield_now().await;
    known.learn(Window::default());
    second.await.unwrap().unwrap();
}
