//! Against a server that misbehaves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backstay_azure::{AzureError, Switch};
use backstay_retry::{Authority, Authorization, Deadline, Policy, WriteGuard, WriteRefused};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::standin::{Reply, StandIn};
use crate::{PROFILE, QUICK, client, deadline, id, primary};

const TOKEN: &str = "a-token-of-the-lab";

fn endpoint(status: &str) -> Value {
    json!({
        "id": primary().as_str(), "name": "primary",
        "properties": { "endpointStatus": status, "endpointMonitorStatus": "SomethingNew" },
    })
}

async fn asking(
    next: Vec<Reply>,
    always: Reply,
    policy: Policy,
) -> (StandIn, backstay_azure::Client, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN).unwrap();
    let server = StandIn::start(next, always).await;
    let client = client(&server.url(), &file, policy);
    (server, client, folder)
}

#[tokio::test]
async fn what_passes_is_waited_for() {
    let passing = [429, 500, 502, 503, 504];
    let replies = passing.map(|it| {
        let headers = vec![("Retry-After", "0".to_owned())];
        Reply::Say(it, headers, b"<html>busy</html>".to_vec())
    });
    let always = Reply::json(200, endpoint("Enabled"));
    let (server, client, _folder) = asking(replies.into(), always, QUICK).await;
    let read = client.endpoint_at(&primary(), deadline()).await.unwrap();
    assert_eq!(read.status, Switch::Enabled);
    let asked = server.asked();
    assert_eq!(asked.len(), passing.len() + 1);
    assert_eq!(asked[0].header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(
        asked[0].path,
        format!("{PROFILE}/externalEndpoints/primary?api-version=2022-04-01")
    );
}

#[tokio::test]
async fn the_wish_of_the_server_is_honoured() {
    let later = Reply::Say(429, vec![("Retry-After", "3600".to_owned())], Vec::new());
    let (server, client, _folder) = asking(Vec::new(), later, QUICK).await;
    let error = client
        .endpoint_at(&primary(), deadline())
        .await
        .unwrap_err();
    assert!(error.is_unreachable());
    assert!(error.to_string().contains("pause of 3600 s"), "{error}");
    assert_eq!(server.asked().len(), 1);
}

/// An authority that lets so many changes be made.
#[derive(Debug)]
struct Grants(AtomicUsize);

impl Authority for Grants {
    fn authorize(&self) -> Authorization<'_> {
        let left = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |it| it.checked_sub(1));
        let lost = || WriteRefused::Lost("somebody else goes on with it".to_owned());
        Box::pin(async move { left.map(drop).map_err(|_| lost()) })
    }
}

#[tokio::test]
async fn a_change_is_asked_for_at_every_attempt_and_reading_is_free() {
    let busy = Reply::Say(503, vec![("Retry-After", "0".to_owned())], Vec::new());
    let replies = vec![Reply::json(200, endpoint("Enabled"))];
    let (server, client, _folder) = asking(replies, busy, QUICK).await;
    let client = client.under(WriteGuard::authorized_by(Grants(AtomicUsize::new(2))));
    client.endpoint_at(&primary(), deadline()).await.unwrap();
    let disabled = Switch::Disabled;
    let error = client
        .set_endpoint_status(&primary(), disabled, None, deadline())
        .await
        .unwrap_err();
    assert!(matches!(error, AzureError::WriteRefused { .. }), "{error}");
    assert!(
        error.to_string().contains("somebody else goes on"),
        "{error}"
    );
    let methods: Vec<String> = server
        .asked()
        .into_iter()
        .map(|it| it.method.to_string())
        .collect();
    assert_eq!(methods, ["GET", "PATCH", "PATCH"]);
}

#[tokio::test]
async fn what_is_refused_is_asked_once() {
    for status in [400, 404, 405, 409, 410, 412, 422] {
        let (server, client, _folder) =
            asking(Vec::new(), Reply::error(status, "No", "no"), QUICK).await;
        let error = client.profile(&id(PROFILE), deadline()).await.unwrap_err();
        assert_eq!(server.asked().len(), 1, "{status}");
        assert!(error.to_string().contains(PROFILE), "{error}");
    }
}

#[tokio::test]
async fn a_missing_permission_is_named_with_what_gives_it() {
    let message = format!(
        "The client 'x' with object id '0b1f6471-1bf0-4dda-aec3-111122223333' does not have \
         authorization to perform action 'Microsoft.Network/trafficManagerProfiles/externalEndpoints/write' \
         over scope '{}' or the scope is invalid.",
        primary()
    );
    let refused = Reply::error(403, "AuthorizationFailed", &message);
    let (_server, client, _folder) = asking(Vec::new(), refused, QUICK).await;
    let disabled = Switch::Disabled;
    let error = client
        .set_endpoint_status(&primary(), disabled, None, deadline())
        .await
        .unwrap_err();
    let AzureError::Forbidden { denied, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(
        denied.action,
        "Microsoft.Network/trafficManagerProfiles/externalEndpoints/write"
    );
    for part in [
        "externalEndpoints/write is missing on",
        "az role assignment create --assignee-object-id 0b1f6471",
        "--role 'Traffic Manager Contributor'",
        PROFILE,
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn one_that_hangs_is_given_up_and_asked_again() {
    let impatient = Policy {
        attempt: Duration::from_millis(500),
        ..QUICK
    };
    let (server, client, _folder) = asking(
        vec![Reply::Hang, Reply::Hang],
        Reply::json(200, endpoint("Disabled")),
        impatient,
    )
    .await;
    let read = client.endpoint_at(&primary(), deadline()).await.unwrap();
    assert_eq!(read.status, Switch::Disabled);
    assert!(server.asked().len() >= 3);
    server.always(Reply::Hang);
    let soon = Deadline::after(Duration::from_millis(100));
    let error = client.endpoint_at(&primary(), soon).await.unwrap_err();
    assert!(error.to_string().contains("no answer"), "{error}");
}

#[tokio::test]
async fn an_answer_that_was_lost_counts_when_it_is_read_back() {
    // The first attempt took effect, and its answer did not arrive; the ETag is then another one.
    let impatient = Policy {
        attempt: Duration::from_millis(500),
        ..QUICK
    };
    let with_etag = |status: &str| {
        let body = endpoint(status).to_string().into_bytes();
        Reply::Say(200, vec![("ETag", format!("\"{status}\""))], body)
    };
    let replies = vec![
        with_etag("Enabled"),
        Reply::Hang,
        Reply::error(412, "PreconditionFailed", "changed"),
    ];
    let (server, client, _folder) = asking(replies, with_etag("Disabled"), impatient).await;
    let read = client.endpoint_at(&primary(), deadline()).await.unwrap();
    let set = client
        .set_endpoint_status(&primary(), Switch::Disabled, read.etag.as_ref(), deadline())
        .await
        .unwrap();
    assert_eq!(set.status, Switch::Disabled);
    let patch = server.asked()[1].clone();
    assert_eq!(patch.method, "PATCH");
    assert_eq!(patch.header("if-match"), "\"Enabled\"");
    assert_eq!(
        patch.body,
        r#"{"properties":{"endpointStatus":"Disabled"}}"#
    );
}

#[tokio::test]
async fn one_that_is_set_back_again_and_again_is_told_so() {
    let (server, client, _folder) =
        asking(Vec::new(), Reply::json(200, endpoint("Enabled")), QUICK).await;
    // Another change is under way, and then it is done, and undone by someone.
    server.then([
        Reply::json(200, endpoint("Enabled")),
        Reply::error(409, "Conflict", "another operation is in progress"),
    ]);
    let soon = Deadline::after(Duration::from_secs(5));
    let wanted = Switch::Disabled;
    let error = client
        .hold_endpoint_status(&primary(), wanted, soon)
        .await
        .unwrap_err();
    assert!(matches!(error, AzureError::NotHeld { .. }), "{error}");
    let patches = server
        .asked()
        .iter()
        .filter(|it| it.method == "PATCH")
        .count();
    assert!(patches > 1, "{patches}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let thief = StandIn::start([], Reply::json(200, endpoint("Enabled"))).await;
    let away = Reply::Say(302, vec![("Location", thief.url())], Vec::new());
    let (_server, client, _folder) = asking(Vec::new(), away, QUICK).await;
    let error = client
        .endpoint_at(&primary(), deadline())
        .await
        .unwrap_err();
    assert!(matches!(error, AzureError::Answer { .. }), "{error}");
    assert!(thief.asked().is_empty());
}

#[tokio::test]
async fn the_token_is_in_no_error_even_if_the_server_repeats_it() {
    for status in [400, 401, 403, 404, 412, 418, 500, 302] {
        let (_server, client, _folder) = asking(Vec::new(), Reply::Echo(status), QUICK).await;
        let soon = Deadline::after(Duration::from_secs(2));
        let error = client.endpoint_at(&primary(), soon).await.unwrap_err();
        let shown = format!("{error} {error:?} {client:?}");
        assert!(!shown.contains(TOKEN), "{status}: {shown}");
    }
}

#[tokio::test]
async fn an_answer_about_another_endpoint_is_none() {
    let other = json!({
        "id": format!("{PROFILE}/externalEndpoints/secondary"), "name": "secondary",
        "properties": { "endpointStatus": "Disabled" },
    });
    let (_server, client, _folder) = asking(Vec::new(), Reply::json(200, other), QUICK).await;
    let error = client
        .endpoint_at(&primary(), deadline())
        .await
        .unwrap_err();
    assert!(matches!(error, AzureError::Answer { .. }), "{error}");
}

/// JSON that is near to what is expected, and far from it.
fn near() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        Just(json!("Enabled")),
        Just(json!(PROFILE)),
    ];
    let key = prop_oneof![
        Just("properties".to_owned()),
        Just("endpointStatus".to_owned()),
        Just("id".to_owned()),
        Just("name".to_owned()),
        Just("error".to_owned()),
        Just("code".to_owned()),
        Just("message".to_owned()),
        Just("value".to_owned()),
        Just("nextLink".to_owned()),
        Just("keys".to_owned()),
        Just("essentials".to_owned()),
        Just("endpoints".to_owned()),
        Just("dnsConfig".to_owned()),
        Just("monitorConfig".to_owned()),
    ];
    let json = leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..5)
                .prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    });
    prop_oneof![
        json.prop_map(|it| it.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..300),
    ]
}

#[test]
fn no_answer_makes_it_panic() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (server, client, _folder) = runtime.block_on(asking(Vec::new(), Reply::Hang, QUICK));
    let account = id(
        "/subscriptions/5e55/resourceGroups/dr/providers/Microsoft.Storage/storageAccounts/logs",
    );
    let rule =
        id("/subscriptions/5e55/resourceGroups/dr/providers/Microsoft.Insights/metricAlerts/dr");
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
    let status = prop_oneof![
        Just(200_u16),
        Just(201),
        Just(204),
        Just(301),
        Just(400),
        Just(401),
        Just(403),
        Just(404)
    ];
    runner
        .run(&(status, near(), ".*"), |(status, body, header)| {
            let header = header.chars().filter(|it| !it.is_control()).collect();
            server.always(Reply::Say(status, vec![("ETag", header)], body));
            runtime.block_on(async {
                let soon = deadline();
                let _ = client.profile(&id(PROFILE), soon).await;
                let _ = client.endpoint_at(&primary(), soon).await;
                let _ = client.account_keys(&account, soon).await;
                let _ = client.fired_alerts(&rule, soon).await;
                let _ = client.metric_alert(&rule, soon).await;
                let _ = client.close_alert(&rule, soon).await;
            });
            Ok(())
        })
        .unwrap();
}
