//! One that is told of alerts: a webhook, and what leads to it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::serve::Listener;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::endpoint::{Fake, Way};
use crate::server::{Api, GROUP, TEST_TIMEOUT, profile, providers};

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
        let (receiver, router) = Self::new(listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        receiver
    }

    /// One that speaks TLS, with this certificate and its key.
    pub async fn with_tls(certificate: &Path, key: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (receiver, router) = Self::new(listener.local_addr().unwrap());
        let _ = rustls::crypto::ring::default_provider().install_default();
        let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TlsListener(listener, TlsAcceptor::from(Arc::new(tls)));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        receiver
    }

    fn new(address: SocketAddr) -> (Self, Router) {
        let receiver = Self {
            address,
            calls: Arc::default(),
            answers: Arc::default(),
        };
        let router = Router::new().fallback(take).with_state(receiver.clone());
        (receiver, router)
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
                    begun.elapsed() < TEST_TIMEOUT,
                    "{path}: {calls:?} instead of {count}"
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

struct TlsListener(TcpListener, TlsAcceptor);

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, from) = self.0.accept().await.unwrap();
            // One that does not trust us goes away.
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
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

/// An endpoint that is up, in a profile `p`, and a rule `r` over it that tells these webhooks.
pub async fn watched(api: &Api, webhooks: &[(&str, String)]) -> Fake {
    let primary = Fake::at("127.0.0.2", 0, Way::Code(200)).await;
    let endpoints = [("primary", "127.0.0.2")];
    api.put("p", profile("logs", primary.port(), 0, &endpoints))
        .await;
    let group = action_group(webhooks);
    api.make("Microsoft.Insights/actionGroups/g", ACTIONS, group)
        .await;
    let rule = rule("primary", &["g"]);
    api.make("Microsoft.Insights/metricAlerts/r", RULES, rule)
        .await;
    primary
}

/// Waits until a call of a webhook has failed and is to be made again.
pub async fn until_retried(api: &Api) {
    let begun = Instant::now();
    loop {
        let metrics = api.see("/metrics").await;
        if metrics.contains("notifications_total{result=\"retried\"}") {
            return;
        }
        assert!(begun.elapsed() < TEST_TIMEOUT, "{metrics}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
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
