//! Alerts as the runbook meets them: real `curl`, a real webhook, endpoints that go down.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::clients::{Curl, code, has};
use crate::endpoint::{Fake, Way};
use crate::receiver::{
    ACTIONS, ALERTS, RULES, Receiver, action_group, alerts, rule, until_retried, watched,
};
use crate::server::{Api, Server, TEST_TIMEOUT, config, profile, providers};

fn at(kind: &str, name: &str, version: &str) -> String {
    let slash = if name.is_empty() { "" } else { "/" };
    format!(
        "{}/Microsoft.Insights/{kind}{slash}{name}?api-version={version}",
        providers()
    )
}

async fn start() -> (Server, Curl, Fake) {
    let server = Server::start().await;
    let curl = Curl {
        base: server.api.addresses.arm.clone(),
        token: server.api.token.clone(),
        more: Vec::new(),
    };
    let primary = Fake::at("127.0.0.2", 0, Way::Code(200)).await;
    let endpoints = [("primary", "127.0.0.2")];
    server
        .api
        .put("p", profile("logs", primary.port(), 0, &endpoints))
        .await;
    server.api.until_status("p", &["Online"]).await;
    (server, curl, primary)
}

/// As step 5a and the last phase of the runbook pick them with `jq`.
async fn open_alerts(curl: &Curl, rule: &str) -> Vec<String> {
    let path = format!(
        "/subscriptions/5e55/providers/Microsoft.AlertsManagement/alerts?api-version={ALERTS}"
    );
    let (status, _, listed) = curl.call("GET", &path, None, &[]).await;
    assert_eq!(status, 200);
    let all = listed["value"].as_array().unwrap().iter();
    let open = all.filter(|it| {
        let essentials = &it["properties"]["essentials"];
        essentials["monitorCondition"] == "Fired"
            && essentials["alertState"] != "Closed"
            && essentials["alertRule"].as_str().unwrap().ends_with(rule)
    });
    open.map(|it| it["id"].as_str().unwrap().to_owned())
        .collect()
}

async fn until_open(curl: &Curl, rule: &str, count: usize) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let open = open_alerts(curl, rule).await;
        if open.len() == count {
            return open;
        }
        assert!(
            begun.elapsed() < TEST_TIMEOUT,
            "{open:?} instead of {count}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_goes_through_the_runbook() {
    if !has("curl") {
        return;
    }
    let (server, curl, primary) = start().await;
    let receiver = Receiver::start().await;
    let group = action_group(&[("function", receiver.uri("/failover?code=s3cret"))]);
    let path = at("actionGroups", "Failover", ACTIONS);
    let (status, _, made) = curl.call("PUT", &path, Some(&group), &[]).await;
    assert_eq!(
        (status, &made["type"]),
        (201, &json!("Microsoft.Insights/actionGroups"))
    );
    let path = at("metricAlerts", "dr-alert", RULES);
    let body = rule("primary", &["failover"]);
    let (status, etag, made) = curl
        .call("PUT", &path, Some(&body), &["If-None-Match: *"])
        .await;
    // Azure never answers 201 to a metric alert, and its SDKs take none.
    assert_eq!(status, 200, "{made}");
    // A second rule on the same endpoint, which nobody switches off.
    let control = at("metricAlerts", "control", RULES);
    let body = rule("primary", &[]);
    let (status, ..) = curl.call("PUT", &control, Some(&body), &[]).await;
    assert_eq!(status, 200);

    primary.now(Way::Code(503));
    let told = receiver.until("/failover?code=s3cret", 1).await;
    let essentials = &told["data"]["essentials"];
    assert_eq!(essentials["monitorCondition"], "Fired");
    assert_eq!(essentials["alertRule"], "dr-alert");
    assert_eq!(essentials["severity"], "Sev1");
    let condition = &told["data"]["alertContext"]["condition"]["allOf"][0];
    assert_eq!(condition["metricValue"], 0.0);
    assert_eq!(
        condition["dimensions"],
        json!([{ "name": "EndpointName", "value": "primary" }])
    );
    let fired = until_open(&curl, "dr-alert", 1).await;
    assert_eq!(json!(fired[0]), essentials["alertId"]);
    until_open(&curl, "control", 1).await;

    // `az monitor metrics alert update --enabled false`: read, change, put.
    let (_, same, mut read) = curl.call("GET", &path, None, &[]).await;
    assert_eq!(same, etag);
    read["properties"]["enabled"] = json!(false);
    let condition = format!("If-Match: {etag}");
    let (status, _, shown) = curl.call("PUT", &path, Some(&read), &[&condition]).await;
    assert_eq!(
        (status, &shown["properties"]["enabled"]),
        (200, &json!(false))
    );

    // It evaluates nothing and closes nothing, while the other one resolves.
    primary.now(Way::Code(200));
    until_open(&curl, "control", 0).await;
    assert_eq!(open_alerts(&curl, "dr-alert").await, fired);

    // Step 5a: close what has fired.
    let about = |what: &str| format!("{}{what}?api-version={ALERTS}", fired[0]);
    let closing = format!("{}&newState=Closed", about("/changeState"));
    let (status, _, closed) = curl.call("POST", &closing, None, &[]).await;
    let state = &closed["properties"]["essentials"]["alertState"];
    assert_eq!((status, state), (200, &json!("Closed")));
    assert!(open_alerts(&curl, "dr-alert").await.is_empty());
    let (_, _, one) = curl.call("GET", &about(""), None, &[]).await;
    assert_eq!(one["properties"]["essentials"]["monitorCondition"], "Fired");

    // The last phase: on again. It resolves, and does not fire again while all is well.
    let on = json!({ "properties": { "enabled": true } });
    let (status, _, shown) = curl.call("PATCH", &path, Some(&on), &[]).await;
    assert_eq!((status, &shown["properties"]["severity"]), (200, &json!(1)));
    let told = receiver.until("/failover?code=s3cret", 2).await;
    let essentials = &told["data"]["essentials"];
    assert_eq!(essentials["monitorCondition"], "Resolved");
    assert_eq!(essentials["alertId"], json!(fired[0]));
    assert!(essentials["resolvedDateTime"].is_string());
    assert!(open_alerts(&curl, "dr-alert").await.is_empty());
    let (_, _, history) = curl.call("GET", &about("/history"), None, &[]).await;
    let history = history["properties"]["modifications"].to_string();
    for event in [
        "AlertCreated",
        "StateChange",
        "MonitorConditionChange",
        "ActionsTriggered",
    ] {
        assert!(history.contains(event), "{event}: {history}");
    }
    assert_eq!(receiver.told("/failover?code=s3cret").len(), 2);

    // A second outage is another alert.
    primary.now(Way::Close);
    receiver.until("/failover?code=s3cret", 3).await;
    assert_ne!(until_open(&curl, "dr-alert", 1).await, fired);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_filtered_and_errors_are_azures() {
    if !has("curl") {
        return;
    }
    let (server, curl, primary) = start().await;
    let group = at("actionGroups", "g", ACTIONS);
    let mut body = action_group(&[]);
    body["properties"]["emailReceivers"] = json!([{ "name": "e", "emailAddress": "a@b" }]);
    curl.call("PUT", &group, Some(&body), &[]).await;
    let path = at("metricAlerts", "R", RULES);
    let good = rule("primary", &["g"]);

    // What it refers to must be there.
    let mut lost = good.clone();
    lost["properties"]["scopes"][0] = json!(format!(
        "{}x",
        good["properties"]["scopes"][0].as_str().unwrap()
    ));
    let unknown = rule("primary", &["nobody"]);
    for body in [&lost, &unknown] {
        let (status, _, answer) = curl.call("PUT", &path, Some(body), &[]).await;
        assert_eq!((status, code(&answer)), (400, "BadRequest"));
        assert!(
            answer["error"]["message"]
                .as_str()
                .unwrap()
                .contains("does not exist")
        );
    }
    let (status, _, answer) = curl.call("PATCH", &path, Some(&json!({})), &[]).await;
    assert_eq!((status, code(&answer)), (404, "ResourceNotFound"));
    let old = at("metricAlerts", "R", "2022-04-01");
    let (status, _, answer) = curl.call("PUT", &old, Some(&good), &[]).await;
    assert_eq!((status, code(&answer)), (400, "InvalidResourceType"));
    let (status, _, answer) = curl.call("POST", &path, None, &[]).await;
    assert_eq!((status, code(&answer)), (405, "MethodNotAllowed"));
    let (status, ..) = curl.call("PUT", &path, Some(&good), &[]).await;
    assert_eq!(status, 200);
    let (nothing, stale) = (json!({}), ["If-Match: \"x\""]);
    let (status, ..) = curl.call("PATCH", &path, Some(&nothing), &stale).await;
    assert_eq!(status, 412);

    for kind in ["metricAlerts", "actionGroups"] {
        let version = if kind == "metricAlerts" {
            RULES
        } else {
            ACTIONS
        };
        let here = at(kind, "", version);
        for (path, count) in [
            (here.clone(), 1),
            (here.replace("/resourceGroups/dr", ""), 1),
            (here.replace("/dr/", "/other/"), 0),
        ] {
            let (status, _, listed) = curl.call("GET", &path, None, &[]).await;
            let found = listed["value"].as_array().unwrap().len();
            assert_eq!((status, found), (200, count), "{path}");
        }
    }

    primary.now(Way::Code(500));
    let fired = until_open(&curl, "R", 1).await;
    let list = "/subscriptions/5e55/providers/Microsoft.AlertsManagement/alerts";
    let count = async |filter: &str| {
        let path = format!("{list}?api-version={ALERTS}&{filter}");
        let (status, _, listed) = curl.call("GET", &path, None, &[]).await;
        assert_eq!(status, 200, "{filter}: {listed}");
        listed["value"].as_array().unwrap().len()
    };
    for (filter, expected) in [
        ("monitorCondition=fired", 1),
        ("monitorCondition=Resolved", 0),
        ("alertState=New", 1),
        ("alertState=Closed", 0),
        ("severity=Sev1", 1),
        ("severity=Sev0", 0),
        ("alertRule=R", 1),
        ("alertRule=S", 0),
        ("targetResourceGroup=DR", 1),
        ("targetResourceType=trafficmanagerprofiles", 1),
        ("targetResource=/x", 0),
        ("monitorService=Platform", 1),
        ("monitorService=Nagios", 0),
        ("timeRange=1h", 1),
        (
            "customTimeRange=2020-01-01T00:00:00Z/2020-01-02T00:00:00Z",
            0,
        ),
        ("sortBy=severity&sortOrder=asc&includeContext=true", 1),
    ] {
        assert_eq!(count(filter).await, expected, "{filter}");
    }
    let rule_id = format!(
        "alertRule={}/Microsoft.Insights/metricAlerts/R",
        providers()
    );
    assert_eq!(count(&rule_id.replace('/', "%2F")).await, 1);
    for wrong in [
        "monitorCondition=x",
        "alertState=x",
        "timeRange=2d",
        "sortBy=x",
        "customTimeRange=x",
    ] {
        let path = format!("{list}?api-version={ALERTS}&{wrong}");
        let (status, _, answer) = curl.call("GET", &path, None, &[]).await;
        assert_eq!((status, code(&answer)), (400, "BadRequest"), "{wrong}");
    }
    let change = format!("{}/changeState?api-version={ALERTS}", fired[0]);
    for (path, expected) in [
        (change.clone(), 400),
        (format!("{change}&newState=Opened"), 400),
        (format!("{change}&newState=Acknowledged"), 200),
        (
            format!("{change}&newState=Closed").replace("/5e55/", "/other/"),
            404,
        ),
        (
            format!("{list}/x/changeState?api-version={ALERTS}&newState=Closed"),
            404,
        ),
    ] {
        assert_eq!(
            curl.call("POST", &path, None, &[]).await.0,
            expected,
            "{path}"
        );
    }
    assert_eq!(count("alertState=Acknowledged").await, 1);

    // Deleted: what has fired stays, and nobody watches it any more.
    assert_eq!(curl.call("DELETE", &path, None, &[]).await.0, 200);
    assert_eq!(curl.call("DELETE", &path, None, &[]).await.0, 204);
    assert_eq!(curl.call("DELETE", &group, None, &[]).await.0, 200);
    assert_eq!(count("monitorCondition=Fired").await, 1);
    server.stop().await;
}

/// One receiver answers 503 at first, one never answers, one answers: the last is told at once of
/// everything, the first is told again, and evaluation goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_holds_up_nobody() {
    let server = Server::start().await;
    let api = &server.api;
    let (good, failing) = (Receiver::start().await, Receiver::start().await);
    let silent = Fake::at("127.0.0.1", 0, Way::Silent).await;
    failing.answers(&[503]);
    let webhooks = [
        ("silent", format!("http://{}/", silent.address)),
        ("closed", "http://127.0.0.1:1/".to_owned()),
        ("failing", failing.uri("/")),
        ("good", good.uri("/")),
    ];
    let primary = watched(api, &webhooks).await;
    primary.now(Way::Code(500));
    good.until("/", 1).await;
    primary.now(Way::Code(200));
    good.until("/", 2).await;
    failing.until("/", 3).await;
    let conditions = |it: &Receiver| -> Vec<String> {
        it.told("/")
            .into_iter()
            .map(|(condition, _)| condition)
            .collect()
    };
    assert_eq!(conditions(&good), ["Fired", "Resolved"]);
    // Told again, and then of the rest, in its order.
    assert_eq!(conditions(&failing), ["Fired", "Fired", "Resolved"]);
    let metrics = api.see("/metrics").await;
    for line in [
        "backstay_traffic_alerts_total{condition=\"Fired\"} 1",
        "backstay_traffic_alerts_total{condition=\"Resolved\"} 1",
        "backstay_traffic_alerts_fired 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert!(metrics.contains("backstay_traffic_notifications_total{result=\"retried\"}"));
    server.stop().await;
}

/// A failover switches the endpoint off. The alert then neither resolves nor fires again, until
/// the endpoint is on again and answers.
#[tokio::test(flavor = "multi_thread")]
async fn switching_the_endpoint_off_resolves_nothing() {
    let server = Server::start().await;
    let api = &server.api;
    let receiver = Receiver::start().await;
    let primary = watched(api, &[("w", receiver.uri("/"))]).await;
    // Another rule, over another profile with the same endpoint, shows that time passes.
    let other = profile("other", primary.port(), 0, &[("primary", "127.0.0.2")]);
    api.put("q", other).await;
    let mut control = rule("primary", &["g"]);
    let scope = control["properties"]["scopes"][0]
        .as_str()
        .unwrap()
        .replace("Profiles/p", "Profiles/q");
    control["properties"]["scopes"] = json!([scope]);
    api.make("Microsoft.Insights/metricAlerts/control", RULES, control)
        .await;

    primary.now(Way::Code(500));
    receiver.until("/", 2).await;
    let off = json!({ "properties": { "endpointStatus": "Disabled" } });
    api.patch("p/externalEndpoints/primary", off).await;
    primary.now(Way::Code(200));
    receiver.until("/", 3).await;
    let condition = |all: &[Value], rule: &str| -> Vec<Value> {
        let of = all.iter().filter(|it| it["name"] == rule);
        of.map(|it| it["properties"]["essentials"]["monitorCondition"].clone())
            .collect()
    };
    let all = alerts(api).await;
    assert_eq!(condition(&all, "control"), ["Resolved"]);
    assert_eq!(condition(&all, "r"), ["Fired"]);
    let on = json!({ "properties": { "endpointStatus": "Enabled" } });
    api.patch("p/externalEndpoints/primary", on).await;
    receiver.until("/", 4).await;
    let all = alerts(api).await;
    assert_eq!(condition(&all, "r"), ["Resolved"]);
    server.stop().await;
}

/// A test notification outlives a restart, and what came of it is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_test_notification_is_told_over_a_restart() {
    let receiver = Receiver::start().await;
    receiver.answers(&[503]);
    let server = Server::start().await;
    let group = format!("{}/Microsoft.Insights/actionGroups/g", providers());
    let test = json!({
        "alertType": "metricstaticthreshold",
        "webhookReceivers": [
            { "name": "w", "serviceUri": receiver.uri("/w?code=s3cret"), "useCommonAlertSchema": true },
            { "name": "old", "serviceUri": receiver.uri("/old") },
            { "name": "entra", "serviceUri": receiver.uri("/entra"), "useAadAuth": true },
        ],
        "smsReceivers": [{ "name": "someone" }],
    });
    let ask = async |api: &Api, method: Method, path: &str, body: Option<Value>| {
        let path = path.split('?').next().unwrap();
        let asked = api.try_ask_version(method, path, ACTIONS, body);
        asked.await.unwrap()
    };
    let path = format!("{group}/createNotifications?api-version={ACTIONS}");
    let (status, _) = ask(&server.api, Method::POST, &path, Some(test.clone())).await;
    assert_eq!(status, 404, "there is no such group");
    let (kind, name) = ("Microsoft.Insights/actionGroups/g", action_group(&[]));
    server.api.make(kind, ACTIONS, name).await;
    for wrong in [
        json!({ "alertType": "budget", "webhookReceivers": test["webhookReceivers"] }),
        json!({ "alertType": "metricstaticthreshold" }),
        json!({ "alertType": "metricstaticthreshold", "webhookReceivers": [{ "name": "w" }] }),
    ] {
        let (status, _) = ask(&server.api, Method::POST, &path, Some(wrong)).await;
        assert_eq!(status, 400);
    }
    let curl = Curl {
        base: server.api.addresses.arm.clone(),
        token: server.api.token.clone(),
        more: Vec::new(),
    };
    let sent = reqwest::Client::builder().no_proxy().build().unwrap();
    let sent = sent
        .post(format!("{}{path}", curl.base))
        .bearer_auth(&curl.token);
    let sent = sent.json(&test).send().await.unwrap();
    assert_eq!(sent.status(), 202);
    let place = sent.headers()["location"].to_str().unwrap().to_owned();
    assert!(
        place.starts_with(&format!("{group}/notificationStatus/")),
        "{place}"
    );
    until_retried(&server.api).await;
    let (status, told) = ask(&server.api, Method::GET, &place, None).await;
    assert_eq!(
        (status.as_u16(), &told["state"]),
        (202, &json!("InProgress"))
    );

    let folder = server.stop().await;
    let manager = backstay_traffic::TrafficManager::start(config(folder.path()))
        .await
        .unwrap();
    let api = Api::of(manager.addresses().clone());
    let begun = Instant::now();
    let told = loop {
        let (status, told) = ask(&api, Method::GET, &place, None).await;
        if status == 200 {
            break told;
        }
        assert!(begun.elapsed() < TEST_TIMEOUT, "{told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(told["state"], "Complete");
    let details = told["actionDetails"].as_array().unwrap().iter();
    let mut details: Vec<(&str, &str)> = details
        .map(|it| (it["Name"].as_str().unwrap(), it["Status"].as_str().unwrap()))
        .collect();
    details.sort_unstable();
    let failed = [
        ("entra", "Failed"),
        ("old", "Succeeded"),
        ("someone", "Failed"),
        ("w", "Succeeded"),
    ];
    assert_eq!(details, failed);
    assert!(!told.to_string().contains("s3cret"), "{told}");
    // As Azure's sample, so that nobody takes it for his own alert.
    let sample = receiver.until("/w?code=s3cret", 1).await;
    assert_eq!(
        sample["data"]["essentials"]["alertRule"],
        "test-metricAlertRule"
    );
    let older = receiver.until("/old", 1).await;
    assert_eq!(older["schemaId"], "AzureMonitorMetricAlert");
    // No alert has fired, and another group knows nothing of it.
    assert_eq!(alerts(&api).await, Vec::<Value>::new());
    let other = place.replace("actionGroups/g/", "actionGroups/h/");
    let (status, _) = ask(&api, Method::GET, &other, None).await;
    assert_eq!(status, 404);
    manager.shut_down().await;
}
