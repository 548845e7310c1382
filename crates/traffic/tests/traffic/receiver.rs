//! One that is told of alerts: a webhook, and what leads to it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::server::{Api, GROUP, HANG, providers};

pub const RULES: &str = "2018-03-01";
pub const ACTIONS: &str = "2021-09-01";
pub const ALERTS: &str = "2019-05-05-preview";

/// What came: the path and the body.
pub type Call = (String, Value);

#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    /// What is answered to the next calls; 200 when there is nothing.
    answers: Arc<Mutex<Vec<u16>>>,
}

impl Receiver {
    pub async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).await
    }

    pub async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            calls: Arc::default(),
            answers: Arc::default(),
        };
        let router = Router::new().fallback(take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        receiver
    }

    /// The next calls are answered so.
    pub fn answers(&self, codes: &[u16]) {
        *self.answers.lock().unwrap() = codes.to_vec();
    }

    pub fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The bodies that came to this path, `monitorCondition` and `alertId` of each.
    pub fn told(&self, path: &str) -> Vec<(String, String)> {
        let calls = self.calls.lock().unwrap();
        let here = calls.iter().filter(|(at, _)| at == path);
        here.map(|(_, body)| {
            assert_eq!(body["schemaId"], "azureMonitorCommonAlertSchema", "{body}");
            let essentials = &body["data"]["essentials"];
            let text = |name: &str| essentials[name].as_str().unwrap().to_owned();
            (text("monitorCondition"), text("alertId"))
        })
        .collect()
    }

    /// Waits for so many calls to this path, and returns the last.
    pub async fn until(&self, path: &str, count: usize) -> Value {
        let begun = Instant::now();
        loop {
            {
                let calls = self.calls.lock().unwrap();
                let mut here = calls.iter().filter(|(at, _)| at == path);
                if let Some((_, body)) = here.nth(count - 1) {
                    return body.clone();
                }
                assert!(
                    begun.elapsed() < HANG,
                    "{path}: {calls:?} instead of {count}"
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn take(State(receiver): State<Receiver>, uri: Uri, body: Bytes) -> StatusCode {
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    receiver.calls.lock().unwrap().push((uri.to_string(), body));
    let mut answers = receiver.answers.lock().unwrap();
    if answers.is_empty() {
        return StatusCode::OK;
    }
    StatusCode::from_u16(answers.remove(0)).unwrap()
}

/// An action group with these webhooks.
pub fn action_group(webhooks: &[(&str, String)]) -> Value {
    let receivers: Vec<Value> = webhooks
        .iter()
        .map(|(name, uri)| json!({ "name": name, "serviceUri": uri, "useCommonAlertSchema": true }))
        .collect();
    json!({
        "location": "global",
        "properties": {
            "groupShortName": "failover", "enabled": true, "webhookReceivers": receivers,
        },
    })
}

/// A rule: this endpoint of profile `p` has been down for a second.
pub fn rule(endpoint: &str, groups: &[&str]) -> Value {
    let actions: Vec<Value> = groups
        .iter()
        .map(|it| json!({ "actionGroupId": format!("{}/Microsoft.Insights/actionGroups/{it}", providers()) }))
        .collect();
    json!({
        "location": "global",
        "properties": {
            "description": "the primary is down", "severity": 1, "enabled": true,
            "scopes": [format!("{GROUP}/p")],
            "evaluationFrequency": "PT1S", "windowSize": "PT1S",
            "criteria": {
                "odata.type": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
                "allOf": [{
                    "criterionType": "StaticThresholdCriterion", "name": "down",
                    "metricNamespace": "Microsoft.Network/trafficManagerProfiles",
                    "metricName": "ProbeAgentCurrentEndpointStateByProfileResourceId",
                    "operator": "LessThan", "threshold": 1, "timeAggregation": "Maximum",
                    "dimensions": [
                        { "name": "EndpointName", "operator": "Include", "values": [endpoint] },
                    ],
                }],
            },
            "autoMitigate": true,
            "actions": actions,
        },
    })
}

/// All alerts, as the API lists them.
pub async fn alerts(api: &Api) -> Vec<Value> {
    let path = "/subscriptions/5e55/providers/Microsoft.AlertsManagement/alerts";
    let asked = api.try_ask_version(reqwest::Method::GET, path, ALERTS, None);
    let (status, listed) = asked.await.unwrap();
    assert_eq!(status, 200, "{listed}");
    listed["value"].as_array().unwrap().clone()
}
