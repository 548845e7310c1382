//! Keys of storage accounts: handed out to who has the token, and found nowhere else.

use std::os::unix::fs::PermissionsExt;

use backstay_lab_azure::{StorageApi, StorageError};
use serde_json::{Value, json};

use crate::clients::{Curl, code, has};
use crate::server::Server;

const VERSION: &str = "2023-01-01";
const ROTATED: &str = "c2Vjb25kLWtleS1vZi10aGUtcHJpbWFyeQ==";
const SECRET: &str = "c2VjcmV0LWtleS1vZi10aGUtcHJpbWFyeQ==";

fn file(folder: &std::path::Path, mode: u32) -> std::path::PathBuf {
    let path = folder.join("accounts.json");
    let account = |name: &str, key: &str| {
        json!({
            "subscription": "5e55", "resourceGroup": "dr", "name": name, "location": "centralus",
            "keys": [{ "name": "key1", "value": key }, { "name": "key2", "value": key }],
        })
    };
    let all =
        json!({ "accounts": [account("primaryacct", SECRET), account("secondaryacct", "b")] });
    std::fs::write(&path, all.to_string()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// As `az storage account keys list` does it: find the account among all, then ask for its keys.
#[tokio::test(flavor = "multi_thread")]
async fn curl_lists_keys() {
    if !has("curl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let accounts = file(folder.path(), 0o600);
    let path = accounts.clone();
    let accounts = StorageApi::at(&accounts).unwrap();
    let server = Server::with_accounts(Some(accounts), |_| {}).await;
    let mut curl = Curl {
        base: server.api.addresses.arm.clone(),
        token: server.api.token.clone(),
        more: Vec::new(),
    };
    let provider = "providers/Microsoft.Storage/storageAccounts";
    let all = format!("/subscriptions/5e55/{provider}?api-version={VERSION}");
    let (status, _, listed) = curl.call("GET", &all, None, &[]).await;
    assert_eq!(status, 200);
    let names: Vec<&Value> = listed["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["primaryacct", "secondaryacct"]);
    assert!(!listed.to_string().contains(SECRET));
    let id = listed["value"][0]["id"].as_str().unwrap();
    let (status, _, one) = curl
        .call("GET", &format!("{id}?api-version={VERSION}"), None, &[])
        .await;
    let blob = &one["properties"]["primaryEndpoints"]["blob"];
    assert_eq!(
        (status, blob),
        (200, &json!("https://primaryacct.blob.core.windows.net/"))
    );
    let keys = format!("{id}/listKeys?api-version={VERSION}&$expand=kerb");
    let (status, _, answer) = curl.call("POST", &keys, None, &[]).await;
    assert_eq!((status, &answer["keys"][0]["value"]), (200, &json!(SECRET)));
    assert_eq!(answer["keys"][0]["keyName"], "key1");

    let (status, _, answer) = curl.call("GET", &keys, None, &[]).await;
    assert_eq!((status, code(&answer)), (405, "MethodNotAllowed"));
    let (status, _, answer) = curl
        .call("POST", &keys.replace("primaryacct", "nobody"), None, &[])
        .await;
    assert_eq!((status, code(&answer)), (404, "ResourceNotFound"));
    // A key that was rotated is handed out without a restart.
    let rotated = std::fs::read_to_string(&path).unwrap();
    let new = folder.path().join("new.json");
    std::fs::write(&new, rotated.replace(SECRET, ROTATED)).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(&new, &path).unwrap();
    loop {
        let (status, _, answer) = curl.call("POST", &keys, None, &[]).await;
        assert_eq!(status, 200);
        match answer["keys"][0]["value"].as_str() {
            Some(ROTATED) => break,
            before => assert_eq!(before, Some(SECRET)),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // One that is no longer good, or that others can read, changes nothing.
    std::fs::write(&path, "{").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    let (status, _, answer) = curl.call("POST", &keys, None, &[]).await;
    assert_eq!(
        (status, &answer["keys"][0]["value"]),
        (200, &json!(ROTATED))
    );

    curl.token = "wrong".to_owned();
    let (status, _, answer) = curl.call("POST", &keys, None, &[]).await;
    assert_eq!((status, code(&answer)), (401, "InvalidAuthenticationToken"));
    for path in ["/metrics", "/status"] {
        assert!(!server.api.see(path).await.contains(SECRET));
    }
    let kept = server.stop().await;
    for entry in std::fs::read_dir(kept.path()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains(SECRET) && !text.contains(ROTATED));
    }
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = StorageApi::at(&file(folder.path(), 0o640)).err().unwrap();
    assert!(
        matches!(refused, StorageError::Mode { mode: 0o640, .. }),
        "{refused}"
    );
}

/// What a server was not put together from, it does not have.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_provider_there_are_no_accounts() {
    let server = Server::start().await;
    let path = "/subscriptions/5e55/providers/Microsoft.Storage/storageAccounts";
    let asked = server
        .api
        .try_ask_version(reqwest::Method::GET, path, VERSION, None);
    let (status, answer) = asked.await.unwrap();
    assert_eq!((status.as_u16(), code(&answer)), (404, "NotFound"));
    assert_eq!(
        answer["error"]["message"],
        "There is nothing at '/subscriptions/5e55/providers/Microsoft.Storage/storageAccounts'; this \
         server has /subscriptions/{id}/resourceGroups/{name}/providers/ with \
         Microsoft.Network/trafficManagerProfiles, Microsoft.Insights/metricAlerts, \
         Microsoft.Insights/actionGroups, and \
         /subscriptions/{id}/providers/Microsoft.AlertsManagement/alerts."
    );
    server.stop().await;
}
