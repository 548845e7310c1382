//! Secrets, and those that would break new pods.

use backstay_cluster::stale::Fate;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::lab::{Lab, deadline};

fn pem(body: &str) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

fn tls(name: &str, authority: &str, ours: bool) -> Value {
    let manager = if ours { "humio-operator" } else { "Helm" };
    json!({
        "metadata": { "name": name, "labels": {
            "app.kubernetes.io/managed-by": manager, "app.kubernetes.io/instance": "logscale",
        } },
        "type": "kubernetes.io/tls",
        "stringData": { "ca.crt": pem(authority), "tls.crt": pem(authority), "tls.key": "hunter2" },
    })
}

#[tokio::test]
async fn one_is_read_and_not_shown() {
    let lab = Lab::start().await;
    let secret = json!({
        "metadata": { "name": "storage" },
        "data": { "key": "aHVudGVyMg==", "empty": "" },
    });
    lab.make("v1", "Secret", secret).await;
    let region = lab.region("operator").await;
    let read = region.secret("storage", deadline()).await.unwrap();
    assert_eq!(read.value("key").unwrap().expose_secret(), b"hunter2");
    assert!(read.value("empty").unwrap().expose_secret().is_empty());
    assert!(read.value("other").is_none());
    let shown = format!("{read:?}");
    assert!(
        shown.contains("storage") && shown.contains("empty"),
        "{shown}"
    );
    assert!(
        !shown.contains("hunter2") && !shown.contains("aHVudGVyMg"),
        "{shown}"
    );
    assert!(
        region
            .secret("nobody", deadline())
            .await
            .unwrap_err()
            .is_not_found()
    );
}

#[tokio::test]
async fn stale_ones_are_found_and_deleted_as_they_were_found() {
    let lab = Lab::start().await;
    lab.make("v1", "Secret", tls("logscale-ca-keypair", "TkVX", true))
        .await;
    lab.make("v1", "Secret", tls("logscale-core-new", "TkVX", true))
        .await;
    lab.make("v1", "Secret", tls("logscale-core-old", "T0xE", true))
        .await;
    lab.make("v1", "Secret", tls("logscale-core-changing", "T0xE", true))
        .await;
    lab.make("v1", "Secret", tls("global-tls", "T0xE", false))
        .await;
    lab.make("v1", "Secret", tls("logscale-core-mounted", "T0xE", true))
        .await;
    let pod = json!({
        "metadata": { "name": "node" },
        "spec": {
            "containers": [{ "name": "humio", "image": "backstay/node" }],
            "volumes": [{ "name": "tls", "secret": { "secretName": "logscale-core-mounted" } }],
        },
    });
    lab.make("v1", "Pod", pod).await;
    let region = lab.region("operator").await;
    let stale = region
        .stale_tls_secrets("logscale", deadline())
        .await
        .unwrap();
    let found: Vec<_> = stale
        .iter()
        .map(|(it, fate)| (it.name.as_str(), *fate))
        .collect();
    assert_eq!(
        found,
        [
            ("logscale-core-changing", Fate::OtherAuthority),
            ("logscale-core-old", Fate::OtherAuthority),
        ]
    );
    assert!(!format!("{stale:?}").contains("hunter2"));
    // The operator has renewed one in between.
    let renewed = json!({ "stringData": { "ca.crt": pem("TkVX") } });
    lab.patch("v1", "Secret", "logscale-core-changing", renewed)
        .await;
    let mut deleted = Vec::new();
    for (secret, _) in &stale {
        deleted.push(region.delete_stale(secret, deadline()).await.unwrap());
        // Once more, as after a crash.
        assert!(!region.delete_stale(secret, deadline()).await.unwrap());
    }
    assert_eq!(deleted, [false, true]);
    assert!(
        region
            .stale_tls_secrets("logscale", deadline())
            .await
            .unwrap()
            .is_empty()
    );
    for kept in [
        "logscale-ca-keypair",
        "logscale-core-new",
        "global-tls",
        "logscale-core-mounted",
    ] {
        region.secret(kept, deadline()).await.unwrap();
    }
}
