//! A shared secret, and those who do not have it.

use std::time::Duration;

use backstay_listen::Tls;
use backstay_webhook::{Condition, Door, Options, RefusalKind, Webhook, WebhookError};
use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::curl::curl;
use crate::rig::{HANG, RULE, Rig, SECRET, fired, on_loopback, resolved, secret};

fn soon() -> TimeDelta {
    TimeDelta::seconds(30)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_wakes_once_and_only_who_knows_the_secret_can_tell() {
    let mut rig = Rig::start().await;
    let message = fired("a", soon());
    let body = message.to_string();
    let path = rig.url("/api/alert");
    let ask = async |url: &str, header: &str| {
        let header = format!("header = \"{header}\"");
        curl(url, &[&header], Some(body.as_bytes())).await
    };

    let answer = ask(&path, "X-Nothing: 1").await;
    assert_eq!((answer.status, answer.challenge.as_str()), (401, "Bearer"));
    for forged in ["guess", &SECRET.to_lowercase(), &SECRET[1..]] {
        let url = format!("{path}?code={forged}");
        let answer = ask(&url, "X-Nothing: 1").await;
        assert_eq!(answer.status, 403, "{forged}");
        assert!(!answer.body.contains(forged), "{}", answer.body);
        let answer = ask(&path, &format!("Authorization: Bearer {forged}")).await;
        assert_eq!(answer.status, 403, "{forged}");
    }
    rig.nothing_more();

    let answer = ask(&path, &format!("Authorization: Bearer {SECRET}")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "taken"));
    let alert = rig.alert().await;
    assert!(alert.id.ends_with("/alerts/a"), "{alert:?}");
    assert_eq!(
        (alert.rule.as_str(), alert.condition),
        ("dr-alert", Condition::Fired)
    );
    assert!(alert.at < alert.received, "{alert:?}");

    // Azure calls again when it got no answer, and whoever has read along may too.
    for _ in 0..3 {
        let answer = rig.post(&message).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "taken before"));
    }
    rig.nothing_more();
    let answer = rig.post(&resolved(&message)).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "taken"));
    assert_eq!(rig.alert().await.condition, Condition::Resolved);
    // A second outage.
    rig.post(&fired("b", soon())).await;
    assert!(rig.alert().await.id.ends_with("/alerts/b"));

    let counts = rig.counts();
    assert_eq!((counts.woke, counts.replayed), (3, 3));
    assert_eq!(counts.refused_as(RefusalKind::Unauthenticated), 1);
    assert_eq!(counts.refused_as(RefusalKind::Forbidden), 6);
    let logs = rig.logs.text();
    assert!(logs.contains("an alert wakes the watch"), "{logs}");
    assert!(logs.contains("the secret is not ours"), "{logs}");
    assert!(!logs.contains(SECRET), "{logs}");
    assert!(!format!("{:?}", rig.webhook).contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_of_other_rules_are_taken_and_wake_nobody() {
    let mut rig = Rig::start().await;
    let mut message = fired("a", soon());
    message["data"]["essentials"]["alertRule"] = json!("cpu");
    let answer = rig.post(&message).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("another rule"), "{}", answer.body);
    // However old: it is nobody's business.
    message["data"]["essentials"]["firedDateTime"] = json!("2020-01-01T00:00:00Z");
    assert_eq!(rig.post(&message).await.status, 200);
    let mut message = fired("a", soon());
    message["data"]["essentials"]["alertRuleId"] = json!(RULE.replace("/dr/", "/test/"));
    assert_eq!(rig.post(&message).await.status, 200);
    message["data"]["essentials"]["alertRuleId"] = json!(RULE.to_uppercase());
    assert_eq!(rig.post(&message).await.body, "taken");
    rig.alert().await;
    rig.nothing_more();
    assert_eq!(rig.counts().ignored, 3);
}

/// What Azure sends to try a receiver out, as its documentation has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_test_notification_is_heard_and_wakes_nobody() {
    let mut rig = Rig::start().await;
    let mut message = fired("a", soon());
    let essentials = &mut message["data"]["essentials"];
    essentials["alertId"] = json!(
        "/subscriptions/11111111-1111-1111-1111-111111111111/providers/Microsoft.AlertsManagement/alerts/12345678-1234-1234-1234-1234567890ab"
    );
    essentials["alertRule"] = json!("test-metricAlertRule");
    essentials["firedDateTime"] = json!("2021-11-15T09:35:24.3468506Z");
    let answer = rig.post(&message).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "a test, heard")
    );
    // Another one is as good.
    assert_eq!(rig.post(&message).await.status, 200);
    rig.nothing_more();
    assert_eq!((rig.counts().tested, rig.counts().ignored), (2, 0));
    // A rule of ours that is called so is no test.
    message["data"]["essentials"]["alertId"] = json!("/subscriptions/5e55/providers/x/alerts/a");
    rig.post(&message).await;
    assert_eq!((rig.counts().tested, rig.counts().ignored), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_alert_is_refused_with_what_and_where() {
    let mut rig = Rig::start().await;
    let mut old = fired("a", TimeDelta::minutes(61));
    let mut ahead = fired("a", TimeDelta::minutes(-60));
    for message in [&mut old, &mut ahead] {
        message["customProperties"] = json!({ "secret": SECRET });
    }
    let mut changed = fired("a", soon());
    changed["data"]["essentials"]["monitorCondition"] = json!(SECRET);
    let mut older = fired("a", soon());
    older["schemaId"] = json!("AzureMonitorMetricAlert");
    for (message, expected) in [
        (old, "is a clock wrong?"),
        (ahead, "is a clock wrong?"),
        (changed, "data.essentials.monitorcondition: neither"),
        (older, "usecommonalertschema"),
        (json!([SECRET]), "schemaid"),
        (Value::Null, "schemaid"),
    ] {
        let answer = rig.post(&message).await;
        assert_eq!(answer.status, 400, "{message}");
        let said = answer.body.to_lowercase();
        assert!(said.contains(expected), "{}", answer.body);
        assert!(!answer.body.contains(SECRET), "{}", answer.body);
    }
    let answer = rig.post_bytes(b"{\"schemaId\": ").await;
    assert!(answer.body.contains("line 1 column"), "{}", answer.body);
    rig.nothing_more();
    let counts = rig.counts();
    assert_eq!(counts.refused_as(RefusalKind::Malformed), 5);
    assert_eq!(counts.refused_as(RefusalKind::OutOfTime), 2);
    let logs = rig.logs.text();
    assert!(!logs.contains(SECRET), "{logs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_have_a_bound_and_paths_their_methods() {
    let mut rig = Rig::start().await;
    // As long as a message may be.
    let mut message = fired("a", soon());
    let length = message.to_string().len() + r#","filler":"""#.len();
    message["filler"] = json!("x".repeat((256 << 10) - length));
    assert_eq!(rig.post(&message).await.body, "taken");
    rig.alert().await;
    let body = format!("{message} ");
    let url = rig.url(&format!("/api/alert?code={SECRET}"));
    let chunked = "header = \"Transfer-Encoding: chunked\"";
    for lines in [&[][..], &[chunked]] {
        let answer = curl(&url, lines, Some(body.as_bytes())).await;
        assert_eq!(answer.status, 413, "{lines:?}");
        assert!(answer.body.contains("262144"), "{}", answer.body);
    }
    let endless = vec![b'['; 8 << 20];
    assert_eq!(rig.post_bytes(&endless).await.status, 413);

    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let line = format!("request = \"{method}\"");
        let answer = curl(&url, &[&line], None).await;
        assert_eq!(answer.status, 405, "{method}");
    }
    assert_eq!(curl(&rig.url("/healthz"), &[], None).await.body, "ok");
    // The Functions host's paths are not for a network.
    for path in ["/", "/alert", "/watch", "/api/alert/", "/api/../healthz/x"] {
        let url = format!("{}?code={SECRET}", rig.url(path));
        let answer = curl(&url, &["path-as-is"], Some(b"{}")).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    let long = format!("header = \"X-Long: {}\"", "x".repeat(40 << 10));
    assert_eq!(curl(&url, &[&long], Some(b"{}")).await.status, 431);
    rig.nothing_more();
    assert_eq!(rig.counts().refused_as(RefusalKind::Oversized), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_bodies_of_noise_change_nothing() {
    let mut rig = Rig::start().await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(HANG)
        .build()
        .unwrap();
    let url = rig.url(&format!("/api/alert?code={SECRET}"));
    let good = fired("a", soon()).to_string().into_bytes();
    let length = good.len();
    let noise = prop::collection::vec(any::<u8>(), 0..4_096);
    // Half of it is a good message up to a point.
    let body = (noise, 0..length, any::<bool>()).prop_map(move |(noise, kept, plain)| {
        if plain {
            return noise;
        }
        let mut body = good[..kept].to_vec();
        body.extend(noise);
        body
    });
    let mut runner = TestRunner::deterministic();
    for _ in 0..1_000 {
        let body = body.new_tree(&mut runner).unwrap().current();
        let answer = http.post(&url).body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{body:?}");
    }
    rig.nothing_more();
    assert_eq!(rig.counts().refused_as(RefusalKind::Malformed), 1_000);
    assert_eq!(rig.post(&fired("a", soon())).await.body, "taken");
    rig.alert().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_start_open_to_anybody() {
    let (on, _wakes) = mpsc::channel(1);
    let options = Options::new(on_loopback(), RULE.parse().unwrap());
    let error = Webhook::start(options, on.clone()).await.unwrap_err();
    assert!(matches!(error, WebhookError::Open), "{error}");
    let rig = Rig::start().await;
    let door = Door::Network {
        address: rig.webhook.address(),
        tls: None,
    };
    let mut options = Options::new(door, RULE.parse().unwrap());
    options.secret = Some(secret());
    assert!(!format!("{options:?}").contains(SECRET));
    let error = Webhook::start(options, on).await.unwrap_err().to_string();
    assert!(
        error.contains(&rig.webhook.address().to_string()),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_tls() {
    let folder = tempfile::tempdir().unwrap();
    let [roots, cert, key] = ["roots.pem", "cert.pem", "key.pem"].map(|it| folder.path().join(it));
    let renew = || {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::write(&roots, made.cert.pem()).unwrap();
    };
    renew();
    let door = Door::Network {
        address: "127.0.0.1:0".parse().unwrap(),
        tls: Some(Tls::of_files(&cert, &key).unwrap()),
    };
    let mut options = Options::new(door, RULE.parse().unwrap());
    options.secret = Some(secret());
    let mut rig = Rig::with(options).await;
    let port = rig.webhook.address().port();
    let url = format!("https://localhost:{port}/api/alert?code={SECRET}");
    let roots = format!("cacert = \"{}\"", roots.display());
    let resolve = format!("resolve = \"localhost:{port}:127.0.0.1\"");
    let body = fired("a", soon()).to_string();
    let answer = curl(&url, &[&roots, &resolve], Some(body.as_bytes())).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "taken"));
    rig.alert().await;
    // A new certificate is shown a little later.
    renew();
    let is_trusted = async || {
        let asked = tokio::process::Command::new("curl")
            .args([
                "--silent",
                "--output",
                "/dev/null",
                "--noproxy",
                "*",
                "--cacert",
            ])
            .arg(folder.path().join("roots.pem"))
            .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
            .arg(format!("https://localhost:{port}/healthz"))
            .status();
        asked.await.unwrap().success()
    };
    let renewed = async {
        while !is_trusted().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(HANG, renewed).await.unwrap();
    rig.webhook.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_busy_is_awake_and_one_that_is_gone_is_not() {
    let (on, mut wakes) = mpsc::channel(1);
    let mut options = Options::new(on_loopback(), RULE.parse().unwrap());
    options.secret = Some(secret());
    let webhook = Webhook::start(options, on).await.unwrap();
    let url = format!("http://{}/api/alert?code={SECRET}", webhook.address());
    let post = async |message: &Value| {
        let body = message.to_string();
        curl(&url, &[], Some(body.as_bytes())).await.status
    };
    for id in ["a", "b", "c"] {
        assert_eq!(post(&fired(id, soon())).await, 200, "{id}");
    }
    assert!(wakes.recv().await.is_some());
    drop(wakes);
    // Azure calls again after this, and it is not taken for a replay.
    let message = fired("d", soon());
    for _ in 0..2 {
        assert_eq!(post(&message).await, 503);
    }
    let counts = webhook.counters().counts();
    assert_eq!((counts.woke, counts.replayed), (3, 0));
    assert_eq!(counts.refused_as(RefusalKind::Ended), 2);
}
