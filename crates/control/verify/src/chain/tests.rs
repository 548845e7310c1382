#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use backstay_azure::{Cloud, Environment, Identity};
use backstay_pair::Pair;
use backstay_token::FileToken;
use backstay_traffic::{MonitorLimits, TrafficConfig, TrafficManager};
use backstay_webhook::{Door, Options, Wake, Webhook};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, channel};

use super::*;
use crate::finding::Outcome;
use crate::{Check, POLICY};

const PATIENCE: Duration = Duration::from_secs(60);

/// A real traffic manager, and the real webhook of a watch.
struct Chain {
    pair: Pair,
    manager: TrafficManager,
    client: Result<Client, NoAccess>,
    webhook: Webhook,
    wakes: Receiver<Wake>,
    secret: String,
    _folder: tempfile::TempDir,
}

impl Chain {
    async fn new() -> Self {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/backstay.example.toml");
        let pair = Pair::read(&file, []).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let token = folder.path().join("token");
        let manager = TrafficManager::start(TrafficConfig {
            dns: vec![any],
            dns_workers: 1,
            dns_rate: 0,
            arm: any,
            observe: any,
            state: folder.path().join("state.json"),
            token: token.clone(),
            tls: None,
            zone: "tm.test".to_owned(),
            name_servers: Vec::new(),
            vantage_points: vec!["a".parse().unwrap()],
            quorum: None,
            max_probes: 1,
            limits: MonitorLimits::Lab,
        });
        let manager = manager.await.unwrap();
        let file = [("BACKSTAY_AZURE_TOKEN_FILE", token.to_str().unwrap())];
        let environment: Environment = file.into_iter().collect();
        let cloud = Cloud::new(Some(&manager.addresses().arm), &environment).unwrap();
        let identity = Identity::new(&cloud, &environment, POLICY).unwrap();
        let client = Client::new(cloud, identity, POLICY).unwrap();
        let secret = folder.path().join("secret");
        let mut options = Options::new(
            Door::Network {
                address: any,
                tls: None,
            },
            pair.alert_id().parse().unwrap(),
        );
        options.secret = Some(FileToken::at(&secret, "a test").unwrap());
        let (on, wakes) = channel(1);
        Self {
            pair,
            manager,
            client: Ok(client),
            webhook: Webhook::start(options, on).await.unwrap(),
            wakes,
            secret: std::fs::read_to_string(&secret).unwrap().trim().to_owned(),
            _folder: folder,
        }
    }

    /// The action group, with this in its properties.
    async fn group(&self, properties: Value) {
        let addresses = self.manager.addresses();
        let token = std::fs::read_to_string(&addresses.token_file).unwrap();
        let url = format!(
            "{}{}?api-version=2023-01-01",
            addresses.arm,
            self.pair.action_group_id()
        );
        let mut body = json!({ "groupShortName": "dr", "enabled": true });
        for (name, value) in properties.as_object().unwrap() {
            body[name] = value.clone();
        }
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let put = http.put(url).bearer_auth(token.trim());
        let body = json!({ "location": "Global", "properties": body });
        let answer = put.json(&body).send().await.unwrap();
        assert!(
            answer.status().is_success(),
            "{}",
            answer.text().await.unwrap()
        );
    }

    fn webhook(&self, secret: &str, common_schema: bool) -> Value {
        let door = self.webhook.address();
        json!({
            "name": "watch",
            "serviceUri": format!("http://{door}/api/alert?code={secret}"),
            "useCommonAlertSchema": common_schema,
        })
    }

    async fn found(&self) -> Finding {
        let finding = alert_chain(&self.pair, &self.client, PATIENCE).await;
        assert_eq!(finding.check, Check::AlertChain);
        assert!(
            !format!("{finding:?}").contains(&self.secret),
            "{finding:?}"
        );
        finding
    }

    async fn fails(&self, says: &str) {
        let finding = self.found().await;
        assert_eq!(finding.outcome, Outcome::Fails, "{finding:?}");
        assert!(finding.sentence.contains(says), "{finding:?}");
        assert!(!finding.next.is_empty(), "{finding:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watch_hears_a_test_and_is_not_woken() {
    let mut chain = Chain::new().await;
    chain.fails("was not found").await;
    chain.group(json!({ "webhookReceivers": [] })).await;
    chain.fails("calls nobody").await;
    let webhook = chain.webhook(&chain.secret, true);
    chain
        .group(json!({ "enabled": false, "webhookReceivers": [webhook] }))
        .await;
    chain.fails("is disabled").await;
    assert_eq!(chain.webhook.counters().counts().tested, 0);

    chain.group(json!({ "webhookReceivers": [webhook] })).await;
    let finding = chain.found().await;
    assert_eq!(finding.outcome, Outcome::Ok, "{finding:?}");
    assert!(
        finding.sentence.contains("was taken by 'watch' within "),
        "{finding:?}"
    );
    let counts = chain.webhook.counters().counts();
    assert_eq!((counts.tested, counts.woke, counts.ignored), (1, 0, 0));
    assert!(chain.wakes.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_break_in_the_chain_is_named() {
    let mut chain = Chain::new().await;
    chain
        .group(json!({ "webhookReceivers": [chain.webhook("another", true)] }))
        .await;
    chain.fails("'watch' could not be told: HTTP 403").await;
    chain
        .group(json!({ "webhookReceivers": [chain.webhook(&chain.secret, false)] }))
        .await;
    chain.fails("'watch' could not be told: HTTP 400").await;
    // One of two does not answer: the other one is no comfort.
    let (good, mut bad) = (chain.webhook(&chain.secret, true), chain.webhook("x", true));
    bad["name"] = json!("function");
    chain
        .group(
            json!({ "webhookReceivers": [good], "azureFunctionReceivers": [{
            "name": "function", "httpTriggerUrl": bad["serviceUri"], "useCommonAlertSchema": true,
        }] }),
        )
        .await;
    chain.fails("'function' could not be told: HTTP 403").await;
    // Nobody is there: it is tried again and again, for longer than anybody waits.
    let gone = json!({ "name": "watch", "serviceUri": "http://127.0.0.1:1/", "useCommonAlertSchema": true });
    chain.group(json!({ "webhookReceivers": [gone] })).await;
    let finding = alert_chain(&chain.pair, &chain.client, Duration::from_secs(2)).await;
    assert_eq!(finding.outcome, Outcome::Unknown, "{finding:?}");
    assert!(finding.sentence.contains("'watch'"), "{finding:?}");
    chain.client = Err(NoAccess::NoContext("no identity".to_owned()));
    let finding = chain.found().await;
    assert_eq!(finding.outcome, Outcome::Unknown, "{finding:?}");
}
