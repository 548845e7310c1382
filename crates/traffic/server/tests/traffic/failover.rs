//! The name moves when it should, and stays when it should.

use std::net::IpAddr;

use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use crate::endpoint::{Fake, Way};
use crate::server::{GROUP, Server, TEST_TIMEOUT, point, profile};

async fn pair(first: Way, second: Way) -> (Fake, Fake) {
    let one = Fake::at("127.0.0.2", 0, first).await;
    let two = Fake::at("127.0.0.3", one.port(), second).await;
    (one, two)
}

const ENDPOINTS: [(&str, &str); 2] = [("primary", "127.0.0.2"), ("secondary", "127.0.0.3")];

#[tokio::test(flavor = "multi_thread")]
async fn the_name_follows_the_first_healthy_endpoint() {
    let server = Server::start().await;
    let api = &server.api;
    let (one, two) = pair(Way::Code(200), Way::Code(200)).await;
    let mut events = api.watch(None).await.bytes_stream();
    let made = api
        .put("p", profile("logs", one.port(), 1, &ENDPOINTS))
        .await;
    assert_eq!(made["properties"]["dnsConfig"]["fqdn"], "logs.tm.test");
    // Both are being checked: the first is answered from the moment the API has answered.
    assert_eq!(api.resolve("logs").await, ["127.0.0.2"]);
    api.until_status("p", &["Online", "Online"]).await;
    assert_eq!(
        api.get("p").await["properties"]["monitorConfig"]["profileMonitorStatus"],
        "Online"
    );

    one.now(Way::Code(503));
    api.until_points("logs", &["127.0.0.3"]).await;
    assert_eq!(api.statuses("p").await, ["Degraded", "Online"]);
    assert_eq!(
        api.get("p").await["properties"]["monitorConfig"]["profileMonitorStatus"],
        "Degraded"
    );
    one.now(Way::Code(200));
    api.until_points("logs", &["127.0.0.2"]).await;

    // All degraded: as if all were online.
    one.now(Way::Close);
    two.now(Way::Close);
    api.until_status("p", &["Degraded", "Degraded"]).await;
    api.until_points("logs", &["127.0.0.2"]).await;

    // The stream has told all of it, in order.
    let mut text = String::new();
    let told = tokio::time::timeout(TEST_TIMEOUT, async {
        while text.matches("\"to\":\"Degraded\"").count() < 3 {
            text.push_str(std::str::from_utf8(&events.next().await.unwrap().unwrap()).unwrap());
        }
    });
    told.await.expect("the event stream says nothing");
    let numbers: Vec<u64> = text
        .lines()
        .filter_map(|it| it.strip_prefix("id: ")?.parse().ok())
        .collect();
    assert!(numbers.windows(2).all(|it| it[1] == it[0] + 1), "{text}");
    assert!(text.contains("\"reason\":\"HTTP 503\""), "{text}");
    assert!(text.contains("event: answer"), "{text}");
    // Who comes back later finds what he has missed.
    drop(events);
    let mut again = api.watch(Some(numbers[0])).await.bytes_stream();
    let first = tokio::time::timeout(TEST_TIMEOUT, again.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let first = String::from_utf8_lossy(&first).into_owned();
    assert!(
        first.contains(&format!("id: {}\n", numbers[0] + 1)),
        "{first}"
    );

    let metrics = api.see("/metrics").await;
    for line in [
        "backstay_traffic_endpoints{status=\"Degraded\"} 2",
        "backstay_traffic_profiles 1",
        "backstay_traffic_monitored_endpoints 2",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    backstay_testkit::promtool::check(&metrics);
    server.stop().await;
}

/// The failover function's step: disable the primary, read it back as disabled; a primary that
/// recovers then gets nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_endpoint_gets_nothing_from_the_moment_it_is_acknowledged() {
    let server = Server::start().await;
    let api = &server.api;
    let (one, _two) = pair(Way::Code(200), Way::Code(200)).await;
    api.put("p", profile("logs", one.port(), 3, &ENDPOINTS))
        .await;
    api.until_status("p", &["Online", "Online"]).await;
    let disabled = json!({ "properties": { "endpointStatus": "Disabled" } });
    for endpoints in ["externalEndpoints", "ExternalEndpoints"] {
        let place = format!("p/{endpoints}/primary");
        let answer = api.patch(&place, disabled.clone()).await;
        assert_eq!(answer["properties"]["endpointMonitorStatus"], "Disabled");
        assert_eq!(api.resolve("logs").await, ["127.0.0.3"]);
        let read = api.get(&place).await;
        assert_eq!(read["properties"]["endpointStatus"], "Disabled");
    }
    let seen = one.requests().len();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    // One that was under way may have come in; disabled endpoints are not probed.
    assert!(one.requests().len() <= seen + 3);
    api.patch(
        "p/externalEndpoints/primary",
        json!({ "properties": { "endpointStatus": "Enabled" } }),
    )
    .await;
    assert_eq!(api.resolve("logs").await, ["127.0.0.2"]);

    api.patch(
        "p",
        json!({ "properties": { "profileStatus": "Disabled" } }),
    )
    .await;
    let response = crate::server::query(api.addresses.dns[0], "127.0.0.1", "logs")
        .await
        .unwrap();
    assert_eq!(u16::from(response.metadata.response_code), 3);
    assert_eq!(api.statuses("p").await, ["Inactive", "Inactive"]);
    api.patch("p", json!({ "properties": { "profileStatus": "Enabled" } }))
        .await;
    api.until_points("logs", &["127.0.0.2"]).await;
    let (status, _) = api.ask(Method::DELETE, &format!("{GROUP}/p"), None).await;
    assert_eq!(status, 200);
    let (status, _) = api.ask(Method::DELETE, &format!("{GROUP}/p"), None).await;
    assert_eq!(status, 204);
    assert!(api.resolve("logs").await.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn always_serve_needs_no_health_and_a_dead_link_is_stopped() {
    let server = Server::start().await;
    let api = &server.api;
    let (one, _two) = pair(Way::Code(500), Way::Code(200)).await;
    let mut body = profile("logs", one.port(), 0, &ENDPOINTS);
    body["properties"]["endpoints"][0]["properties"]["alwaysServe"] = json!("Enabled");
    api.put("p", body).await;
    api.until_status("p", &["Unmonitored", "Online"]).await;
    assert_eq!(api.resolve("logs").await, ["127.0.0.2"]);
    assert!(one.requests().is_empty());

    // A name in our own zone whose profile is not there, is there, is off.
    api.put(
        "q",
        profile("outer", one.port(), 0, &[("inner", "inner.tm.test")]),
    )
    .await;
    assert_eq!(api.statuses("q").await, ["Stopped"]);
    assert!(api.resolve("outer").await.is_empty());
    api.put("r", profile("inner", one.port(), 0, &ENDPOINTS[1..]))
        .await;
    assert_ne!(api.statuses("q").await, ["Stopped"]);
    assert_eq!(api.resolve("outer").await, ["inner.tm.test."]);
    api.patch(
        "r",
        json!({ "properties": { "profileStatus": "Disabled" } }),
    )
    .await;
    assert_eq!(api.statuses("q").await, ["Stopped"]);
    server.stop().await;
}

/// One bad path is no disaster: the endpoint turns one vantage point away, then two.
#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_takes_most_of_the_vantage_points() {
    let server = Server::with(|config| {
        let points = ["a=127.0.0.11", "b=127.0.0.12", "c=127.0.0.13"];
        config.vantage_points = points.map(point).into();
    })
    .await;
    let api = &server.api;
    let (one, _two) = pair(Way::Code(200), Way::Code(200)).await;
    api.put("p", profile("logs", one.port(), 0, &ENDPOINTS))
        .await;
    api.until_status("p", &["Online", "Online"]).await;
    let sources = |fake: &Fake| -> std::collections::BTreeSet<IpAddr> {
        fake.requests().iter().map(|(from, _)| *from).collect()
    };
    let points: std::collections::BTreeSet<IpAddr> =
        (11..=13).map(|it| IpAddr::from([127, 0, 0, it])).collect();
    let begun = std::time::Instant::now();
    while sources(&one) != points {
        assert!(begun.elapsed() < TEST_TIMEOUT, "{:?}", sources(&one));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // One is turned away, and nothing changes; then a second one, and the name moves.
    one.turn_away(&["127.0.0.12"]);
    let turned_away = |fake: &Fake| fake.turned_away();
    while turned_away(&one) < 3 {
        assert!(begun.elapsed() < TEST_TIMEOUT);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(api.statuses("p").await, ["Online", "Online"]);
    one.turn_away(&["127.0.0.12", "127.0.0.13"]);
    api.until_points("logs", &["127.0.0.3"]).await;
    one.turn_away(&["127.0.0.13"]);
    api.until_points("logs", &["127.0.0.2"]).await;
    // A vantage point that cannot be used says nothing about anyone.
    let folder = server.stop().await;
    drop(folder);
    let server = Server::with(|config| {
        config.vantage_points = ["a=127.0.0.11", "away=192.0.2.1"].map(point).into();
        config.quorum = Some(1);
    })
    .await;
    let api = &server.api;
    api.put("p", profile("logs", one.port(), 0, &ENDPOINTS))
        .await;
    api.until_status("p", &["Online", "Online"]).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(api.statuses("p").await, ["Online", "Online"]);
    assert!(
        api.see("/metrics")
            .await
            .contains("backstay_traffic_probes_total{result=\"void\"}")
    );
    server.stop().await;
}

/// A restart does not send traffic to what was known to be dead.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_remembers_profiles_and_who_was_dead() {
    let server = Server::start().await;
    let (one, _two) = pair(Way::Code(500), Way::Code(200)).await;
    let mut body = profile("logs", one.port(), 9, &ENDPOINTS);
    body["properties"]["monitorConfig"]["toleratedNumberOfFailures"] = json!(0);
    server.api.put("p", body).await;
    server.api.until_status("p", &["Degraded", "Online"]).await;
    // From now on it would take ten failures to be found dead.
    let nine = json!({ "properties": { "monitorConfig": { "toleratedNumberOfFailures": 9 } } });
    let before = server.api.patch("p", nine).await;
    assert_eq!(
        before["properties"]["endpoints"][0]["properties"]["endpointMonitorStatus"],
        "Degraded"
    );
    let folder = server.stop().await;
    let config = crate::server::config(folder.path());
    let manager = backstay_traffic::TrafficManager::start(config)
        .await
        .unwrap();
    let api = crate::server::Api::of(manager.addresses().clone());
    assert_eq!(api.resolve("logs").await, ["127.0.0.3"]);
    let after: Value = api.get("p").await;
    assert_eq!(
        after["properties"]["endpoints"][0]["properties"]["endpointMonitorStatus"],
        "Degraded"
    );
    assert_eq!(
        after["properties"]["dnsConfig"],
        before["properties"]["dnsConfig"]
    );
    manager.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_carry_the_headers_that_are_configured() {
    let server = Server::start().await;
    let api = &server.api;
    let (one, two) = pair(Way::Code(204), Way::Code(302)).await;
    let mut body = profile("logs", one.port(), 0, &ENDPOINTS);
    let monitor = &mut body["properties"]["monitorConfig"];
    monitor["customHeaders"] = json!([
        { "name": "X-Probe", "value": "profile" },
        { "name": "host", "value": "logs.example.net" },
    ]);
    monitor["expectedStatusCodeRanges"] =
        json!([{ "min": 200, "max": 204 }, { "min": 302, "max": 302 }]);
    body["properties"]["endpoints"][1]["properties"]["customHeaders"] =
        json!([{ "name": "x-probe", "value": "endpoint-secret" }]);
    api.put("p", body).await;
    // A redirect within the ranges is health, and is not followed.
    api.until_status("p", &["Online", "Online"]).await;
    let (_, first) = one.requests().swap_remove(0);
    assert!(
        first.starts_with("GET /api/v1/status HTTP/1.1\r\n"),
        "{first}"
    );
    assert!(first.contains("X-Probe: profile\r\n") && first.contains("host: logs.example.net\r\n"));
    assert_eq!(first.to_ascii_lowercase().matches("host:").count(), 1);
    let (_, second) = two.requests().swap_remove(0);
    assert!(second.contains("x-probe: endpoint-secret\r\n") && !second.contains("profile"));
    // The page without a token shows no header.
    assert!(!api.see("/status").await.contains("endpoint-secret"));
    server.stop().await;
}
