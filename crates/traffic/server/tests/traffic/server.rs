//! A traffic manager in this process, and what tests ask of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use backstay_lab_azure::StorageApi;
use backstay_traffic::{
    Addresses, MonitorLimits, NameServer, TrafficConfig, TrafficManager, VantagePoint,
};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::BinEncodable;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::UdpSocket;

/// Nothing here takes so long, unless it hangs.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(90);

pub const GROUP: &str =
    "/subscriptions/5e55/resourceGroups/dr/providers/Microsoft.Network/trafficManagerProfiles";
pub const VERSION: &str = "2022-04-01";

/// The resource group's providers.
pub fn providers() -> &'static str {
    GROUP.split("/Microsoft.Network").next().unwrap()
}

pub fn config(folder: &std::path::Path) -> TrafficConfig {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
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
        name_servers: vec![NameServer {
            name: "ns1.tm.test".to_owned(),
            address: Some(any.ip()),
        }],
        vantage_points: ["a", "b", "c"].map(point).into(),
        quorum: None,
        max_probes: 256,
        limits: MonitorLimits::Lab,
    }
}

pub fn point(name: &str) -> VantagePoint {
    name.parse().unwrap()
}

pub struct Server {
    pub folder: tempfile::TempDir,
    pub api: Api,
    manager: TrafficManager,
}

/// What tests ask, of a server in this process or in another.
#[derive(Clone)]
pub struct Api {
    pub addresses: Addresses,
    pub token: String,
    http: reqwest::Client,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut TrafficConfig)) -> Self {
        Self::with_accounts(None, change).await
    }

    /// One that also hands out the keys of a file.
    pub async fn with_accounts(
        accounts: Option<StorageApi>,
        change: impl FnOnce(&mut TrafficConfig),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        change(&mut config);
        let manager = TrafficManager::start_with(config, |api| match accounts {
            None => api,
            Some(accounts) => api.with(accounts),
        });
        let manager = manager.await.unwrap();
        let api = Api::of(manager.addresses().clone());
        Self {
            folder,
            api,
            manager,
        }
    }

    pub async fn stop(self) -> tempfile::TempDir {
        let stopped = tokio::time::timeout(TEST_TIMEOUT, self.manager.shut_down()).await;
        stopped.expect("it does not stop");
        self.folder
    }
}

impl Api {
    pub fn of(addresses: Addresses) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let token = std::fs::read_to_string(&addresses.token_file).unwrap();
        Self {
            token: token.trim().to_owned(),
            addresses,
            http: reqwest::Client::builder()
                .timeout(TEST_TIMEOUT)
                .no_proxy()
                .build()
                .unwrap(),
        }
    }

    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        self.try_ask(method, path, body).await.unwrap()
    }

    pub async fn try_ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<(StatusCode, Value)> {
        self.try_ask_version(method, path, VERSION, body).await
    }

    pub async fn try_ask_version(
        &self,
        method: Method,
        path: &str,
        version: &str,
        body: Option<Value>,
    ) -> reqwest::Result<(StatusCode, Value)> {
        let url = format!("{}{path}?api-version={version}", self.addresses.arm);
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    pub async fn put(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self
            .ask(Method::PUT, &format!("{GROUP}/{path}"), Some(body))
            .await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    pub async fn patch(&self, path: &str, body: Value) -> Value {
        let path = format!("{GROUP}/{path}");
        let (status, answer) = self.ask(Method::PATCH, &path, Some(body)).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, answer) = self
            .ask(Method::GET, &format!("{GROUP}/{path}"), None)
            .await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    pub async fn see(&self, path: &str) -> String {
        let url = format!("{}{path}", self.addresses.observe);
        self.http
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    pub async fn watch(&self, after: Option<u64>) -> reqwest::Response {
        let url = format!("{}/events", self.addresses.observe);
        let mut request = self.http.get(url);
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        request.send().await.unwrap()
    }

    /// Makes a resource below the resource group's providers.
    pub async fn make(&self, path: &str, version: &str, body: Value) -> Value {
        let path = format!("{}/{path}", providers());
        let made = self.try_ask_version(Method::PUT, &path, version, Some(body));
        let (status, answer) = made.await.unwrap();
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// The monitor status of endpoints, in their order.
    pub async fn statuses(&self, profile: &str) -> Vec<String> {
        let shown = self.get(profile).await;
        let endpoints = shown["properties"]["endpoints"].as_array().unwrap().clone();
        let status = |it: &Value| {
            let status = it["properties"]["endpointMonitorStatus"].as_str();
            status.unwrap().to_owned()
        };
        endpoints.iter().map(status).collect()
    }

    /// What a name in the zone points to.
    pub async fn resolve(&self, label: &str) -> Vec<String> {
        let response = query(self.addresses.dns[0], "127.0.0.1", label).await;
        let response = response.expect("no answer");
        response
            .answers
            .iter()
            .map(|it| it.data.to_string())
            .collect()
    }

    /// Waits until a name points there.
    pub async fn until_points(&self, label: &str, to: &[&str]) {
        let begun = Instant::now();
        loop {
            let now = self.resolve(label).await;
            if now == to {
                return;
            }
            let status = self.see("/status").await;
            assert!(
                begun.elapsed() < TEST_TIMEOUT,
                "{now:?} instead of {to:?}: {status}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until endpoints have these statuses.
    pub async fn until_status(&self, profile: &str, wanted: &[&str]) {
        let begun = Instant::now();
        loop {
            let now = self.statuses(profile).await;
            if now == wanted {
                return;
            }
            let status = self.see("/status").await;
            assert!(
                begun.elapsed() < TEST_TIMEOUT,
                "{now:?} instead of {wanted:?}: {status}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Asks from an address of this machine. A datagram may be lost, so it asks a few times.
pub async fn query(server: SocketAddr, from: &str, label: &str) -> Option<Message> {
    let socket = UdpSocket::bind((from, 0)).await.unwrap();
    socket.connect(server).await.unwrap();
    let id = rand::random();
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    let name = Name::from_ascii(format!("{label}.tm.test.")).unwrap();
    message.add_query(Query::query(name, RecordType::A));
    let bytes = message.to_bytes().unwrap();
    let mut buffer = [0; 2048];
    for _ in 0..10 {
        socket.send(&bytes).await.unwrap();
        let wait = Duration::from_millis(500);
        if let Ok(received) = tokio::time::timeout(wait, socket.recv(&mut buffer)).await {
            let response = Message::from_vec(&buffer[..received.unwrap()]).unwrap();
            assert_eq!(response.metadata.id, id);
            return Some(response);
        }
    }
    None
}

/// A profile over HTTP that probes every second, with these endpoints in their priority.
pub fn profile(name: &str, port: u16, tolerated: u32, endpoints: &[(&str, &str)]) -> Value {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .zip(1..)
        .map(|((name, target), priority)| {
            json!({
                "name": name,
                "type": "Microsoft.Network/trafficManagerProfiles/externalEndpoints",
                "properties": { "target": target, "priority": priority },
            })
        })
        .collect();
    json!({
        "location": "global",
        "properties": {
            "profileStatus": "Enabled",
            "trafficRoutingMethod": "Priority",
            "dnsConfig": { "relativeName": name, "ttl": 5 },
            "monitorConfig": {
                "protocol": "HTTP", "port": port, "path": "/api/v1/status",
                "intervalInSeconds": 1, "timeoutInSeconds": 1, "toleratedNumberOfFailures": tolerated,
            },
            "endpoints": endpoints,
        },
    })
}
