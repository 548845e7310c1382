//! Alerts over kills: nothing that has fired fires again, and nothing is lost.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::clients::certificate;
use crate::endpoint::Way;
use crate::kill::Process;
use crate::receiver::{Receiver, alerts, until_retried, watched};
use crate::server::TEST_TIMEOUT;

/// Kills in each half of an outage, after which the process is let go on.
const KILLS: u32 = 2;

/// The endpoint goes down and up, and the process is killed meanwhile, at any moment: each outage
/// is one alert that fires and resolves, and both are told. `BACKSTAY_OUTAGES` says how many.
#[tokio::test(flavor = "multi_thread")]
async fn each_outage_is_one_alert_whatever_is_killed() {
    let outages: usize = std::env::var("BACKSTAY_OUTAGES").map_or(5, |it| it.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let mut process = Process::start(folder.path()).await;
    let api = &process.api;
    let primary = watched(api, &[("w", receiver.uri("/"))]).await;

    let distinct = |condition: &str| -> BTreeSet<String> {
        let told = receiver.told("/").into_iter();
        told.filter(|(it, _)| it == condition)
            .map(|(_, id)| id)
            .collect()
    };
    for outage in 1..=outages {
        for (way, condition) in [(500, "Fired"), (200, "Resolved")] {
            primary.now(Way::Code(way));
            let begun = Instant::now();
            let mut kills = 0;
            while distinct(condition).len() < outage {
                assert!(
                    begun.elapsed() < 2 * TEST_TIMEOUT,
                    "{condition}: {:?}",
                    receiver.told("/")
                );
                if kills < KILLS {
                    kills += 1;
                    let after = rand::random_range(0..4_000);
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    process.signal(Signal::SIGKILL);
                    drop(process);
                    process = Process::start(folder.path()).await;
                } else {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
    let all = alerts(&process.api).await;
    let ids: BTreeSet<String> = all
        .iter()
        .map(|it| it["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), outages, "{all:?}");
    assert_eq!(distinct("Fired"), ids);
    assert_eq!(distinct("Resolved"), ids);
    assert!(
        all.iter()
            .all(|it| it["properties"]["essentials"]["monitorCondition"] == "Resolved")
    );
    // In their order: fired, resolved, then the next one. Some may have been told twice, because
    // the answer came just before a kill.
    let mut told = receiver.told("/");
    told.dedup();
    let conditions: Vec<&str> = told.iter().map(|(it, _)| it.as_str()).collect();
    assert_eq!(conditions, ["Fired", "Resolved"].repeat(outages));
}

/// The receiver is away when it fires, and the process is killed before it is back.
#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_told_before_a_kill_is_told_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path()).await;
    let api = &process.api;
    // An address of its own, so that nobody else takes the port meanwhile.
    let held = std::net::TcpListener::bind("127.0.0.4:0").unwrap();
    let address = held.local_addr().unwrap();
    drop(held);
    let primary = watched(api, &[("w", format!("http://{address}/"))]).await;
    primary.now(Way::Code(500));
    until_retried(api).await;
    let fired = alerts(api).await;
    assert_eq!(fired.len(), 1);
    process.signal(Signal::SIGKILL);
    drop(process);

    let receiver = Receiver::at(address).await;
    let process = Process::start(folder.path()).await;
    receiver.until("/", 1).await;
    primary.now(Way::Code(200));
    receiver.until("/", 2).await;
    let id = fired[0]["id"].as_str().unwrap().to_owned();
    let expected = ["Fired", "Resolved"].map(|it| (it.to_owned(), id.clone()));
    assert_eq!(receiver.told("/"), expected);
    assert_eq!(alerts(&process.api).await.len(), 1);
}

/// Over TLS, a receiver is told if its certificate is one that the server trusts, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_over_tls_must_show_a_trusted_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (trusted, key) = certificate(folder.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let (other, other_key) = certificate(elsewhere.path());
    let good = Receiver::with_tls(&trusted, &key).await;
    let bad = Receiver::with_tls(&other, &other_key).await;
    let variables = [("SSL_CERT_FILE", trusted.as_path())];
    let process = Process::start_with(folder.path(), &variables).await;
    let api = &process.api;
    let uri = |it: &Receiver| format!("https://localhost:{}/", it.address.port());
    let primary = watched(api, &[("bad", uri(&bad)), ("good", uri(&good))]).await;
    primary.now(Way::Code(500));
    good.until("/", 1).await;
    until_retried(api).await;
    assert!(bad.told("/").is_empty());
}
