//! What the Azure Functions host does with the files of `deploy/function`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backstay_webhook::{Condition, Door, Options, RefusalKind, Wake};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::curl::{Answer, curl};
use crate::rig::{RULE, Rig, SECRET, fired, resolved, secret};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/function")
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The functions: folders with a `function.json`, by their names.
fn functions() -> BTreeMap<String, Vec<Value>> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let all = entries.filter_map(|entry| {
        let path = entry.unwrap().path();
        let file = path.join("function.json");
        let name = path.file_name()?.to_str()?.to_owned();
        let bindings = file.exists().then(|| read(&file)["bindings"].clone())?;
        Some((name, bindings.as_array().unwrap().clone()))
    });
    all.collect()
}

async fn behind_the_host(options: impl FnOnce(&mut Options)) -> Rig {
    let mut all = Options::new(Door::Functions { port: 0 }, RULE.parse().unwrap());
    options(&mut all);
    Rig::with(all).await
}

async fn post(rig: &Rig, path: &str, body: &Value) -> Answer {
    let answer = curl(&rig.url(path), &[], Some(body.to_string().as_bytes())).await;
    assert_ne!(answer.status, 404, "{path} is not served");
    answer
}

/// How the host tells of an HTTP request that it does not forward.
fn invocation(message: &Value, query: &Value) -> Value {
    json!({
        "Data": { "req": {
            "Url": "https://f.azurewebsites.net/api/alert",
            "Method": "POST",
            "Query": query,
            "Headers": { "Content-Type": ["application/json; charset=utf-8"] },
            "Params": {},
            "Body": message.to_string(),
        } },
        "Metadata": { "sys": { "MethodName": "alert" } },
    })
}

/// How it tells of its timer, to a function whose binding is called so.
fn tick(binding: &Value) -> Value {
    let name = binding["name"].as_str().unwrap();
    json!({
        "Data": { name: {
            "Schedule": { "AdjustForDST": true },
            "ScheduleStatus": null,
            "IsPastDue": false,
        } },
        "Metadata": { "sys": { "MethodName": "watch", "UtcNow": "2026-11-25T07:00:00Z" } },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_that_the_files_lead_to_is_served() {
    let host = read(&folder().join("host.json"));
    assert_eq!(host["version"], "2.0");
    let handler = &host["customHandler"];
    assert_eq!(handler["description"]["defaultExecutablePath"], "backstay");
    assert_eq!(handler["enableForwardingHttpRequest"], true);
    let prefix = host["extensions"]["http"]["routePrefix"].as_str().unwrap();

    let mut rig = behind_the_host(|_| {}).await;
    assert!(rig.webhook.address().ip().is_loopback());
    let functions = functions();
    assert_eq!(functions.keys().collect::<Vec<_>>(), ["alert", "watch"]);
    for (name, bindings) in functions {
        let triggers = bindings.iter().filter(|it| it["direction"] == "in");
        let [trigger] = triggers.collect::<Vec<_>>()[..] else {
            panic!("{name}: a function has one trigger");
        };
        match trigger["type"].as_str().unwrap() {
            "httpTrigger" => {
                // Without it the world could wake it.
                assert_eq!(trigger["authLevel"], "function", "{name}");
                assert_eq!(trigger["methods"], json!(["post"]), "{name}");
                assert_eq!(trigger["name"], "req", "{name}");
                let out = bindings.iter().find(|it| it["direction"] == "out").unwrap();
                assert_eq!(
                    (&out["type"], &out["name"]),
                    (&json!("http"), &json!("res"))
                );
                assert_eq!(bindings.len(), 2, "{name}: more bindings are not forwarded");

                let route = trigger["route"].as_str().unwrap_or(&name);
                let message = fired("a", TimeDelta::zero());
                let answer = post(&rig, &format!("/{prefix}/{route}"), &message).await;
                assert_eq!((answer.status, answer.body.as_str()), (200, "taken"));
                assert_eq!(rig.alert().await.condition, Condition::Fired);
                // Should the host not forward.
                let call = invocation(&resolved(&message), &json!("{}"));
                let answer = post(&rig, &format!("/{name}"), &call).await;
                assert_eq!(answer.status, 200, "{}", answer.body);
                let said: Value = serde_json::from_str(&answer.body).unwrap();
                assert_eq!(said["Outputs"]["res"]["statusCode"], 200);
                assert_eq!(said["Outputs"]["res"]["body"], "taken");
                assert_eq!(said["Logs"], json!(["taken"]));
                assert_eq!(rig.alert().await.condition, Condition::Resolved);
            }
            "timerTrigger" => {
                let schedule = trigger["schedule"].as_str().unwrap();
                assert_eq!(schedule.split(' ').count(), 6, "{name}: {schedule}");
                let answer = post(&rig, &format!("/{name}"), &tick(trigger)).await;
                assert_eq!(answer.status, 200, "{}", answer.body);
                let said: Value = serde_json::from_str(&answer.body).unwrap();
                assert_eq!(
                    said,
                    json!({ "Outputs": {}, "Logs": [], "ReturnValue": null })
                );
                assert_eq!(rig.wakes.recv().await, Some(Wake::Timer));
            }
            other => panic!("{name}: nobody serves a {other}"),
        }
    }
    rig.nothing_more();
    assert_eq!((rig.counts().woke, rig.counts().timer), (2, 1));
}

#[test]
fn the_example_of_local_settings_holds_no_secret_and_what_the_host_needs() {
    let example = read(&folder().join("local.settings.json.example"));
    let values = example["Values"].as_object().unwrap();
    assert_eq!(values["FUNCTIONS_WORKER_RUNTIME"], "custom");
    // The timer keeps its lock there.
    assert!(values.contains_key("AzureWebJobsStorage"));
    for (name, value) in values {
        let value = value.as_str().unwrap();
        assert!(!value.contains("AccountKey="), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_configured_is_asked_for_behind_the_host_too() {
    let mut rig = behind_the_host(|it| it.secret = Some(secret())).await;
    let message = fired("a", TimeDelta::zero());
    for (query, expected) in [
        (json!("{}"), 401),
        (json!({ "code": "wrong" }), 403),
        (json!(format!("{{\"code\":\"{SECRET}\"}}")), 200),
    ] {
        let answer = post(&rig, "/alert", &invocation(&message, &query)).await;
        assert_eq!(answer.status, 200, "the function has run");
        let said: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(said["Outputs"]["res"]["statusCode"], expected, "{query}");
        assert!(!answer.body.contains(SECRET));
    }
    rig.alert().await;
    assert_eq!(post(&rig, "/api/alert", &message).await.status, 401);
    // An invocation that is none is an error of the host, and its function fails.
    for body in [json!({}), json!({ "Data": { "req": SECRET } })] {
        let answer = post(&rig, "/alert", &body).await;
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("Data.req"), "{}", answer.body);
    }
    let long = json!({ "Data": "x".repeat(2 << 20) });
    for path in ["/alert", "/watch"] {
        assert_eq!(post(&rig, path, &long).await.status, 413, "{path}");
    }
    rig.nothing_more();
    assert_eq!(rig.counts().refused_as(RefusalKind::Oversized), 2);
    assert!(!rig.logs.text().contains(SECRET));
}
