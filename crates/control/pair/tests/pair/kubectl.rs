//! Real `kubectl` applies the manifests to a real API server.
//!
//! Without those of kind Ingress, which this API server does not serve.

use std::process::{Command, Stdio};
use std::sync::Arc;

use backstay_kubeapi::{Kubeconfig, NoPods, Server, ServerOptions};
use backstay_pair::{Dr, EnvVar, Manifest, Side, derive, manifests, merge_environment};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cases;

struct Region {
    folder: TempDir,
    server: Server,
}

impl Region {
    /// `None`, the test being skipped, where `kubectl` is not installed.
    async fn start() -> Option<Self> {
        if !backstay_testkit::is_installed("kubectl", &["version", "--client"]) {
            backstay_testkit::skip("kubectl is not installed");
            return None;
        }
        let folder = TempDir::new().unwrap();
        let options = ServerOptions::new(folder.path().join("api"), Arc::new(NoPods));
        let server = Server::start(options).await.unwrap();
        let contexts = vec![server.context("aks", "admin", "logging").unwrap()];
        Kubeconfig { contexts }
            .write(&folder.path().join("kubeconfig"))
            .unwrap();
        Some(Self { folder, server })
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let output = Command::new("kubectl")
            .args(arguments)
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "kubectl {}\n{}{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn write(&self, documents: &[Manifest]) -> String {
        let path = self.folder.path().join("manifests.json");
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": documents });
        std::fs::write(&path, list.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn apply(&self, documents: &[Manifest], how: &[&str]) -> String {
        let path = self.write(documents);
        self.kubectl(&[&["apply", "-f", &path], how].concat())
    }

    /// What is there of these documents, versions included.
    fn state(&self, documents: &[Manifest]) -> Vec<Value> {
        let path = self.write(documents);
        let text = self.kubectl(&["get", "-f", &path, "-o", "json"]);
        let mut list: Value = serde_json::from_str(&text).unwrap();
        serde_json::from_value(list["items"].take()).unwrap()
    }
}

fn applicable(case: &cases::Case) -> Vec<Manifest> {
    let derived = derive(&case.pair, case.side, case.dr, case.dedicated);
    manifests(&case.pair, &derived)
        .into_iter()
        .filter(|document| document["kind"] != "Ingress")
        .collect()
}

/// Whether everything that is wanted is in what is there.
fn contains(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (Value::Object(there), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| there.get(key).is_some_and(|there| contains(there, wanted))),
        (Value::Array(there), Value::Array(wanted)) => {
            there.len() == wanted.len() && there.iter().zip(wanted).all(|(a, b)| contains(a, b))
        }
        _ => there == wanted,
    }
}

async fn every_case(how: &[&str]) {
    let Some(region) = Region::start().await else {
        return;
    };
    for case in cases::all() {
        let documents = applicable(&case);
        region.apply(&documents, how);
        let first = region.state(&documents);
        assert_eq!(first.len(), documents.len());
        for (there, wanted) in first.iter().zip(&documents) {
            assert!(
                contains(there, wanted),
                "{}: wanted {wanted:#}\nthere is {there:#}",
                case.name()
            );
        }
        let said = region.apply(&documents, how);
        assert_eq!(region.state(&documents), first, "{}: {said}", case.name());
        if how.is_empty() {
            assert!(
                said.lines().all(|line| line.ends_with(" unchanged")),
                "{}: {said}",
                case.name()
            );
        }
    }
    region.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_applies_every_case_and_applying_again_changes_nothing() {
    every_case(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_side_apply_takes_every_case_and_applying_again_changes_nothing() {
    every_case(&["--server-side"]).await;
}

/// The lists that `kubectl` prints are what `merge_environment` merges into.
#[tokio::test(flavor = "multi_thread")]
async fn reverse_recovery_is_merged_into_the_primary_as_the_runbook_does() {
    let Some(region) = Region::start().await else {
        return;
    };
    let case = cases::all()
        .into_iter()
        .find(|case| case.side == Side::Primary && case.dr == Dr::Active)
        .unwrap();
    region.apply(&applicable(&case), &[]);
    let environment = || -> Vec<EnvVar> {
        let text = region.kubectl(&[
            "get",
            "humiocluster",
            "-n",
            "logging",
            "-o",
            "jsonpath={.items[0].spec.environmentVariables}",
        ]);
        serde_json::from_str(&text).unwrap()
    };
    let before = environment();
    let flag = EnvVar::value("BUCKET_STORAGE_MULTIPLE_ENDPOINTS", "true");
    assert_eq!(before.iter().filter(|it| **it == flag).count(), 1);
    let wanted = backstay_pair::reverse_recovery(&case.pair);
    let merged = merge_environment(&before, &wanted);
    let patch = json!({ "spec": { "environmentVariables": merged } }).to_string();
    let arguments = [
        "patch",
        "humiocluster",
        "humio",
        "-n",
        "logging",
        "--type=merge",
        "-p",
        &patch,
    ];
    region.kubectl(&arguments);
    let after = environment();
    assert_eq!(after, merged);
    assert_eq!(after.len(), before.len() + wanted.len());
    assert_eq!(merge_environment(&after, &wanted), after);
    // "The next terraform apply on the primary will remove them cleanly."
    region.apply(&applicable(&case), &[]);
    assert_eq!(environment(), before);
    region.server.stop().await;
}
