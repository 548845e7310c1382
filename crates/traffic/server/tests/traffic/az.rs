//! The commands of the runbook, by `az` itself.
//!
//! `az` (PyPI's azure-cli) needs no cloud: it takes its token from a managed identity endpoint,
//! which is a page on loopback that hands out the token of our token file, and it is pointed here
//! by `az cloud register`. Its install is several hundred megabytes, so CI does without it and
//! makes the same calls with `curl`, as `az rest` would; where `az` is on the PATH, or
//! `BACKSTAY_AZ` names it, its own test runs too.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use backstay_lab_azure::StorageApi;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::clients::{Curl, certificate};
use crate::endpoint::{Fake, Way};
use crate::receiver::{ALERTS, RULES, rule};
use crate::server::{Server, TEST_TIMEOUT, VERSION, profile, providers};

/// Hands out a token as the managed identity endpoint of App Service does
/// (<https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>).
async fn identity(token: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 8192]).await;
            let body = json!({
                "access_token": token, "expires_on": "4102444800", "token_type": "Bearer",
                "resource": "https://management.core.windows.net/", "client_id": "x",
            })
            .to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    format!("http://{address}/token")
}

/// The real `az`, logged in to a server.
struct Az {
    program: OsString,
    folder: tempfile::TempDir,
    cert: PathBuf,
    identity: String,
    server: Server,
    curl: Curl,
}

const SUBSCRIPTION: &str = "5e55c000-0000-4000-8000-000000000000";

impl Az {
    /// With a profile `p` in group `dr`, and these storage accounts; nothing where there is no `az`.
    async fn start(accounts: Option<StorageApi>) -> Option<Self> {
        let program = match std::env::var_os("BACKSTAY_AZ") {
            Some(az) => az,
            None if Command::new("az").arg("version").output().is_ok() => "az".into(),
            None => {
                backstay_testkit::skip_even_on_ci(
                    "az is not installed; install azure-cli from PyPI and set BACKSTAY_AZ to its az",
                );
                return None;
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = certificate(folder.path());
        // az reads the tenant out of the token, so the token is a JWT; to the server it is a token.
        let part = |it: Value| {
            use base64::Engine as _;
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(it.to_string())
        };
        let tenant = "7e7a7700-0000-4000-8000-000000000000";
        let claims = json!({ "tid": tenant, "oid": "x", "secret": rand::random::<u64>() });
        let token = format!(
            "{}.{}.{}",
            part(json!({ "alg": "RS256", "typ": "JWT" })),
            part(claims),
            part(json!("x"))
        );
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, &token).unwrap();
        let tls = (cert.clone(), key);
        let server = Server::with_accounts(accounts, |config| {
            config.tls = Some(tls);
            config.token = token_file;
        })
        .await;
        let curl = Curl {
            base: server.api.addresses.arm.clone(),
            token: token.clone(),
            more: vec!["--cacert".into(), cert.clone().into()],
        };
        let identity = identity(token).await;
        Some(Self {
            program,
            folder,
            cert,
            identity,
            server,
            curl,
        })
    }

    /// Makes a resource of group `dr`.
    async fn put(&self, path: &str, version: &str, body: &Value) {
        let path = format!("{}/{path}?api-version={version}", self.group());
        let (status, _, answer) = self.curl.call("PUT", &path, Some(body), &[]).await;
        assert!(matches!(status, 200 | 201), "{answer}");
    }

    fn group(&self) -> String {
        providers().replace("5e55", SUBSCRIPTION)
    }

    async fn run(&self, line: &str) -> Value {
        let mut command = Command::new(&self.program);
        command
            .args(line.split_whitespace())
            .args(["--output", "json"])
            .env("AZURE_CONFIG_DIR", self.folder.path().join("azure"))
            .env("AZURE_CORE_COLLECT_TELEMETRY", "false")
            .env("AZURE_CORE_INSTANCE_DISCOVERY", "false")
            .env("REQUESTS_CA_BUNDLE", &self.cert)
            .env("IDENTITY_ENDPOINT", &self.identity)
            .env("IDENTITY_HEADER", "x")
            .env("NO_PROXY", "*");
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        assert!(
            output.status.success(),
            "az {line}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or(Value::Null)
    }

    async fn log_in(&self) {
        let base = &self.server.api.addresses.arm;
        self.run(&format!(
            "cloud register --name backstay --skip-endpoint-discovery \
             --endpoint-resource-manager {base} \
             --endpoint-active-directory {base} --endpoint-management {base}/ \
             --endpoint-active-directory-resource-id {base}/ \
             --endpoint-active-directory-graph-resource-id {base}/"
        ))
        .await;
        self.run("cloud set --name backstay").await;
        let accounts = self.run("login --identity").await;
        assert_eq!(accounts[0]["id"], SUBSCRIPTION);
    }
}

/// The commands of the runbook, unchanged, against this server.
#[tokio::test(flavor = "multi_thread")]
async fn az_shows_and_updates_an_endpoint() {
    let Some(az) = Az::start(None).await else {
        return;
    };
    let endpoints = [("primary", "192.0.2.7"), ("secondary", "192.0.2.8")];
    let body = profile("logs", 9, 9, &endpoints);
    let path = "Microsoft.Network/trafficManagerProfiles/p";
    az.put(path, VERSION, &body).await;
    az.log_in().await;
    let api = &az.server.api;
    let which = "--profile-name p --name primary --resource-group dr --type externalEndpoints";
    let endpoint = async |rest: &str| {
        az.run(&format!("network traffic-manager endpoint {rest}"))
            .await
    };
    let shown = endpoint(&format!("show {which}")).await;
    assert_eq!(shown["endpointStatus"], "Enabled");
    assert_eq!(api.resolve("logs").await, ["192.0.2.7"]);
    let updated = endpoint(&format!("update {which} --endpoint-status Disabled")).await;
    assert_eq!(updated["endpointMonitorStatus"], "Disabled");
    assert_eq!(api.resolve("logs").await, ["192.0.2.8"]);
    let shown = endpoint(&format!("show {which} --query endpointStatus")).await;
    assert_eq!(shown, "Disabled");
    endpoint(&format!("update {which} --endpoint-status Enabled")).await;
    assert_eq!(api.resolve("logs").await, ["192.0.2.7"]);
    let profiles = az.run("network traffic-manager profile list").await;
    assert_eq!(profiles[0]["name"], "p");
    az.server.stop().await;
}

/// `az monitor`, `az rest` and `az storage account keys list` of the runbook.
#[tokio::test(flavor = "multi_thread")]
async fn az_manages_alerts_and_reads_keys() {
    let accounts = json!({ "accounts": [{
        "subscription": SUBSCRIPTION, "resourceGroup": "dr", "name": "primaryacct",
        "location": "centralus", "keys": [{ "name": "key1", "value": "a-key" }],
    }] });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.json");
    std::fs::write(&path, accounts.to_string()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let accounts = StorageApi::at(&path).unwrap();
    let Some(az) = Az::start(Some(accounts)).await else {
        return;
    };
    let primary = Fake::at("127.0.0.2", 0, Way::Code(500)).await;
    let body = profile("logs", primary.port(), 0, &[("primary", "127.0.0.2")]);
    let path = "Microsoft.Network/trafficManagerProfiles/p";
    az.put(path, VERSION, &body).await;
    az.log_in().await;
    // az checks what it sends, and knows none of our short intervals.
    az.run(
        "monitor action-group create --name failover --resource-group dr --short-name dr \
         --action webhook function http://127.0.0.1:1/ usecommonalertschema",
    )
    .await;
    let mut body = rule("primary", &["failover"]);
    for place in [
        "/properties/scopes/0",
        "/properties/actions/0/actionGroupId",
    ] {
        let id = body.pointer_mut(place).unwrap();
        *id = json!(id.as_str().unwrap().replace("5e55", SUBSCRIPTION));
    }
    az.put("Microsoft.Insights/metricAlerts/dr-alert", RULES, &body)
        .await;

    let list = format!(
        "rest --method get --uri {}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.AlertsManagement/alerts?api-version={ALERTS}",
        az.server.api.addresses.arm
    );
    let begun = Instant::now();
    let fired = loop {
        let listed = az.run(&list).await;
        if let Some(fired) = listed["value"].as_array().unwrap().first() {
            break fired.clone();
        }
        assert!(begun.elapsed() < TEST_TIMEOUT, "nothing fires");
    };
    let of_rule = fired["properties"]["essentials"]["alertRule"].as_str();
    assert!(of_rule.unwrap().ends_with("dr-alert"));
    let which = "--name dr-alert --resource-group dr";
    let off = az
        .run(&format!(
            "monitor metrics alert update {which} --enabled false"
        ))
        .await;
    assert_eq!(off["enabled"], false);
    let id = fired["id"].as_str().unwrap();
    let closed = az
        .run(&format!(
            "rest --method post --uri {}{id}/changeState?api-version={ALERTS}&newState=Closed",
            az.server.api.addresses.arm
        ))
        .await;
    assert_eq!(closed["properties"]["essentials"]["alertState"], "Closed");
    let on = az
        .run(&format!(
            "monitor metrics alert update {which} --enabled true"
        ))
        .await;
    assert_eq!((&on["enabled"], &on["severity"]), (&json!(true), &json!(1)));
    let rules = az
        .run("monitor metrics alert list --resource-group dr")
        .await;
    assert_eq!(rules[0]["name"], "dr-alert");
    let key = az
        .run("storage account keys list --account-name primaryacct --query [0].value")
        .await;
    assert_eq!(key, "a-key");
    az.server.stop().await;
}
