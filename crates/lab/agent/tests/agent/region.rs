//! A region for tests: an API server with the agent, a network of its own, and `kubectl`.

use std::net::TcpListener;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backstay_agent::{Agent, AgentOptions, BackOff, Network, Runtime};
use backstay_kubeapi::{Kubeconfig, Server, ServerOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use backstay_testkit::kubernetes::{Shell, client_at};

/// No wait for one thing is longer; a machine that is busy with other tests is slow.
pub use backstay_testkit::{WAIT_TIMEOUT, until_ok as until};

/// A network that no other test has, as long as this lives.
pub struct Reserved {
    pub network: Network,
    _first: TcpListener,
}

impl Reserved {
    pub fn any() -> Self {
        let mut seed = u64::from(std::process::id());
        loop {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (b, c) = ((seed >> 40) as u8 | 0x80, (seed >> 48) as u8);
            // The first address is no pod's; who listens there has the network.
            if let Ok(first) = TcpListener::bind(format!("127.{b}.{c}.1:4711")) {
                return Self {
                    network: format!("127.{b}.{c}.0/24").parse().unwrap(),
                    _first: first,
                };
            }
        }
    }
}

/// A server and its agent, in a folder.
pub struct Region {
    pub runtime: Arc<Runtime>,
    server: Server,
    agent: Agent,
    options: AgentOptions,
    shell: Shell,
}

impl Deref for Region {
    type Target = Shell;

    fn deref(&self) -> &Shell {
        &self.shell
    }
}

pub fn options(folder: &Path, network: Network) -> AgentOptions {
    let mut options = AgentOptions::new(folder.join("agent"), network);
    options.back_off = BackOff {
        base: Duration::from_millis(100),
        cap: Duration::from_secs(2),
        reset: Duration::from_secs(600),
    };
    options.stop_grace = Duration::from_secs(1);
    options
        .images
        .insert("backstay/pause".into(), vec!["sleep".into(), "600".into()]);
    options
        .kubeconfigs
        .insert("function".into(), folder.join("function.kubeconfig"));
    options
}

impl Region {
    pub async fn start(options: AgentOptions) -> Self {
        let folder = options.folder.parent().unwrap().to_owned();
        let runtime = Runtime::new(&options).unwrap();
        let api = ServerOptions::new(folder.join("api"), runtime.clone());
        let server = Server::start(api).await.unwrap();
        let shell = Shell { folder };
        let context = |role| server.context("aks-primary", role, "logging").unwrap();
        for (role, path) in [
            ("admin", shell.kubeconfig()),
            ("dr-function", shell.folder.join("function.kubeconfig")),
        ] {
            let contexts = vec![context(role)];
            Kubeconfig { contexts }.write(&path).unwrap();
        }
        let client = client_at(&shell.kubeconfig()).await;
        let agent = Agent::start(client, runtime.clone(), options.clone()).unwrap();
        let region = Self {
            runtime,
            server,
            agent,
            options,
            shell,
        };
        region
            .kubectl("create namespace logging --dry-run=client -o json | kubectl apply -f -")
            .await;
        region
    }

    pub async fn stop(self) {
        self.agent.stop().await;
        self.server.stop().await;
    }

    pub fn agent_folder(&self) -> PathBuf {
        self.options.folder.clone()
    }

    pub async fn apply(&self, document: Value) {
        self.kubectl_with("apply -f -", &document.to_string()).await;
    }

    pub async fn get(&self, what: &str) -> Value {
        let text = self.kubectl(&format!("get {what} -o json")).await;
        serde_json::from_str(&text).unwrap()
    }

    /// The row that `kubectl get pods` has for a pod: ready, status, restarts.
    pub async fn row(&self, pod: &str) -> [String; 3] {
        let line = self.kubectl(&format!("get pod {pod} --no-headers")).await;
        let mut words = line.split_whitespace().skip(1).map(str::to_owned);
        [(); 3].map(|()| words.next().unwrap_or_default())
    }

    pub async fn until_row(&self, pod: &str, wanted: [&str; 2]) {
        until(&format!("{pod} is {wanted:?}"), || async {
            let row = self.row(pod).await;
            if row[..2] == wanted { Ok(()) } else { Err(row) }
        })
        .await;
    }

    pub async fn until_running(&self, pod: &str) {
        until_ready(self, pod).await;
    }

    pub async fn exec(&self, pod: &str, line: &str) -> String {
        self.kubectl(&format!("exec {pod} -- {line}")).await
    }
}

/// A region and all that it is in.
pub struct World {
    pub region: Region,
    _reserved: Reserved,
    _folder: TempDir,
}

impl Deref for World {
    type Target = Region;

    fn deref(&self) -> &Region {
        &self.region
    }
}

impl World {
    pub async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let reserved = Reserved::any();
        Self {
            region: Region::start(options(folder.path(), reserved.network)).await,
            _reserved: reserved,
            _folder: folder,
        }
    }

    pub async fn stop(self) {
        self.region.stop().await;
    }
}

/// A pod on a node, as the scheduler leaves it, with one container called `humio`.
pub fn pod(name: &str, container: Value) -> Value {
    pod_with(name, container, json!({}))
}

pub fn pod_with(name: &str, container: Value, spec: Value) -> Value {
    let mut humio = json!({ "name": "humio", "image": "backstay/pause:1" });
    merge(&mut humio, container);
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "logging", "labels": { "app": "test" } },
        "spec": { "nodeName": "aks-pool-0", "terminationGracePeriodSeconds": 2, "containers": [humio] },
    });
    merge(&mut pod["spec"], spec);
    pod
}

fn merge(into: &mut Value, from: Value) {
    let from = from.as_object().unwrap().clone();
    into.as_object_mut().unwrap().extend(from);
}

/// A container that runs a line of shell.
pub fn shell(line: &str) -> Value {
    json!({ "command": ["sh", "-c", line] })
}

/// An HTTP server that shows its folder at the pod's address.
pub fn http() -> Value {
    json!({
        "command": ["sh", "-c", "exec python3 -m http.server 8080 --bind $POD_IP"],
        "env": [{ "name": "POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }],
        "ports": [{ "name": "http", "containerPort": 8080 }],
        "readinessProbe": { "httpGet": { "path": "/", "port": "http" }, "periodSeconds": 1 },
    })
}

/// The processes of this machine whose variable has a value that begins with this.
pub fn processes_marked(folder: &Path) -> Vec<i32> {
    let wanted = format!("BACKSTAY_POD={}/", folder.canonicalize().unwrap().display());
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|pid| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable.starts_with(wanted.as_bytes()))
    })
    .collect()
}

/// Waits as `kubectl` does; longer than a command may hang.
pub async fn until_ready(shell: &Shell, pod: &str) {
    let line = format!("kubectl wait pod {pod} --for=condition=Ready --timeout=20s");
    until(&format!("{pod} is ready"), || async {
        let ran = shell.shell(&line).await;
        if ran.code == Some(0) {
            Ok(())
        } else {
            Err(ran)
        }
    })
    .await;
}
