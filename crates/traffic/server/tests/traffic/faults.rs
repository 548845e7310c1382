//! Endpoints that fail in every way: each is found out, within its time, and leaves nothing behind.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio_rustls::TlsAcceptor;

use crate::endpoint::{Fake, Way};
use crate::server::{Server, profile};

/// Open files of this process.
fn files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_failure_is_found_and_named() {
    let server = Server::start().await;
    let api = &server.api;
    let table = [
        (Way::Silent, "no answer within 1 s"),
        (Way::Drip, "no answer within 1 s"),
        (Way::Slow(1_500), "no answer within 1 s"),
        (Way::Reset, "the connection broke"),
        (Way::Close, "without an answer"),
        (Way::Noise, "not HTTP"),
        (Way::Head, "longer than 16 KiB"),
        (Way::Code(404), "HTTP 404"),
        (Way::Code(302), "HTTP 302"),
        (Way::Code(204), "HTTP 204"),
    ];
    let mut fakes = Vec::new();
    for (number, (way, _)) in table.iter().enumerate() {
        let fake = Fake::at("127.0.0.2", 0, *way).await;
        let body = profile(&format!("n{number}"), fake.port(), 1, &[("e", "127.0.0.2")]);
        api.put(&format!("p{number}"), body).await;
        fakes.push(fake);
    }
    // Nobody listens there at all.
    let closed = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    api.put(
        "refused",
        profile("refused", port, 1, &[("e", "127.0.0.2")]),
    )
    .await;
    // A name that does not exist (RFC 6761).
    api.put(
        "unnamed",
        profile("unnamed", port, 1, &[("e", "nobody.invalid")]),
    )
    .await;
    let status = |api: crate::server::Api| async move {
        serde_json::from_str::<serde_json::Value>(&api.see("/status").await).unwrap()
    };
    for (number, (way, reason)) in table.iter().enumerate() {
        api.until_status(&format!("p{number}"), &["Degraded"]).await;
        let shown = status(api.clone()).await;
        let profiles = shown["profiles"].as_array().unwrap();
        let name = format!("p{number}");
        let it = profiles
            .iter()
            .find(|it| it["profile"]["name"] == name)
            .unwrap();
        let error = it["probes"]["e"]["lastError"].as_str().unwrap();
        assert!(error.contains(reason), "{way:?}: {error}");
    }
    api.until_status("refused", &["Degraded"]).await;
    api.until_status("unnamed", &["Degraded"]).await;
    assert!(
        status(api.clone())
            .await
            .to_string()
            .contains("cannot be resolved")
    );

    // They go on failing, probe after probe: nothing is kept of a probe that has ended.
    let before = files();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let after = files();
    assert!(after <= before + 40, "{before} files, then {after}");

    // And each comes back as soon as it answers.
    for (number, fake) in fakes.iter().enumerate() {
        fake.now(if number % 2 == 0 {
            Way::Code(200)
        } else {
            Way::Endless
        });
        api.until_status(&format!("p{number}"), &["Online"]).await;
    }
    server.stop().await;
}

/// A self-signed certificate is fine, as with Azure; no TLS, or a handshake that never ends, is not.
#[tokio::test(flavor = "multi_thread")]
async fn tls_is_asked_for_and_certificates_are_not_judged() {
    let server = Server::start().await;
    let api = &server.api;
    let certified = rcgen::generate_simple_self_signed(vec!["nobody.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(tls));
    let good = Fake::listen("127.0.0.2", 0, Way::Code(200), Some(tls)).await;
    let plain = Fake::at("127.0.0.2", 0, Way::Code(200)).await;
    let silent = Fake::at("127.0.0.2", 0, Way::Silent).await;
    for (name, fake) in [("good", &good), ("plain", &plain), ("silent", &silent)] {
        let mut body = profile(name, fake.port(), 0, &[("e", "127.0.0.2")]);
        body["properties"]["monitorConfig"]["protocol"] = json!("HTTPS");
        api.put(name, body).await;
    }
    // For TCP a connection is health, whatever comes of it.
    let mut body = profile("tcp", silent.port(), 0, &[("e", "127.0.0.2")]);
    body["properties"]["monitorConfig"]["protocol"] = json!("TCP");
    body["properties"]["monitorConfig"]["path"] = json!(null);
    api.put("tcp", body).await;
    api.until_status("good", &["Online"]).await;
    api.until_status("tcp", &["Online"]).await;
    api.until_status("plain", &["Degraded"]).await;
    api.until_status("silent", &["Degraded"]).await;
    assert!(api.see("/status").await.contains("TLS failed"));
    server.stop().await;
}

/// An endpoint that changes at every probe: with three failures tolerated it is never found dead,
/// with none it changes often, and neither holds the prober up.
#[tokio::test(flavor = "multi_thread")]
async fn flapping_at_the_probe_period_is_survived() {
    let server = Server::start().await;
    let api = &server.api;
    let fake = Fake::at("127.0.0.2", 0, Way::Code(200)).await;
    api.put(
        "calm",
        profile("calm", fake.port(), 9, &[("e", "127.0.0.2")]),
    )
    .await;
    api.put(
        "nervous",
        profile("nervous", fake.port(), 0, &[("e", "127.0.0.2")]),
    )
    .await;
    api.until_status("calm", &["Online"]).await;
    for turn in 0..16 {
        fake.now(if turn % 2 == 0 {
            Way::Code(500)
        } else {
            Way::Code(200)
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(api.statuses("calm").await, ["Online"]);
    }
    fake.now(Way::Code(200));
    api.until_status("nervous", &["Online"]).await;
    server.stop().await;
}
