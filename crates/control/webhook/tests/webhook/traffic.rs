//! What the traffic manager's action groups really send: an endpoint goes down, its alert fires,
//! and the webhook wakes; it comes back, and the alert resolves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

use axum::Router;
use axum::http::StatusCode;
use backstay_traffic::{MonitorLimits, TrafficConfig, TrafficManager, VantagePoint};
use backstay_webhook::Condition;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::rig::{HANG, RULE, Rig, SECRET};

const GROUP: &str = "/subscriptions/5e55/resourceGroups/dr/providers";

struct Arm {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Arm {
    async fn put(&self, path: &str, version: &str, body: &Value) {
        let url = format!("{}{path}?api-version={version}", self.url);
        let put = self.http.put(url).bearer_auth(&self.token).json(body);
        let answer = put.send().await.unwrap();
        let status = answer.status();
        assert!(
            status.is_success(),
            "{path}: {}",
            answer.text().await.unwrap()
        );
    }

    async fn until_online(&self, path: &str) {
        let url = format!("{}{path}?api-version=2022-04-01", self.url);
        let begun = Instant::now();
        loop {
            let get = self.http.get(&url).bearer_auth(&self.token);
            let shown: Value = get.send().await.unwrap().json().await.unwrap();
            let status =
                &shown["properties"]["endpoints"][0]["properties"]["endpointMonitorStatus"];
            if status == "Online" {
                return;
            }
            assert!(begun.elapsed() < HANG, "{shown}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

fn config(folder: &std::path::Path) -> TrafficConfig {
    let any = "127.0.0.1:0".parse().unwrap();
    TrafficConfig {
        dns: vec![any],
        dns_workers: 1,
        dns_rate: 0,
        arm: any,
        observe: any,
        state: folder.join("state.json"),
        token: folder.join("token"),
        tls: None,
        zone: "tm.test".to_owned(),
        name_servers: Vec::new(),
        vantage_points: vec!["a".parse::<VantagePoint>().unwrap()],
        quorum: None,
        max_probes: 16,
        limits: MonitorLimits::Lab,
    }
}

fn profile(port: u16) -> Value {
    json!({
        "location": "global",
        "properties": {
            "profileStatus": "Enabled", "trafficRoutingMethod": "Priority",
            "dnsConfig": { "relativeName": "logs", "ttl": 5 },
            "monitorConfig": {
                "protocol": "HTTP", "port": port, "path": "/",
                "intervalInSeconds": 1, "timeoutInSeconds": 1, "toleratedNumberOfFailures": 0,
            },
            "endpoints": [{
                "name": "primary",
                "type": "Microsoft.Network/trafficManagerProfiles/externalEndpoints",
                "properties": { "target": "127.0.0.1", "priority": 1 },
            }],
        },
    })
}

fn rule(profile: &str, group: &str) -> Value {
    json!({
        "location": "global",
        "properties": {
            "description": "the primary is down", "severity": 1, "enabled": true,
            "scopes": [profile], "evaluationFrequency": "PT1S", "windowSize": "PT1S",
            "criteria": {
                "odata.type": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
                "allOf": [{
                    "criterionType": "StaticThresholdCriterion", "name": "down",
                    "metricNamespace": "Microsoft.Network/trafficManagerProfiles",
                    "metricName": "ProbeAgentCurrentEndpointStateByProfileResourceId",
                    "operator": "LessThan", "threshold": 1, "timeAggregation": "Maximum",
                    "dimensions": [
                        { "name": "EndpointName", "operator": "Include", "values": ["primary"] },
                    ],
                }],
            },
            "autoMitigate": true,
            "actions": [{ "actionGroupId": group }],
        },
    })
}

/// An endpoint that is up as long as this is true.
async fn endpoint(up: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().fallback(move || async move {
        match up.load(SeqCst) {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_wakes_and_its_end_wakes_again() {
    let mut rig = Rig::start().await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let manager = TrafficManager::start(config(folder.path())).await.unwrap();
    let token = std::fs::read_to_string(folder.path().join("token")).unwrap();
    let arm = Arm {
        http: reqwest::Client::builder().no_proxy().build().unwrap(),
        url: manager.addresses().arm.clone(),
        token: token.trim().to_owned(),
    };
    let up = Arc::new(AtomicBool::new(true));
    let port = endpoint(Arc::clone(&up)).await;
    let logs = format!("{GROUP}/Microsoft.Network/trafficManagerProfiles/logs");
    arm.put(&logs, "2022-04-01", &profile(port)).await;
    arm.until_online(&logs).await;
    let group = format!("{GROUP}/Microsoft.Insights/actionGroups/failover");
    let url = rig.url(&format!("/api/alert?code={SECRET}"));
    let receiver = json!({ "name": "watch", "serviceUri": url, "useCommonAlertSchema": true });
    let body = json!({
        "location": "global",
        "properties": { "groupShortName": "failover", "webhookReceivers": [receiver] },
    });
    arm.put(&group, "2021-09-01", &body).await;
    arm.put(RULE, "2018-03-01", &rule(&logs, &group)).await;

    up.store(false, SeqCst);
    let fired = rig.alert().await;
    assert_eq!(
        (fired.rule.as_str(), fired.condition),
        ("dr-alert", Condition::Fired)
    );
    up.store(true, SeqCst);
    let resolved = rig.alert().await;
    assert_eq!(resolved.condition, Condition::Resolved);
    assert_eq!(resolved.id, fired.id);
    assert!(resolved.at > fired.at);
    let counts = rig.counts();
    assert_eq!((counts.ignored, counts.refused), (0, [0; 8]));
    manager.shut_down().await;
    let logs = rig.logs.text();
    assert!(!logs.contains(SECRET), "{logs}");
}
