//! A region with its controllers, as the lab has it.

use std::time::Duration;

use backstay_operators::controllers::{self, ControllerOptions};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Region;

/// No wait of a test takes longer unless something hangs; the machine may be loaded.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(120);

pub struct Lab {
    pub region: Region,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Lab {
    pub async fn start() -> Self {
        Self::with(Duration::from_secs(600)).await
    }

    /// Nodes go when they were idle for so long.
    pub async fn with(idle_node: Duration) -> Self {
        let region = Region::start().await;
        let options = ControllerOptions {
            region: "eastus2".to_owned(),
            default_pool: "lsdigestnode".to_owned(),
            idle_node,
        };
        let stop = CancellationToken::new();
        let run = controllers::run(region.client().await, options, stop.clone());
        let running = tokio::spawn(run);
        let lab = Self {
            region,
            stop,
            running,
        };
        let namespaces = ["logging", "logging-ingress"].map(
            |name| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }),
        );
        lab.apply(&namespaces).await;
        lab
    }

    pub async fn apply(&self, documents: &[Value]) {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": documents });
        self.region
            .kubectl_with("apply -f -", &list.to_string())
            .await;
    }

    pub async fn kubectl(&self, arguments: &str) -> String {
        self.region.kubectl(arguments).await
    }

    /// A document as JSON.
    pub async fn get(&self, what: &str) -> Value {
        let text = self.kubectl(&format!("get {what} -o json")).await;
        serde_json::from_str(&text).unwrap()
    }

    /// Until `kubectl <arguments>` prints `wanted` and nothing else.
    pub async fn until(&self, arguments: &str, wanted: &str) {
        self.until_it(arguments, |out| out.trim() == wanted).await;
    }

    /// Until what `kubectl <arguments>` prints is as it should be.
    pub async fn until_it(&self, arguments: &str, holds: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let wait = async {
            loop {
                last = self.region.shell(&format!("kubectl {arguments}")).await.out;
                if holds(&last) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(TEST_TIMEOUT, wait).await.is_err() {
            let all = self
                .region
                .shell("kubectl get all,pvc,no,humiocluster -A -o wide")
                .await;
            panic!("kubectl {arguments} prints {last:?}\n{}", all.out);
        }
        last
    }

    /// Names of what is selected, sorted.
    pub async fn names(&self, what: &str) -> Vec<String> {
        let out = self.kubectl(&format!("get {what} -o name")).await;
        let mut names: Vec<String> = out.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
        self.region.stop().await;
    }
}

pub fn deployment(namespace: &str, name: &str, image: &str, replicas: usize) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{
                    "name": name,
                    "image": image,
                    "ports": [{ "name": "web", "containerPort": 8080 }],
                }] },
            },
        },
    })
}

pub fn cluster(namespace: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "core.humio.com/v1alpha1",
        "kind": "HumioCluster",
        "metadata": { "name": "logscale", "namespace": namespace },
        "spec": spec,
    })
}
