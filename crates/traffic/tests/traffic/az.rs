//! The commands of the runbook, by `az` itself.
//!
//! `az` (PyPI's azure-cli) needs no cloud: it takes its token from a managed identity endpoint,
//! which is a page on loopback that hands out the token of our token file, and it is pointed here
//! by `az cloud register`. Its install is several hundred megabytes, so CI does without it and
//! makes the same calls with `curl`, as `az rest` would; where `az` is on the PATH, or
//! `BACKSTAY_AZ` names it, its own test runs too.

use std::process::Command;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::clients::{Curl, certificate};
use crate::server::{GROUP, Server, VERSION, profile};

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

/// The commands of the runbook, unchanged, against this server.
#[tokio::test(flavor = "multi_thread")]
async fn az_shows_and_updates_an_endpoint() {
    let az = match std::env::var_os("BACKSTAY_AZ") {
        Some(az) => az,
        None if Command::new("az").arg("version").output().is_ok() => "az".into(),
        None => {
            println!("skipped: no az; install azure-cli from PyPI and set BACKSTAY_AZ to its az");
            return;
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
    let server = Server::with(|config| {
        config.tls = Some(tls);
        config.token = token_file;
    })
    .await;
    let curl = Curl {
        base: server.api.addresses.arm.clone(),
        token: token.clone(),
        more: vec!["--cacert".into(), cert.clone().into()],
    };
    let subscription = "5e55c000-0000-4000-8000-000000000000";
    let group = GROUP.replace("5e55", subscription);
    let body = profile(
        "logs",
        9,
        9,
        &[("primary", "192.0.2.7"), ("secondary", "192.0.2.8")],
    );
    let (status, ..) = curl
        .call(
            "PUT",
            &format!("{group}/p?api-version={VERSION}"),
            Some(&body),
            &[],
        )
        .await;
    assert_eq!(status, 201);

    let endpoint = identity(token).await;
    let run = |line: String| {
        let mut command = Command::new(&az);
        command
            .args(line.split_whitespace())
            .args(["--output", "json"])
            .env("AZURE_CONFIG_DIR", folder.path().join("azure"))
            .env("AZURE_CORE_COLLECT_TELEMETRY", "false")
            .env("AZURE_CORE_INSTANCE_DISCOVERY", "false")
            .env("REQUESTS_CA_BUNDLE", &cert)
            .env("IDENTITY_ENDPOINT", &endpoint)
            .env("IDENTITY_HEADER", "x")
            .env("NO_PROXY", "*");
        async move {
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
    };
    let base = &server.api.addresses.arm;
    run(format!(
        "cloud register --name backstay --skip-endpoint-discovery \
         --endpoint-resource-manager {base} \
         --endpoint-active-directory {base} --endpoint-management {base}/ \
         --endpoint-active-directory-resource-id {base}/ \
         --endpoint-active-directory-graph-resource-id {base}/"
    ))
    .await;
    run("cloud set --name backstay".to_owned()).await;
    let accounts = run("login --identity".to_owned()).await;
    assert_eq!(accounts[0]["id"], subscription);
    let which = "--profile-name p --name primary --resource-group dr --type externalEndpoints";
    let shown = run(format!("network traffic-manager endpoint show {which}")).await;
    assert_eq!(shown["endpointStatus"], "Enabled");
    assert_eq!(server.api.resolve("logs").await, ["192.0.2.7"]);
    let updated = run(format!(
        "network traffic-manager endpoint update {which} --endpoint-status Disabled"
    ))
    .await;
    assert_eq!(updated["endpointMonitorStatus"], "Disabled");
    assert_eq!(server.api.resolve("logs").await, ["192.0.2.8"]);
    let shown = run(format!(
        "network traffic-manager endpoint show {which} --query endpointStatus"
    ))
    .await;
    assert_eq!(shown, "Disabled");
    run(format!(
        "network traffic-manager endpoint update {which} --endpoint-status Enabled"
    ))
    .await;
    assert_eq!(server.api.resolve("logs").await, ["192.0.2.7"]);
    let profiles = run("network traffic-manager profile list".to_owned()).await;
    assert_eq!(profiles[0]["name"], "p");
    server.stop().await;
}
