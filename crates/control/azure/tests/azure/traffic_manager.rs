//! Against the real traffic manager.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use backstay_azure::{AzureError, Client, ReportedMonitorStatus, Switch};
use backstay_lab_azure::StorageApi;
use backstay_retry::Deadline;
use backstay_traffic::{MonitorLimits, TrafficConfig, TrafficManager};
use serde_json::json;

use crate::standin::cutting;
use crate::{PROFILE, QUICK, client, deadline, id, primary};

pub fn config(folder: &Path) -> TrafficConfig {
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
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
        vantage_points: vec!["a".parse().unwrap()],
        quorum: None,
        max_probes: 16,
        limits: MonitorLimits::Lab,
    }
}

pub struct Lab {
    pub folder: tempfile::TempDir,
    pub manager: TrafficManager,
    pub client: Client,
    pub arm: String,
}

impl Lab {
    pub async fn start() -> Self {
        Self::with_accounts(None).await
    }

    /// One that also hands out the keys of these accounts.
    pub async fn with_accounts(accounts: Option<serde_json::Value>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accounts = accounts.map(|it| {
            let path = folder.path().join("accounts.json");
            std::fs::write(&path, it.to_string()).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            StorageApi::at(&path).unwrap()
        });
        let started = TrafficManager::start_with(config(folder.path()), |api| match accounts {
            None => api,
            Some(accounts) => api.with(accounts),
        });
        let manager = started.await.unwrap();
        let arm = manager.addresses().arm.to_string();
        let client = client(&arm, &folder.path().join("token"), QUICK);
        Self {
            folder,
            manager,
            client,
            arm,
        }
    }

    /// What someone else does, with curl as it were.
    pub async fn put(&self, path: &str, body: serde_json::Value) {
        self.put_at(path, "2022-04-01", body).await;
    }

    pub async fn put_at(&self, path: &str, version: &str, body: serde_json::Value) {
        let token = std::fs::read_to_string(self.folder.path().join("token")).unwrap();
        let url = format!("{}{path}?api-version={version}", self.arm);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let put = http.put(url).bearer_auth(token.trim()).json(&body);
        let answer = put.send().await.unwrap();
        assert!(
            answer.status().is_success(),
            "{}",
            answer.text().await.unwrap()
        );
    }

    pub async fn with_profile() -> Self {
        let lab = Self::start().await;
        lab.put(PROFILE, profile("Enabled")).await;
        lab
    }
}

/// A profile, as `terraform apply` puts it.
pub fn profile(primary: &str) -> serde_json::Value {
    json!({
        "location": "global",
        "properties": {
            "trafficRoutingMethod": "Priority",
            "dnsConfig": { "relativeName": "logs", "ttl": 60 },
            "monitorConfig": {
                "protocol": "HTTP", "port": 1, "path": "/api/v1/status",
                "intervalInSeconds": 30, "timeoutInSeconds": 10, "toleratedNumberOfFailures": 3,
            },
            "endpoints": [
                { "name": "primary", "properties": {
                    "target": "127.0.0.1", "priority": 1, "endpointStatus": primary } },
                { "name": "secondary", "properties": { "target": "127.0.0.2", "priority": 2 } },
            ],
        },
    })
}

#[tokio::test]
async fn a_profile_is_read() {
    let lab = Lab::with_profile().await;
    let profile = lab.client.profile(&id(PROFILE), deadline()).await.unwrap();
    assert_eq!((profile.fqdn.as_str(), profile.ttl), ("logs.tm.test", 60));
    assert_eq!(profile.routing_method, "Priority");
    assert_eq!(profile.status, Switch::Enabled);
    assert_eq!(profile.monitor.interval_in_seconds, Some(30));
    assert_eq!(profile.monitor.tolerated_number_of_failures, Some(3));
    assert!(profile.etag.is_some());
    let names: Vec<_> = profile
        .endpoints
        .iter()
        .map(|it| (it.id.name(), it.priority))
        .collect();
    assert_eq!(names, [("primary", Some(1)), ("secondary", Some(2))]);
    assert_eq!(profile.endpoints[0].id, primary());
    // In other letters it is the same resource.
    let upper = id(&PROFILE.to_uppercase());
    lab.client.profile(&upper, deadline()).await.unwrap();
}

#[tokio::test]
async fn an_endpoint_is_disabled_and_read_back() {
    let lab = Lab::with_profile().await;
    let read = lab
        .client
        .endpoint_at(&primary(), deadline())
        .await
        .unwrap();
    assert_eq!(
        (read.status, read.target.as_str()),
        (Switch::Enabled, "127.0.0.1")
    );
    let disabled = Switch::Disabled;
    let held = lab
        .client
        .hold_endpoint_status(&primary(), disabled, deadline())
        .await
        .unwrap();
    assert_eq!(held.status, disabled);
    assert_eq!(held.monitor_status, ReportedMonitorStatus::Disabled);
    // Once more, by whoever was started again in between.
    let again = lab
        .client
        .hold_endpoint_status(&primary(), disabled, deadline())
        .await
        .unwrap();
    assert_eq!(again.etag, held.etag);

    // What was read before is a state that is gone.
    let enabled = Switch::Enabled;
    let set = |etag| {
        let client = lab.client.clone();
        async move {
            client
                .set_endpoint_status(&primary(), enabled, Some(&etag), deadline())
                .await
        }
    };
    let error = set(read.etag.unwrap()).await.unwrap_err();
    assert!(matches!(error, AzureError::Changed { .. }), "{error}");
    assert_eq!(set(held.etag.unwrap()).await.unwrap().status, enabled);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let lab = Lab::start().await;
    let error = lab
        .client
        .profile(&id(PROFILE), deadline())
        .await
        .unwrap_err();
    assert!(matches!(&error, AzureError::NotFound { code, .. } if code == "ResourceNotFound"));
    assert!(error.to_string().contains(PROFILE), "{error}");
    let error = lab
        .client
        .endpoint_at(&primary(), deadline())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, AzureError::NotFound { code, .. } if code == "ParentResourceNotFound")
    );
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_not_shown() {
    let lab = Lab::with_profile().await;
    let wrong = lab.folder.path().join("wrong");
    std::fs::write(&wrong, "hunter2-hunter2").unwrap();
    let client = client(&lab.arm, &wrong, QUICK);
    let error = client.profile(&id(PROFILE), deadline()).await.unwrap_err();
    assert!(
        matches!(error, AzureError::Unauthenticated { .. }),
        "{error}"
    );
    assert!(!format!("{error:?} {error} {client:?}").contains("hunter2"));
    // The right one is taken as soon as it is there, although the wrong one was kept.
    std::fs::copy(lab.folder.path().join("token"), &wrong).unwrap();
    client.profile(&id(PROFILE), deadline()).await.unwrap();
}

#[tokio::test]
async fn connections_that_break_are_made_anew() {
    let lab = Lab::with_profile().await;
    let address = lab.arm.trim_start_matches("http://").parse().unwrap();
    let through = client(
        &cutting(address, 3).await,
        &lab.folder.path().join("token"),
        QUICK,
    );
    let disabled = Switch::Disabled;
    through
        .hold_endpoint_status(&primary(), disabled, deadline())
        .await
        .unwrap();
    let read = lab
        .client
        .endpoint_at(&primary(), deadline())
        .await
        .unwrap();
    assert_eq!(read.status, disabled);
}

#[tokio::test]
async fn a_traffic_manager_that_is_away_for_a_while() {
    let lab = Lab::with_profile().await;
    let mut config = config(lab.folder.path());
    config.arm = lab.arm.trim_start_matches("http://").parse().unwrap();
    // Its token is there already.
    lab.client.profile(&id(PROFILE), deadline()).await.unwrap();
    lab.manager.shut_down().await;
    let client = lab.client.clone();
    let error = client
        .profile(
            &id(PROFILE),
            Deadline::after(std::time::Duration::from_millis(200)),
        )
        .await
        .unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert!(error.to_string().contains(&lab.arm), "{error}");
    let holding = tokio::spawn(async move {
        client
            .hold_endpoint_status(&primary(), Switch::Disabled, deadline())
            .await
    });
    let _manager = TrafficManager::start(config).await.unwrap();
    assert_eq!(holding.await.unwrap().unwrap().status, Switch::Disabled);
}

const ARM: &str = "AZURE_TEST_ARM";
const TOKEN: &str = "AZURE_TEST_TOKEN";

#[tokio::test]
#[ignore = "is a program of the next test, which sets its environment"]
async fn reads_over_tls() {
    let (Ok(arm), Ok(token)) = (std::env::var(ARM), std::env::var(TOKEN)) else {
        return;
    };
    let client = client(&arm, Path::new(&token), QUICK);
    // A certificate that is not trusted looks like a server that is away.
    let until = match std::env::var_os("SSL_CERT_FILE") {
        Some(_) => deadline(),
        None => Deadline::after(std::time::Duration::from_secs(5)),
    };
    let read = client.endpoint_at(&primary(), until).await;
    let read = read.map_err(|error| error.to_string());
    assert!(read.is_ok(), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_over_tls_is_trusted_by_its_certificate_alone() {
    backstay_tls::install_provider();
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut config = config(folder.path());
    config.tls = Some((certificate.clone(), key));
    let manager = TrafficManager::start(config).await.unwrap();
    let arm = manager.addresses().arm.to_string();
    assert!(arm.starts_with("https://"), "{arm}");
    let token = std::fs::read_to_string(folder.path().join("token")).unwrap();
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let http = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([root])
        .build()
        .unwrap();
    let url = format!("{arm}{PROFILE}?api-version=2022-04-01");
    let put = http
        .put(url)
        .bearer_auth(token.trim())
        .json(&profile("Enabled"));
    assert!(put.send().await.unwrap().status().is_success());
    for (trusted, ok) in [(Some(&certificate), true), (None, false)] {
        let mut program = tokio::process::Command::new(std::env::current_exe().unwrap());
        program
            .args(["--ignored", "--exact", "traffic_manager::reads_over_tls"])
            .env(ARM, &arm)
            .env(TOKEN, folder.path().join("token"))
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR")
            .kill_on_drop(true);
        if let Some(trusted) = trusted {
            program.env("SSL_CERT_FILE", trusted);
        }
        let output = tokio::time::timeout(crate::HANG, program.output())
            .await
            .unwrap()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), ok, "{said}");
        assert!(
            said.contains("1 passed") || said.contains("certificate"),
            "{said}"
        );
    }
}
