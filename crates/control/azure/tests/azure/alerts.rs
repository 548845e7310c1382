//! Alert rules, fired alerts and account keys in the forms that Azure's own documentation has,
//! against a stand-in; `alerts_in_the_lab` asks the real traffic manager of this project.

use serde_json::{Value, json};

use crate::standin::{Reply, StandIn};
use crate::{QUICK, client, deadline, id};

const RULE: &str =
    "/subscriptions/5e55/resourceGroups/dr/providers/Microsoft.Insights/metricAlerts/dr-failover";

async fn asking(
    next: Vec<Reply>,
    always: Reply,
) -> (StandIn, backstay_azure::Client, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "t0ken-t0ken").unwrap();
    let server = StandIn::start(next, always).await;
    let client = client(&server.url(), &file, QUICK);
    (server, client, folder)
}

fn rule(enabled: bool) -> Value {
    json!({
        "id": RULE, "name": "dr-failover", "type": "Microsoft.Insights/metricAlerts",
        "location": "global", "tags": {},
        "properties": {
            "description": "", "severity": 0, "enabled": enabled, "scopes": ["/x"],
            "evaluationFrequency": "PT1M", "windowSize": "PT1M",
            "criteria": { "odata.type": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria", "allOf": [] },
            "actions": [{ "actionGroupId": "/g", "webHookProperties": {} }],
        },
    })
}

fn alert(number: u8, rule: &str, condition: &str, state: &str) -> Value {
    json!({
        "id": format!("/subscriptions/5e55/providers/Microsoft.AlertsManagement/alerts/{number}"),
        "name": "dr-failover", "type": "Microsoft.AlertsManagement/alerts",
        "properties": { "essentials": {
            "severity": "Sev0", "signalType": "Metric", "alertState": state,
            "monitorCondition": condition, "alertRule": rule,
            "startDateTime": "2026-11-25T02:47:10.000000Z",
        } },
    })
}

#[tokio::test]
async fn a_rule_is_switched_off_and_read_back() {
    let on = Reply::json(200, rule(true));
    let (server, client, _folder) =
        asking(vec![on.clone(), on], Reply::json(200, rule(false))).await;
    let read = client.metric_alert(&id(RULE), deadline()).await.unwrap();
    assert!(read.enabled);
    assert_eq!(
        (read.scopes, read.action_groups),
        (vec!["/x".to_owned()], vec!["/g".to_owned()])
    );
    let set = client
        .set_metric_alert(&id(RULE), false, deadline())
        .await
        .unwrap();
    assert!(!set.enabled);
    let asked = server.asked();
    assert_eq!(asked[1].method, "PATCH");
    assert_eq!(asked[1].body, r#"{"properties":{"enabled":false}}"#);
    assert_eq!(asked[1].path, format!("{RULE}?api-version=2018-03-01"));
}

#[tokio::test]
async fn the_open_alerts_of_one_rule_are_listed_over_all_pages_and_closed() {
    let upper = RULE.to_uppercase();
    let first = json!({
        "value": [
            alert(1, RULE, "Fired", "New"),
            alert(2, RULE, "Resolved", "New"),
            alert(3, RULE, "Fired", "Closed"),
            alert(4, "/subscriptions/5e55/resourceGroups/dr/providers/Microsoft.Insights/metricAlerts/x", "Fired", "New"),
        ],
        "nextLink": null,
    });
    let (server, client, _folder) = asking(Vec::new(), Reply::json(200, first.clone())).await;
    let found = client.fired_alerts(&id(RULE), deadline()).await.unwrap();
    assert_eq!(found.len(), 1);
    let path = &server.asked()[0].path;
    assert!(path.starts_with("/subscriptions/5e55/providers/Microsoft.AlertsManagement/alerts?api-version=2019-05-05-preview&"), "{path}");
    assert!(
        path.contains("timeRange=30d") && path.contains("monitorCondition=Fired"),
        "{path}"
    );

    let mut with_link = first;
    with_link["nextLink"] = json!(format!("{}/next?page=2", server.url()));
    let second = json!({ "value": [alert(5, &upper, "Fired", "Acknowledged")] });
    server.then([Reply::json(200, with_link), Reply::json(200, second)]);
    let found = client.fired_alerts(&id(RULE), deadline()).await.unwrap();
    let names: Vec<&str> = found.iter().map(|it| it.id.name()).collect();
    assert_eq!(names, ["1", "5"]);
    assert_eq!(server.asked()[2].path, "/next?page=2");

    server.always(Reply::json(200, alert(1, RULE, "Fired", "Closed")));
    client.close_alert(&found[0].id, deadline()).await.unwrap();
    let closed = server.asked().pop().unwrap();
    assert_eq!(
        (closed.method.as_str(), closed.header("content-length")),
        ("POST", "0")
    );
    assert_eq!(
        closed.path,
        "/subscriptions/5e55/providers/Microsoft.AlertsManagement/alerts/1/changestate?api-version=2019-05-05-preview&newState=Closed"
    );
}

#[tokio::test]
async fn a_next_page_elsewhere_does_not_get_the_token() {
    let thief = StandIn::start([], Reply::json(200, json!({ "value": [] }))).await;
    let page = json!({ "value": [], "nextLink": format!("{}/next", thief.url()) });
    let (_server, client, _folder) = asking(Vec::new(), Reply::json(200, page)).await;
    let error = client
        .fired_alerts(&id(RULE), deadline())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("another server"), "{error}");
    assert!(thief.asked().is_empty());
}

#[tokio::test]
async fn the_keys_of_an_account_are_handed_out_and_not_shown() {
    use secrecy::ExposeSecret as _;
    let account = id(
        "/subscriptions/5e55/resourceGroups/dr/providers/Microsoft.Storage/storageAccounts/logs",
    );
    let keys = json!({ "keys": [
        { "keyName": "key1", "permissions": "FULL", "value": "c2VjcmV0LWtleS1vbmU=" },
        { "keyName": "key2", "permissions": "FULL", "value": "c2VjcmV0LWtleS10d28=" },
    ] });
    let (server, client, _folder) = asking(Vec::new(), Reply::json(200, keys)).await;
    let read = client.account_keys(&account, deadline()).await.unwrap();
    assert_eq!(
        (read[0].name.as_str(), read[0].value.expose_secret()),
        ("key1", "c2VjcmV0LWtleS1vbmU=")
    );
    assert!(!format!("{read:?}").contains("c2VjcmV0"));
    assert_eq!(server.asked()[0].method, "POST");
    // An answer of another form is not quoted.
    server.always(Reply::json(
        200,
        json!({ "keys": [{ "keyName": "key1", "value": ["c2VjcmV0"] }] }),
    ));
    let error = client.account_keys(&account, deadline()).await.unwrap_err();
    assert!(
        !format!("{error} {error:?}").contains("c2VjcmV0"),
        "{error}"
    );
    server.always(Reply::json(200, json!({ "keys": [] })));
    client.account_keys(&account, deadline()).await.unwrap_err();
}
