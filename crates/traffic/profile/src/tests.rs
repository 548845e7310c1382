#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::status::EndpointMonitorStatus;
use backstay_resource::Invalid;
use backstay_resource::body::merge;

/// A profile with so many endpoints, of priority 1 and on.
pub(crate) fn profile(endpoints: usize) -> Profile {
    let mut body = sample();
    body["properties"]["endpoints"] = (1..=endpoints).map(endpoint_body).collect();
    parse(body).unwrap()
}

fn endpoint_body(number: usize) -> Value {
    json!({
        "name": format!("e{number}"),
        "type": "Microsoft.Network/trafficManagerProfiles/externalEndpoints",
        "properties": { "target": format!("e{number}.example.net"), "priority": number },
    })
}

fn sample() -> Value {
    json!({
        "location": "global",
        "properties": {
            "trafficRoutingMethod": "Priority",
            "dnsConfig": { "relativeName": "logs", "ttl": 60 },
            "monitorConfig": { "protocol": "HTTPS", "port": 443, "path": "/api/v1/status" },
        },
    })
}

fn context(limits: MonitorLimits) -> Context<'static> {
    Context {
        subscription: "s",
        resource_group: "g",
        profile: "p",
        zone: "trafficmanager.net",
        limits,
    }
}

fn parse(body: Value) -> Result<Profile, Invalid> {
    parse_profile(context(MonitorLimits::Azure), body)
}

#[test]
fn defaults_are_azures() {
    let profile = parse(sample()).unwrap();
    assert_eq!(profile.status, Switch::Enabled);
    assert_eq!(profile.monitor.interval, 30);
    assert_eq!(profile.monitor.timeout, 10);
    assert_eq!(profile.monitor.tolerated, 3);
    assert!(profile.monitor.expects(200));
    assert!(!profile.monitor.expects(204));
    assert!(!profile.monitor.expects(302));
    let mut fast = sample();
    fast["properties"]["monitorConfig"]["intervalInSeconds"] = json!(10);
    assert_eq!(parse(fast).unwrap().monitor.timeout, 9);
}

/// Where, what, and whether Azure takes it; each against an otherwise good profile.
#[test]
fn what_azure_refuses_is_refused() {
    let long = "x".repeat(64);
    let many = |count: usize| (1..=count).map(endpoint_body).collect::<Value>();
    let one = |properties: Value| json!([{ "name": "e", "properties": properties }]);
    let headers = |count: usize| {
        let all = (0..count).map(|it| json!({ "name": format!("h{it}"), "value": "v" }));
        all.collect::<Value>()
    };
    let table = [
        ("/location", json!("westeurope"), false),
        ("/location", json!("Global"), true),
        ("/properties/trafficRoutingMethod", json!("Weighted"), false),
        (
            "/properties/trafficRoutingMethod",
            json!("Performance"),
            false,
        ),
        (
            "/properties/trafficRoutingMethod",
            json!("Geographic"),
            false,
        ),
        (
            "/properties/trafficRoutingMethod",
            json!("MultiValue"),
            false,
        ),
        ("/properties/trafficRoutingMethod", json!("Subnet"), false),
        ("/properties/trafficRoutingMethod", json!("Random"), false),
        ("/properties/trafficRoutingMethod", json!("priority"), true),
        ("/properties/trafficRoutingMethod", Value::Null, false),
        ("/properties/profileStatus", json!("Disabled"), true),
        ("/properties/profileStatus", json!("Off"), false),
        (
            "/properties/trafficViewEnrollmentStatus",
            json!("Enabled"),
            false,
        ),
        (
            "/properties/trafficViewEnrollmentStatus",
            json!("Disabled"),
            true,
        ),
        ("/properties/maxReturn", json!(2), false),
        ("/properties/dnsConfig/relativeName", json!(""), false),
        ("/properties/dnsConfig/relativeName", json!("a.b"), false),
        ("/properties/dnsConfig/relativeName", json!("-a"), false),
        ("/properties/dnsConfig/relativeName", json!(long), false),
        ("/properties/dnsConfig/ttl", json!(0), true),
        ("/properties/dnsConfig/ttl", json!(2_147_483_647), true),
        ("/properties/dnsConfig/ttl", json!(2_147_483_648_u32), false),
        ("/properties/dnsConfig/ttl", json!(-1), false),
        ("/properties/monitorConfig/protocol", json!("FTP"), false),
        ("/properties/monitorConfig/protocol", json!("TCP"), false),
        ("/properties/monitorConfig/port", json!(0), false),
        ("/properties/monitorConfig/port", json!(65_536), false),
        ("/properties/monitorConfig/path", Value::Null, false),
        ("/properties/monitorConfig/path", json!("status"), false),
        ("/properties/monitorConfig/path", json!("/a b"), false),
        ("/properties/monitorConfig/path", json!("/a\r\nX: y"), false),
        (
            "/properties/monitorConfig/intervalInSeconds",
            json!(10),
            true,
        ),
        (
            "/properties/monitorConfig/intervalInSeconds",
            json!(5),
            false,
        ),
        (
            "/properties/monitorConfig/timeoutInSeconds",
            json!(4),
            false,
        ),
        ("/properties/monitorConfig/timeoutInSeconds", json!(5), true),
        (
            "/properties/monitorConfig/timeoutInSeconds",
            json!(11),
            false,
        ),
        (
            "/properties/monitorConfig/toleratedNumberOfFailures",
            json!(9),
            true,
        ),
        (
            "/properties/monitorConfig/toleratedNumberOfFailures",
            json!(10),
            false,
        ),
        (
            "/properties/monitorConfig/toleratedNumberOfFailures",
            json!(-1),
            false,
        ),
        ("/properties/monitorConfig/customHeaders", headers(8), true),
        ("/properties/monitorConfig/customHeaders", headers(9), false),
        (
            "/properties/monitorConfig/customHeaders",
            json!([{ "name": "a b", "value": "v" }]),
            false,
        ),
        (
            "/properties/monitorConfig/customHeaders",
            json!([{ "name": "a", "value": "v\r\nb: c" }]),
            false,
        ),
        (
            "/properties/monitorConfig/customHeaders",
            json!([{ "name": "Content-Length", "value": "9" }]),
            false,
        ),
        (
            "/properties/monitorConfig/expectedStatusCodeRanges",
            json!([{ "min": 200, "max": 299 }]),
            true,
        ),
        (
            "/properties/monitorConfig/expectedStatusCodeRanges",
            json!([{ "min": 300, "max": 200 }]),
            false,
        ),
        (
            "/properties/monitorConfig/expectedStatusCodeRanges",
            json!([{ "min": 1, "max": 200 }]),
            false,
        ),
        ("/properties/endpoints", many(200), true),
        ("/properties/endpoints", many(201), false),
        (
            "/properties/endpoints",
            one(json!({ "target": "a.example" })),
            true,
        ),
        (
            "/properties/endpoints",
            one(json!({ "target": "a.example:80" })),
            false,
        ),
        (
            "/properties/endpoints",
            one(json!({ "target": "192.0.2.1:80" })),
            false,
        ),
        (
            "/properties/endpoints",
            one(json!({ "target": "192.0.2" })),
            false,
        ),
        (
            "/properties/endpoints",
            one(json!({ "target": "2001:db8::1" })),
            true,
        ),
        ("/properties/endpoints", one(json!({ "target": "" })), false),
        ("/properties/endpoints", one(json!({})), false),
        (
            "/properties/endpoints",
            one(json!({ "target": "a.example", "priority": 0 })),
            false,
        ),
        (
            "/properties/endpoints",
            one(json!({ "target": "a.example", "priority": 1001 })),
            false,
        ),
        (
            "/properties/endpoints",
            one(json!({ "target": "a.example", "weight": 0 })),
            false,
        ),
        (
            "/properties/endpoints",
            one(json!({ "target": "a.example", "geoMapping": ["DE"] })),
            false,
        ),
        (
            "/properties/endpoints",
            one(json!({ "target": "a.example", "subnets": [{ "first": "10.0.0.0" }] })),
            false,
        ),
        (
            "/properties/endpoints",
            one(json!({ "target": "a.example", "targetResourceId": "/subscriptions/x" })),
            false,
        ),
        (
            "/properties/endpoints",
            one(json!({ "target": "logs.trafficmanager.net" })),
            false,
        ),
        (
            "/properties/endpoints",
            json!([{ "properties": { "target": "a.example" } }]),
            false,
        ),
        (
            "/properties/endpoints",
            json!([{ "name": "e", "type": "x/azureEndpoints", "properties": { "target": "a.example" } }]),
            false,
        ),
        (
            "/properties/endpoints",
            json!([{ "name": "e/f", "properties": { "target": "a.example" } }]),
            false,
        ),
    ];
    for (place, value, good) in table {
        let mut body = sample();
        let (parent, key) = place.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[key] = value.clone();
        let parsed = parse(body);
        assert_eq!(parsed.is_ok(), good, "{place} = {value}: {parsed:?}");
    }
}

#[test]
fn endpoints_must_fit_together() {
    let pairs = [
        // Same name in either case, same priority, same address, two kinds of targets.
        (
            ("e", "a.example", Some(1)),
            ("E", "b.example", Some(2)),
            false,
        ),
        (
            ("e", "a.example", Some(1)),
            ("f", "b.example", Some(1)),
            false,
        ),
        (
            ("e", "192.0.2.1", Some(1)),
            ("f", "192.0.2.1", Some(2)),
            false,
        ),
        (
            ("e", "192.0.2.1", Some(1)),
            ("f", "b.example", Some(2)),
            false,
        ),
        (
            ("e", "192.0.2.1", Some(1)),
            ("f", "2001:db8::1", Some(2)),
            false,
        ),
        (("e", "a.example", Some(1)), ("f", "b.example", None), false),
        (("e", "a.example", None), ("f", "b.example", None), true),
        (
            ("e", "192.0.2.1", Some(2)),
            ("f", "192.0.2.2", Some(1)),
            true,
        ),
    ];
    for (first, second, good) in pairs {
        let endpoints = [first, second].map(|(name, target, priority)| {
            json!({ "name": name, "properties": { "target": target, "priority": priority } })
        });
        let mut body = sample();
        body["properties"]["endpoints"] = json!(endpoints);
        let parsed = parse(body);
        assert_eq!(parsed.is_ok(), good, "{first:?} {second:?}: {parsed:?}");
        if let Ok(profile) = parsed
            && first.2.is_none()
        {
            let priorities: Vec<_> = profile.endpoints.iter().map(|it| it.priority).collect();
            assert_eq!(priorities, [1, 2]);
        }
    }
}

#[test]
fn tcp_has_no_path_and_no_status_codes() {
    let mut body = sample();
    body["properties"]["monitorConfig"] = json!({ "protocol": "TCP", "port": 443 });
    assert!(parse(body.clone()).is_ok());
    let mut with_path = body.clone();
    with_path["properties"]["monitorConfig"]["path"] = json!("/");
    assert!(parse(with_path).is_err());
    body["properties"]["monitorConfig"]["expectedStatusCodeRanges"] =
        json!([{ "min": 200, "max": 200 }]);
    assert!(parse(body).is_err());
}

#[test]
fn a_lab_may_probe_at_any_interval() {
    for (interval, timeout, good) in [
        (1, Some(1), true),
        (7, None, true),
        (5, Some(6), false),
        (0, None, false),
    ] {
        let mut body = sample();
        body["properties"]["monitorConfig"]["intervalInSeconds"] = json!(interval);
        body["properties"]["monitorConfig"]["timeoutInSeconds"] = json!(timeout);
        let parsed = parse_profile(context(MonitorLimits::Lab), body);
        assert_eq!(parsed.is_ok(), good, "{interval} {timeout:?}");
    }
}

#[test]
fn a_new_endpoint_comes_behind_all_others() {
    let mut profile = profile(2);
    assert_eq!(next_priority(&profile).unwrap(), 3);
    profile.endpoints[1].priority = 1000;
    assert_eq!(next_priority(&profile).unwrap(), 2);
}

#[test]
fn headers_are_not_shown_in_logs() {
    let header = Header {
        name: "Authorization".to_owned(),
        value: "Bearer secret".to_owned(),
    };
    assert!(!format!("{header:?}").contains("secret"));
}

#[test]
fn a_patch_merges_objects_and_replaces_the_rest() {
    let merged = merge(
        json!({ "a": { "b": 1, "c": [1, 2] }, "d": 4 }),
        json!({ "a": { "b": 2, "c": [3] }, "d": null, "e": { "f": null } }),
    );
    assert_eq!(merged, json!({ "a": { "b": 2, "c": [3] }, "e": {} }));
}

#[test]
fn what_is_shown_can_be_sent_back() {
    let mut first = profile(3);
    first.endpoints[1].status = Switch::Disabled;
    first.endpoints[2].always_serve = Switch::Enabled;
    first.endpoints[2].location = Some("West Europe".to_owned());
    let shown = profile_json(
        &first,
        "trafficmanager.net",
        &[EndpointMonitorStatus::Online; 3],
    );
    assert_eq!(parse(shown).unwrap(), first);
}

proptest! {
    /// Whatever JSON comes, there is an answer.
    #[test]
    fn no_body_makes_it_panic(
        place in 0_usize..12,
        text in ".{0,40}",
        number in any::<i64>(),
        kind in 0_u8..6,
    ) {
        let places = [
            "/location", "/tags", "/properties", "/properties/dnsConfig", "/properties/dnsConfig/ttl",
            "/properties/dnsConfig/relativeName", "/properties/monitorConfig",
            "/properties/monitorConfig/path", "/properties/monitorConfig/intervalInSeconds",
            "/properties/monitorConfig/customHeaders", "/properties/endpoints",
            "/properties/monitorConfig/expectedStatusCodeRanges",
        ];
        let value = match kind {
            0 => json!(text),
            1 => json!(number),
            2 => Value::Null,
            3 => json!([text, number]),
            4 => json!({ text.clone(): number }),
            _ => json!([{ "name": text, "properties": { "target": text, "priority": number } }]),
        };
        let mut body = sample();
        let (parent, key) = places[place].rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[key] = value;
        let _ = parse(body.clone());
        let _ = parse_endpoint(&profile(2), "e1", body, "trafficmanager.net");
    }
}
