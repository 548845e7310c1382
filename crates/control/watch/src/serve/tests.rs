#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

#[tokio::test]
async fn promtool_has_nothing_to_say_of_the_metrics() {
    let metrics = Arc::new(Metrics::new());
    metrics.show(&WatchStatus::default());
    let verified = "# HELP backstay_verify_able Whether.\n# TYPE backstay_verify_able gauge\nbackstay_verify_able 1\n# EOF\n";
    let shown = Shown {
        metrics,
        status: watch::channel(WatchStatus::default()).1,
        last: Arc::new(Mutex::new(Instant::now())),
        verified: Arc::new(Mutex::new(verified.to_owned())),
        alerts: Some(Arc::default()),
        refusals: vec![Refusals::new("watch"), Refusals::new("webhook")].into(),
    };
    let answer = super::metrics(State(shown), HeaderMap::new()).await;
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20)
        .await
        .unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains("backstay_webhook_messages_total"), "{text}");
    backstay_testkit::promtool::check(&text);
}
