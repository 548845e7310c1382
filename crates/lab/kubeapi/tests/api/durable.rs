//! The server is killed again and again while clients write. What it has acknowledged is there
//! when it is back, and its versions go on.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use backstay_kubeapi::{Kubeconfig, Server, ServerOptions};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::processes::Processes;
use backstay_testkit::kubernetes::{HANG_TIMEOUT, client_at};

const FOLDER: &str = "KUBEAPI_TEST_FOLDER";
const ROUNDS: u32 = 6;
const WRITERS: u32 = 4;

#[tokio::test]
#[ignore = "is the server that is killed, not a test"]
async fn serve() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    let processes = Arc::new(Processes::new(folder.join("pods")));
    let server = Server::start(ServerOptions::new(folder.join("api"), processes))
        .await
        .unwrap();
    let contexts = vec![server.context("killed", "admin", "default").unwrap()];
    Kubeconfig { contexts }
        .write(&folder.join("kubeconfig"))
        .unwrap();
    std::future::pending::<()>().await;
}

async fn start(folder: &Path) -> (Child, Client) {
    let kubeconfig = folder.join("kubeconfig");
    let _ = std::fs::remove_file(&kubeconfig);
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "durable::serve", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let written = async {
        while !kubeconfig.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(HANG_TIMEOUT, written).await.unwrap();
    (child, client_at(&kubeconfig).await)
}

fn version(document: &ConfigMap) -> u64 {
    document.resource_version().unwrap().parse().unwrap()
}

/// Writes until the server is gone. Answers with the number of the last acknowledged write.
async fn write(client: Client, writer: u32, mut number: u64) -> u64 {
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let name = format!("counter-{writer}");
    loop {
        let next: ConfigMap = serde_json::from_value(json!({
            "metadata": { "name": name },
            "data": { "number": (number + 1).to_string() },
        }))
        .unwrap();
        let done = if number == 0 {
            maps.create(&PostParams::default(), &next).await
        } else {
            maps.replace(&name, &PostParams::default(), &next).await
        };
        match done {
            Ok(_) => number += 1,
            Err(kube::Error::Api(status)) => panic!("{status:?}"),
            Err(_) => return number,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_survives_sigkill_and_versions_never_go_back() {
    let folder = TempDir::new().unwrap();
    let mut acknowledged = vec![0_u64; WRITERS as usize];
    let mut newest = 0;
    for round in 0..ROUNDS {
        let (mut child, client) = start(folder.path()).await;
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
        let listed = maps.list(&ListParams::default()).await.unwrap();
        let at: u64 = listed.metadata.resource_version.unwrap().parse().unwrap();
        assert!(at >= newest, "{at} after {newest}");
        newest = at;
        for (writer, acknowledged) in acknowledged.iter_mut().enumerate() {
            let name = format!("counter-{writer}");
            let found = listed.items.iter().find(|map| map.name_any() == name);
            let kept: u64 = found.map_or(0, |map| {
                newest = newest.max(version(map));
                map.data.as_ref().unwrap()["number"].parse().unwrap()
            });
            // A write that was not answered may have been made durable all the same: one.
            assert!(
                kept == *acknowledged || kept == *acknowledged + 1,
                "round {round}: {name} is {kept}, acknowledged {acknowledged}"
            );
            *acknowledged = kept;
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let from = acknowledged[writer as usize];
                tokio::spawn(write(client.clone(), writer, from))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(200 + u64::from(round) * 37)).await;
        child.kill().await.unwrap();
        for (writer, task) in writers.into_iter().enumerate() {
            acknowledged[writer] = tokio::time::timeout(HANG_TIMEOUT, task)
                .await
                .unwrap()
                .unwrap();
        }
    }
    assert!(
        acknowledged
            .iter()
            .all(|number| *number > u64::from(ROUNDS)),
        "too few writes to mean anything: {acknowledged:?}"
    );
}
