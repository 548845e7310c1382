//! Where the token comes from: against stand-ins of Entra, of the managed identity's two endpoints,
//! and of `az`.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use backstay_azure::{
    AzureError, Client, Cloud, Endpoint, Environment, Identity, IdentityError, SourceName,
};
use backstay_retry::Deadline;
use serde_json::json;

use crate::standin::{Reply, StandIn};
use crate::{QUICK, deadline, primary};

/// Nothing listens on port 1, and there is no `az` in an empty PATH.
const NOWHERE: [(&str, &str); 2] = [
    ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1"),
    ("PATH", "/nowhere"),
];

fn issued(token: &str, seconds: u64) -> Reply {
    Reply::json(
        200,
        json!({ "access_token": token, "expires_in": seconds, "token_type": "Bearer" }),
    )
}

async fn arm() -> StandIn {
    let body = json!({
        "id": primary().as_str(), "name": "primary", "properties": { "endpointStatus": "Enabled" },
    });
    StandIn::start([], Reply::json(200, body)).await
}

fn client(arm: &StandIn, variables: &[(&str, &str)]) -> Client {
    let environment: Environment = NOWHERE.iter().chain(variables).copied().collect();
    let cloud = Cloud::new(Some(&arm.url()), &environment).unwrap();
    let identity = Identity::new(&cloud, &environment, QUICK).unwrap();
    Client::new(cloud, identity, QUICK).unwrap()
}

async fn read(client: &Client) -> Result<Endpoint, AzureError> {
    client.endpoint_at(&primary(), deadline()).await
}

fn tokens(arm: &StandIn) -> Vec<String> {
    arm.asked()
        .iter()
        .map(|it| it.header("authorization").to_owned())
        .collect()
}

#[tokio::test]
async fn by_a_client_secret() {
    let arm = arm().await;
    let entra = StandIn::start(
        [Reply::error(503, "busy", ""), issued("one", 3600)],
        Reply::Hang,
    )
    .await;
    let authority = entra.url();
    let client = client(
        &arm,
        &[
            ("AZURE_AUTHORITY_HOST", &authority),
            ("AZURE_TENANT_ID", "tenant-1"),
            ("AZURE_CLIENT_ID", "client-1"),
            ("AZURE_CLIENT_SECRET", "hunter2 & more"),
        ],
    );
    assert_eq!(client.identity().names()[0], SourceName::Environment);
    read(&client).await.unwrap();
    // It is kept: Entra is not asked again, or this would hang.
    read(&client).await.unwrap();
    assert_eq!(tokens(&arm), ["Bearer one", "Bearer one"]);
    let asked = &entra.asked()[1];
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str()),
        ("POST", "/tenant-1/oauth2/v2.0/token")
    );
    assert_eq!(
        asked.body,
        format!(
            "client_id=client-1&scope=http%3A%2F%2F127.0.0.1%3A{}%2F.default\
             &grant_type=client_credentials&client_secret=hunter2+%26+more",
            arm.address.port()
        )
    );
}

#[tokio::test]
async fn a_refused_secret_ends_the_search_and_is_not_shown() {
    let arm = arm().await;
    let entra = StandIn::start([], Reply::Echo(401)).await;
    let authority = entra.url();
    // A function would have both; the wrong one must not be passed over in silence.
    let managed = StandIn::start([], issued("other", 3600)).await;
    let endpoint = managed.url();
    let client = client(
        &arm,
        &[
            ("AZURE_AUTHORITY_HOST", &authority),
            ("AZURE_TENANT_ID", "tenant-1"),
            ("AZURE_CLIENT_ID", "client-1"),
            ("AZURE_CLIENT_SECRET", "hunter2-hunter2"),
            ("IDENTITY_ENDPOINT", &endpoint),
            ("IDENTITY_HEADER", "header-secret"),
        ],
    );
    let error = read(&client).await.unwrap_err();
    assert!(
        matches!(&error, AzureError::Identity { error: IdentityError::Refused { of, .. }, .. } if *of == SourceName::Environment),
        "{error}"
    );
    let shown = format!("{error} {error:?} {client:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("header-secret"),
        "{shown}"
    );
    assert!(shown.contains("AZURE_CLIENT_SECRET"), "{shown}");
    assert!(managed.asked().is_empty() && arm.asked().is_empty());
}

#[tokio::test]
async fn by_the_workload_s_token_read_anew_each_time() {
    let arm = arm().await;
    let entra = StandIn::start([issued("one", 3600), issued("two", 3600)], Reply::Hang).await;
    let authority = entra.url();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "assertion-1\n").unwrap();
    let client = client(
        &arm,
        &[
            ("AZURE_AUTHORITY_HOST", &authority),
            ("AZURE_TENANT_ID", "tenant-1"),
            ("AZURE_CLIENT_ID", "client-1"),
            ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
        ],
    );
    assert_eq!(client.identity().names()[0], SourceName::Workload);
    read(&client).await.unwrap();
    std::fs::write(&file, "assertion-2\n").unwrap();
    // Azure says that the first token is no good any more.
    arm.then([Reply::error(401, "ExpiredAuthenticationToken", "expired")]);
    read(&client).await.unwrap();
    assert_eq!(tokens(&arm), ["Bearer one", "Bearer one", "Bearer two"]);
    let asked = entra.asked();
    assert!(
        asked[0].body.contains("jwt-bearer")
            && asked[0].body.ends_with("client_assertion=assertion-1")
    );
    assert!(asked[1].body.ends_with("client_assertion=assertion-2"));
}

#[tokio::test]
async fn by_the_function_s_managed_identity() {
    let arm = arm().await;
    let body = json!({ "access_token": "one", "expires_on": "4102444800", "resource": "x", "token_type": "Bearer" });
    let managed = StandIn::start(
        [Reply::error(500, "x", ""), Reply::json(200, body)],
        Reply::Hang,
    )
    .await;
    let endpoint = format!("{}/msi/token", managed.url());
    let client = client(
        &arm,
        &[
            ("IDENTITY_ENDPOINT", &endpoint),
            ("IDENTITY_HEADER", "header-1"),
            ("AZURE_CLIENT_ID", "client-1"),
        ],
    );
    read(&client).await.unwrap();
    assert_eq!(tokens(&arm), ["Bearer one"]);
    let asked = &managed.asked()[1];
    assert_eq!(asked.header("x-identity-header"), "header-1");
    assert!(
        asked
            .path
            .starts_with("/msi/token?api-version=2019-08-01&resource=http%3A%2F%2F127.0.0.1"),
        "{}",
        asked.path
    );
    assert!(
        asked.path.ends_with("&client_id=client-1"),
        "{}",
        asked.path
    );
}

#[tokio::test]
async fn by_the_machine_s_managed_identity_with_its_own_outages() {
    let arm = arm().await;
    let metadata = StandIn::start([issued("one", 3600)], Reply::Hang).await;
    let host = metadata.url();
    let client = client(&arm, &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &host)]);
    read(&client).await.unwrap();
    let asked = &metadata.asked()[0];
    assert_eq!(asked.header("metadata"), "true");
    assert!(
        asked
            .path
            .starts_with("/metadata/identity/oauth2/token?api-version=2018-02-01&resource="),
        "{}",
        asked.path
    );
    // Once it has been the one, 404 and 410 are passing troubles of its own.
    arm.then([Reply::error(401, "x", "")]);
    metadata.then([
        Reply::error(410, "gone", ""),
        Reply::error(404, "x", ""),
        issued("two", 3600),
    ]);
    read(&client).await.unwrap();
    assert_eq!(tokens(&arm).last().unwrap(), "Bearer two");
}

#[tokio::test]
async fn by_the_azure_cli() {
    let arm = arm().await;
    let folder = tempfile::tempdir().unwrap();
    let az = folder.path().join("az");
    let script = format!(
        "#!/bin/sh\nprintf '%s ' \"$@\" > '{}'\n\
         printf '{{\"accessToken\": \"one\", \"expiresOn\": \"2099-01-01 00:00:00.000000\", \"expires_on\": 4102444800, \"tokenType\": \"Bearer\"}}'\n",
        folder.path().join("asked").display()
    );
    std::fs::write(&az, script).unwrap();
    std::fs::set_permissions(&az, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().to_str().unwrap();
    // An address where something else than the metadata service answers is passed over.
    let other = StandIn::start([], Reply::Say(200, Vec::new(), b"<html>".to_vec())).await;
    let host = other.url();
    let client = client(
        &arm,
        &[("PATH", path), ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &host)],
    );
    read(&client).await.unwrap();
    assert_eq!(tokens(&arm), ["Bearer one"]);
    let asked = std::fs::read_to_string(folder.path().join("asked")).unwrap();
    assert_eq!(
        asked,
        format!(
            "account get-access-token --output json --scope {}/.default ",
            arm.url()
        )
    );
}

#[tokio::test]
async fn none_at_all_says_what_was_tried_and_what_to_do() {
    let arm = arm().await;
    let client = client(&arm, &[]);
    let error = read(&client).await.unwrap_err().to_string();
    for part in [
        "AZURE_CLIENT_SECRET is not set",
        "AZURE_FEDERATED_TOKEN_FILE is not set",
        "no metadata service",
        "`az` cannot be started",
        "run `az login`",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn the_lab_s_token_file_is_asked_alone() {
    let arm = arm().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let entra = StandIn::start([], issued("good for Azure", 3600)).await;
    let authority = entra.url();
    let client = client(
        &arm,
        &[
            ("BACKSTAY_AZURE_TOKEN_FILE", file.to_str().unwrap()),
            ("AZURE_AUTHORITY_HOST", &authority),
            ("AZURE_TENANT_ID", "tenant-1"),
            ("AZURE_CLIENT_ID", "client-1"),
            ("AZURE_CLIENT_SECRET", "hunter2"),
        ],
    );
    assert_eq!(client.identity().names(), [SourceName::TokenFile]);
    let soon = Deadline::after(Duration::from_secs(2));
    let error = client.endpoint_at(&primary(), soon).await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert!(
        error.to_string().contains("BACKSTAY_AZURE_TOKEN_FILE"),
        "{error}"
    );
    std::fs::write(&file, "of the lab\n").unwrap();
    read(&client).await.unwrap();
    assert_eq!(tokens(&arm), ["Bearer of the lab"]);
    assert!(entra.asked().is_empty());
}

#[tokio::test]
async fn many_calls_at_once_ask_for_one_token() {
    let arm = arm().await;
    let managed = StandIn::start([issued("one", 3600)], Reply::Hang).await;
    let endpoint = managed.url();
    let client = client(
        &arm,
        &[("IDENTITY_ENDPOINT", &endpoint), ("IDENTITY_HEADER", "h")],
    );
    let calls = (0..20).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { read(&client).await.map(|_| ()) })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert_eq!(managed.asked().len(), 1);
}
