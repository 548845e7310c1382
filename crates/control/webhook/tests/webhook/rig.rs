//! A webhook with a secret, and one who waits to be woken.

use std::net::SocketAddr;
use std::time::Duration;

use backstay_token::FileToken;
use backstay_webhook::{Alert, Counts, Door, Options, Wake, Webhook};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Receiver};

use crate::curl::{Answer, curl};
use crate::logs::Logs;

/// Nothing here takes so long, unless it hangs.
pub const HANG: Duration = Duration::from_secs(90);
pub const RULE: &str =
    "/subscriptions/5e55/resourceGroups/dr/providers/Microsoft.Insights/metricAlerts/dr-alert";
pub const SECRET: &str = "Zq3x-7-the-secret-of-this-test";

pub struct Rig {
    pub webhook: Webhook,
    pub wakes: Receiver<Wake>,
    pub logs: Logs,
}

pub fn on_loopback() -> Door {
    Door::Network {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: None,
    }
}

/// A secret in a file, as it is configured.
pub fn secret() -> FileToken {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, format!("{SECRET}\n")).unwrap();
    FileToken::at(&path, "--alert-secret").unwrap()
}

impl Rig {
    pub async fn start() -> Self {
        let mut options = Options::new(on_loopback(), RULE.parse().unwrap());
        options.secret = Some(secret());
        Self::with(options).await
    }

    pub async fn with(options: Options) -> Self {
        let logs = Logs::capture();
        let (on, wakes) = mpsc::channel(64);
        let webhook = Webhook::start(options, on).await.unwrap();
        Self {
            webhook,
            wakes,
            logs,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.webhook.address())
    }

    /// Posts what a webhook of an action group posts, with the secret in the address.
    pub async fn post(&self, message: &Value) -> Answer {
        self.post_bytes(message.to_string().as_bytes()).await
    }

    pub async fn post_bytes(&self, body: &[u8]) -> Answer {
        let url = self.url(&format!("/api/alert?code={SECRET}"));
        curl(&url, &[], Some(body)).await
    }

    /// The next wake, which has to be an alert.
    pub async fn alert(&mut self) -> Alert {
        match tokio::time::timeout(HANG, self.wakes.recv()).await.unwrap() {
            Some(Wake::Alert(alert)) => alert,
            other => panic!("{other:?}"),
        }
    }

    pub fn nothing_more(&mut self) {
        let more = self.wakes.try_recv();
        assert!(more.is_err(), "{more:?}");
    }

    pub fn counts(&self) -> Counts {
        self.webhook.counters().counts()
    }
}

pub fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// What Azure sends of our rule: it fired so long ago.
pub fn fired(id: &str, ago: TimeDelta) -> Value {
    json!({
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {
            "essentials": {
                "alertId": format!("/subscriptions/5e55/providers/Microsoft.AlertsManagement/alerts/{id}"),
                "alertRule": "dr-alert",
                "severity": "Sev1",
                "signalType": "Metric",
                "monitorCondition": "Fired",
                "monitoringService": "Platform",
                "alertTargetIDs": ["/subscriptions/5e55/resourcegroups/dr/providers/microsoft.network/trafficmanagerprofiles/logs"],
                "firedDateTime": written(Utc::now() - ago),
                "description": "the primary is down",
                "essentialsVersion": "1.0",
                "alertContextVersion": "1.0"
            },
            "alertContext": {}
        }
    })
}

/// The end of that alert, just now.
pub fn resolved(fired: &Value) -> Value {
    let mut message = fired.clone();
    let essentials = &mut message["data"]["essentials"];
    essentials["monitorCondition"] = json!("Resolved");
    essentials["resolvedDateTime"] = json!(written(Utc::now()));
    message
}
