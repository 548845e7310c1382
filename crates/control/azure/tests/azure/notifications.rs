//! Test notifications in the forms that Azure's own documentation has, against a stand-in. Those of
//! this project's traffic manager are asked for by the tests of `backstay-verify`.

use backstay_azure::{AzureError, ReceiverStatus, TestStatus};
use serde_json::{Value, json};

use crate::standin::{Reply, StandIn};
use crate::{QUICK, client, deadline, id};

const GROUP: &str =
    "/subscriptions/5e55/resourceGroups/dr/providers/Microsoft.Insights/actionGroups/g";
const SECRET: &str = "https://watch.test/api/alert?code=hunter2";

async fn asking(next: Vec<Reply>) -> (StandIn, backstay_azure::Client, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "t0ken-t0ken").unwrap();
    let server = StandIn::start(next, Reply::json(404, json!({}))).await;
    let client = client(&server.url(), &file, QUICK);
    (server, client, folder)
}

fn group() -> Reply {
    let webhook = json!({ "name": "watch", "serviceUri": SECRET, "useCommonAlertSchema": true });
    Reply::json(
        200,
        json!({ "id": GROUP, "properties": {
        "groupShortName": "dr", "enabled": true, "webhookReceivers": [webhook],
        "azureFunctionReceivers": [{ "name": "fn", "httpTriggerUrl": SECRET }],
        "emailReceivers": [{ "name": "ops", "emailAddress": "ops@example.com" }],
    } }),
    )
}

fn status(state: &str, details: Value) -> Reply {
    Reply::json(
        200,
        json!({ "Context": {}, "State": state, "ActionDetails": details }),
    )
}

#[tokio::test]
async fn webhooks_and_functions_are_told_and_asked_after() {
    let place = format!(
        "https://management.azure.com{GROUP}/notificationStatus/11000222191287?api-version=2021-09-01"
    );
    // Only the address says which one it is.
    let accepted = Reply::Say(202, vec![("location", place)], Vec::new());
    let details = json!([
        { "MechanismType": "Webhook", "Name": "watch", "Status": "Completed", "SubState": "Default", "Detail": null },
        { "MechanismType": "AzureFunction", "Name": "fn", "Status": "Failed", "SubState": "Default", "Detail": "HTTP 401" },
        { "MechanismType": "Webhook", "Name": "other", "Status": "InProgress" },
    ]);
    let (server, client, _folder) =
        asking(vec![group(), accepted, status("Failed", details)]).await;
    let group = client.action_group(&id(GROUP), deadline()).await.unwrap();
    assert!(group.enabled);
    let mut names = group.receivers();
    names.sort_unstable();
    assert_eq!(names, ["fn", "watch"]);
    assert!(!format!("{group:?}").contains("hunter2"), "{group:?}");
    let test = client.test_notification(&group, deadline()).await.unwrap();
    let found = client.test_status(&test, deadline()).await.unwrap();
    let told = |receiver: &str, taken| ReceiverStatus {
        receiver: receiver.to_owned(),
        taken,
    };
    let receivers = vec![
        told("watch", Some(Ok(()))),
        told("fn", Some(Err("HTTP 401".to_owned()))),
        told("other", None),
    ];
    assert_eq!(
        found,
        TestStatus {
            receivers,
            over: true
        }
    );
    let asked = server.asked();
    let path = |below: &str| format!("{GROUP}{below}?api-version=2021-09-01");
    assert_eq!(
        (asked[1].method.as_str(), asked[1].path.as_str()),
        ("POST", path("/createNotifications").as_str())
    );
    let body: Value = serde_json::from_str(&asked[1].body).unwrap();
    assert_eq!(body["alertType"], "metricstaticthreshold");
    assert_eq!(body["webhookReceivers"][0]["serviceUri"], SECRET);
    assert_eq!(body["azureFunctionReceivers"][0]["name"], "fn");
    // A person is not to be woken for it.
    assert_eq!(body["emailReceivers"], Value::Null);
    assert_eq!(asked[2].path, path("/notificationStatus/11000222191287"));
}

#[tokio::test]
async fn the_id_may_be_in_the_answer() {
    let accepted = json!({ "notificationId": "42", "createdTime": "2021-09-21T03:05:17+00:00" });
    let (_server, client, _folder) = asking(vec![
        group(),
        Reply::json(202, accepted),
        status("InProgress", json!(null)),
    ])
    .await;
    let group = client.action_group(&id(GROUP), deadline()).await.unwrap();
    let test = client.test_notification(&group, deadline()).await.unwrap();
    let found = client.test_status(&test, deadline()).await.unwrap();
    assert_eq!(found, TestStatus::default());
}

#[tokio::test]
async fn an_answer_without_an_id_is_none() {
    let (_server, client, _folder) = asking(vec![group(), Reply::json(202, json!({}))]).await;
    let group = client.action_group(&id(GROUP), deadline()).await.unwrap();
    let error = client
        .test_notification(&group, deadline())
        .await
        .unwrap_err();
    assert!(matches!(error, AzureError::Answer { .. }), "{error}");
}

#[tokio::test]
async fn what_is_not_permitted_is_named() {
    let denied = Reply::error(403, "AuthorizationFailed", "no");
    let (_server, client, _folder) = asking(vec![group(), denied]).await;
    let group = client.action_group(&id(GROUP), deadline()).await.unwrap();
    let error = client
        .test_notification(&group, deadline())
        .await
        .unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("Microsoft.Insights/createNotifications/write"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}
